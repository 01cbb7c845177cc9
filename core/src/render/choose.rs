//! Blocks that choose their cache with `using=`. A block without the option pays for a look at the
//! byte after its digest.

use super::enter::{Opened, Request};
use super::{Arguments, RenderContext};
use crate::caches::Caches;
use crate::entry::Body;
use crate::error::Error;
use crate::events::RefusalReason;
use crate::hash::Version;
use crate::syntax::site::DIGEST_LEN;
use crate::timeout::Timeout;

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
        let cache = match using(site).and_then(|from_end| arguments.len().checked_sub(from_end)) {
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
        self.default_cache().refuse(site, rendering, mode, error, RefusalReason::Using, &request)
    }
}

/// The position of the value of `using` among a block's values, counted from the end; `None`
/// without the option.
fn using(site: &str) -> Option<usize> {
    let rest = site.as_bytes().get(DIGEST_LEN..)?;
    let end = rest.iter().position(|&byte| byte == b':')?;
    let before = rest[..end].iter().position(|&byte| byte == b'c')?;
    Some(end - before)
}
