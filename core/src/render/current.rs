//! What a body may declare about the fragment it is rendered in.
//!
//! These functions are for Rust functions and filters that a template calls, and for bodies that
//! Rust code renders; templates have `cache_tags`, `cache_expire` and `cache_veto`. Each applies to
//! the innermost fragment being rendered on this thread, and through it to the fragments around it.
//! If no fragment is being rendered they do nothing (an unusable tag is still an error), so a
//! function that loads data can always call them, inside a cache block or not:
//!
//! ```
//! use fragcache::{Fragment, FragmentCache, current, fragment_key};
//!
//! /// Loads a product, and tells the fragment that shows it what it depends on.
//! fn product(id: u32) -> String {
//!     current::add_tags([format!("product:{id}")]).unwrap();
//!     format!("Product {id}")
//! }
//!
//! let cache = FragmentCache::in_memory();
//! let row = Fragment::new(fragment_key!("row", 7));
//! cache.render(&row, || product(7))?;
//! cache.invalidate_tags(["product:7"])?.eventually();
//! assert!(!cache.contains(row.key())?);
//! # Ok::<(), fragcache::Error>(())
//! ```

use std::time::Duration;

use super::stack;
use crate::error::Error;
use crate::events::RefusalReason;
use crate::tag;

/// Returns whether a fragment is being rendered on this thread.
///
/// ```
/// assert!(!fragcache::current::is_open());
/// ```
pub fn is_open() -> bool {
    stack::depth() > 0
}

/// Adds tags to the fragment: it ends when one of them is
/// [invalidated](crate::FragmentCache::invalidate_tags). The tags count from the fragment's read
/// point on, however late they are added.
///
/// # Errors
///
/// [`ErrorKind::Tag`](crate::ErrorKind::Tag) for a tag that is empty or longer than
/// [`MAX_TAG_BYTES`](crate::tag::MAX_TAG_BYTES). Nothing is added then, and the fragment is not
/// stored, because one of its dependencies is missing.
pub fn add_tags<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
    if !is_open() {
        return tags.into_iter().try_for_each(|tag| tag::check(tag.as_ref()));
    }
    // The user's iterator may render, so it runs before the frames are borrowed.
    let tags: Vec<T> = tags.into_iter().collect();
    let texts: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
    let checked = texts.iter().try_for_each(|tag| tag::check(tag));
    stack::with_current(|frame| match &checked {
        Ok(()) => texts.iter().for_each(|tag| frame.tag_late(tag)),
        Err(_) => frame.veto(RefusalReason::Tag),
    });
    checked
}

/// Shortens the fragment's lifetime: it expires `ttl` from now, unless its timeout ends it
/// earlier. Zero expires it immediately.
///
/// ```
/// use fragcache::testing::ManualClock;
/// use fragcache::{Fragment, FragmentCache, current, fragment_key};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let cache = FragmentCache::builder().clock(clock.clone()).build()?;
/// let offer = Fragment::new(fragment_key!("offer"));
/// let body = || {
///     current::expire_after(Duration::from_secs(20)); // when the offer ends
///     "today only"
/// };
/// cache.render(&offer, body)?;
/// clock.advance(Duration::from_secs(20));
/// assert!(!cache.contains(offer.key())?);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub fn expire_after(ttl: Duration) {
    let Some(cache) = stack::with_top(|frame| frame.cache.clone()) else { return };
    let expires = cache.moment().saturating_after(ttl);
    stack::with_current(|frame| frame.inner_expires = frame.inner_expires.min(expires));
}

/// Vetoes the fragment: neither it nor any fragment around it is stored. For functions whose output
/// is for a single visitor, such as a form's token.
///
/// ```
/// use fragcache::{Fragment, FragmentCache, current, fragment_key};
///
/// fn csrf_token() -> String {
///     current::veto();
///     "5a17".to_owned()
/// }
///
/// let cache = FragmentCache::in_memory();
/// let form = Fragment::new(fragment_key!("form"));
/// cache.render(&form, csrf_token)?;
/// assert!(!cache.contains(form.key())?);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub fn veto() {
    stack::with_current(|frame| frame.veto(RefusalReason::Vetoed));
}

/// Prevents this fragment alone from being stored. The fragments around it may be stored, and
/// depend on it as usual. For output that is not worth storing, such as a record that does not
/// exist yet.
///
/// ```
/// use fragcache::{Fragment, FragmentCache, current, fragment_key};
///
/// let cache = FragmentCache::in_memory();
/// let film = |id: u32| Fragment::new(fragment_key!("film", id)).tags([format!("film:{id}")]);
/// let page = Fragment::new(fragment_key!("page"));
/// let missing = || {
///     current::veto_here();
///     "no such film"
/// };
/// cache.try_render(&page, || cache.render(&film(7), missing))?;
/// assert!(!cache.contains(film(7).key())?);
/// assert!(cache.contains(page.key())?);
///
/// cache.invalidate_tags(["film:7"])?.eventually(); // there is one now
/// assert!(!cache.contains(page.key())?);
/// # Ok::<(), fragcache::Error>(())
/// ```
pub fn veto_here() {
    stack::with_current(|frame| frame.is_kept = false);
}
