//! Blocks that choose their cache with `using=`. A block without the option pays for a look at the
//! byte after its digest.

use fragcache_syntax::{BlockHead, BlockOption};

use super::Caches;
use crate::entry::Body;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::events::RefusalReason;
use crate::hash::Version;
use crate::policy::ErrorPolicy;
use crate::render::{Arguments, Opened, RenderContext, RenderMemo, Request};
use crate::timeout::{Scalar, Timeout};

impl Caches {
    /// Opens a cache block for an engine extension, in the cache that the block names or in the
    /// default one; see [`FragmentCache::open`](crate::FragmentCache::open).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Using`](crate::ErrorKind::Using) with the block's place if `using=` names no
    /// cache and the default cache's [`Policy`](crate::Policy) makes that an error; and those of
    /// [`FragmentCache::open`](crate::FragmentCache::open).
    pub fn open<A: Arguments + ?Sized, R>(
        &self,
        site: &str,
        arguments: &A,
        rendering: &mut impl RenderContext,
        on_hit: impl Fn(&Body) -> R,
    ) -> Result<Opened<R>, Error> {
        let using = BlockHead::of(site).and_then(|head| head.from_end(BlockOption::Using));
        let cache = match using.and_then(|from_end| arguments.len().checked_sub(from_end)) {
            None => self.default_cache(),
            Some(index) => match self.choose(arguments.scalar(index)) {
                Ok(cache) => cache,
                Err(error) => return self.refuse(site, rendering, error),
            },
        };
        cache.open(site, arguments, rendering, on_hit)
    }

    /// A block without a cache: an error, or a render that the default cache counts.
    fn refuse<R>(
        &self,
        site: &str,
        rendering: &mut impl RenderContext,
        error: Error,
    ) -> Result<Opened<R>, Error> {
        let request = Request {
            timeout: Timeout::Default,
            unless: false,
            refresh: false,
            is_given: false,
            scoped: rendering.is_bounded(),
            version: Version::default(),
            stale: None,
        };
        let mode = rendering.mode();
        self.default_cache().handle.refuse(
            site,
            rendering,
            mode,
            error,
            RefusalReason::Using,
            &request,
        )
    }
}

/// `cache_prefetch(name, vary, using)` in a template: like [`FragmentCache::prefetch`](crate::FragmentCache::prefetch), for the
/// render with this `memo`, and for blocks with the same `using=` or none. Each of `keys` is a name
/// and its vary parts, as the prefetched block has them.
///
/// # Errors
///
/// [`ErrorKind::Key`] for a value that cannot be part of a key, and [`ErrorKind::Using`] for an
/// unknown cache if the default cache's [`Policy`](crate::Policy) makes that an error. Nothing is
/// read then.
pub fn prefetch<A: Arguments>(
    caches: &Caches,
    using: Option<Scalar<'_>>,
    memo: &RenderMemo,
    keys: impl IntoIterator<Item = A>,
) -> Result<(), Error> {
    let cache = match using.map_or(Ok(caches.default_cache()), |using| caches.choose(using)) {
        Ok(cache) => cache,
        // The blocks report it one by one.
        Err(_) if caches.default_cache().handle.policy().bad_arguments == ErrorPolicy::Uncached => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    memo.read_ahead(&cache.handle, keys)
}
