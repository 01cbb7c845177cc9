//! Listing of the entries in this process's memory, page by page, as copies. `admin` lists the
//! entries of a store.

use std::fmt;
use std::time::Duration;

use crate::cache::FragmentCache;
use crate::clock::Moment;
use crate::entry::Body;
use crate::events::MissReason;
use crate::key::{self, FragmentKey, KeyKind};
use crate::near::{ListCursor, ListedEntry, Near};

/// One page of the entries in a process's memory.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EntryPage {
    /// The entries.
    pub entries: Vec<EntryInfo>,
    /// Cursor of the next page; `None` after the last one.
    pub next: Option<EntryCursor>,
}

/// Position in a listing of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryCursor(ListCursor);

/// An entry in a process's memory: one variant of a fragment, a value, the result of a function, or
/// a response.
#[derive(Clone)]
#[non_exhaustive]
pub struct EntryInfo {
    /// The key within its namespace, as [`FragmentCache::shown_key`] returns it.
    pub key: FragmentKey,
    /// The names of its namespaces below the handle's, outermost first.
    pub namespaces: Vec<String>,
    /// The template whose cache block rendered it, if any.
    pub template: Option<String>,
    /// The line of that cache block; 0 if there is none.
    pub line: u32,
    /// The number of variants stored under its key, including this one.
    pub variants: usize,
    /// Its size in memory in bytes, including overhead.
    pub bytes: usize,
    /// The length of its body in bytes: the markup, or the serialized form of anything else.
    pub body_bytes: usize,
    /// Time since it was stored in this process, in whole seconds, less than half a year.
    pub age: Duration,
    /// Time until it expires, zero if it has expired; `None` if it never expires.
    pub left: Option<Duration>,
    /// Why it would not be served; `None` if it would be, or if that depends on the store behind
    /// the cache.
    pub miss: Option<MissReason>,
    body: Body,
}

impl EntryInfo {
    /// Returns the content if it is text: markup, or a value or result that is a string. Escape it
    /// before you show it in a page.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.render(&Fragment::new(fragment_key!("row")), || "<td>")?;
    /// let first = cache.entries(None);
    /// let mut pages = std::iter::successors(Some(first), |page| Some(cache.entries(Some(page.next?))));
    /// let entry = pages.find_map(|page| page.entries.into_iter().next()).unwrap();
    /// assert_eq!(entry.text(), Some("<td>"));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn text(&self) -> Option<&str> {
        match self.key.kind() {
            KeyKind::Fragment => Some(self.body.as_str()),
            #[cfg(feature = "values")]
            KeyKind::Value | KeyKind::Function => crate::values::codec::text(&self.body),
            _ => None,
        }
    }
}

impl fmt::Debug for EntryInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the body, which may be private.
        f.debug_struct("EntryInfo")
            .field("key", &self.key)
            .field("namespaces", &self.namespaces)
            .field("bytes", &self.bytes)
            .field("age", &self.age)
            .field("miss", &self.miss)
            .finish_non_exhaustive()
    }
}

impl FragmentCache {
    /// Returns one page of the entries in this process, in this handle's namespace and in those
    /// nested in it, starting at `cursor` (the `next` of the page before). Up to 1,024 keys are
    /// copied at a time, so that lookups do not wait long. An entry that is used during the scan
    /// may be listed twice or not at all.
    ///
    /// ```
    /// use fragcache::{Fragment, FragmentCache, fragment_key};
    ///
    /// let cache = FragmentCache::in_memory();
    /// cache.namespace("tenant:7").render(&Fragment::new(fragment_key!("row", 1)), || "<td>")?;
    /// let (mut found, mut cursor) = (Vec::new(), None);
    /// loop {
    ///     let page = cache.entries(cursor);
    ///     found.extend(page.entries);
    ///     cursor = page.next;
    ///     if cursor.is_none() {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(found.len(), 1);
    /// assert_eq!(found[0].key, fragment_key!("row", 1));
    /// assert_eq!(found[0].namespaces, ["tenant:7"]);
    /// assert_eq!((found[0].body_bytes, found[0].miss), (4, None));
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn entries(&self, cursor: Option<EntryCursor>) -> EntryPage {
        let Some(near) = self.handle.near() else { return EntryPage::default() };
        let place = cursor.map_or(ListCursor::default(), |cursor| cursor.0);
        let (listed, next) = near.list(place);
        let entries = listed.iter().filter(|listed| listed.key.starts_with(self.handle.prefix()));
        let entries = entries.map(|listed| self.describe(near, listed)).collect();
        EntryPage { entries, next: next.map(EntryCursor) }
    }

    fn describe(&self, near: &Near, listed: &ListedEntry) -> EntryInfo {
        let (now, entry) = (self.handle.recent(), &listed.entry);
        let names = key::namespaces(&listed.key).map(|(name, _)| name.to_owned());
        let place = entry.source.place();
        EntryInfo {
            key: self.handle.hasher().shown(&listed.key),
            namespaces: names.skip(key::namespaces(self.handle.prefix()).count()).collect(),
            template: place.map(|(template, _)| template.to_owned()),
            line: place.map_or(0, |(_, line)| line),
            variants: listed.variants,
            bytes: listed.bytes + listed.key.len(),
            body_bytes: entry.body.stored_len(),
            age: Duration::from_secs(age(listed.stored, now)),
            left: (entry.expires != Moment::NEVER).then(|| entry.expires.since(now)),
            miss: near.why_not(listed, self.handle.fresh(), &|| self.handle.recent()),
            body: entry.body.clone(),
        }
    }
}

/// Seconds from `stored`, a second of the clock modulo 2²⁴, until now.
fn age([low, middle, high]: [u8; 3], now: Moment) -> u64 {
    let stored = u64::from(u32::from_le_bytes([low, middle, high, 0]));
    let age = now.since(Moment::START).as_secs().wrapping_sub(stored) & 0xff_ffff;
    // The coarse clock may be a second behind the reading at the time of storing.
    if age == 0xff_ffff { 0 } else { age }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_right_when_the_seconds_wrap() {
        let age = |stored: u64, now: u64| {
            let [stored @ .., _, _, _, _, _] = stored.to_le_bytes();
            age(stored, Moment::START.saturating_after(Duration::from_secs(now)))
        };
        let most = 1 << 24;
        for (stored, now, wanted) in [
            (0, 0, 0),
            (7, 6, 0),
            (most, most - 1, 0),
            (5, 65, 60),
            (most - 1, most + 9, 10),
            (3 * most + 2, 3 * most + 3602, 3600),
        ] {
            assert_eq!(age(stored, now), wanted, "{stored} {now}");
        }
    }
}
