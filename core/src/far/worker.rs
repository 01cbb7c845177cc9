//! The background worker: one thread for each cache with a store, for work that no page should wait
//! for. It tries the store again after an outage, publishes pending invalidations, renews and
//! returns leases, and reads the cache mode of all processes. It ends with the last handle to the
//! cache.

#[cfg(not(fragcache_shuttle))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::fill::set;
use super::fill::{Token, UNSHARED, UNSHARED_FOR};
use super::repeats::Due;
use super::tasks::{DueTasks, TaskQueue};
use super::{Far, values};
use crate::clock::instant;
use crate::error::{Error, ErrorKind};
use crate::freshness::Freshness;
use crate::label::Label;
use crate::policy::CacheMode;
use crate::store::{Fault, Operation, StoreError};
use crate::sync::Ordering;

/// How often the worker reads the mode, which also shows whether the store answers.
const ROUND: Duration = Duration::from_secs(1);

/// The first and the longest pause before a pending invalidation is retried.
const RETRIES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Most leases that wait to be returned; further ones expire.
const MAX_RELEASED: usize = 16_384;

/// What the worker serves: a far level and the freshness of the near level.
pub(crate) trait WorkerHost: Send + Sync + 'static {
    fn far(&self) -> Option<&Far>;
    fn fresh(&self) -> &Freshness;
    /// Reports a fault of the store to observers.
    fn note(self: &Arc<Self>, fault: Fault);
}

/// The worker's schedule.
#[derive(Debug)]
pub(crate) struct Worker {
    round_at: Instant,
    publish_at: Instant,
    publish_pause: Duration,
    was_unavailable: bool,
    /// Whether the mode record in the store was invalid at the last read.
    had_unknown_mode: bool,
    /// Leases that could not be returned yet.
    released: Vec<(String, Token)>,
}

impl Worker {
    /// A model has no worker.
    #[cfg(fragcache_shuttle)]
    pub(crate) fn start<K: WorkerHost>(_: Weak<K>, _: Arc<TaskQueue>) -> Result<(), Error> {
        Ok(())
    }

    /// Starts the worker of a cache.
    #[cfg(not(fragcache_shuttle))]
    pub(crate) fn start<K: WorkerHost>(host: Weak<K>, tasks: Arc<TaskQueue>) -> Result<(), Error> {
        let now = instant();
        let mut worker = Self {
            round_at: now,
            publish_at: now,
            publish_pause: RETRIES.0,
            was_unavailable: false,
            had_unknown_mode: false,
            released: Vec::new(),
        };
        let rounds = move || {
            let mut due = DueTasks::default();
            loop {
                let Some(next) = host.upgrade().and_then(|host| {
                    let far = host.far()?;
                    Some(worker.try_run_due(&host, far, std::mem::take(&mut due)))
                }) else {
                    return;
                };
                match tasks.wait(next) {
                    Some(added) => due = added,
                    None => return,
                }
            }
        };
        std::thread::Builder::new()
            .name("fragcache-worker".to_owned())
            .spawn(rounds)
            .map(|_| ())
            .map_err(|error| {
                Error::new(ErrorKind::Io, "no thread could be started for the cache's store")
                    .with_source(error)
            })
    }

    /// Like [`run_due`](Self::run_due), but catches panics. If the worker ended, the cache would
    /// skip the store for ever after an outage.
    #[cfg(not(fragcache_shuttle))]
    fn try_run_due(&mut self, host: &Arc<impl WorkerHost>, far: &Far, due: DueTasks) -> Instant {
        catch_unwind(AssertUnwindSafe(|| self.run_due(host, far, due))).unwrap_or_else(|_| {
            far.link.breaker.note(&StoreError::new(Fault::Panicked, "the cache's worker panicked"));
            instant() + ROUND
        })
    }

