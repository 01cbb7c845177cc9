//! The filters that a rewritten template calls. A hit calls two: one opens the block, one
//! returns the stored body. A miss calls three: open, take the ticket, close with the body. A
//! block with options that only a miss evaluates calls a fourth before the body. `open` passes
//! its outcome to the next filter through a thread-local slot; nothing else runs in between.

use std::cell::RefCell;
use std::sync::Arc;

use fragcache::ReadPoint;
use fragcache::engine::{self, BlockOption, Body, Opened, OutputMode, RenderContext, RenderMemo};
use fragcache::events::RefusalReason;
use minijinja::value::{Kwargs, Object, ObjectRepr};
use minijinja::{AutoEscape, Error, ErrorKind, State, Value};

use crate::args::{self, Args};
use crate::callers;
use crate::error::to_engine;
use crate::install::Installation;
use crate::markup;
use crate::namespaces::{self, Before};

pub(crate) const OPEN: &str = "__fragcache_open";
pub(crate) const HIT: &str = "__fragcache_hit";
pub(crate) const TICKET: &str = "__fragcache_ticket";
pub(crate) const DECLARE: &str = "__fragcache_declare";
pub(crate) const CLOSE: &str = "__fragcache_close";

/// The context variable that may hold the render's read point.
pub(crate) const READ_POINT: &str = "fragcache_read_point";

/// What the filter after `open` finds.
enum BlockOutcome {
    Hit(Value),
    /// The ticket is stored by its number, so that no block is abandoned while a thread ends.
    Miss {
        ticket: u64,
        /// Whether the body is printed in the form for our formatter wrapper.
        raw: bool,
        /// Whether the body may see the content of a `call` block as a value, and no vary part
        /// distinguishes the block's fragments.
        sees_content: bool,
    },
}

thread_local! {
    /// Outcome of the last opened block, until its next filter takes it.
    static OPENED: RefCell<Option<BlockOutcome>> = const { RefCell::new(None) };
}

/// The right to close a block, as a template variable. Dropping it before the block
/// is closed (after an error or a panic) abandons the block.
#[derive(Debug)]
struct Handle {
    ticket: u64,
    raw: bool,
    /// State of the render's namespaces when the block was opened.
    before: Before,
}

impl Object for Handle {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        engine::abandon(self.ticket);
    }
}

/// The open blocks of a render, as an extension of the engine's state. An error with debug
/// information holds the variables, and with them a [`Handle`], until that error is dropped
/// on some thread. The state ends with the render, so open blocks are abandoned then.
#[derive(Debug, Default)]
struct Tickets(Vec<u64>);

impl Drop for Tickets {
    fn drop(&mut self) {
        self.0.iter().for_each(|&ticket| engine::abandon(ticket));
    }
}

/// `SITE | __fragcache_open(arguments…)`: opens a block. Returns whether a stored body was found.
pub(crate) fn open(
    installation: &Installation,
    state: &mut State<'_, '_>,
    values: &[Value],
) -> Result<bool, Error> {
    let Some((site, values)) = values.split_first() else { return Err(misused()) };
    let site = site.as_str().ok_or_else(misused)?;
    let (mode, raw) = match state.auto_escape() {
        AutoEscape::None => (OutputMode::RAW, installation.formats_raw()),
        AutoEscape::Html => (OutputMode::HTML, installation.formats_raw()),
        AutoEscape::Custom(name) if !installation.formats_raw() => {
            return Err(Error::new(
                ErrorKind::BadEscape,
                format!(
                    "a cached body would be escaped a second time by the formatter for {name:?}; \
                     set it with fragcache_minijinja::set_formatter(&mut env, …)"
                ),
            ));
        }
        AutoEscape::Custom(name) => (OutputMode::custom(name), true),
        _ => (OutputMode::JSON, installation.formats_raw()),
    };
    let on_hit = |body: &Body| markup::printable(body, raw);
    // Only a hand-written call of `open` leaves an outcome behind.
    if let Some(BlockOutcome::Miss { ticket, .. }) = OPENED.take() {
        engine::abandon(ticket);
    }
    let opened = installation
        .caches()
        .open(site, &Args(values), &mut Render { state, mode }, on_hit)
        .map_err(|error| to_engine(error, ErrorKind::InvalidOperation))?;
    let (found, outcome) = match opened {
        Opened::Hit(value) => (true, BlockOutcome::Hit(value)),
        Opened::Render(ticket) => {
            let ticket = ticket.into_id();
            state.get_or_insert_extension_with(Tickets::default).0.push(ticket);
            let sees_content =
                installation.hands_on_callers() && !engine::varies(site, values.len());
            (false, BlockOutcome::Miss { ticket, raw, sees_content })
        }
    };
    OPENED.set(Some(outcome));
    Ok(found)
}

