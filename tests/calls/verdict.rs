//! The expected result of each case in fragcache.

use serde_json::{Map, Value as Json};

use super::case::{Case, Step};
use super::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// As recorded.
    Same,
    /// As documented, or as anyone would expect.
    Fixed,
    /// Different on purpose.
    Different,
    /// Nothing to compare: fragcache or Rust has no equivalent.
    Absent,
}

/// Creates the environment that a case runs in.
pub(super) type Scene = fn() -> Stage;

/// The verdict on one case.
pub(super) struct Verdict {
    pub(super) id: &'static str,
    pub(super) status: Status,
    /// `None` if the status is `Absent`.
    pub(super) scene: Option<Scene>,
    /// Why the result differs.
    pub(super) why: &'static str,
    /// Steps, counted from 1, with their results in place of the recorded or claimed
    /// ones. A text in `raised` is a part of the error's text.
    pub(super) instead: &'static [(usize, &'static str)],
}

pub(super) const fn same(id: &'static str, scene: Scene) -> Verdict {
    Verdict { id, status: Status::Same, scene: Some(scene), why: "", instead: &[] }
}

/// The documentation is wrong about this case, and fragcache behaves as recorded.
pub(super) const fn as_recorded(id: &'static str, scene: Scene, why: &'static str) -> Verdict {
    Verdict { id, status: Status::Same, scene: Some(scene), why, instead: &[] }
}

/// A defect that fragcache does not have: the result is the documented one, or `instead`.
pub(super) const fn fixed(
    id: &'static str,
    scene: Scene,
    why: &'static str,
    instead: &'static [(usize, &'static str)],
) -> Verdict {
    Verdict { id, status: Status::Fixed, scene: Some(scene), why, instead }
}

pub(super) const fn different(
    id: &'static str,
    scene: Scene,
    why: &'static str,
    instead: &'static [(usize, &'static str)],
) -> Verdict {
    Verdict { id, status: Status::Different, scene: Some(scene), why, instead }
}

pub(super) const fn absent(id: &'static str, why: &'static str) -> Verdict {
    Verdict { id, status: Status::Absent, scene: None, why, instead: &[] }
}

impl Status {
    /// The word in COMPATIBILITY.md.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Fixed => "fixed",
            Self::Different => "different",
            Self::Absent => "absent",
        }
    }
}

impl Verdict {
    /// The expected result of a step, counted from 1; `None` if it has none.
    pub(super) fn expected(
        &self,
        case: &Case,
        number: usize,
        step: &Step,
    ) -> Option<Map<String, Json>> {
        let is_claimed = case.defect && self.status == Status::Fixed;
        let mut expected = step.recording()?.expected(is_claimed);
        if let Some(instead) = self.own(number) {
            if instead.contains_key("returned") || instead.contains_key("raised") {
                expected.remove("returned");
                expected.remove("raised");
            }
            expected.extend(instead);
        }
        Some(expected)
    }

    fn own(&self, number: usize) -> Option<Map<String, Json>> {
        let (_, text) = self.instead.iter().find(|(at, _)| *at == number)?;
        let Ok(Json::Object(fields)) = serde_json::from_str(text) else {
            panic!("{}: {text} is no object", self.id)
        };
        Some(fields)
    }

    /// Checks the verdict itself: it must differ from the record where it says so,
    /// and give a reason.
    pub(super) fn check(&self, case: &Case) -> Result<(), String> {
        let is_said = !self.why.is_empty();
        let claimed = case.defect && self.status == Status::Fixed;
        let fits = match self.status {
            Status::Same => is_said == case.defect && self.instead.is_empty(),
            Status::Fixed => is_said && (case.defect || !self.instead.is_empty()),
            Status::Different => is_said && !self.instead.is_empty(),
            Status::Absent => is_said,
        };
        if !fits {
            return Err(format!("it cannot be {:?}", self.status));
        }
        for &(number, text) in self.instead {
            let step = case.steps.get(number - 1).ok_or_else(|| format!("no step {number}"))?;
            let recording =
                step.recording().ok_or_else(|| format!("step {number} gives nothing"))?;
            let before = recording.expected(claimed);
            let own = self.own(number).unwrap_or_default();
            if own.iter().all(|(field, value)| before.get(field) == Some(value)) {
                return Err(format!("step {number} is no different: {text}"));
            }
        }
        Ok(())
    }
}
