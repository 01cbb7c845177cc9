//! The template functions that a body calls to add tags, shorten the TTL, veto or prefetch. All of
//! them print nothing.

use fragcache::{Caches, engine};
use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::args::{self, Values};
use crate::error;
use crate::render;

pub(crate) fn register(tera: &mut Tera, caches: Caches) {
    tera.register_function("cache_tags", |options: Kwargs, _: &State| {
        let tags = options.must_get::<&Value>("tags")?;
        nothing(engine::add_tags(&args::option(tags)))
    });
    tera.register_function("cache_expire", |options: Kwargs, _: &State| {
        let after = options.must_get::<&Value>("after")?;
        nothing(engine::expire_after(args::scalar(after)))
    });
    tera.register_function("cache_prefetch", move |options: Kwargs, _: &State| {
        nothing(prefetch(&caches, &options)?)
    });
    tera.register_function("cache_veto", |_: Kwargs, _: &State| {
        fragcache::current::veto();
        ""
    });
}

/// `cache_prefetch(name=…, vary=[…], using=…)`: looks up in one batch the blocks called `name`
/// for each item of `vary`. An item that is a list stands for several vary parts. Without a
/// [`scope`](crate::scope) the end of the render is not known, and the call does nothing.
fn prefetch(caches: &Caches, options: &Kwargs) -> TeraResult<Result<(), fragcache::Error>> {
    let name = options.must_get::<&Value>("name")?;
    let vary = options.must_get::<&Value>("vary")?;
    let Some(vary) = vary.as_array() else {
        return Err(tera::Error::message(
            "cache_prefetch needs a list of the values that the blocks vary on, such as \
             vary=[product.id for product in products]",
        ));
    };
    let Some(memo) = render::memo() else { return Ok(Ok(())) };
    let keys: Vec<Vec<Value>> = vary.iter().map(|part| args::parts(name, part)).collect();
    let using = options.get::<&Value>("using")?.map(args::scalar);
    Ok(engine::prefetch(caches, using, &memo, keys.iter().map(|key| Values(key))))
}

fn nothing(outcome: Result<(), fragcache::Error>) -> TeraResult<&'static str> {
    outcome.map(|()| "").map_err(error::into_tera)
}
