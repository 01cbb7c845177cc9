//! The result of the walk over a source: its cache blocks, and the edits that lower them. Plain
//! data, built in `nesting.rs` and read in `lower.rs`.

use std::ops::Range;

use crate::arguments::Arguments;
use crate::name::Name;
use crate::scanner::Piece;

/// A cache block with its opening and closing tags paired.
#[derive(Debug)]
pub(super) struct Block<'s> {
    pub(super) open: Tag,
    pub(super) arguments: Arguments,
    /// The value of the name if it is a string literal.
    pub(super) name: Option<String>,
    /// The number of cache blocks around this one.
    pub(super) depth: usize,
    /// The offset after the closing tag, or the end of the source if there is none.
    pub(super) end: usize,
    /// Tera: whether the body renders a block or `super()`, in which another template may assign.
    pub(super) renders_others: bool,
    /// Tera: whether the body uses a variable `loop` that belongs to no loop.
    pub(super) has_free_loop: bool,
    /// Tera: the variables that the body assigns and that are restored after it; each once, in
    /// order.
    pub(super) assigned: Vec<Name<'s>>,
    /// The names of visitor secrets that the block varies on.
    pub(super) secrets: Vec<&'s str>,
}

impl Block<'_> {
    /// Whether the block's name or one of its vary parts is the variable `name` itself, so that the
    /// key holds its value.
    pub(super) fn varies_on(&self, source: &str, name: &str) -> bool {
        let parts = self.arguments.positional.get(1..).unwrap_or_default();
        parts.iter().any(|part| source[part.clone()].trim() == name)
    }

    /// Tera: whether the body can have a scope of its own, a loop of one iteration. Tera accepts no
    /// `block` inside a loop, and inside a loop `loop` is never a variable.
    pub(super) fn has_scope(&self) -> bool {
        !self.renders_others && !self.has_free_loop
    }
}

/// Tera: a use, in a body, of the `loop` of a loop around its cache block.
#[derive(Debug)]
pub(super) struct OuterLoop<'s> {
    /// The whole expression, such as `loop.index`.
    pub(super) at: Range<usize>,
    pub(super) attribute: &'s str,
    /// The cache blocks between the loop and the use, innermost first.
    pub(super) between: Vec<usize>,
}

/// A name in a cached body that looks like a visitor's secret.
#[derive(Debug)]
pub(super) struct Secret<'s> {
    pub(super) at: usize,
    pub(super) name: &'s str,
    /// The outermost cache block around the name that does not vary on it.
    pub(super) block: usize,
}

/// MiniJinja: a namespace from outside a cache block that the body passes to code that changes it.
#[derive(Debug)]
pub(super) struct Change<'s> {
    pub(super) at: usize,
    pub(super) name: &'s str,
    pub(super) block: usize,
    /// Where the namespace is changed, for the message.
    pub(super) place: String,
}

/// The position of a tag or a name.
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

/// How a value is passed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// Under its own name, to a template that is rendered in the same scope.
    Name(String),
    /// As a keyword argument.
    Keyword(String),
    /// As a positional argument.
    Position(usize),
    /// As one of the arguments in an unpacked map.
    Spread,
    /// As content of a `call` block.
    Caller,
    /// As an argument of a called value, which may be any macro.
    Value,
}

/// A tag that is to be replaced.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) piece: Piece,
    /// Where the replacement starts: before `piece.start` if a line statement consumes its
    /// indentation.
    pub(super) start: usize,
    /// The part after the word `cache` or `endcache`.
    pub(super) rest: Range<usize>,
}

/// A change to the source. Edits are in order and do not overlap.
#[derive(Debug)]
pub(super) enum Edit {
    Open(usize),
    Close(usize, Tag),
    /// A line statement that is to be written between block delimiters.
    Inline(Tag),
    /// Blanks that the engine would strip at the start of a line.
    Drop(Range<usize>),
}

#[derive(Debug, Default)]
pub(super) struct Outline<'s> {
    pub(super) blocks: Vec<Block<'s>>,
    pub(super) edits: Vec<Edit>,
    /// Blocks in a loop that vary on nothing, each with the offset of the loop.
    pub(super) repeated: Vec<(usize, usize)>,
    /// The namespaces that are changed by code that a cached body passes them to.
    pub(super) changes: Vec<Change<'s>>,
    /// In order of offset.
    pub(super) secrets: Vec<Secret<'s>>,
    /// In order of offset.
    pub(super) loops: Vec<OuterLoop<'s>>,
    /// Whether a tag may refer to parts of other templates.
    pub(super) refers: bool,
}