/// Gives the cache access to the engine's state.
struct Render<'r, 'state, 'env> {
    state: &'r mut State<'state, 'env>,
    mode: OutputMode,
}

impl RenderContext for Render<'_, '_, '_> {
    fn mode(&self) -> OutputMode {
        self.mode
    }

    /// Dropping the handle abandons the block.
    fn is_bounded(&self) -> bool {
        true
    }

    fn memo(&mut self) -> Option<Arc<RenderMemo>> {
        Some(memo(self.state))
    }

    fn body(&self, markup: String) -> Body {
        markup::body(Value::from_safe_string(markup))
    }

    fn read_point(&mut self) -> Option<ReadPoint> {
        self.state.lookup(READ_POINT)?.as_str().and_then(ReadPoint::from_token)
    }
}

/// The memo of the render that this state belongs to.
pub(crate) fn memo(state: &mut State<'_, '_>) -> Arc<RenderMemo> {
    Arc::clone(state.get_or_insert_extension_with(Arc::<RenderMemo>::default))
}

/// `0 | __fragcache_hit`: returns the body of the block that was just opened.
pub(crate) fn hit(_: &Value) -> Result<Value, Error> {
    match OPENED.take() {
        Some(BlockOutcome::Hit(value)) => Ok(value),
        _ => Err(misused()),
    }
}

/// `0 | __fragcache_ticket`, with `shared=true` if the block declares it: returns the handle of the
/// block that was just opened.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands keywords over by value")]
pub(crate) fn ticket(
    state: &mut State<'_, '_>,
    _: &Value,
    options: Kwargs,
) -> Result<Value, Error> {
    match OPENED.take() {
        Some(BlockOutcome::Miss { ticket, raw, sees_content }) => {
            if sees_content && !options.has("shared") && callers::are_seen(state) {
                engine::veto(ticket, RefusalReason::CallContent);
            }
            let before = namespaces::before(state);
            Ok(Value::from_object(Handle { ticket, raw, before }))
        }
        _ => Err(misused()),
    }
}

/// `handle | __fragcache_declare(tags=…, …)`: declares the options that only a miss evaluates, and
/// returns the handle.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands keywords over by value")]
pub(crate) fn declare(handle: &Value, options: Kwargs) -> Result<Value, Error> {
    let ticket = handle.downcast_object_ref::<Handle>().ok_or_else(misused)?.ticket;
    let mut given = Vec::new();
    // An option that is none or undefined was passed too.
    for option in BlockOption::declared().filter(|option| options.has(option.name())) {
        given.push((option, options.peek::<&Value>(option.name())?));
    }
    let items: Vec<_> =
        given.into_iter().map(|(option, value)| (option, args::Items::of(value))).collect();
    let values: Vec<_> = items.iter().map(|(option, items)| (*option, items.value())).collect();
    engine::declare(ticket, &values)
        .map_err(|error| to_engine(error, ErrorKind::InvalidOperation))?;
    Ok(handle.clone())
}

/// `body | __fragcache_close(handle)`: stores the body and prints it.
pub(crate) fn close(
    state: &mut State<'_, '_>,
    body: &Value,
    handle: &Value,
) -> Result<Value, Error> {
    let handle = handle.downcast_object_ref::<Handle>().ok_or_else(misused)?;
    if let Some(Tickets(open)) = state.get_extension_mut() {
        open.retain(|&ticket| ticket != handle.ticket);
    }
    if namespaces::is_changed(state, &handle.before) {
        engine::veto(handle.ticket, RefusalReason::SideEffect);
    }
    let safe = markup::safe(body);
    let closed = engine::close(handle.ticket, markup::body(safe.clone()));
    Ok(match closed.instead {
        Some(annotated) => markup::printable(&annotated, handle.raw),
        None => markup::printable_safe(safe, handle.raw),
    })
}

fn misused() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "this filter is part of a rewritten cache block; write {% cache … %} and load the \
         template through fragcache",
    )
}
