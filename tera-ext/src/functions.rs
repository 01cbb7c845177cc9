//! The filters that a rewritten template calls: `__fragcache_open` looks up, `__fragcache_ticket`
//! hands over the right to render, `__fragcache_close` stores the body. What they are called for:
//! `fragcache::engine`.

use std::cell::Cell;

use fragcache::FragmentCache;
use fragcache::engine::{self, Body, Markup, Opened, OutputMode};
use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

use crate::args::Values;
use crate::render;

/// A Tera string: printing it again copies nothing but the bytes into the output.
struct TeraMarkup(Value);

impl Markup for TeraMarkup {
    fn as_str(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }
}

thread_local! {
    /// The ticket of the lookup that missed last, until the template fetches it; 0 for none.
    /// Nothing runs between the two.
    static PENDING: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn register(tera: &mut Tera, cache: FragmentCache) {
    tera.register_filter("__fragcache_open", move |list: &[Value], _: Kwargs, state: &State| {
        open(&cache, list, state)
    });
    tera.register_filter("__fragcache_ticket", |_: &Value, _: Kwargs, _: &State| PENDING.take());
    tera.register_filter("__fragcache_close", close);
}

/// The stored body as a safe string, or 0 on a miss.
fn open(cache: &FragmentCache, list: &[Value], state: &State<'_>) -> TeraResult<Value> {
    let (site, values) = match list.split_first() {
        Some((site, values)) => (site.as_str().unwrap_or_default(), Values(values)),
        None => ("", Values(&[])),
    };
    let mode = if state.autoescaping_enabled() { OutputMode::HTML } else { OutputMode::RAW };
    let memo = render::memo();
    match cache.open(site, &values, mode, memo.as_deref(), value_of) {
        Ok(Opened::Hit(markup)) => Ok(markup),
        Ok(Opened::Render(ticket)) => {
            PENDING.set(ticket.into_id());
            Ok(Value::from(0_u64))
        }
        Err(error) => Err(Error::chain(error.to_string(), error)),
    }
}

/// What a hit prints.
fn value_of(body: &Body) -> Value {
    match body.downcast_ref::<TeraMarkup>() {
        Some(TeraMarkup(value)) => value.clone(),
        None => Value::safe_string(body.as_str()),
    }
}

/// The rendered body, marked safe: it was escaped when it was written.
fn close(body: &Value, kwargs: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    let ticket = kwargs.must_get::<u64>("ticket")?;
    let markup = body.clone().mark_safe();
    engine::close(ticket, Body::from_markup(TeraMarkup(markup.clone())));
    Ok(markup)
}