    /// Does what is due and returns when the next task is due.
    fn run_due(&mut self, host: &Arc<impl WorkerHost>, far: &Far, due: DueTasks) -> Instant {
        let (now, fresh) = (instant(), host.fresh());
        let repeats = far.labels(due.repeats);
        if !repeats.is_empty() {
            // Also fence the near level, for entries read from the store in between.
            far.publish(&repeats, None);
            far.raise(fresh, &repeats);
        }
        if far.is_unavailable() && !self.was_unavailable {
            self.was_unavailable = true;
            self.round_at = now + far.link.breaker.pause();
        }
        if self.round_at <= now {
            self.run_round(host, far, now);
        }
        // A failed call may still have taken a lease, and others would wait until it expires.
        self.released.extend(due.released);
        let surplus = self.released.len().saturating_sub(MAX_RELEASED);
        self.released.drain(..surplus);
        if !far.is_unavailable() {
            // Other failures here need no retry: the leases and the records expire.
            if far.return_leases(&self.released, &due.unshared).is_ok() {
                self.released.clear();
            }
            let _ = far.renew_records(&due.touched);
            let _ = far.renew_leases();
        }
        self.publish_pending(far, fresh, now);
        let pending = (far.pending.len() > 0).then_some(self.publish_at);
        let leases = far.leases.next().filter(|_| !far.is_unavailable());
        [pending, leases].into_iter().flatten().fold(self.round_at, Instant::min)
    }

    fn run_round(&mut self, host: &Arc<impl WorkerHost>, far: &Far, now: Instant) {
        match far.refresh_mode() {
            Ok(()) => {
                if self.was_unavailable {
                    self.was_unavailable = false;
                    self.publish_at = now;
                    self.publish_pause = RETRIES.0;
                }
                self.round_at = now + ROUND;
                // Report it once, not at every read.
                let is_unknown = far.has_unknown_mode.load(Ordering::Relaxed) != 0;
                if !std::mem::replace(&mut self.had_unknown_mode, is_unknown) && is_unknown {
                    host.note(unknown_mode().fault());
                }
            }
            Err(_) => {
                self.was_unavailable = true;
                self.round_at = instant() + far.link.breaker.pause();
            }
        }
    }

    fn publish_pending(&mut self, far: &Far, fresh: &Freshness, now: Instant) {
        if far.pending.len() == 0 {
            self.publish_pause = RETRIES.0;
            self.publish_at = now;
            return;
        }
        if now < self.publish_at {
            return;
        }
        if far.is_unavailable() {
            self.publish_at = now + RETRIES.0 / 2;
            return;
        }
        let pending = far.pending.all();
        let labels: Vec<Label> = pending.iter().map(|&(label, _)| label).collect();
        let published = match far.try_publish(&labels) {
            Ok(()) => pending,
            // Perhaps only some of them are busy.
            Err(error) if error.fault() == Fault::Busy => {
                let is_published = |(label, _): &(Label, u64)| far.try_publish(&[*label]).is_ok();
                pending.iter().copied().filter(is_published).collect()
            }
            Err(_) => Vec::new(),
        };
        if !published.is_empty() {
            // As after any invalidation, fence what was read before the store knew.
            far.raise(fresh, &published.iter().map(|&(label, _)| label).collect::<Vec<_>>());
            far.pending.settle(&published);
        }
        if published.len() == labels.len() {
            self.publish_pause = RETRIES.0;
        } else {
            self.publish_at = instant() + self.publish_pause;
            self.publish_pause = (self.publish_pause * 2).min(RETRIES.1);
        }
    }
}

impl Far {
    /// The labels to publish for what is due.
    fn labels(&self, due: Due) -> Vec<Label> {
        if due.everything { vec![self.hasher.root()] } else { due.labels }
    }

    /// Publishes the pending invalidations and the waiting repeats when the cache is dropped, in
    /// one call if they fit. After that no process would publish them.
    pub(super) fn publish_rest(&self, repeats: Due) {
        let mut labels = self.labels(repeats);
        labels.extend(self.pending.all().into_iter().map(|(label, _)| label));
        if !labels.is_empty() && !self.is_unavailable() {
            // A failure now loses them.
            let _ = self.try_publish(&set(labels.into_iter()));
        }
    }

