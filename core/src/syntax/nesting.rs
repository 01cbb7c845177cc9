//! One walk over the pieces: which `endcache` ends which `cache`, in what each block lies, and what
//! it holds. Iterative, so that no depth of nesting can exhaust the stack. The checks of what may
//! stand where are in `checks.rs`; the text that replaces the tags is in `lower.rs`.
//!
//! Where the author's source is broken in a way that has nothing to do with cache blocks, the walk
//! ends and the rest is handed over as it is: the engine reads in the same order, so it stops at
//! the same place, with its own message.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::error::Error;

use super::arguments::Arguments;
use super::assign;
use super::bindings::{self, Bound, Scope, Section};
use super::candidates;
use super::checks;
use super::definitions::{Free, Held};
use super::flows;
use super::follow::Others;
use super::literal::string_value;
use super::mark::Mark;
use super::name::Name;
use super::outline::{Block, Edit, Outline, Span, Tag};
use super::refusal::Refusal;
use super::rules::{Dialect, Syntax};
use super::scanner::{Marker, Piece, PieceKind, Scanner, is_blank};
use super::secret;
use super::spaces::Spaces;
use super::statement::{Opener, Role, Statement};
use super::token::Token;
use super::uses;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Native(Opener),
    /// With the block's index.
    Cache(usize),
}

/// An open statement.
#[derive(Debug)]
pub(super) struct Frame<'s> {
    pub(super) kind: FrameKind,
    pub(super) at: usize,
    /// Its opening tag.
    pub(super) tag: Range<usize>,
    /// In the `else` part.
    pub(super) in_else: bool,
    /// What its body binds.
    pub(super) scope: Scope<'s>,
    /// What is rendered inside, where a name keeps it.
    pub(super) section: Option<Section<'s>>,
    /// What is used inside of the names outside.
    pub(super) free: Free<'s>,
    /// The last include inside.
    pub(super) included: Option<usize>,
}

impl Frame<'_> {
    /// Whether the body is rendered once for each round.
    pub(super) fn is_loop(&self) -> bool {
        self.kind == FrameKind::Native(Opener::For) && !self.in_else
    }
}

