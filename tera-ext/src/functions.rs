//! The filters that a rewritten template calls. On a hit two: one opens the cache block and says
//! so, one hands over what to print. On a miss three: open, take the ticket, close it with the
//! body. What is handed over waits in a slot of the thread, since nothing runs in between.

use std::cell::RefCell;

use fragcache::FragmentCache;
use fragcache::engine::{self, Body, Markup, Opened, OutputMode, Scope};
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
    /// The outcome of the last block that was opened, until its next filter takes it.
    static OPENED: RefCell<Option<Opened<Value>>> = const { RefCell::new(None) };
}

pub(crate) fn register(tera: &mut Tera, cache: FragmentCache) {
    tera.register_filter("__fragcache_open", move |list: &[Value], _: Kwargs, state: &State| {
        open(&cache, list, state)
    });
    tera.register_filter("__fragcache_hit", hit);
    tera.register_filter("__fragcache_ticket", ticket);
    tera.register_filter("__fragcache_close", close);
}

/// `[SITE, arguments…] | __fragcache_open`: whether there is a stored body to print.
fn open(cache: &FragmentCache, list: &[Value], state: &State<'_>) -> TeraResult<bool> {
    let Some((site, values)) = list.split_first() else { return Err(misused()) };
    let site = site.as_str().ok_or_else(misused)?;
    let mode = if state.autoescaping_enabled() { OutputMode::HTML } else { OutputMode::RAW };
    let opened = cache
        .open(site, &Values(values), mode, Scope::is_open(), render::opens_again, value_of)
        .map_err(|error| Error::chain(error.to_string(), error))?;
    let hit = matches!(opened, Opened::Hit(_));
    OPENED.set(Some(opened));
    Ok(hit)
}

/// `0 | __fragcache_hit`: what the block that was just opened prints.
fn hit(_: &Value, _: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    match OPENED.take() {
        Some(Opened::Hit(value)) => Ok(value),
        _ => Err(misused()),
    }
}

/// `0 | __fragcache_ticket`: the number under which the block that was just opened is rendered.
fn ticket(_: &Value, _: Kwargs, _: &State<'_>) -> TeraResult<u64> {
    match OPENED.take() {
        Some(Opened::Render(ticket)) => Ok(ticket.into_id()),
        _ => Err(misused()),
    }
}

fn misused() -> Error {
    Error::message(
        "this filter is part of a rewritten cache block; write {% cache … %} and load the \
         template through fragcache",
    )
}

/// What a hit prints.
fn value_of(body: &Body) -> Value {
    match body.downcast_ref::<TeraMarkup>() {
        Some(TeraMarkup(value)) => value.clone(),
        None => Value::safe_string(body.as_str()),
    }
}

/// The rendered body, marked safe: it was escaped when it was written.
#[allow(clippy::needless_pass_by_value, reason = "the signature of a filter")]
fn close(body: &Value, kwargs: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    let ticket = kwargs.must_get::<u64>("ticket")?;
    let markup = body.clone().mark_safe();
    engine::close(ticket, Body::from_markup(TeraMarkup(markup.clone())));
    Ok(markup)
}
