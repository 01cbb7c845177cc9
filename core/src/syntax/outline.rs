//! What the walk over a source yields: its cache blocks, and the edits that lower them. Plain data,
//! made in `nesting.rs` and read in `lower.rs`.

use std::ops::Range;

use super::arguments::Arguments;
use super::scanner::Piece;

/// A cache block, paired.
#[derive(Debug)]
pub(super) struct Block<'s> {
    pub(super) open: Tag,
    pub(super) arguments: Arguments,
    /// The value of the name, where it is a string literal.
    pub(super) name: Option<String>,
    /// Cache blocks around this one.
    pub(super) depth: usize,
    /// The offset after the closing tag; the end of the source where there is none.
    pub(super) end: usize,
    /// Tera: whether it renders a block or `super()`, in which another template may assign.
    pub(super) renders_others: bool,
    /// Tera: the variables that the body assigns, to be put back after it.
    pub(super) assigned: Vec<&'s str>,
    /// The names of one visitor's secrets that tell its fragments apart.
    pub(super) secrets: Vec<&'s str>,
}

/// A name in a cached body that looks like one visitor's secret.
#[derive(Debug)]
pub(super) struct Secret<'s> {
    pub(super) at: usize,
    pub(super) name: &'s str,
    /// The outermost cache block around it that does not vary on it.
    pub(super) block: usize,
}

/// A name that another template sees which a cache block renders, and may not use in it.
#[derive(Debug)]
pub(super) struct Exposed {
    pub(super) block: usize,
    pub(super) name: String,
    /// Where the other template is rendered.
    pub(super) at: usize,
}

/// A tag to be replaced.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) piece: Piece,
    /// Before `piece.start` where a line statement swallows its indentation.
    pub(super) start: usize,
    /// After the word `cache` or `endcache`.
    pub(super) rest: Range<usize>,
}

/// A change to the source; in order, and none overlaps another.
#[derive(Debug)]
pub(super) enum Edit {
    Open(usize),
    Close(usize, Tag),
    /// A line statement to be written between block delimiters.
    Inline(Tag),
    /// Blanks that the engine would strip at the start of a line.
    Drop(Range<usize>),
}

#[derive(Debug, Default)]
pub(super) struct Outline<'s> {
    pub(super) blocks: Vec<Block<'s>>,
    pub(super) edits: Vec<Edit>,
    /// By place.
    pub(super) secrets: Vec<Secret<'s>>,
    pub(super) exposed: Vec<Exposed>,
    /// Tera: a tag in a cache block holds a `<`.
    pub(super) may_call_components: bool,
}
