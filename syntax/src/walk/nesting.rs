//! The walk over the pieces of a source: pairs `cache` with `endcache`, and records where each
//! block lies and what it contains. It is iterative, so that deep nesting cannot exhaust the stack.
//! `checks.rs` checks what may stand where; `lower.rs` writes the text that replaces the tags.
//!
//! If the source has an error that has nothing to do with cache blocks, the walk ends and leaves
//! the rest as it is. The engine reads in the same order, so it stops at the same place and reports
//! the error itself.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::callers::hands_on_caller;
use crate::error::Error;

use super::bindings::{self, Bound, Scope, Section};
use super::checks;
use super::definitions::{Free, MacroValue};
use super::flows;
use super::mark::Mark;
use super::mark::Spaces;
use super::secret;
use super::uses;
use crate::arguments::Arguments;
use crate::candidates;
use crate::delimiters::Syntax;
use crate::dialect::Rules;
use crate::follow::Others;
use crate::name::Name;
use crate::opener::Opener;
use crate::options::BlockOption;
use crate::outline::{Block, Edit, Outline, Span, Tag};
use crate::refusal::Refusal;
use crate::scanner::{Marker, Piece, PieceKind, Scanner, is_blank};
use crate::statement::{Role, Statement};
use crate::token::Token;
use crate::token::string_value;

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
    /// Whether the walk is in the `else` part.
    pub(super) in_else: bool,
    /// The names that its body binds.
    pub(super) scope: Scope<'s>,
    /// The output inside, if it becomes the value of a name.
    pub(super) section: Option<Section<'s>>,
    /// The outside names that are used inside.
    pub(super) free: Free<'s>,
    /// The offset of the last include inside.
    pub(super) included: Option<usize>,
}

impl Frame<'_> {
    /// Whether the body is rendered once for each item.
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
    /// The number of open cache blocks.
    pub(super) caches: usize,
    /// The engine's nesting levels that the open statements take after lowering.
    pub(super) levels: usize,
    /// The last `extends` tag.
    pub(super) extends: Option<Range<usize>>,
    /// Set if the last tag is a line statement whose newline moves into a generated tag, so that
    /// the engine sees no line start here; the range of the blanks since.
    line_start: Option<Range<usize>>,
    /// The start of the previous text piece.
    text_start: usize,
    /// The secrets that were found, by block.
    pub(super) warned: HashSet<(usize, Name<'s>)>,
    /// Tera: the variables recorded as assigned, by block.
    pub(super) assigned: HashSet<(usize, Name<'s>)>,
    /// The names that are bound outside all statements.
    pub(super) root: Scope<'s>,
    /// Whether there was an import.
    pub(super) imports: bool,
    /// Whether another template was rendered whose assignments take effect in this one.
    pub(super) includes: bool,
    /// Whether any name was bound to a marked value.
    pub(super) is_marked: bool,
    /// The other templates.
    pub(super) others: Others<'a>,
    /// The names that another template may bind, with their first use.
    pub(super) foreign: HashMap<&'s str, Span>,
    /// The contents of namespaces.
    pub(super) spaces: Spaces,
    /// The macros and modules that are used as values.
    pub(super) macro_values: Vec<MacroValue<'s>>,
    /// The offset of the last include outside all statements.
    pub(super) included: Option<usize>,
    /// The marks of the values that partials bind, by name.
    pub(super) partial_marks: HashMap<String, Vec<Mark>>,
    /// Whether an iteration of a loop may pass values to the next.
    pub(super) loops_carry: bool,
    /// Whether blocks may be rendered elsewhere than where they stand.
    pub(super) may_move_blocks: bool,
    /// The outside names that blocks use.
    pub(super) later: Free<'s>,
    /// Whether `loop.changed` may be called.
    pub(super) may_call_changed: bool,
    /// MiniJinja: whether a `caller` is passed on as a value, so that any value may be one.
    pub(super) hands_on_caller: bool,
}

enum Flow {
    Continue,
    /// The engine will complain here.
    LeaveToEngine,
}

/// Finds and checks the cache blocks of a source.
pub(crate) fn outline<'a, 's>(
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
        macro_values: Vec::new(),
        included: None,
        partial_marks: HashMap::new(),
        loops_carry: candidates::loops_carry(source, syntax.rules()),
        may_move_blocks: candidates::may_move_blocks(source, syntax.rules()),
        later: Free::default(),
        may_call_changed: memchr::memmem::find(source.as_bytes(), b"changed").is_some(),
        hands_on_caller: syntax.rules().macros && hands_on_caller(source, syntax),
        warned: HashSet::new(),
        assigned: HashSet::new(),
    };
    let mut scanner = Scanner::new(source, syntax);
    while let Some(piece) = scanner.next() {
        if let Flow::LeaveToEngine = walk.piece(piece, scanner.tokens())? {
            walk.outline.refers = true;
            return Ok((walk.outline, walk.others));
        }
    }
    walk.finish()
}

