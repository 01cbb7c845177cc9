//! The results of the suite.

use std::fmt;

/// The result of one sentence of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrialOutcome {
    /// The store satisfies it.
    Passed,
    /// It was not tested: the store or the suite lacks this.
    Absent(&'static str),
    /// No suite can observe it, for this reason.
    Unseen(&'static str),
    /// The store breaks it, as described.
    Broken(String),
}

/// All results. `Display` prints one line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Report {
    store: &'static str,
    cases: Vec<(&'static str, TrialOutcome)>,
}

impl Report {
    pub(super) fn new(store: &'static str) -> Self {
        Self { store, cases: Vec::new() }
    }

    pub(super) fn push(&mut self, sentence: &'static str, outcome: TrialOutcome) {
        self.cases.push((sentence, outcome));
    }

    /// Every sentence with its result.
    pub fn cases(&self) -> impl Iterator<Item = (&'static str, &TrialOutcome)> {
        self.cases.iter().map(|(sentence, outcome)| (*sentence, outcome))
    }

    /// The sentences that the store satisfies.
    pub fn passed(&self) -> impl Iterator<Item = &'static str> {
        self.cases()
            .filter(|(_, outcome)| **outcome == TrialOutcome::Passed)
            .map(|(sentence, _)| sentence)
    }

    /// The sentences that were not tested, each with what is absent: the name of a field of
    /// [`Capabilities`](crate::store::Capabilities), or a missing setting of the suite.
    pub fn absent(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.cases().filter_map(|(sentence, outcome)| match outcome {
            TrialOutcome::Absent(what) => Some((sentence, *what)),
            TrialOutcome::Passed | TrialOutcome::Unseen(_) | TrialOutcome::Broken(_) => None,
        })
    }

    /// The sentences that no suite can observe, each with the reason.
    pub fn unseen(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.cases().filter_map(|(sentence, outcome)| match outcome {
            TrialOutcome::Unseen(why) => Some((sentence, *why)),
            TrialOutcome::Passed | TrialOutcome::Absent(_) | TrialOutcome::Broken(_) => None,
        })
    }

    /// The sentences that the store breaks, each with a description.
    pub fn broken(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.cases().filter_map(|(sentence, outcome)| match outcome {
            TrialOutcome::Broken(how) => Some((sentence, how.as_str())),
            TrialOutcome::Passed | TrialOutcome::Absent(_) | TrialOutcome::Unseen(_) => None,
        })
    }

    /// Asserts that the store breaks no sentence.
    ///
    /// # Panics
    ///
    /// If it breaks one; the message lists all broken sentences with descriptions.
    #[track_caller]
    pub fn assert_passed(&self) {
        let broken: Vec<String> =
            self.broken().map(|(sentence, how)| format!("\n  {sentence}: {how}")).collect();
        assert!(
            broken.is_empty(),
            "the store {:?} breaks the contract:{}",
            self.store,
            broken.concat()
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "store {:?}", self.store)?;
        for (sentence, outcome) in &self.cases {
            match outcome {
                TrialOutcome::Passed => writeln!(f, "  passed  {sentence}")?,
                TrialOutcome::Absent(what) => writeln!(f, "  absent  {sentence} ({what})")?,
                TrialOutcome::Unseen(why) => writeln!(f, "  unseen  {sentence} ({why})")?,
                TrialOutcome::Broken(how) => writeln!(f, "  broken  {sentence}: {how}")?,
            }
        }
        Ok(())
    }
}
