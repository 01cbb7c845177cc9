//! The settings of a cache, and their check.

use std::sync::Arc;
use std::time::Duration;

use crate::ageing::Ageing;
use crate::clock::{Clock, MonotonicClock};
use crate::error::{Error, ErrorKind};
use crate::events::Observer;
use crate::far::FarLevel;
use crate::opaque::OpaqueSecret;
use crate::policy::Policy;
use crate::protection::Protections;

/// The settings of a cache.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) max_bytes: usize,
    pub(crate) max_entries: usize,
    pub(crate) max_entry_bytes: Option<usize>,
    pub(crate) max_labels: usize,
    pub(crate) wait_limit: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    /// Most names with statistics of their own; `None` to collect none.
    pub(crate) stats_by_name: Option<usize>,
    pub(crate) policy: Policy,
    pub(crate) ageing: Ageing,
    pub(crate) far: Option<FarLevel>,
    pub(crate) opaque_keys: Option<OpaqueSecret>,
    /// True for a cache that stores nothing.
    pub(crate) is_null: bool,
    pub(crate) protections: Protections,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_ttl: Some(Duration::from_secs(300)),
            max_bytes: 64 << 20,
            max_entries: 100_000,
            max_entry_bytes: None,
            max_labels: 65_536,
            wait_limit: Duration::from_secs(1),
            clock: Arc::new(MonotonicClock::default()),
            observers: Vec::new(),
            stats_by_name: None,
            policy: Policy::default(),
            ageing: Ageing::default(),
            far: None,
            opaque_keys: None,
            is_null: false,
            protections: Protections::default(),
        }
    }
}

impl Settings {
    /// Returns an error for settings that are out of range or contradict each other.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Config, message));
        if self.max_bytes == 0 || self.max_entries == 0 {
            return refuse(
                "a near level of size 0 holds nothing; write FragmentCache::disabled() for a \
                 cache that stores nothing",
            );
        }
        if self.max_labels == 0 {
            return refuse("max_labels is 0; write at least 1, or leave the default of 65,536");
        }
        match self.max_entry_bytes {
            Some(0) => return refuse("max_entry_bytes is 0; write at least 1"),
            Some(bytes) if bytes > self.max_bytes => {
                return refuse("max_entry_bytes is above max_bytes; raise max_bytes or lower it");
            }
            _ => {}
        }
        if self.default_ttl.is_some_and(|ttl| ttl.is_zero()) {
            return refuse(
                "the default timeout is 0; write None for fragments that never expire, or \
                 FragmentCache::disabled() to store nothing",
            );
        }
        if self.default_ttl.is_some_and(|ttl| ttl.as_nanos() > u128::from(u64::MAX / 2)) {
            return refuse("the default timeout is longer than a clock can count; write None");
        }
        self.ageing.check()?;
        self.far.as_ref().map_or(Ok(()), FarLevel::check)?;
        self.opaque_keys.as_ref().map_or(Ok(()), OpaqueSecret::check)?;
        Ok(())
    }
}