pub(super) struct Walk<'a, 's> {
    pub(super) refusal: Refusal<'a>,
    pub(super) source: &'s str,
    pub(super) syntax: &'a Syntax,
    pub(super) stack: Vec<Frame<'s>>,
    pub(super) outline: Outline<'s>,
    /// Open cache blocks.
    pub(super) caches: usize,
    /// The engine's levels that the open statements take once lowered.
    pub(super) levels: usize,
    /// The last `extends`.
    pub(super) extends: Option<Range<usize>>,
    /// The last tag was a line statement whose newline goes into a generated tag, so that the
    /// engine no longer sees a line start here; with the blanks since.
    line_start: Option<Range<usize>>,
    /// Where the text piece before this one starts.
    text_start: usize,
    /// The secrets that were found, by block.
    pub(super) warned: HashSet<(usize, Name<'s>)>,
    /// Tera: the variables that were noted as assigned, by block.
    pub(super) assigned: HashSet<(usize, Name<'s>)>,
    /// What is bound outside all statements.
    pub(super) root: Scope<'s>,
    /// An import was seen.
    pub(super) imports: bool,
    /// MiniJinja: an include was seen.
    pub(super) includes: bool,
    /// Whether anything was bound to a value that is marked.
    pub(super) is_marked: bool,
    /// What the other templates know.
    pub(super) others: Others<'a>,
    /// The names that another template may bind, with their first use.
    pub(super) foreign: HashMap<&'s str, Span>,
    /// What went into namespaces.
    pub(super) spaces: Spaces,
    /// The macros and modules that are used as values.
    pub(super) held: Vec<Held<'s>>,
    /// MiniJinja: the last include outside all statements.
    pub(super) included: Option<usize>,
    /// The marks of what partials bind, by name.
    pub(super) given: HashMap<String, Vec<Mark>>,
    /// Whether a round of a loop may leave something to the next.
    pub(super) carries: bool,
    /// Whether blocks are rendered elsewhere than they stand.
    pub(super) moves_blocks: bool,
    /// What blocks use of the names outside.
    pub(super) later: Free<'s>,
    /// Whether `loop.changed` may be called.
    pub(super) asks_changes: bool,
}

enum Flow {
    On,
    /// The engine will complain here.
    HandOver,
}

/// Finds and checks the cache blocks of a source.
pub(super) fn outline<'a, 's>(
    refusal: Refusal<'a>,
    source: &'s str,
    syntax: &'a Syntax,
    others: Others<'a>,
) -> Result<(Outline<'s>, Others<'a>), Error> {
    let mut walk = Walk {
        refusal,
        source,
        syntax,
        stack: Vec::new(),
        outline: Outline::default(),
        caches: 0,
        levels: 0,
        extends: None,
        line_start: None,
        text_start: 0,
        root: Scope::default(),
        imports: false,
        includes: false,
        is_marked: false,
        others,
        foreign: HashMap::new(),
        spaces: Spaces::default(),
        held: Vec::new(),
        included: None,
        given: HashMap::new(),
        carries: candidates::carries(source, syntax.dialect()),
        moves_blocks: candidates::may_move_blocks(source, syntax.dialect()),
        later: Free::default(),
        asks_changes: memchr::memmem::find(source.as_bytes(), b"changed").is_some(),
        warned: HashSet::new(),
        assigned: HashSet::new(),
    };
    let mut scanner = Scanner::new(source, syntax);
    while let Some(piece) = scanner.next() {
        if let Flow::HandOver = walk.piece(piece, scanner.tokens())? {
            walk.outline.refers = true;
            return Ok((walk.outline, walk.others));
        }
    }
    walk.finish()
}

impl<'a, 's> Walk<'a, 's> {
    pub(super) fn dialect(&self) -> Dialect {
        self.syntax.dialect()
    }

    fn piece(&mut self, piece: Piece, list: &[Token]) -> Result<Flow, Error> {
        match piece.kind {
            PieceKind::Text => {
                self.text(&piece);
                return Ok(Flow::On);
            }
            PieceKind::Variable if piece.closed => {
                if !self.is_only_printed(&piece.inner) {
                    bindings::expression(self, list, piece.inner.clone())?;
                }
                checks::refers(self, list, piece.inner.clone());
                secret::note(self, piece.inner.clone());
            }
            PieceKind::Block | PieceKind::LineStatement => return self.statement(piece, list),
            _ => {}
        }
        self.leave_line_start(&piece);
        self.text_start = piece.end;
        Ok(if piece.closed { Flow::On } else { Flow::HandOver })
    }

    /// Whether an expression is printed where nothing keeps it, and can hand nothing on.
    fn is_only_printed(&self, inner: &Range<usize>) -> bool {
        use Opener::{Block, For, If, With};
        let is_plain =
            |frame: &Frame<'_>| matches!(frame.kind, FrameKind::Native(Block | For | If | With));
        let mut bytes = self.source[inner.clone()].bytes();
        self.stack.iter().all(is_plain) && !bytes.any(|it| matches!(it, b'(' | b'[' | b'{' | b'<'))
    }

    fn text(&mut self, piece: &Piece) {
        self.text_start = piece.start;
        let blank = self.source[piece.start..piece.end].chars().all(is_blank);
        self.line_start = self.line_start.take().filter(|_| blank).map(|_| piece.start..piece.end);
    }

    /// Ends the stretch that only looks like a line start to the author.
    fn leave_line_start(&mut self, piece: &Piece) {
        let Some(blanks) = self.line_start.take() else { return };
        let stripped = self.syntax.lstrip_blocks()
            && piece.lead == Marker::None
            && !matches!(piece.kind, PieceKind::Variable);
        if stripped && !blanks.is_empty() {
            self.outline.edits.push(Edit::Drop(blanks));
        }
    }

    fn statement(&mut self, piece: Piece, list: &[Token]) -> Result<Flow, Error> {
        let statement = Statement::read(self.source, &piece, self.dialect());
        checks::markers(self, &piece, &statement)?;
        if !piece.closed {
            if statement.role == Role::Cache {
                return Err(self.refusal.at(
                    piece.start,
                    format!(
                        "this `cache` tag has no end, or a string or bracket in it has none: write \
                         `{}`",
                        self.syntax.tag("cache 300, \"name\"")
                    ),
                ));
            }
            return Ok(Flow::HandOver);
        }
        checks::refers(self, list, piece.inner.clone());
        let bound = bindings::statement(self, (&piece, list), &statement)?;
        let tag = Tag { start: self.tag_start(&piece), rest: statement.rest.clone(), piece };
        let follows_lowered_line = self.line_start.is_some();
        if tag.piece.kind == PieceKind::Block {
            self.leave_line_start(&tag.piece);
        }
        self.text_start = tag.piece.end;
        match statement.role {
            Role::Cache => return self.open_cache(&tag, list),
            Role::EndCache => return self.close_cache(tag),
            _ => secret::note(self, tag.piece.inner.clone()),
        }
        if let Flow::HandOver = self.native((&tag, list), &statement, bound)? {
            return Ok(Flow::HandOver);
        }
        if tag.piece.kind == PieceKind::LineStatement {
            if follows_lowered_line {
                self.inline(&tag)?;
                self.outline.edits.push(Edit::Inline(tag));
            } else {
                self.line_start = None;
            }
        }
        Ok(Flow::On)
    }

    /// Where the replacement of `piece` starts: with the indentation that a line statement takes.
    fn tag_start(&self, piece: &Piece) -> usize {
        if piece.kind != PieceKind::LineStatement {
            return piece.start;
        }
        let before = &self.source[self.text_start.min(piece.start)..piece.start];
        let text = before.trim_end_matches(is_blank);
        let strips = text.is_empty() || text.ends_with('\n');
        if strips { piece.start - (before.len() - text.len()) } else { piece.start }
    }

    /// Notes that a line statement is written between block delimiters.
    fn inline(&mut self, tag: &Tag) -> Result<(), Error> {
        if tag.piece.only_as_line {
            return Err(self.refusal.at(
                tag.piece.start,
                format!(
                    "this line statement holds `{}`, which would end it beside a cache block: \
                     write the `cache` tags as `{}`",
                    self.syntax.block_delimiters().1,
                    self.syntax.tag("cache 300, \"name\""),
                ),
            ));
        }
        self.line_start = Some(tag.piece.end..tag.piece.end);
        Ok(())
    }

    fn native(
        &mut self,
        (tag, list): (&Tag, &[Token]),
        statement: &Statement<'s>,
        bound: Bound<'s>,
    ) -> Result<Flow, Error> {
        checks::statement(self, tag, statement)?;
        match statement.role {
            Role::Open(opener) => {
                self.push(FrameKind::Native(opener), tag, 1)?;
                let name = statement.name(self.source, self.syntax.dialect());
                bindings::enter(self, opener, name, (tag.piece.start, list), bound)?;
            }
            Role::Close(opener) => return self.close_native(tag, statement, opener),
            Role::Else => match self.stack.last_mut() {
                Some(Frame {
                    kind: FrameKind::Native(opener @ (Opener::For | Opener::If)),
                    in_else,
                    ..
                }) => {
                    *in_else = true;
                    let opener = *opener;
                    assign::divide(self, opener);
                }
                Some(Frame { kind: FrameKind::Cache(_), .. }) => {
                    return Err(self.in_the_way(tag, statement.word, None));
                }
                _ => return Ok(Flow::HandOver),
            },
            Role::Extends => {
                self.extends = Some(tag.piece.start..tag.piece.end);
                self.moves_blocks = true;
            }
            Role::Broken => return Ok(Flow::HandOver),
            _ => {}
        }
        Ok(Flow::On)
    }

    fn push(&mut self, kind: FrameKind, tag: &Tag, levels: usize) -> Result<(), Error> {
        let at = tag.piece.start;
        self.levels += levels;
        self.caches += usize::from(matches!(kind, FrameKind::Cache(_)));
        if self.caches > 0 {
            checks::depth(self, at)?;
        }
        self.stack.push(Frame {
            kind,
            at,
            tag: at..tag.piece.end,
            in_else: false,
            scope: Scope::default(),
            section: None,
            free: Free::default(),
            included: None,
        });
        Ok(())
    }

    fn close_native(
        &mut self,
        tag: &Tag,
        statement: &Statement<'s>,
        opener: Opener,
    ) -> Result<Flow, Error> {
        match self.stack.last().map(|frame| frame.kind) {
            Some(FrameKind::Native(open)) if open == opener => {
                self.levels -= 1;
                if let Some(frame) = self.stack.pop() {
                    bindings::leave(self, frame)?;
                }
                Ok(Flow::On)
            }
            Some(FrameKind::Cache(_)) => {
                Err(self.in_the_way(tag, statement.word, Some(FrameKind::Native(opener))))
            }
            _ => Ok(Flow::HandOver),
        }
    }

    /// `word` closes or divides something outside the cache block that is open.
    fn in_the_way(&self, tag: &Tag, word: &str, closes: Option<FrameKind>) -> Error {
        let cache = self.stack.last().map_or(0, |frame| frame.at);
        let opened =
            match closes {
                Some(kind) => self.stack.iter().rev().find(|frame| frame.kind == kind),
                None => self.stack.iter().rev().find(|frame| {
                    matches!(frame.kind, FrameKind::Native(Opener::If | Opener::For))
                }),
            };
        let cache = self.refusal.place(cache);
        let endcache = self.syntax.tag("endcache");
        self.refusal.at(
            tag.piece.start,
            match opened {
                Some(frame) => format!(
                    "`{word}` belongs to the statement opened on {}, but the cache block of \
                     {cache} is still open: write `{endcache}` before it",
                    self.refusal.place(frame.at),
                ),
                None => format!(
                    "`{word}` belongs to nothing in the cache block of {cache}: remove it, or \
                     write `{endcache}` before it"
                ),
            },
        )
    }

    fn open_cache(&mut self, tag: &Tag, list: &[Token]) -> Result<Flow, Error> {
        let area = (tag.rest.clone(), list);
        let arguments = Arguments::parse(self.source, area, self.syntax, &self.refusal)?;
        checks::place_of_block(self, tag, &arguments)?;
        uses::opens(self, tag.piece.start);
        let name = arguments.positional.get(1).and_then(|name| string_value(self.source, name));
        let index = self.outline.blocks.len();
        let around = self.stack.iter().rev().find(|frame| frame.is_loop());
        if let Some(around) = around.filter(|_| arguments.positional.len() == 2)
            && name.is_some()
            && !arguments.shared
        {
            self.outline.repeated.push((index, around.at));
        }
        if tag.piece.kind == PieceKind::LineStatement {
            self.inline(tag)?;
        }
        self.outline.edits.push(Edit::Open(index));
        self.outline.blocks.push(Block {
            name,
            depth: self.caches,
            end: self.source.len(),
            renders_others: false,
            has_free_loop: false,
            assigned: Vec::new(),
            secrets: secret::told_apart(self.source, &arguments, self.dialect()),
            arguments,
            open: tag.clone(),
        });
        self.push(FrameKind::Cache(index), tag, checks::CACHE_LEVELS)?;
        Ok(Flow::On)
    }

    fn close_cache(&mut self, tag: Tag) -> Result<Flow, Error> {
        let at = tag.piece.start;
        let Some(&Frame { kind, at: opened, .. }) = self.stack.last() else {
            return Err(self.stray(at));
        };
        let index = match kind {
            FrameKind::Cache(index) => index,
            FrameKind::Native(_) if self.caches == 0 => return Err(self.stray(at)),
            FrameKind::Native(opener) => {
                return Err(self.refusal.at(
                    at,
                    format!(
                        "`endcache` comes while the `{}` of {} is open inside the cache block: \
                         write `{}` before it",
                        opener.word(),
                        self.refusal.place(opened),
                        self.syntax.tag(opener.closing_word()),
                    ),
                ));
            }
        };
        checks::closing_name(self, &tag, index)?;
        if tag.piece.kind == PieceKind::LineStatement {
            self.inline(&tag)?;
        }
        self.stack.pop();
        self.caches -= 1;
        self.levels -= checks::CACHE_LEVELS;
        self.outline.blocks[index].end = match tag.piece.kind {
            PieceKind::LineStatement => tag.piece.inner.end,
            _ => tag.piece.end,
        };
        self.outline.edits.push(Edit::Close(index, tag));
        Ok(Flow::On)
    }

    fn stray(&self, at: usize) -> Error {
        self.refusal.at(
            at,
            format!(
                "`endcache` closes nothing: write `{}` where the block starts, or remove it",
                self.syntax.tag("cache 300, \"name\"")
            ),
        )
    }

    fn finish(mut self) -> Result<(Outline<'s>, Others<'a>), Error> {
        flows::ends(&mut self)?;
        let open = self.stack.iter().rev().find(|frame| matches!(frame.kind, FrameKind::Cache(_)));
        match open {
            Some(frame) => Err(self.refusal.at(
                frame.at,
                format!(
                    "this cache block is never closed: write `{}` where it ends",
                    self.syntax.tag("endcache")
                ),
            )),
            None => Ok((self.outline, self.others)),
        }
    }
}
