//! Observing a cache, and switching its mode while it runs.

use fragcache_syntax::Warning;

use super::Handle;
use crate::error::{Error, ErrorKind};
use crate::far::Far;
use crate::key::FragmentKey;
use crate::near::Near;
use crate::policy::CacheMode;
#[cfg(feature = "metrics")]
use crate::stats;
use crate::stats::{Health, Stats, StatsByName, StatsRegistry};
use crate::sync::Ordering;

impl Handle {
    /// Returns the counters since the cache was created, and its current size.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.shared.counters.snapshot();
        if let Some(near) = &self.shared.near {
            let totals = near.totals();
            stats.hits = totals.hits;
            stats.entries = totals.entries;
            stats.bytes = totals.bytes;
        }
        stats.flights = self.shared.flights.len() as u64;
        stats
    }

    /// Returns what happened under each name, in all namespaces. `None` for a cache that was built
    /// without [statistics by name](crate::CacheBuilder::stats_by_name).
    pub(crate) fn stats_by_name(&self) -> Option<StatsByName> {
        self.shared
            .stats_registry
            .as_ref()
            .map(|stats_registry: &StatsRegistry| stats_registry.read(self.moment()))
    }

    /// The largest body that is stored, in bytes, as set by
    /// [`max_entry_bytes`](crate::CacheBuilder::max_entry_bytes). `None` for a cache that stores
    /// nothing.
    pub(crate) fn max_entry_bytes(&self) -> Option<usize> {
        self.near().map(Near::max_entry_bytes)
    }

    /// Whether this cache has [opaque keys](crate::CacheBuilder::opaque_keys).
    pub(crate) fn has_opaque_keys(&self) -> bool {
        self.shared.hasher.is_opaque()
    }

    /// A key of this handle's namespace in the form that events, pages and listings of this cache
    /// use: as it is, or [redacted](FragmentKey::is_redacted) where keys are
    /// [opaque](crate::CacheBuilder::opaque_keys). Use it to find a known key in a log.
    pub(crate) fn shown_key(&self, key: &FragmentKey) -> FragmentKey {
        self.shared.hasher.shown(&self.encoded(key))
    }

    /// The current mode: the one that was [set](Self::set_mode), or the one that the far store sets
    /// for all processes, whichever is more restrictive.
    pub(crate) fn mode(&self) -> CacheMode {
        let own = CacheMode::from_u8(self.shared.mode.load(Ordering::Relaxed));
        self.shared.far.as_ref().map_or(own, |far| far.mode().max(own))
    }

    /// The health of the store behind the cache, as this process sees it. Makes no round trip.
    pub(crate) fn health(&self) -> Health {
        self.shared.far.as_ref().map_or_else(Health::default, Far::health)
    }

    /// Sets gauges of the current `metrics` recorder, all with the label `cache`, whose value is `name`. Call it when metrics are scraped, or
    /// from time to time.
    #[cfg(feature = "metrics")]
    pub(crate) fn record_metrics(&self, name: &str) {
        stats::metrics::record(name, &self.stats(), self.health());
    }

    /// Writes a record to the store, reads it back and deletes it. For a program that would rather
    /// fail at startup than run with a wrong password and render everything. Blocks for as long as
    /// the store's own timeout. Succeeds on a cache without a store.
    pub(crate) fn check_store(&self) -> Result<(), Error> {
        let far = self.shared.far.as_ref();
        far.map_or(Ok(()), Far::probe).map_err(|unavailable| self.unavailable(unavailable))
    }

    /// Sets the mode for all handles, from the next block on. Invalidations take effect in every
    /// mode.
    pub(crate) fn set_mode(&self, mode: CacheMode) {
        self.shared.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Switches HTML comments around fragments on or off, for all handles. They show what each
    /// fragment is, whether it was a hit, and if not, why. Use it in development, or for a short
    /// time in production.
    pub(crate) fn annotate(&self, yes: bool) -> Result<(), Error> {
        if yes && !cfg!(debug_assertions) && !self.shared.policy.annotations {
            return Err(Error::new(
                ErrorKind::Config,
                "annotations show keys and tags to every reader of the page; allow them with \
                 Policy::default().annotations(true), or use a build with debug assertions",
            ));
        }
        self.shared.annotates.store(u8::from(yes), Ordering::Relaxed);
        Ok(())
    }

    /// Whether pages are annotated now.
    pub(crate) fn annotates(&self) -> bool {
        self.shared.annotates.load(Ordering::Relaxed) != 0
    }

    /// Reports the warnings of a [rewrite](crate::syntax::rewrite): to the observers, to the
    /// counters, and as an error if the [policy](crate::Policy::warnings_are_errors) says so. The
    /// engine extensions call this whenever a template is loaded.
    pub(crate) fn report_warnings(&self, warnings: &[Warning]) -> Result<(), Error> {
        for warning in warnings {
            self.warn(Some((warning.template(), warning.line())), warning.message());
        }
        match warnings.first() {
            Some(first) if self.shared.policy.warnings_are_errors => Err(Error::new(
                ErrorKind::Syntax,
                first.message(),
            )
            .at(first.template(), first.line(), first.column())),
            _ => Ok(()),
        }
    }
}
