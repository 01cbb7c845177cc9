//! The parts of templates.

use std::ops::Range;

use super::reading::Reading;

/// A part of a template that a block uses, with the index of its reading.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Whole(usize),
    /// Everything outside macros: the assignments and imports of an imported template.
    OutsideMacros(usize),
    /// A definition.
    Part(usize, Range<usize>),
}

impl Node {
    pub(super) fn reading(&self) -> usize {
        match self {
            Self::Whole(at) | Self::OutsideMacros(at) | Self::Part(at, _) => *at,
        }
    }

    /// The ranges of the part in its template.
    pub(super) fn ranges(&self, reading: &Reading) -> Vec<Range<usize>> {
        match self {
            Self::Whole(_) => std::iter::once(0..reading.source.len()).collect(),
            Self::OutsideMacros(_) => reading.outside_macros().collect(),
            Self::Part(_, range) => vec![range.clone()],
        }
    }
}
