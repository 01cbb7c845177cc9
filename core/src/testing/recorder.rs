//! An observer that records every event, with assertions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::events::{BypassReason, Event, EventKind, Observer, RefusalReason};
use crate::key::FragmentKey;

/// An event recorded by a [`Recorder`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// What happened.
    pub kind: EventKind,
    /// The fragment's name; `template:line` for an unnamed block; empty if no key is known.
    pub name: String,
    /// The key, if known.
    pub key: Option<FragmentKey>,
    /// The template, for fragments of a template.
    pub template: Option<String>,
    /// The line of the cache block; 0 if there is none.
    pub line: u32,
    /// The namespaces around it, joined by `/`; empty if there are none.
    pub namespace: String,
    /// The tag that was invalidated.
    pub tag: Option<String>,
    /// The header that makes a request bypass a view.
    pub header: Option<String>,
    /// The text of a template warning.
    pub warning: Option<String>,
}

/// An observer that records events. A clone is another handle to the same recording: give one to
/// the cache and use the other in the test.
///
/// Assertions select fragments by name (`page.html:7` for an unnamed block), across all variants.
///
/// ```
/// use fragcache::testing::Recorder;
/// use fragcache::events::EventKind;
/// use fragcache::{Fragment, FragmentCache, fragment_key};
///
/// let recorder = Recorder::new();
/// let cache = FragmentCache::builder().observer(recorder.clone()).build()?;
/// let row = Fragment::new(fragment_key!("row", 1));
/// cache.render(&row, || "one")?;
/// cache.render(&row, || "again")?;
///
/// recorder.assert_rendered_once("row");
/// recorder.assert_hit("row");
/// assert_eq!(recorder.events().last().unwrap().kind, EventKind::Hit);
/// # Ok::<(), fragcache::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Recorded>>>,
}

impl Observer for Recorder {
    fn on_event(&self, event: &Event<'_>) {
        let recorded = Recorded {
            kind: event.kind,
            name: event.name().into_owned(),
            key: event.key.cloned(),
            template: event.template.map(Into::into),
            line: event.line,
            namespace: event.namespace.to_owned(),
            tag: event.tag.map(Into::into),
            header: event.header.map(Into::into),
            warning: event.warning.map(Into::into),
        };
        self.lock().push(recorded);
    }
}

impl Recorder {
    /// Creates an empty recorder.
    pub fn new() -> Self {
        Self::default()
    }

    /// All events since the start or the last [`reset`](Self::reset), in order.
    pub fn events(&self) -> Vec<Recorded> {
        self.lock().clone()
    }

    /// Discards the recorded events.
    pub fn reset(&self) {
        self.lock().clear();
    }

    /// How often stored markup of this fragment was served. Includes stale markup, and markup that
    /// another caller rendered meanwhile.
    pub fn hits(&self, name: &str) -> usize {
        self.count(|event| event.name == name && is_served(event.kind))
    }

    /// How often the body of this fragment was evaluated, stored or not.
    ///
    /// ```
    /// use fragcache::testing::Recorder;
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let recorder = Recorder::new();
    /// let cache = FragmentCache::builder().observer(recorder.clone()).build()?;
    /// let draft = Fragment::new(fragment_key!("row", 1)).unless(true);
    /// cache.render(&draft, || "one")?;
    /// cache.render(&draft, || "two")?;
    /// assert_eq!(recorder.renders("row"), 2);
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn renders(&self, name: &str) -> usize {
        renders(self.lock().iter().filter(|event| event.name == name))
    }

    /// Asserts that stored markup of this fragment was served at least once.
    ///
    /// # Panics
    ///
    /// If it was not; the message lists the recorded events.
    #[track_caller]
    pub fn assert_hit(&self, name: &str) {
        assert!(self.hits(name) > 0, "no hit of {name:?}{}", self.seen());
    }

    /// Asserts that this fragment's body was evaluated and that no stored markup of it was served.
    ///
    /// # Panics
    ///
    /// If it was not; the message lists the recorded events.
    #[track_caller]
    pub fn assert_missed(&self, name: &str) {
        let missed = self.renders(name) > 0 && self.hits(name) == 0;
        assert!(missed, "{name:?} was not rendered, or was served{}", self.seen());
    }

    /// Asserts that this fragment's body was evaluated exactly once.
    ///
    /// # Panics
    ///
    /// If it was not; the message lists the recorded events.
    #[track_caller]
    pub fn assert_rendered_once(&self, name: &str) {
        let renders = self.renders(name);
        assert!(renders == 1, "{name:?} was rendered {renders} times{}", self.seen());
    }

    /// Asserts that no fragment's body was evaluated: every fragment came from the cache.
    ///
    /// # Panics
    ///
    /// If one was; the message lists the recorded events.
    #[track_caller]
    pub fn assert_no_body_evaluated(&self) {
        let renders = renders(self.lock().iter());
        assert!(renders == 0, "{renders} bodies were evaluated{}", self.seen());
    }

    fn count(&self, is: impl Fn(&Recorded) -> bool) -> usize {
        self.lock().iter().filter(|event| is(event)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events, one per line, for a failed assertion.
    fn seen(&self) -> String {
        let lines: Vec<_> = self
            .lock()
            .iter()
            .map(|event| match &event.key {
                Some(key) => format!("  {key}: {:?}", event.kind),
                None => format!("  {:?}", event.kind),
            })
            .collect();
        if lines.is_empty() {
            return "; nothing was seen".to_owned();
        }
        format!("; seen:\n{}", lines.join("\n"))
    }
}

/// Whether stored markup was served.
fn is_served(kind: EventKind) -> bool {
    use EventKind::{Hit, Stale, StaleIfError, Waited};
    matches!(kind, Hit | Stale(_) | StaleIfError | Waited(_))
}

/// Number of evaluated bodies in these events. A miss leads to a render, unless the caller received
/// another caller's result; some renders involve no lookup.
fn renders<'e>(events: impl Iterator<Item = &'e Recorded>) -> usize {
    let (mut rendered, mut received) = (0, 0);
    for event in events {
        match event.kind {
            EventKind::Miss(_)
            | EventKind::Refused(RefusalReason::KeyTooLong)
            | EventKind::Bypassed(
                BypassReason::Unless
                | BypassReason::Delete
                | BypassReason::Mode
                | BypassReason::Refused
                | BypassReason::Private
                | BypassReason::Method
                | BypassReason::Host
                | BypassReason::Range
                | BypassReason::Upgrade
                | BypassReason::Body
                | BypassReason::NoStore
                | BypassReason::Head
                | BypassReason::Key,
            ) => rendered += 1,
            EventKind::Waited(_) => received += 1,
            _ => {}
        }
    }
    usize::saturating_sub(rendered, received)
}
