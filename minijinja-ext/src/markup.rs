//! Stored bodies as MiniJinja values, printed without being escaped again.

use std::fmt;
use std::sync::Arc;

use fragcache::engine::{Body, Markup};
use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};

/// A safe string value, stored with the entry so that a hit shares its bytes.
pub(crate) struct SafeMarkup(Value);

impl Markup for SafeMarkup {
    fn as_str(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }
}

/// A body that our formatter wrapper writes raw, past a custom formatter.
#[derive(Debug)]
pub(crate) struct RawBody(Value);

impl RawBody {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }
}

impl Object for RawBody {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Converts a captured body to the safe string that is stored.
pub(crate) fn safe(captured: &Value) -> Value {
    if captured.is_safe() {
        captured.clone()
    } else {
        Value::from_safe_string(captured.as_str().unwrap_or_default().to_owned())
    }
}

/// Converts a safe string to a body to store.
pub(crate) fn body(safe: Value) -> Body {
    Body::from_markup(SafeMarkup(safe))
}

/// The value that prints a stored body. With `raw`, it has the form that only our formatter wrapper
/// prints unchanged. An empty body is the empty string in both forms.
pub(crate) fn printable(body: &Body, raw: bool) -> Value {
    let safe = match body.downcast_ref::<SafeMarkup>() {
        Some(markup) => markup.0.clone(),
        None => Value::from_safe_string(body.as_str().to_owned()),
    };
    printable_safe(safe, raw)
}

/// Like [`printable`], but takes the safe string.
pub(crate) fn printable_safe(safe: Value, raw: bool) -> Value {
    if raw && safe.is_true() { Value::from_object(RawBody(safe)) } else { safe }
}
