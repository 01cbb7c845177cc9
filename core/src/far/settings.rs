//! The settings of the far level, checked before it is built.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
#[cfg(feature = "mac")]
use crate::store::Signed;
use crate::store::Store;

/// A store behind the cache, and how the cache uses it. Pass it to
/// [`CacheBuilder::far`](crate::CacheBuilder::far).
#[derive(Clone)]
#[must_use]
pub struct FarLevel {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) prefix: Box<str>,
    pub(crate) near_ttl: Option<Duration>,
    pub(crate) mac_key: Option<MacKey>,
    pub(crate) compress_above: Option<usize>,
    pub(crate) lease: Duration,
    pub(crate) max_ttl: Duration,
}

/// A secret whose `Debug` output hides it.
#[derive(Clone)]
pub(crate) struct MacKey(pub(crate) Arc<[u8]>);

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

/// Longest prefix of a cache's keys in a store, in bytes.
const MAX_PREFIX_BYTES: usize = 40;

/// Shortest secret for signing records, in bytes.
const MIN_MAC_KEY_BYTES: usize = 16;

impl FarLevel {
    /// The default [prefix](Self::prefix).
    pub const DEFAULT_PREFIX: &str = "fragcache";

    /// Creates a far level in `store`. The near level in front of it checks with the store at every
    /// lookup, so no caller is served what any process has invalidated.
    pub fn new(store: impl Store) -> Self {
        Self::shared(Arc::new(store))
    }

    /// Like [`new`](Self::new), for a store that is used elsewhere too.
    pub fn shared(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            prefix: Self::DEFAULT_PREFIX.into(),
            near_ttl: Some(Duration::ZERO),
            mac_key: None,
            compress_above: Some(2048),
            lease: Duration::from_secs(5),
            max_ttl: Duration::from_secs(30 * 24 * 3600),
        }
    }

    /// Prefix of every key in the store; it separates this cache from others. `"fragcache"` by
    /// default; at most 40 bytes of `A-Z a-z 0-9 _ . : -`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long the near level serves a fragment before it checks with the store again whether the
    /// fragment is still valid. For this long, this process may serve what another process has
    /// invalidated. Zero, the default, checks every time.
    pub fn near_ttl(mut self, ttl: Duration) -> Self {
        self.near_ttl = Some(ttl);
        self
    }

    /// Disables the near level: every lookup reads the store, and this process caches no fragments.
    pub fn without_near(mut self) -> Self {
        self.near_ttl = None;
        self
    }

    /// Signs every record with a secret of at least 16 bytes. An attacker who can write to the
    /// store but lacks the secret cannot put content on a page, bring back deleted content with a
    /// made or copied record, or switch caching off. What remains possible is in `docs/stores.md`.
    /// All processes need the same secret: a process without it finds no entries, but its deletions
    /// take effect. Needs the feature `mac`.
    pub fn mac_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.mac_key = Some(MacKey(key.as_ref().into()));
        self
    }

    /// Compresses bodies larger than `bytes`; `None` for never. 2 KiB by default.
    pub fn compress_above(mut self, bytes: Option<usize>) -> Self {
        self.compress_above = bytes;
        self
    }

    /// How long a process that dies while rendering can keep others from rendering the same
    /// fragment for the store. 5 s by default; a live process renews its lease.
    pub fn lease(mut self, ttl: Duration) -> Self {
        self.lease = ttl;
        self
    }

    /// How long the store keeps a fragment that never expires and is never looked up. 30 days by
    /// default.
    pub fn max_ttl(mut self, ttl: Duration) -> Self {
        self.max_ttl = ttl;
        self
    }

    /// The store, wrapped to sign every record if there is a secret.
    pub(super) fn into_store(self) -> Arc<dyn Store> {
        #[cfg(feature = "mac")]
        if let Some(MacKey(secret)) = &self.mac_key {
            return Arc::new(Signed::new(self.store, secret, &self.prefix));
        }
        self.store
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
        if self.prefix.is_empty() || self.prefix.len() > MAX_PREFIX_BYTES {
            return refuse(format!(
                "the prefix has {} bytes; write 1 to {MAX_PREFIX_BYTES}",
                self.prefix.len()
            ));
        }
        let usable = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        if let Some(c) = self.prefix.chars().find(|&c| !usable(c)) {
            return refuse(format!(
                "the prefix contains {c:?}, which has a special meaning in some stores; write only \
                 letters, digits and _ . : -"
            ));
        }
        if self.mac_key.as_ref().is_some_and(|key| key.0.len() < MIN_MAC_KEY_BYTES) {
            return refuse(format!(
                "the mac_key that records are signed with is shorter than {MIN_MAC_KEY_BYTES} \
                 bytes; write a longer one"
            ));
        }
        if self.mac_key.is_some() && !cfg!(feature = "mac") {
            return refuse("a mac_key needs the feature `mac` of fragcache".to_owned());
        }
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        let durations = [
            ("near_ttl", self.near_ttl.unwrap_or_default(), Duration::ZERO),
            ("lease", self.lease, Duration::from_millis(100)),
            ("max_ttl", self.max_ttl, Duration::from_secs(60)),
        ];
        for (what, given, least) in durations {
            if given < least || given > century {
                return refuse(format!("{what} is {given:?}; write {least:?} to 100 years"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FarLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FarLevel")
            .field("store", &self.store.capabilities().name)
            .field("prefix", &self.prefix)
            .field("near_ttl", &self.near_ttl)
            .field("mac_key", &self.mac_key)
            .field("compress_above", &self.compress_above)
            .field("lease", &self.lease)
            .field("max_ttl", &self.max_ttl)
            .finish()
    }
}
