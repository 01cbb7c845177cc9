//! Invalidations to publish a second time, after the lag of a replica. Those due at about the same
//! time are published together, in batches that the store can take. If there are too many,
//! everything is invalidated repeatedly until the last of them is due.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use crate::hash::BuildLabelHasher;
use crate::label::Label;

/// How late a repeat may be published, so that it joins others.
const GRAIN: Duration = Duration::from_millis(25);

/// Most waiting labels.
const MAX_LABELS: usize = 65_536;

/// Interval at which everything is published if there are more.
const EVERYTHING_EACH: Duration = Duration::from_millis(250);

/// Invalidations that wait to be published again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    waiting: BTreeMap<Instant, HashSet<Label, BuildLabelHasher>>,
    labels: usize,
    throughout: Option<Throughout>,
}

/// The period in which everything is published repeatedly.
#[derive(Debug)]
struct Throughout {
    next: Instant,
    last: Instant,
}

/// What is due.
#[derive(Debug, Default)]
pub(super) struct Due {
    pub(super) everything: bool,
    pub(super) labels: Vec<Label>,
}

impl Due {
    pub(super) fn len(&self) -> usize {
        self.labels.len() + usize::from(self.everything)
    }
}

impl Repeats {
    /// Publishes these labels again at `at` or up to `GRAIN` later.
    pub(super) fn add(&mut self, at: Instant, labels: &[Label]) {
        let late = at + GRAIN;
        if let Some(throughout) = &mut self.throughout {
            throughout.last = throughout.last.max(late);
            return;
        }
        let due = self.waiting.range(at..=late).next().map_or(late, |(&due, _)| due);
        let together = self.waiting.entry(due).or_default();
        let before = together.len();
        together.extend(labels);
        self.labels += together.len() - before;
        if self.labels > MAX_LABELS
            && let (Some(first), Some(last)) =
                (self.waiting.first_key_value(), self.waiting.last_key_value())
        {
            self.throughout = Some(Throughout { next: *first.0, last: *last.0 });
            self.waiting.clear();
            self.labels = 0;
        }
    }

    /// When the next repeat is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = || self.waiting.first_key_value().map(|(&due, _)| due);
        self.throughout.as_ref().map(|throughout| throughout.next).or_else(first)
    }

    /// Number of waiting labels; everything counts as one.
    pub(super) fn len(&self) -> usize {
        self.labels + usize::from(self.throughout.is_some())
    }

    /// Takes what is due at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        if let Some(throughout) = self.throughout.as_mut().filter(|all| all.next <= now) {
            due.everything = true;
            throughout.next = (now + EVERYTHING_EACH).min(throughout.last);
            if throughout.last <= now {
                self.throughout = None;
            }
        }
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= now) {
            let labels = first.remove();
            self.labels -= labels.len();
            due.labels.extend(labels);
        }
        due.labels.sort_unstable();
        due.labels.dedup();
        due
    }

    /// Takes all that waits, due or not.
    pub(super) fn all(&mut self) -> Due {
        let all = std::mem::take(self);
        let labels = all.waiting.into_values().flatten().collect();
        Due { everything: all.throughout.is_some(), labels }
    }
}

#[cfg(all(test, not(fragcache_shuttle)))]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::clock::instant;

    const LAG: Duration = Duration::from_secs(2);

    fn label(number: u32) -> Label {
        Label::from_hash(number.into())
    }

    /// Simulates a worker that needs 5 ms for each call to the store.
    #[derive(Default)]
    struct Worker {
        published: HashMap<Label, Instant>,
        calls: u32,
        everything: Vec<Instant>,
    }

    impl Worker {
        /// Invalidates `count` labels from `begun` on, one per `each`.
        fn keep(begun: Instant, each: Duration, count: u32) -> Self {
            let (mut worker, mut repeats) = (Self::default(), Repeats::default());
            let (mut now, mut added) = (begun, 0);
            loop {
                while added < count && begun + each * added <= now {
                    repeats.add(begun + each * added + LAG, &[label(added)]);
                    added += 1;
                }
                assert!(repeats.len() <= MAX_LABELS);
                let due = repeats.due(now);
                if due.len() > 0 {
                    let calls = due.len().div_ceil(500) as u32;
                    now += Duration::from_millis(5) * calls;
                    worker.calls += calls;
                    worker.published.extend(due.labels.iter().map(|&label| (label, now)));
                    worker.everything.extend(due.everything.then_some(now));
                    continue;
                }
                let added_next = (added < count).then(|| begun + each * added);
                match [added_next, repeats.next()].into_iter().flatten().min() {
                    Some(next) => now = next.max(now),
                    None => return worker,
                }
            }
        }
    }

    #[test]
    fn thousands_a_second_are_told_in_time_by_a_few_calls() {
        for (rate, seconds) in [(1_500_u32, 10_u32), (3_000, 10), (15_000, 4)] {
            let (begun, each, count) = (instant(), Duration::from_secs(1) / rate, rate * seconds);
            let Worker { published, calls, everything } = Worker::keep(begun, each, count);
            assert_eq!((published.len(), everything.len()), (count as usize, 0), "{rate}/s");
            for number in 0..count {
                let due = begun + each * number + LAG;
                let at = published[&label(number)];
                assert!(at >= due, "not before");
                assert!(at < due + 3 * GRAIN, "{rate}/s: {:?} late", at - due);
            }
            assert!(calls < 45 * (seconds + 2) + count / 250, "{rate}/s: {calls} calls");
        }
    }

    #[test]
    fn too_many_become_everything_until_the_last_is_due() {
        let (rate, count) = (200_000, 200_000);
        let (begun, each) = (instant(), Duration::from_secs(1) / rate);
        let Worker { calls, everything, .. } = Worker::keep(begun, each, count);
        let first = begun + LAG;
        let last = begun + each * (count - 1) + LAG;
        assert!(everything.first().is_some_and(|&published| published < first + 3 * GRAIN));
        assert!(
            everything.last().is_some_and(|&published| published >= last),
            "after the last is due"
        );
        assert!(calls < 20, "{calls} calls");
        let pause = everything.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(pause.unwrap() <= EVERYTHING_EACH + GRAIN);
    }

    #[test]
    fn what_is_due_at_about_the_same_time_is_told_once() {
        let (now, mut repeats) = (instant(), Repeats::default());
        for micros in 0..1000 {
            repeats.add(now + Duration::from_micros(micros), &[label(7), label(8)]);
        }
        assert_eq!(repeats.len(), 2);
        assert_eq!(repeats.due(now).len(), 0, "not before it is due");
        assert_eq!(repeats.due(repeats.next().unwrap()).labels, [label(7), label(8)]);
        assert_eq!(repeats.next(), None);
    }
}
