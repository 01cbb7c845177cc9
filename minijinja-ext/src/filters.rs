//! The two filters that a rewritten template calls: one opens a cache block, one closes it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fragcache::engine::{Body, Opened, OutputMode, RenderMemo, Ticket};
use minijinja::value::{Object, ObjectRepr};
use minijinja::{AutoEscape, Error, ErrorKind, State, Value};

use crate::args::Args;
use crate::error::to_engine;
use crate::install::Installation;
use crate::markup;

pub(crate) const OPEN: &str = "__fragcache_open";
pub(crate) const CLOSE: &str = "__fragcache_close";

/// A miss, as a template variable. Dropped without being closed (an error, a panic), it gives the
/// block up.
struct Open {
    ticket: Mutex<Option<Ticket>>,
    raw: bool,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Open")
    }
}

impl Object for Open {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    /// A hit is a non-empty string, or an empty one; this is neither.
    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// `SITE | __fragcache_open(arguments…)`: the stored body, or a handle to render it under.
pub(crate) fn open(
    installation: &Installation,
    state: &mut State<'_, '_>,
    values: &[Value],
) -> Result<Value, Error> {
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
    // The handle gives the block up when the engine drops it, so every render is bounded.
    let opens_again =
        |number| state.get_or_insert_extension_with(RenderMemo::default).opens_again(number);
    let on_hit = |body: &Body| markup::printable(body, raw);
    let opened = installation
        .cache()
        .open(site, &Args(values), mode, true, opens_again, on_hit)
        .map_err(|error| to_engine(error, ErrorKind::InvalidOperation))?;
    Ok(match opened {
        Opened::Hit(value) => value,
        Opened::Render(ticket) => {
            Value::from_object(Open { ticket: Mutex::new(Some(ticket)), raw })
        }
    })
}

/// `body | __fragcache_close(handle)`: stores the body and prints it.
pub(crate) fn close(body: &Value, handle: &Value) -> Result<Value, Error> {
    let open = handle.downcast_object_ref::<Open>().ok_or_else(misused)?;
    let safe = markup::safe(body);
    let ticket = open.ticket.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(ticket) = ticket {
        ticket.close(markup::body(safe.clone()));
    }
    Ok(markup::printable_safe(safe, open.raw))
}

fn misused() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "this filter is part of a rewritten cache block; write {% cache … %} and load the \
         template through fragcache",
    )
}
