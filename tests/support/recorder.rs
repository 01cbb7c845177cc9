//! An observer that writes down every event as one short line.

use std::sync::{Arc, Mutex};

use fragcache::{Event, EventKind, Observer};

#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    /// The events since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event<'_>) {
        let what = match event.kind {
            EventKind::Hit => "hit".to_owned(),
            EventKind::Miss(reason) => format!("miss ({reason:?})"),
            EventKind::Stored { bytes, .. } => format!("stored {bytes} bytes of"),
            EventKind::Waited(_) => "waited for".to_owned(),
            EventKind::Bypassed(reason) => format!("bypassed ({reason:?})"),
            EventKind::Deleted => "deleted".to_owned(),
            EventKind::Evicted(cause) => format!("evicted ({cause:?})"),
            EventKind::Refused(reason) => format!("refused ({reason:?})"),
            EventKind::Repeated => "repeated".to_owned(),
            other => format!("{other:?}"),
        };
        let key = event.key.map(|key| format!(" {key}")).unwrap_or_default();
        self.0.lock().unwrap().push(format!("{what}{key}"));
    }
}
