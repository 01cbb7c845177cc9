//! An observer that records which fragments were rendered, and why.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fragcache::events::{Event, EventKind, MissReason, Observer};

/// A fragment that had to be rendered, by this caller or by one that it waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its key, such as `product(42)`.
    pub key: String,
    /// The template that contains its block.
    pub template: String,
    /// The reason of the miss.
    pub reason: MissReason,
    /// The invalidated tag, if that was the reason.
    pub tag: Option<String>,
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.key, self.template, self.reason.as_str())?;
        self.tag.iter().try_for_each(|tag| write!(f, " {tag}"))
    }
}

/// The fragments that were rendered. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Rendered>>>);

impl Log {
    /// Takes the fragments rendered since the last call, in the order in which their renders began.
    pub fn take(&self) -> Vec<Rendered> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        let EventKind::Miss(reason) = event.kind else { return };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Rendered {
            key: event.key.map(ToString::to_string).unwrap_or_default(),
            template: event.template.unwrap_or_default().to_owned(),
            reason,
            tag: event.tag.map(str::to_owned),
        });
    }
}
