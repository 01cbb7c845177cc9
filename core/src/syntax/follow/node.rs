//! The parts of templates.

use std::ops::Range;

use super::reading::Reading;

/// A part of a template that a block uses; with the number of its reading.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Whole(usize),
    /// What stands outside all macros: an imported template's assignments and imports.
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

    /// What it is of its template.
    pub(super) fn ranges(&self, reading: &Reading) -> Vec<Range<usize>> {
        match self {
            Self::Whole(_) => std::iter::once(0..reading.source.len()).collect(),
            Self::OutsideMacros(_) => reading.outside_macros().collect(),
            Self::Part(_, range) => vec![range.clone()],
        }
    }
}
