//! What engine extensions call, and prefetching.

use super::FragmentCache;
use crate::entry::Body;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::key::FragmentKey;
use crate::render::{Arguments, Opened, RenderContext, open_block, prefetch};

impl FragmentCache {
    /// Opens the cache block with the encoded block id `site`, for an engine extension. Ignores the
    /// block's `using=`; see [`Caches::open`](crate::Caches::open).
    ///
    /// `on_hit` turns a stored body into what the engine prints. It runs under a lock and must do
    /// nothing else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], [`ErrorKind::Key`] or [`ErrorKind::Repeated`], with the block's
    /// place, if the cache's [`Policy`](crate::Policy) makes that an error; [`ErrorKind::Config`]
    /// for a block id that the rewriter did not write.
    pub fn open<A: Arguments + ?Sized, R>(
        &self,
        site: &str,
        arguments: &A,
        rendering: &mut impl RenderContext,
        on_hit: impl Fn(&Body) -> R,
    ) -> Result<Opened<R>, Error> {
        open_block(&self.handle, site, arguments, rendering, on_hit)
    }

    /// Reads these fragments from the far store together, then runs `render`, which looks them up
    /// on this thread. Takes at most three round trips for all of them, instead of one or two for
    /// each. For loops. Without a far store it only runs `render`.
    ///
    /// Within `render` these fragments are served as of the prefetch. Keys beyond the first 4,096
    /// are looked up one by one.
    ///
    /// ```
    /// use fragcache::testing::MemoryStore;
    /// use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
    ///
    /// let store = MemoryStore::new();
    /// let cache = || FragmentCache::builder().far(FarLevel::new(store.clone())).build();
    /// let rows: Vec<_> = (0..100).map(|id| Fragment::new(fragment_key!("row", id))).collect();
    /// let writer = cache()?;
    /// for row in &rows {
    ///     writer.render(row, || "<tr>")?;
    /// }
    ///
    /// let reader = cache()?;
    /// reader.prefetch(rows.iter().map(Fragment::key), || {
    ///     let before = reader.health().round_trips;
    ///     for row in &rows {
    ///         assert_eq!(&*reader.render(row, || "not evaluated")?, "<tr>");
    ///     }
    ///     assert!(reader.health().round_trips - before < 3, "but for what the worker asks");
    ///     Ok::<(), fragcache::Error>(())
    /// })?;
    /// # Ok::<(), fragcache::Error>(())
    /// ```
    pub fn prefetch<'k, R>(
        &self,
        keys: impl IntoIterator<Item = &'k FragmentKey>,
        render: impl FnOnce() -> R,
    ) -> R {
        prefetch(&self.handle, keys, render)
    }
}
