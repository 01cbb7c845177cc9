//! The filters that a rewritten template calls. On a hit two: one opens the cache block and says
//! so, one hands over what to print. On a miss three: open, take the ticket, close it with the
//! body; and before the body a fourth, where the block declares tags or a stale window. What is handed
//! over waits in a slot of the thread, since nothing runs in between.

use std::cell::RefCell;
use std::sync::Arc;

use fragcache::ReadPoint;
use fragcache::engine::{self, Body, Opened, OutputMode, RenderContext, RenderMemo};
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

/// The variable of a render's context in which a read point is looked for.
pub(crate) const READ_POINT: &str = "fragcache_read_point";

/// What the filter after `open` is for.
enum BlockOutcome {
    Hit(Value),
    /// A ticket by its number, as nothing is to be given up while a thread ends.
    Miss {
        ticket: u64,
        /// Whether the body is printed in the form for our formatter wrapper.
        raw: bool,
        /// Whether the content of a `call` block may be in sight as a value, and no vary part tells the
        /// block's fragments apart.
        sees_content: bool,
    },
}

thread_local! {
    /// The outcome of the last block that was opened, until its next filter takes it.
    static OPENED: RefCell<Option<BlockOutcome>> = const { RefCell::new(None) };
}

/// The right to close a block, as a template variable. When it is dropped without having been used
/// (an error, a panic), it gives the block up.
#[derive(Debug)]
struct Handle {
    ticket: u64,
    raw: bool,
    /// What the namespaces of the render held.
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

/// The blocks that a render has open, as an extension of the engine's state. An error with debug
/// information keeps variables, and so a handle, for as long as somebody keeps the error, and drops
/// it on whatever thread; the state ends with the render.
#[derive(Debug, Default)]
struct Tickets(Vec<u64>);

impl Drop for Tickets {
    fn drop(&mut self) {
        self.0.iter().for_each(|&ticket| engine::abandon(ticket));
    }
}

/// `SITE | __fragcache_open(arguments…)`: whether there is a stored body to print.
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
    // Only a filter that no rewriter wrote leaves an outcome behind.
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

/// The engine's state as the cache asks about it.
struct Render<'r, 'state, 'env> {
    state: &'r mut State<'state, 'env>,
    mode: OutputMode,
}

impl RenderContext for Render<'_, '_, '_> {
    fn mode(&self) -> OutputMode {
        self.mode
    }

    /// The handle gives the block up when the engine drops it.
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

/// What the render remembers that a state is of.
pub(crate) fn memo(state: &mut State<'_, '_>) -> Arc<RenderMemo> {
    Arc::clone(state.get_or_insert_extension_with(Arc::<RenderMemo>::default))
}

/// `0 | __fragcache_hit`: what the block that was just opened prints.
pub(crate) fn hit(_: &Value) -> Result<Value, Error> {
    match OPENED.take() {
        Some(BlockOutcome::Hit(value)) => Ok(value),
        _ => Err(misused()),
    }
}

/// `0 | __fragcache_ticket`, with `shared=true` if the block says so: the handle under which the
/// block that was just opened is rendered.
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

/// `handle | __fragcache_declare(tags=…, stale=…)`: notes what the block declares, and gives the
/// handle back.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands keywords over by value")]
pub(crate) fn declare(handle: &Value, options: Kwargs) -> Result<Value, Error> {
    let ticket = handle.downcast_object_ref::<Handle>().ok_or_else(misused)?.ticket;
    let (tags, stale): (Option<&Value>, Option<&Value>) =
        (given(&options, "tags")?, given(&options, "stale")?);
    let items = tags.map(args::Items::of);
    let tags = items.as_ref().map(args::Items::tags);
    engine::declare(ticket, tags.as_ref(), stale.map(args::scalar))
        .map_err(|error| to_engine(error, ErrorKind::InvalidOperation))?;
    Ok(handle.clone())
}

/// A keyword's value, be it none or undefined.
fn given<'v>(options: &'v Kwargs, name: &'v str) -> Result<Option<&'v Value>, Error> {
    if options.has(name) { options.peek(name).map(Some) } else { Ok(None) }
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
