//! What tags refer to, and what names stand for.

use std::ops::Range;

use super::reading::Reading;

/// What a tag refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mention {
    /// The template with this name, as a whole.
    Template(String),
    /// A name that may be a macro's or an import's, and the attribute taken of it.
    Name(Range<usize>, Option<Range<usize>>),
    /// A Tera component.
    Component(String),
    /// `super()` in this block: what an ancestor says there.
    Above(String),
    /// MiniJinja's `self.title()`: the block of this name.
    Block(String),
}

impl Mention {
    /// Where a name is used.
    pub(super) fn at(&self) -> Option<usize> {
        match self {
            Self::Name(range, _) => Some(range.start),
            _ => None,
        }
    }

    /// The name that is used.
    pub(super) fn name<'r>(&self, reading: &'r Reading) -> Option<&'r str> {
        match self {
            Self::Name(range, _) => Some(&reading.source[range.clone()]),
            _ => None,
        }
    }
}

/// What a name stands for in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A macro's definition.
    Macro(Range<usize>),
    /// A module: any of these templates.
    Module(Vec<String>),
    /// What a module, any of these templates, calls by this name.
    Member(Vec<String>, String),
    /// A variable that other templates may see, with what its value is made of.
    Value(Range<usize>),
}

/// What a macro or a component takes.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// In order.
    pub(super) names: Vec<String>,
    /// Tera: those that a caller's variables of the same names give, written with an `@`.
    pub(super) implicit: Vec<String>,
    /// MiniJinja: whether it has the other names that are bound where it is defined.
    pub(super) is_macro: bool,
    /// Where the body begins.
    pub(super) body: usize,
    /// Tera: whether the last one takes all arguments that are left.
    pub(super) takes_rest: bool,
}
