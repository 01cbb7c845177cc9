//! The hit path, and what an enclosing fragment inherits from an entry that is served.

use std::cell::Cell;

use super::stack::{self, Inherited};
use crate::clock::Moment;
use crate::entry::{Body, Entry};
use crate::events::EventKind;
use crate::handle::Handle;
use crate::hash::HashedKey;
use crate::lookup::{QuickLookup, Request};
use crate::near::{Left, Missed};

/// Looks up an entry in the near level. `None` if the options say more than that, or if lookups are
/// off.
pub(crate) fn quick_hit<R>(
    cache: &Handle,
    quick: &QuickLookup<'_>,
    on_hit: impl Fn(&Entry) -> R,
) -> Option<Result<R, Missed>> {
    let QuickLookup { hashed, variant, options } = *quick;
    if !options.are_plain() || !cache.reads() {
        return None;
    }
    let near = cache.near()?;
    // Only an enclosing fragment or an observer needs more than the body.
    let told = stack::depth() > 0 || cache.is_observed();
    // The clock is read once, for expiry and for statistics.
    let seen = Cell::new(None);
    let now = || {
        let now = seen.get().unwrap_or_else(|| cache.recent());
        seen.set(Some(now));
        now
    };
    let on_entry = |entry: &Entry| {
        let counts = entry.source.counters.as_deref().filter(|_| !told);
        counts.into_iter().for_each(|row| row.hit(now()));
        (on_hit(entry), told.then(|| entry.clone()), counts.is_some())
    };
    let found = near.lookup(hashed, variant, cache.fresh(), &now, on_entry);
    Some(found.map(|(value, entry, is_counted)| {
        match entry {
            Some(entry) => {
                pass_on(cache, hashed, &entry);
                cache.emit(EventKind::Hit, Some(hashed.key), &entry.source);
            }
            None if is_counted => {}
            None => cache.note_quick_hit(hashed.key),
        }
        value
    }))
}

/// Passes the dependencies of a served `entry` to the enclosing fragment.
pub(super) fn pass_on(cache: &Handle, hashed: HashedKey<'_>, entry: &Entry) {
    pass_on_until(cache, hashed, entry, entry.expires);
}

/// As [`pass_on`], for an entry that is served unchanged until `expires`.
pub(super) fn pass_on_until(cache: &Handle, hashed: HashedKey<'_>, entry: &Entry, expires: Moment) {
    let labels = cache.hasher().labels(hashed.key, entry.source.template_label);
    stack::with_top(|outer| {
        let inherited = Inherited::from_entry(cache, &labels, entry);
        outer.inherit(&Inherited { expires, ..inherited });
    });
}

/// A stored body in place of an error (stale-if-error): within its stale window, and unless the
/// caller required a new one.
pub(crate) fn stale_if_error(cache: &Handle, request: &Request<'_>) -> Option<Body> {
    if !request.options.are_plain() {
        return None;
    }
    let hashed = request.hashed;
    let near = cache.near().filter(|_| cache.reads())?;
    let now = || cache.recent();
    let found = near.lookup(hashed, request.variant(), cache.fresh(), &now, Entry::clone);
    let entry = match found {
        Ok(entry) => entry,
        Err(Missed { left: Left::Stale(entry), .. }) => entry,
        Err(Missed { left: Left::Unverified(entry), .. }) => {
            let labels = cache.hasher().labels(hashed.key, entry.source.template_label);
            cache.far()?.verify(&entry, &labels).ok()?.ok()?;
            match near.revalidate(hashed, entry, cache.fresh(), &now) {
                Ok(entry) | Err(Missed { left: Left::Stale(entry), .. }) => entry,
                Err(_) => return None,
            }
        }
        Err(_) => return None,
    };
    pass_on(cache, hashed, &entry);
    cache.emit(EventKind::StaleIfError, Some(hashed.key), &entry.source);
    Some(entry.body)
}
