//! The filters that a rewritten template calls. A hit calls two: one opens the block, one
//! returns the stored body. A miss calls three: open, take the ticket, close with the body. A
//! block with options that only a miss evaluates calls a fourth before the body. `open` passes
//! its outcome to the next filter through a thread-local slot; nothing else runs in between.

use std::cell::RefCell;
use std::sync::Arc;

use fragcache::engine::{
    self, BlockOption, Body, Markup, Opened, OutputMode, RenderContext, RenderMemo, Scope,
};
use fragcache::events::RefusalReason;
use fragcache::{Caches, ErrorKind, ReadPoint};
use tera::{Kwargs, Map, State, Tera, TeraResult, Value};

use crate::args::{self, Values};
use crate::error;
use crate::render;

/// A body as a Tera string. Printing it only copies its bytes into the output.
struct TeraMarkup(Value);

impl Markup for TeraMarkup {
    fn as_str(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }
}

/// What the filter after `open` finds.
enum BlockOutcome {
    Hit(Value),
    /// The ticket is stored by its number: a Tera value cannot hold a Rust object, and no block is
    /// abandoned while a thread ends.
    Miss(u64),
}

thread_local! {
    /// Outcome of the last opened block, until its next filter takes it.
    static OPENED: RefCell<Option<BlockOutcome>> = const { RefCell::new(None) };
}

pub(crate) fn register(tera: &mut Tera, caches: Caches) {
    let unscoped = caches.clone();
    tera.register_filter("__fragcache_open", move |list: &[Value], _: Kwargs, state: &State| {
        open(&caches, list, state, false)
    });
    tera.register_filter(
        "__fragcache_open_unscoped",
        move |list: &[Value], _: Kwargs, state: &State| {
            open(&unscoped, list, state, is_in_loop(state))
        },
    );
    tera.register_filter("__fragcache_hit", |_: &Value, _: Kwargs, _: &State| hit());
    tera.register_filter("__fragcache_ticket", |_: &Value, _: Kwargs, _: &State| ticket());
    tera.register_filter("__fragcache_declare", |ticket: u64, options: Kwargs, _: &State| {
        declare(ticket, &options)
    });
    tera.register_filter("__fragcache_close", |body: &Value, kwargs: Kwargs, _: &State| {
        close(body, &kwargs)
    });
}

/// `[SITE, values…] | __fragcache_open`: opens a block. Returns whether a stored body was found.
fn open(
    caches: &Caches,
    list: &[Value],
    state: &State<'_>,
    leaves_traces: bool,
) -> TeraResult<bool> {
    let (site, values) = list.split_first().ok_or_else(misused)?;
    let site = site.as_str().ok_or_else(misused)?;
    let mode = if state.autoescaping_enabled() { OutputMode::HTML } else { OutputMode::RAW };
    // Only a hand-written call of `open` leaves an outcome behind.
    if let Some(BlockOutcome::Miss(id)) = OPENED.take() {
        engine::abandon(id);
    }
    let opened = caches
        .open(site, &Values(values), &mut Render { state, mode, leaves_traces }, printable)
        .map_err(error::into_tera)?;
    let (found, outcome) = match opened {
        Opened::Hit(markup) => (true, BlockOutcome::Hit(markup)),
        Opened::Render(ticket) => (false, BlockOutcome::Miss(ticket.into_id())),
    };
    OPENED.set(Some(outcome));
    Ok(found)
}

/// Gives the cache access to the engine's state.
struct Render<'r, 'state> {
    state: &'r State<'state>,
    mode: OutputMode,
    leaves_traces: bool,
}

/// Whether a loop is running, for example when a child calls `super()` in one. An assignment there
/// sets a variable of the loop, and that cannot be undone.
fn is_in_loop(state: &State<'_>) -> bool {
    matches!(state.get::<u64>("__tera_loop_index"), Ok(Some(_)))
}

impl RenderContext for Render<'_, '_> {
    fn mode(&self) -> OutputMode {
        self.mode
    }

    fn is_bounded(&self) -> bool {
        Scope::is_open()
    }

    fn leaves_traces(&self) -> bool {
        self.leaves_traces
    }

    fn memo(&mut self) -> Option<Arc<RenderMemo>> {
        render::memo()
    }

    fn body(&self, markup: String) -> Body {
        Body::from_markup(TeraMarkup(Value::safe_string(&markup)))
    }

    fn read_point(&mut self) -> Option<ReadPoint> {
        let token = self.state.get::<String>(render::READ_POINT).ok().flatten()?;
        ReadPoint::from_token(&token)
    }
}

/// The value that prints a stored body.
fn printable(body: &Body) -> Value {
    match body.downcast_ref::<TeraMarkup>() {
        Some(TeraMarkup(value)) => value.clone(),
        None => Value::safe_string(body.as_str()),
    }
}

/// `0 | __fragcache_hit`: returns the body of the block that was just opened.
fn hit() -> TeraResult<Value> {
    match OPENED.take() {
        Some(BlockOutcome::Hit(markup)) => Ok(markup),
        _ => Err(misused()),
    }
}

/// `0 | __fragcache_ticket`: returns the ticket number of the block that was just opened.
fn ticket() -> TeraResult<u64> {
    match OPENED.take() {
        Some(BlockOutcome::Miss(id)) => Ok(id),
        _ => Err(misused()),
    }
}

/// `number | __fragcache_declare(tags=…, …)`: declares the options that only a miss evaluates, and
/// returns the number.
fn declare(ticket: u64, options: &Kwargs) -> TeraResult<u64> {
    let mut values = Vec::new();
    for option in BlockOption::declared() {
        if let Some(value) = options.get::<&Value>(option.name())? {
            values.push((option, args::option(value)));
        }
    }
    engine::declare(ticket, &values).map_err(error::into_tera)?;
    Ok(ticket)
}

/// `body | __fragcache_close(ticket=number)`: stores the body and prints it. The
/// body is marked safe because it was escaped when it was rendered.
fn close(body: &Value, kwargs: &Kwargs) -> TeraResult<Value> {
    let id = kwargs.must_get::<u64>("ticket")?;
    if assigns_outside(kwargs)? {
        engine::veto(id, RefusalReason::SideEffect);
    }
    let markup = body.clone().mark_safe();
    let closed = engine::close(id, Body::from_markup(TeraMarkup(markup.clone())));
    Ok(closed.instead.as_ref().map_or(markup, printable))
}

/// Whether a body that renders blocks of other templates has set variables that a
/// hit would not set. The rewriter passes all variables before and after the body,
/// and the names that it restores.
fn assigns_outside(kwargs: &Kwargs) -> TeraResult<bool> {
    let (Some(before), Some(after)) = (kwargs.get::<&Map>("before")?, kwargs.get::<&Map>("after")?)
    else {
        return Ok(false);
    };
    let restored = kwargs.get::<&str>("restored")?.unwrap_or_default();
    Ok(after.iter().any(|(name, value)| {
        let known = name.as_str().is_some_and(|name| {
            name.starts_with("__fragcache_") || restored.split(' ').any(|other| other == name)
        });
        !known && before.get(name) != Some(value)
    }))
}

fn misused() -> tera::Error {
    error::into_tera(fragcache::Error::new(
        ErrorKind::Config,
        "this filter is part of a rewritten cache block; write {% cache … %} and load the \
         template through fragcache_tera",
    ))
}
