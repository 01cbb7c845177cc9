//! Counts of the last hour, minute by minute, without a background thread. The first count of a
//! minute takes over the slot of the minute an hour ago.

use super::Minute;
use crate::clock::Moment;
use crate::sync::{AtomicU64, Ordering};

/// The number of minutes that [`NameStats`](crate::stats::NameStats) covers.
pub const MINUTES: usize = 60;

const NANOS: u64 = 60_000_000_000;

/// One slot for each minute of an hour. A slot has the minute in its upper half and the count in
/// its lower half, so that both change together.
#[derive(Debug)]
pub(super) struct Ring {
    served: [AtomicU64; MINUTES],
    missed: [AtomicU64; MINUTES],
}

impl Default for Ring {
    fn default() -> Self {
        let empty = || std::array::from_fn(|_| AtomicU64::new(0));
        Self { served: empty(), missed: empty() }
    }
}

impl Ring {
    pub(super) fn serve(&self, now: Moment) {
        count(&self.served, now);
    }

    pub(super) fn miss(&self, now: Moment) {
        count(&self.missed, now);
    }

    /// The minutes up to now, the current one last.
    pub(super) fn read(&self, now: Moment) -> Vec<Minute> {
        let present = minute(now);
        let back = (0..MINUTES as u64).rev();
        let at = |places: &[AtomicU64; MINUTES], back: u64| {
            present.checked_sub(back).map_or(0, |minute| read(places, minute))
        };
        back.map(|back| Minute { served: at(&self.served, back), missed: at(&self.missed, back) })
            .collect()
    }
}

/// Minutes since the clock's start, from 1 on; an empty slot has minute 0.
fn minute(now: Moment) -> u64 {
    (now.to_bits() / NANOS + 1) & u64::from(u32::MAX)
}

fn place(places: &[AtomicU64; MINUTES], minute: u64) -> &AtomicU64 {
    &places[minute as usize % MINUTES]
}

fn count(places: &[AtomicU64; MINUTES], now: Moment) {
    let minute = minute(now);
    let place = place(places, minute);
    let mut found = place.load(Ordering::Relaxed);
    // A thread that is late counts in the minute that has begun since.
    while found >> 32 < minute {
        let first = minute << 32 | 1;
        match place.compare_exchange(found, first, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(newer) => found = newer,
        }
    }
    place.fetch_add(1, Ordering::Relaxed);
}

fn read(places: &[AtomicU64; MINUTES], minute: u64) -> u64 {
    let found = place(places, minute).load(Ordering::Relaxed);
    if found >> 32 == minute { found & u64::from(u32::MAX) } else { 0 }
}

#[cfg(all(test, not(fragcache_shuttle)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[allow(clippy::unwrap_used, reason = "a test may panic")]
    fn at(seconds: u64) -> Moment {
        Moment::START.saturating_after(Duration::from_secs(seconds))
    }

    #[test]
    fn an_hour_is_kept_minute_by_minute_and_the_rest_forgotten() {
        let ring = Ring::default();
        ring.serve(at(0));
        ring.serve(at(59));
        ring.miss(at(60));
        let minutes = ring.read(at(61));
        assert_eq!(minutes.len(), MINUTES);
        assert_eq!(minutes[59], Minute { served: 0, missed: 1 });
        assert_eq!(minutes[58], Minute { served: 2, missed: 0 });
        let minutes = ring.read(at(59 * 60));
        assert_eq!(minutes[0].served, 2, "59 minutes ago");
        assert!(ring.read(at(3600)).iter().all(|minute| minute.served == 0));
        ring.serve(at(3600));
        assert_eq!(ring.read(at(3600))[59].served, 1, "in the place of an hour ago");
    }

    #[test]
    fn late_events_count_in_the_current_minute() {
        let ring = Ring::default();
        ring.serve(at(3600));
        ring.serve(at(0));
        assert_eq!(ring.read(at(3600))[59].served, 2);
    }

    #[test]
    fn threads_lose_no_count() {
        let ring = Ring::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|n| ring.serve(at(n / 1000 * 60))));
            }
        });
        let sum: u64 = ring.read(at(9 * 60)).iter().map(|minute| minute.served).sum();
        assert_eq!(sum, 40_000);
    }
}
