//! The template functions that a body calls to add tags, shorten the TTL, veto or prefetch. All of
//! them print nothing.

use fragcache::engine;
use minijinja::{Environment, Error, ErrorKind, State, Value, value::Kwargs};

use crate::args::{self, Args};
use crate::error::to_engine;
use crate::filters;
use crate::install::Installation;

pub(crate) fn register(env: &mut Environment<'_>) {
    env.add_function("cache_tags", |tags: Option<Value>, options: Kwargs| {
        let tags = argument(tags, &options, "tags")?;
        engine::add_tags(&args::Items::of(&tags).value()).map_err(refused)?;
        nothing(&options)
    });
    env.add_function("cache_expire", |after: Option<Value>, options: Kwargs| {
        let after = argument(after, &options, "after")?;
        engine::expire_after(args::scalar(&after)).map_err(refused)?;
        nothing(&options)
    });
    env.add_function("cache_prefetch", prefetch);
    env.add_function("cache_veto", || {
        fragcache::current::veto();
        ""
    });
}

/// `cache_prefetch(name, vary, using=cache)`: looks up in one batch the blocks called
/// `name` for each item of `vary`. An item that is a list stands for several vary parts.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands arguments over by value")]
fn prefetch(
    state: &mut State<'_, '_>,
    name: Value,
    vary: Option<Value>,
    options: Kwargs,
) -> Result<&'static str, Error> {
    let vary = argument(vary, &options, "vary")?;
    let items = vary.try_iter().map_err(|_| {
        Error::new(
            ErrorKind::InvalidOperation,
            "cache_prefetch needs a list of the values that the blocks vary on, such as \
             products|map(attribute=\"id\")",
        )
    })?;
    let keys: Vec<Vec<Value>> = items.map(|part| args::parts(&name, part)).collect();
    let memo = filters::memo(state);
    let installation = Installation::require(state.env())?;
    let using: Option<&Value> =
        if options.has("using") { Some(options.get("using")?) } else { None };
    engine::prefetch(
        installation.caches(),
        using.map(args::scalar),
        &memo,
        keys.iter().map(|key| Args(key)),
    )
    .map_err(refused)?;
    nothing(&options)
}

/// The one argument, by position or by name.
fn argument(given: Option<Value>, options: &Kwargs, name: &str) -> Result<Value, Error> {
    match given {
        Some(value) => Ok(value),
        None => options.get(name),
    }
}

fn nothing(options: &Kwargs) -> Result<&'static str, Error> {
    options.assert_all_used().map(|()| "")
}

fn refused(error: fragcache::Error) -> Error {
    to_engine(error, ErrorKind::InvalidOperation)
}
