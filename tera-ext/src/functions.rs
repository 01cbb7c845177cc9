//! What a body may call to say what its fragment depends on. All of them print nothing.

use fragcache::engine;
use tera::{Kwargs, State, Tera, TeraResult, Value};

use crate::args;
use crate::error;

pub(crate) fn register(tera: &mut Tera) {
    tera.register_function("cache_tags", |options: Kwargs, _: &State| {
        let tags = options.must_get::<&Value>("tags")?;
        nothing(engine::add_tags(&args::tags(tags)))
    });
    tera.register_function("cache_expire", |options: Kwargs, _: &State| {
        let after = options.must_get::<&Value>("after")?;
        nothing(engine::expire_after(args::scalar(after)))
    });
    tera.register_function("cache_veto", |_: Kwargs, _: &State| {
        fragcache::current::veto();
        ""
    });
}

fn nothing(outcome: Result<(), fragcache::Error>) -> TeraResult<&'static str> {
    outcome.map(|()| "").map_err(error::into_tera)
}
