//! What a body may call to say what its fragment depends on. All of them print nothing.

use fragcache::engine;
use minijinja::{Environment, Error, ErrorKind, Value, value::Kwargs};

use crate::args;
use crate::error::to_engine;

pub(crate) fn register(env: &mut Environment<'_>) {
    env.add_function("cache_tags", |tags: Option<Value>, options: Kwargs| {
        let tags = argument(tags, &options, "tags")?;
        engine::add_tags(&args::Items::of(&tags).tags()).map_err(refused)?;
        nothing(&options)
    });
    env.add_function("cache_expire", |after: Option<Value>, options: Kwargs| {
        let after = argument(after, &options, "after")?;
        engine::expire_after(args::scalar(&after)).map_err(refused)?;
        nothing(&options)
    });
    env.add_function("cache_veto", || {
        fragcache::current::veto();
        ""
    });
}

/// The one argument, by its place or by its name.
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
