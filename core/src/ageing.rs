//! Settings beyond timeouts: stale windows, jitter, early refreshes, and replica lag, with their
//! ranges. `near` and `render/` decide what may be served.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How entries age beyond their timeouts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ageing {
    pub(crate) stale_window: Duration,
    pub(crate) refresh_backoff: Duration,
    /// `None` is no jitter without a far store, and up to 10 % with one.
    pub(crate) jitter: Option<f64>,
    pub(crate) early_refresh: f64,
    pub(crate) replica_lag: Option<Duration>,
}

impl Default for Ageing {
    fn default() -> Self {
        Self {
            stale_window: Duration::ZERO,
            refresh_backoff: Duration::from_secs(5),
            jitter: None,
            early_refresh: 0.0,
            replica_lag: None,
        }
    }
}

impl Ageing {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Config, message));
        if self.jitter.is_some_and(|share| !(0.0..=0.9).contains(&share)) {
            return refuse("jitter is a share of each TTL: write a number from 0.0 to 0.9");
        }
        if !(0.0..=1000.0).contains(&self.early_refresh) {
            return refuse("early_refresh is a factor: write 1.0, or 0.0 for none (at most 1000)");
        }
        let durations = [
            ("stale_window", Some(self.stale_window)),
            ("refresh_backoff", Some(self.refresh_backoff)),
            ("replica_lag", self.replica_lag),
        ];
        for (what, duration) in durations {
            if duration.is_some_and(|time| time.as_nanos() > u128::from(u64::MAX / 2)) {
                return refuse(&format!("{what} is longer than a clock can count (292 years)"));
            }
        }
        Ok(())
    }

    /// A TTL, shortened at random.
    pub(crate) fn jittered(&self, ttl: Duration) -> Duration {
        match self.jitter {
            Some(share) if share > 0.0 => ttl.mul_f64(1.0 - share * fastrand::f64()),
            _ => ttl,
        }
    }
}
