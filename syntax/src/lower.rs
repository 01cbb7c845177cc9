//! Builds the lowered source: replaces each cache tag by native constructs on the same lines and
//! copies every other byte. `nesting.rs` decides what to replace; the runtime implements the
//! generated filters.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::arguments::{Arguments, Part, newlines};
use crate::block::CacheBlock;
use crate::block_id::{BlockId, digest};
use crate::delimiters::Syntax;
use crate::dialect::Lowering;
use crate::name::Name;
use crate::options::BlockOption;
use crate::outline::{Block, Edit, OuterLoop, Outline, Tag};
use crate::refusal::Places;
use crate::scanner::PieceKind;
use crate::source_map::SourceMap;
use crate::token::string_value;

pub(super) struct Lowered {
    pub(super) source: String,
    pub(super) map: SourceMap,
    pub(super) blocks: Vec<CacheBlock>,
}

pub(super) fn lower(
    template: &str,
    source: &str,
    syntax: &Syntax,
    outline: &Outline<'_>,
    followed: &[Vec<u128>],
) -> Lowered {
    let blocks = describe(template, source, &outline.blocks, followed);
    let loops = loops_of(outline);
    let mut writer = Writer {
        source,
        syntax,
        // Unique for each template, because in Tera a child and its base share one scope.
        prefix: format!("__fragcache_{:016x}", xxh3_64(template.as_bytes())),
        out: String::with_capacity(source.len() + outline.blocks.len() * 256),
        map: SourceMap::default(),
        at: 0,
        owners: loops.iter().map(|(_, owner)| *owner).collect(),
        loops,
    };
    for edit in &outline.edits {
        match edit {
            Edit::Open(index) => {
                let (block, facts) = (&outline.blocks[*index], &blocks[*index]);
                writer.copy_to(block.open.start);
                writer.open(*index, block, &BlockId::of(facts).encode());
                writer.at = block.open.piece.end;
            }
            Edit::Close(index, tag) => {
                writer.copy_to(tag.start);
                writer.close(*index, &outline.blocks[*index], tag);
                writer.at = tag.piece.end;
            }
            Edit::Inline(tag) => {
                writer.copy_to(tag.start);
                writer.inline(tag);
                writer.at = tag.piece.end;
            }
            Edit::Drop(blanks) => {
                writer.copy_to(blanks.start);
                writer.at = blanks.end;
            }
        }
    }
    writer.copy_to(source.len());
    Lowered { source: writer.out, map: writer.map, blocks }
}

fn describe(
    template: &str,
    source: &str,
    blocks: &[Block<'_>],
    followed: &[Vec<u128>],
) -> Vec<CacheBlock> {
    let template: Arc<str> = template.into();
    let mut places = Places::new(source);
    let mut last = (0, 0);
    blocks
        .iter()
        .enumerate()
        .map(|(index, block)| {
            let start = block.open.piece.start;
            let (line, column) = places.of(start);
            last = (line, if last.0 == line { last.1 + 1 } else { 1 });
            CacheBlock {
                template: template.clone(),
                span: start..block.end,
                line,
                column,
                ordinal: last.1,
                depth: block.depth,
                digest: digest(
                    &source.as_bytes()[start..block.end],
                    followed.get(index).map_or(&[], Vec::as_slice),
                ),
                name: block.name.clone(),
                positional: block.arguments.positional.len(),
                options: block.arguments.options.iter().map(|(option, _)| *option).collect(),
                using: block
                    .arguments
                    .value_of(BlockOption::Using)
                    .and_then(|value| string_value(source, value)),
            }
        })
        .collect()
}

struct Writer<'a> {
    source: &'a str,
    syntax: &'a Syntax,
    prefix: String,
    out: String,
    map: SourceMap,
    /// The offset up to which the author's source is written.
    at: usize,
    /// The uses of outer loops that are replaced, each with the cache block whose variable has the
    /// value. In order of offset.
    loops: Vec<(&'a OuterLoop<'a>, usize)>,
    /// The cache blocks in `loops`.
    owners: HashSet<usize>,
}

/// The uses of outer loops that a body's own scope would hide, each with the outermost cache block
/// whose scope does.
fn loops_of<'o>(outline: &'o Outline<'_>) -> Vec<(&'o OuterLoop<'o>, usize)> {
    let hides = |index: &&usize| outline.blocks.get(**index).is_some_and(Block::has_scope);
    let owned = |used: &'o OuterLoop<'o>| Some((used, *used.between.iter().rev().find(hides)?));
    outline.loops.iter().filter_map(owned).collect()
}