    /// Fences the near level, as after any invalidation that the store knows about.
    fn raise(&self, fresh: &Freshness, labels: &[Label]) {
        if labels.contains(&self.hasher.root()) {
            fresh.invalidate_all(None);
        } else {
            fresh.invalidate(labels.iter().map(|&label| label.into()).collect(), None);
        }
    }

    /// Reads the cache mode of all processes. An answer ends an outage.
    fn refresh_mode(&self) -> Result<(), StoreError> {
        let key = self.names.mode();
        let replies = self.link.run_bypassing_breaker(&[Operation::Get { key: &key }])?;
        let word = values(replies).pop().flatten();
        let mode = self.mode_of(word.as_deref());
        self.mode.store(mode as u8, Ordering::Relaxed);
        self.link.end_outage();
        Ok(())
    }

    /// The cache mode for this value in the store; normal if the value is invalid.
    pub(super) fn mode_of(&self, word: Option<&[u8]>) -> CacheMode {
        let mode = word.map_or(Some(CacheMode::Normal), CacheMode::from_word);
        let is_unknown = mode.is_none();
        if is_unknown {
            self.link.breaker.note(&unknown_mode());
        }
        let was_unknown = self.has_unknown_mode.swap(u8::from(is_unknown), Ordering::Relaxed) != 0;
        if is_unknown && !was_unknown {
            log_unknown_mode();
        }
        mode.unwrap_or(CacheMode::Normal)
    }

    fn return_leases(
        &self,
        released: &[(String, Token)],
        unshared: &[(String, Token)],
    ) -> Result<(), StoreError> {
        let mut operations = Vec::with_capacity(released.len() + 2 * unshared.len());
        operations.extend(
            released
                .iter()
                .chain(unshared)
                .map(|(key, token)| Operation::CompareAndDelete { key, expected: token }),
        );
        // Add only: another process may have seized the lease since.
        operations.extend(unshared.iter().map(|(key, _)| Operation::Add {
            key,
            value: UNSHARED,
            ttl: UNSHARED_FOR,
        }));
        self.run_all(&operations)
    }

    fn renew_records(&self, records: &[(String, Duration)]) -> Result<(), StoreError> {
        let operations: Vec<_> =
            records.iter().map(|(key, ttl)| Operation::Touch { key, ttl: *ttl }).collect();
        self.run_all(&operations)
    }

    /// Renews the leases that this process still holds.
    fn renew_leases(&self) -> Result<(), StoreError> {
        let now = instant();
        let due = self.leases.due(now, now + self.lease / 3);
        let gets: Vec<_> = due.iter().map(|(key, _)| Operation::Get { key }).collect();
        if gets.is_empty() {
            return Ok(());
        }
        let leased = values(self.link.run_bypassing_breaker(&gets)?);
        let still = due
            .iter()
            .zip(&leased)
            .filter(|((_, token), value)| value.as_deref() == Some(&token[..]));
        let renewals: Vec<_> = still
            .map(|((key, token), _)| Operation::Set { key, value: token, ttl: self.lease })
            .collect();
        self.run_all(&renewals)
    }

    fn run_all(&self, operations: &[Operation<'_>]) -> Result<(), StoreError> {
        for operations in operations.chunks(500) {
            match self.link.run_bypassing_breaker(operations) {
                Err(error) if error.fault() == Fault::Busy => {
                    // What is still busy alone is left to expire.
                    for one in operations.chunks(1) {
                        match self.link.run_bypassing_breaker(one) {
                            Err(error) if error.fault() != Fault::Busy => {
                                return Err(error);
                            }
                            _ => {}
                        }
                    }
                }
                ran => drop(ran?),
            }
        }
        Ok(())
    }
}

pub(super) fn unknown_mode() -> StoreError {
    let message = "the mode in the store is ignored: this cache does not know it, or it was set by \
                   a process with another mac_key (or with none)";
    StoreError::new(Fault::Protocol, message)
}

#[cfg(feature = "tracing")]
fn log_unknown_mode() {
    tracing::warn!(target: "fragcache", "{}", unknown_mode());
}

#[cfg(not(feature = "tracing"))]
fn log_unknown_mode() {}
