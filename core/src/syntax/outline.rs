//! What the walk over a source yields: its cache blocks, and the edits that lower them. Plain data,
//! made in `nesting.rs` and read in `lower.rs`.

use std::ops::Range;

use super::arguments::Arguments;
use super::name::Name;
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
    /// Tera: whether it uses a variable `loop` that is no loop's.
    pub(super) has_free_loop: bool,
    /// Tera: the variables that the body assigns, to be put back after it; each once, in order.
    pub(super) assigned: Vec<Name<'s>>,
    /// The names of one visitor's secrets that tell its fragments apart.
    pub(super) secrets: Vec<&'s str>,
}

impl Block<'_> {
    /// Whether its name or one of its vary parts is the variable `name` itself, so that the key holds
    /// the value.
    pub(super) fn varies_on(&self, source: &str, name: &str) -> bool {
        let parts = self.arguments.positional.get(1..).unwrap_or_default();
        parts.iter().any(|part| source[part.clone()].trim() == name)
    }

    /// Tera: whether the body can have a scope of its own, a loop of one round. Tera takes no
    /// `block` inside a loop, and in one `loop` is never a variable.
    pub(super) fn has_scope(&self) -> bool {
        !self.renders_others && !self.has_free_loop
    }
}

/// Tera: where a body uses the `loop` of a loop around its cache block.
#[derive(Debug)]
pub(super) struct OuterLoop<'s> {
    /// All of `loop.index`.
    pub(super) at: Range<usize>,
    pub(super) attribute: &'s str,
    /// The cache blocks between the loop and the use, innermost first.
    pub(super) between: Vec<usize>,
}

/// A name in a cached body that looks like one visitor's secret.
#[derive(Debug)]
pub(super) struct Secret<'s> {
    pub(super) at: usize,
    pub(super) name: &'s str,
    /// The outermost cache block around it that does not vary on it.
    pub(super) block: usize,
}

/// MiniJinja: a namespace from outside a cache block, handed to what changes it.
#[derive(Debug)]
pub(super) struct Change<'s> {
    pub(super) at: usize,
    pub(super) name: &'s str,
    pub(super) block: usize,
    /// Where it is changed, for a message.
    pub(super) place: String,
}

/// Where a tag stands, or a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(Range { start, end }: Range<usize>) -> Self {
        Self { start, end }
    }
}

/// How a value is handed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// By its own name, to what is rendered in the same scope.
    Name(String),
    /// As an argument, by keyword.
    Keyword(String),
    /// As an argument, by its place.
    Position(usize),
    /// As one of the arguments that a map holds.
    Spread,
    /// In what a `call` block fills in.
    Caller,
    /// To a value that is called, which may be any macro.
    Value,
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
    /// Blocks that a loop repeats and that vary on nothing, with where the loop opens.
    pub(super) repeated: Vec<(usize, usize)>,
    /// The namespaces that are changed by what they are handed to.
    pub(super) changes: Vec<Change<'s>>,
    /// By place.
    pub(super) secrets: Vec<Secret<'s>>,
    /// By place.
    pub(super) loops: Vec<OuterLoop<'s>>,
    /// A tag may refer to what other templates hold.
    pub(super) refers: bool,
}