impl Writer<'_> {
    fn copy_to(&mut self, end: usize) {
        let start = self.at;
        self.copy(start..end);
        self.at = end;
    }

    fn copy(&mut self, range: Range<usize>) {
        let mut start = range.start;
        let mut next = self.loops.partition_point(|(used, _)| used.at.start < start);
        while let Some(&(used, owner)) = self.loops.get(next).filter(|it| it.0.at.end <= range.end)
        {
            self.copy_exactly(start..used.at.start);
            let text = format!("{}.{}", self.own(owner), used.attribute);
            self.out.push_str(&text);
            self.map.push(text.len(), used.at.clone(), false);
            start = used.at.end;
            next += 1;
        }
        self.copy_exactly(start..range.end);
    }

    fn copy_exactly(&mut self, range: Range<usize>) {
        self.out.push_str(&self.source[range.clone()]);
        self.map.push(range.len(), range, true);
    }

    /// Writes generated text that maps to the author's `tag`.
    fn text(&mut self, tag: &Tag, parts: &[&str]) {
        let start = self.out.len();
        parts.iter().for_each(|part| self.out.push_str(part));
        self.map.push(self.out.len() - start, tag.piece.start..tag.piece.end, false);
    }

    /// Writes a generated block tag.
    fn statement(&mut self, tag: &Tag, parts: &[&str]) {
        let (block_start, block_end) = self.syntax.block_delimiters();
        self.text(tag, &[block_start, " "]);
        self.text(tag, parts);
        self.text(tag, &[" ", block_end]);
    }

    /// Writes the start of the first generated tag, with everything that the author's tag has
    /// before its word.
    fn start(&mut self, tag: &Tag) {
        let block_start = self.syntax.block_delimiters().0;
        match tag.piece.kind {
            PieceKind::LineStatement => {
                self.text(tag, &[block_start, "+ ", &self.source[tag.start..tag.piece.start]]);
            }
            _ => {
                self.text(tag, &[block_start, tag.piece.lead.text(), " "]);
                self.newlines(tag, tag.piece.inner.start..tag.rest.start);
            }
        }
    }

    /// Writes one newline for each newline in `range` of the author's `tag`.
    fn newlines(&mut self, tag: &Tag, range: Range<usize>) {
        let newlines: Vec<Part> = newlines(self.source, &range).collect();
        self.parts(tag, &newlines);
    }

    /// Writes the end of the last generated tag, with the newline that a line statement consumes.
    fn end(&mut self, tag: &Tag) {
        let block_end = self.syntax.block_delimiters().1;
        match tag.piece.kind {
            PieceKind::LineStatement => {
                let swallowed = &self.source[tag.piece.inner.end..tag.piece.end];
                let newline = swallowed.trim_start_matches(|c| c != '\n' && c != '\r');
                self.text(tag, &[" ", newline, "+", block_end]);
            }
            _ => self.text(tag, &[" ", tag.piece.trail.text(), block_end]),
        }
    }

    fn parts(&mut self, tag: &Tag, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Copy(range) => self.copy(range.clone()),
                Part::Fixed(text) => self.text(tag, &[text]),
            }
        }
    }

    /// Writes the tag that only a miss runs, between `before` and `after`: the block's ticket, and
    /// the author's declarations for the fragment. The ticket comes first, so that an error in a
    /// declaration abandons it.
    fn ticket(
        &mut self,
        tag: &Tag,
        (before, after): (&[&str], &str),
        pipe: &str,
        arguments: &Arguments,
    ) {
        let (block_start, block_end) = self.syntax.block_delimiters();
        self.text(tag, &[block_start, " "]);
        self.text(tag, before);
        self.text(tag, &["0", pipe, "__fragcache_ticket"]);
        // The filter checks that the block declares how its fragments differ; it can see the vary
        // parts but not `shared`.
        if arguments.has(BlockOption::Shared) && self.syntax.rules().lowering == Lowering::With {
            self.text(tag, &["(shared=true)"]);
        }
        if !arguments.declared.is_empty() {
            self.text(tag, &[pipe, "__fragcache_declare("]);
            self.parts(tag, &arguments.declared);
            self.text(tag, &[")"]);
        }
        self.text(tag, &[after, " ", block_end]);
    }

    /// The name of the block's own Tera variable.
    fn own(&self, index: usize) -> String {
        format!("{}_{index}", self.prefix)
    }

    fn print(&mut self, tag: &Tag, variable: &str) {
        let (start, end) = self.syntax.variable_delimiters();
        self.text(tag, &[start, " ", variable, " ", end]);
    }

    fn open(&mut self, index: usize, block: &Block<'_>, site: &str) {
        let tag = &block.open;
        self.start(tag);
        let block_start = self.syntax.block_delimiters().0;
        let block_end = self.syntax.block_delimiters().1;
        match self.syntax.rules().lowering {
            Lowering::With => {
                let (open, close) = if block.arguments.values > 0 { ("(", ")") } else { ("", "") };
                self.text(tag, &["if \"", site, "\"|__fragcache_open", open]);
                self.parts(tag, &block.arguments.parts);
                self.text(tag, &[close, " ", block_end]);
                self.print(tag, "0|__fragcache_hit");
                self.statement(tag, &["else"]);
                self.ticket(tag, (&["with __fragcache="], ""), "|", &block.arguments);
                self.text(tag, &[block_start, " filter __fragcache_close(__fragcache)"]);
            }
            Lowering::Loop => {
                let list = if block.arguments.values > 0 { "," } else { "" };
                self.text(tag, &["if [\"", site, "\"", list]);
                self.parts(tag, &block.arguments.parts);
                let unscoped = if block.has_scope() { "" } else { "_unscoped" };
                self.text(tag, &["] | __fragcache_open", unscoped, " ", block_end]);
                self.print(tag, "0 | __fragcache_hit");
                self.statement(tag, &["else"]);
                if block.has_scope() {
                    self.open_scope(index, block);
                } else {
                    self.open_unscoped(index, block);
                }
            }
        }
        self.end(tag);
    }

    /// Opens a loop of one iteration around the body. The variables that the body assigns end with
    /// it, and so does the loop variable. That holds the ticket, and the values of the outer loop
    /// if the body uses them.
    fn open_scope(&mut self, index: usize, block: &Block<'_>) {
        let (tag, own) = (&block.open, self.own(index));
        let (mut before, mut after, mut ticket) = ("", "]", "");
        if self.owners.contains(&index) {
            before = "{\"ticket\": ";
            after = ", \"index\": loop.index, \"index0\": loop.index0, \"first\": loop.first, \
                     \"last\": loop.last, \"length\": loop.length}]";
            ticket = ".ticket";
        }
        self.ticket(tag, (&["for ", &own, " in [", before], after), " | ", &block.arguments);
        let block_start = self.syntax.block_delimiters().0;
        self.text(tag, &[block_start, " filter __fragcache_close(ticket=", &own, ticket, ")"]);
    }

    /// Opens a body without a scope of its own. The variables that the body itself assigns are
    /// restored after it. Assignments by other templates cannot be restored; if there are any,
    /// nothing is stored.
    fn open_unscoped(&mut self, index: usize, block: &Block<'_>) {
        let (tag, own) = (&block.open, self.own(index));
        self.ticket(tag, (&["set ", &own, " = "], ""), " | ", &block.arguments);
        for (at, Name(name)) in block.assigned.iter().enumerate() {
            self.statement(tag, &[&format!("set {own}_s{at} = {name}")]);
        }
        let watch = if block.renders_others {
            self.statement(tag, &["set ", &own, "_c = __tera_context"]);
            let restored: Vec<&str> = block.assigned.iter().map(|name| name.0).collect();
            let restored = restored.join(" ");
            format!(", before={own}_c, after=__tera_context, restored=\"{restored}\"")
        } else {
            String::new()
        };
        let block_start = self.syntax.block_delimiters().0;
        self.text(tag, &[block_start, " filter __fragcache_close(ticket=", &own, &watch, ")"]);
    }

    fn close(&mut self, index: usize, block: &Block<'_>, tag: &Tag) {
        let (block_start, block_end) = self.syntax.block_delimiters();
        self.start(tag);
        self.text(tag, &["endfilter ", block_end]);
        match self.syntax.rules().lowering {
            Lowering::With => {
                self.statement(tag, &["endwith"]);
                self.text(tag, &[block_start, " endif"]);
            }
            Lowering::Loop if block.has_scope() => {
                self.statement(tag, &["endfor"]);
                self.text(tag, &[block_start, " endif"]);
            }
            Lowering::Loop => {
                for (at, Name(name)) in block.assigned.iter().enumerate() {
                    let saved = format!("{}_s{at}", self.own(index));
                    self.statement(tag, &["set ", name, " = ", &saved]);
                }
                self.text(tag, &[block_start, " endif"]);
            }
        }
        // The name in `endcache` is dropped; its newlines stay.
        self.newlines(tag, tag.rest.clone());
        self.end(tag);
    }

    /// Writes a line statement of the author between block delimiters.
    fn inline(&mut self, tag: &Tag) {
        let block_start = self.syntax.block_delimiters().0;
        self.text(tag, &[block_start, "+ ", &self.source[tag.start..tag.piece.start]]);
        self.copy(tag.piece.inner.clone());
        self.end(tag);
    }
}
