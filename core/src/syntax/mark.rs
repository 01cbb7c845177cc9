//! Marks on values that hold what somebody else fills in, or what was rendered before.

use super::outline::Span;
use super::spaces::Space;

/// Where a marked value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The output of a cache block.
    Output,
    /// The body that a Tera component is used with.
    Body,
    /// What a `call` block fills in.
    Caller,
    /// What a child template fills in.
    Filled,
    /// What this tag rendered before it was bound, which may hold a fragment; `None` if nobody knows
    /// what it was.
    Rendered(Option<Span>),
    /// What another template binds to the name that stands here.
    Foreign(Span),
    /// In what is rendered later: whatever the name that stands here is bound to then, in so many frames.
    Outside(Span, usize),
    /// The `loop` of the statement at the origin.
    Loop,
    /// Perhaps this namespace.
    Space(Space),
    /// Perhaps the macro or the module of this number, or something of it.
    Macro(usize),
}

impl Holds {
    /// Whether a value is marked so that prints as text, in place of the text.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Space(_) | Self::Macro(_))
    }
}

/// A mark on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) holds: Holds,
    /// Cache blocks that open from here on have it from outside.
    pub(super) origin: usize,
    /// Where it was bound.
    pub(super) at: usize,
}

/// Most renderings that are told apart in one value: beyond them, what it holds is not known.
const MOST_RENDERINGS: usize = 32;

/// Adds a mark to a value's: one of each kind, as the one from furthest outside is the strictest.
pub(super) fn add(marks: &mut Vec<Mark>, mut mark: Mark) {
    let is_known = |mark: &Mark| {
        matches!(mark.holds, Holds::Rendered(Some(_)) | Holds::Foreign(_) | Holds::Outside(..))
            || mark.holds.is_object()
    };
    if is_known(&mark) && marks.len() >= MOST_RENDERINGS {
        let known = marks.iter().filter(|mark| is_known(mark)).map(|mark| mark.origin);
        mark.origin = known.min().map_or(mark.origin, |least| least.min(mark.origin));
        mark.holds = Holds::Rendered(None);
        marks.retain(|mark| !is_known(mark));
    }
    match marks.iter_mut().find(|known| known.holds == mark.holds) {
        Some(known) => {
            *known = Mark { origin: known.origin.min(mark.origin), ..mark };
        }
        None => marks.push(mark),
    }
}
