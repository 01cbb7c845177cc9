//! Recorded events, as one short line each.

use fragcache::events::EventKind;
use fragcache::testing::{Recorded, Recorder};

/// The events of a recorder.
pub(crate) fn said(recorder: &Recorder) -> Vec<String> {
    recorder.events().iter().map(line).collect()
}

fn line(event: &Recorded) -> String {
    let what = match event.kind {
        EventKind::Hit => "hit".to_owned(),
        EventKind::Miss(reason) => format!("miss ({reason:?})"),
        EventKind::Stored { bytes, .. } => format!("stored {bytes} bytes of"),
        EventKind::Waited(_) => "waited for".to_owned(),
        EventKind::Bypassed(reason) => format!("bypassed ({reason:?})"),
        EventKind::Stale(age) => format!("stale ({} s)", age.as_secs_f64()),
        EventKind::StaleIfError => "stood in".to_owned(),
        EventKind::Deleted => "deleted".to_owned(),
        EventKind::Invalidated => "invalidated".to_owned(),
        EventKind::Evicted(cause) => format!("evicted ({cause:?})"),
        EventKind::Refused(reason) => format!("refused ({reason:?})"),
        EventKind::Repeated => "repeated".to_owned(),
        other => format!("{other:?}"),
    };
    let key = event.key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    let tag = event.tag.as_ref().map(|tag| format!(", tag {tag}")).unwrap_or_default();
    let namespace = match event.namespace.as_str() {
        "" => String::new(),
        namespace => format!(", in {namespace}"),
    };
    format!("{what}{key}{tag}{namespace}")
}
