//! The references of tags, and the meanings of names.

use std::ops::Range;

use super::reading::Reading;

/// A reference in a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mention {
    /// The template with this name, as a whole.
    Template(String),
    /// A name that may be a macro or an import, and the attribute accessed on it.
    Name(Range<usize>, Option<Range<usize>>),
    /// A Tera component.
    Component(String),
    /// `super()` in this block: the content of an ancestor's block.
    Above(String),
    /// MiniJinja's `self.title()`: the block of this name.
    Block(String),
}

impl Mention {
    /// The offset at which a name is used.
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

/// What a name refers to in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A macro's definition.
    Macro(Range<usize>),
    /// A module: any of these templates.
    Module(Vec<String>),
    /// The member with this name of a module, which is any of these templates.
    Member(Vec<String>, String),
    /// A variable that other templates may see, with the range of its value.
    Value(Range<usize>),
}

/// The parameters of a macro or a component.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    /// The names, in order.
    pub(super) names: Vec<String>,
    /// Tera: those that take the caller's variables of the same names, written with an `@`.
    pub(super) implicit: Vec<String>,
    /// MiniJinja: whether the body also sees the names that are bound where it is defined.
    pub(super) is_macro: bool,
    /// Where the body begins.
    pub(super) body: usize,
    /// Tera: whether the last one takes all remaining arguments.
    pub(super) takes_rest: bool,
}
