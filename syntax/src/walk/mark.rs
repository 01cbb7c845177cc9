//! Marks on values: a value is marked if it may hold content that others fill in, or output that
//! was rendered earlier.

use super::spaces::Space;
use crate::outline::Span;

/// What a marked value may hold.
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
    /// The output of this tag, rendered before the value was bound. It may hold a fragment. `None`
    /// if the tag is not known.
    Rendered(Option<Span>),
    /// The value that another template binds to the name at this span.
    Foreign(Span),
    /// In code that is rendered later: the value that the name at this span has then, looked up in
    /// this number of frames.
    Outside(Span, usize),
    /// The `loop` variable of the `for` statement at the origin.
    Loop,
    /// The value may be this namespace.
    Space(Space),
    /// The value may be the macro or module with this number, or an attribute of it.
    Macro(usize),
}

impl Holds {
    /// Whether the mark is for an object, which does not print as content.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Space(_) | Self::Macro(_))
    }
}

/// A mark on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) holds: Holds,
    /// Cache blocks that open at or after this offset have the value from outside.
    pub(super) origin: usize,
    /// Where the value was bound.
    pub(super) at: usize,
}

/// The most known sources that are tracked in one value. Beyond them, the value counts as unknown
/// output.
const MOST_RENDERINGS: usize = 32;

/// Adds a mark to the marks of a value. There is one mark of each kind: of two, the one with the
/// earlier origin is stricter and wins.
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