impl<'a, 's> Walk<'a, 's> {
    pub(super) fn rules(&self) -> &'static Rules {
        self.syntax.rules()
    }

    fn piece(&mut self, piece: Piece, list: &[Token]) -> Result<Flow, Error> {
        match piece.kind {
            PieceKind::Text => {
                self.text(&piece);
                return Ok(Flow::Continue);
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
        Ok(if piece.closed { Flow::Continue } else { Flow::LeaveToEngine })
    }

    /// Whether an expression is printed where no variable captures it, and cannot pass a value on.
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

    /// Ends a line start that exists only in the author's source, not for the engine.
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
        let statement = Statement::read(self.source, &piece, self.rules());
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
            return Ok(Flow::LeaveToEngine);
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
        if let Flow::LeaveToEngine = self.native((&tag, list), &statement, bound)? {
            return Ok(Flow::LeaveToEngine);
        }
        if tag.piece.kind == PieceKind::LineStatement {
            if follows_lowered_line {
                self.inline(&tag)?;
                self.outline.edits.push(Edit::Inline(tag));
            } else {
                self.line_start = None;
            }
        }
        Ok(Flow::Continue)
    }

    /// The start of the replacement of `piece`, including the indentation that a line statement
    /// consumes.
    fn tag_start(&self, piece: &Piece) -> usize {
        if piece.kind != PieceKind::LineStatement {
            return piece.start;
        }
        let before = &self.source[self.text_start.min(piece.start)..piece.start];
        let text = before.trim_end_matches(is_blank);
        let strips = text.is_empty() || text.ends_with('\n');
        if strips { piece.start - (before.len() - text.len()) } else { piece.start }
    }

    /// Records that a line statement is written between block delimiters.
    fn inline(&mut self, tag: &Tag) -> Result<(), Error> {
        if tag.piece.only_as_line {
            return Err(self.refusal.at(
                tag.piece.start,
                format!(
                    "this line statement contains `{}`, which would end it next to a cache block: \
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
                let name = statement.name(self.source, self.syntax.rules());
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
                    bindings::enter_else(self, opener);
                }
                Some(Frame { kind: FrameKind::Cache(_), .. }) => {
                    return Err(self.closes_outside(tag, statement.word, None));
                }
                _ => return Ok(Flow::LeaveToEngine),
            },
            Role::Extends => {
                self.extends = Some(tag.piece.start..tag.piece.end);
                self.may_move_blocks = true;
            }
            Role::Broken => return Ok(Flow::LeaveToEngine),
            _ => {}
        }
        Ok(Flow::Continue)
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
                Ok(Flow::Continue)
            }
            Some(FrameKind::Cache(_)) => {
                Err(self.closes_outside(tag, statement.word, Some(FrameKind::Native(opener))))
            }
            _ => Ok(Flow::LeaveToEngine),
        }
    }

    /// The error for a `word` that closes or divides a statement outside the open cache block.
    fn closes_outside(&self, tag: &Tag, word: &str, closes: Option<FrameKind>) -> Error {
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
        uses::record_open(self, tag.piece.start);
        let name = arguments.positional.get(1).and_then(|name| string_value(self.source, name));
        let index = self.outline.blocks.len();
        let around = self.stack.iter().rev().find(|frame| frame.is_loop());
        if let Some(around) = around.filter(|_| arguments.positional.len() == 2)
            && name.is_some()
            && !arguments.has(BlockOption::Shared)
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
            secrets: secret::varied_on(self.source, &arguments, self.rules()),
            arguments,
            open: tag.clone(),
        });
        self.push(FrameKind::Cache(index), tag, checks::CACHE_LEVELS)?;
        Ok(Flow::Continue)
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
        Ok(Flow::Continue)
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
        flows::finish(&mut self)?;
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
