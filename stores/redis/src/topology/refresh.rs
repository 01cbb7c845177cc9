//! When to ask for the topology. Independent of sockets and of the clock.

use std::time::{Duration, Instant};

/// Decides when to ask: soon after a doubt, but with growing pauses while the answers do not help.
#[derive(Debug)]
pub(crate) struct Refresh {
    /// The number of the topology that is in use.
    generation: u64,
    is_doubted: bool,
    /// When the last question was asked, and the pause after it.
    asked: Option<Instant>,
    pause: Duration,
    /// How long a topology that nobody doubts is believed.
    lasts: Duration,
}

/// What an answer was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Another topology, which is in use now.
    New,
    /// The same one, and all its nodes can be reached.
    Same,
    /// None, or one with a node that cannot be reached.
    Unsettled,
}

impl Refresh {
    pub(crate) const SHORTEST: Duration = Duration::from_millis(100);
    pub(crate) const LONGEST: Duration = Duration::from_secs(5);

    pub(crate) fn new(lasts: Duration) -> Self {
        Self { generation: 0, is_doubted: true, asked: None, pause: Self::SHORTEST, lasts }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Notes a doubt about the topology of this generation. Returns whether it changes when to ask.
    pub(crate) fn doubt(&mut self, generation: u64) -> bool {
        let changes = generation == self.generation && !self.is_doubted;
        self.is_doubted |= changes;
        changes
    }

    /// When to ask next; `None` for now.
    pub(crate) fn due(&self) -> Option<Instant> {
        let pause = if self.is_doubted { self.pause } else { self.lasts };
        self.asked.map(|asked| asked + pause)
    }

    /// Notes that the question is asked. Doubts from now on are about the answer.
    pub(crate) fn begin(&mut self, now: Instant) {
        if !self.is_doubted {
            self.pause = Self::SHORTEST;
        }
        self.asked = Some(now);
        self.is_doubted = false;
    }

    /// Notes the outcome of the question.
    pub(crate) fn end(&mut self, found: Found) {
        match found {
            Found::New => {
                self.generation += 1;
                self.is_doubted = false;
                self.pause = Self::SHORTEST;
            }
            Found::Same => self.pause = (self.pause * 2).min(Self::LONGEST),
            Found::Unsettled => {
                self.is_doubted = true;
                self.pause = (self.pause * 2).min(Self::LONGEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn start() -> Instant {
        crate::clock::instant()
    }

    #[test]
    fn the_first_question_is_asked_at_once_and_then_seldom() {
        let (mut refresh, now) = (Refresh::new(MINUTE), start());
        assert_eq!(refresh.due(), None);
        refresh.begin(now);
        refresh.end(Found::New);
        assert_eq!((refresh.generation(), refresh.due()), (1, Some(now + MINUTE)));
    }

    #[test]
    fn pauses_grow_while_nothing_is_found_and_end_with_a_new_topology() {
        let (mut refresh, mut now) = (Refresh::new(MINUTE), start());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            refresh.begin(now);
            refresh.end(Found::Unsettled);
            let due = refresh.due().unwrap();
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        refresh.begin(now);
        refresh.end(Found::New);
        assert!(refresh.doubt(1));
        assert_eq!(refresh.due(), Some(now + Refresh::SHORTEST));
    }

    #[test]
    fn one_doubt_is_one_question() {
        let (mut refresh, now) = (Refresh::new(MINUTE), start());
        refresh.begin(now);
        refresh.end(Found::New);
        assert!(!refresh.doubt(0), "it is about an older topology");
        assert!(refresh.doubt(1));
        assert!(!refresh.doubt(1), "it is known already");
        assert_eq!(refresh.due(), Some(now + Refresh::SHORTEST));
        refresh.begin(now);
        // A call that began meanwhile doubts the same topology.
        assert!(refresh.doubt(1));
        refresh.end(Found::Same);
        assert_eq!(refresh.due(), Some(now + 2 * Refresh::SHORTEST));
        refresh.begin(now);
        refresh.end(Found::Same);
        assert_eq!(refresh.due(), Some(now + MINUTE));
        // After a question that nobody had to ask, the next doubt is looked into soon.
        let later = now + MINUTE;
        refresh.begin(later);
        refresh.end(Found::Same);
        assert!(refresh.doubt(1));
        assert_eq!(refresh.due(), Some(later + 2 * Refresh::SHORTEST));
    }
}
