//! One template, read for what it refers to and what it defines. Which of it a cache block's digest
//! takes in is decided in `closure.rs`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::names::{Import, import, members, names};
use crate::syntax::rules::{Dialect, Syntax};
use crate::syntax::scanner::{Piece, PieceKind, Scanner};
use crate::syntax::statement::{Opener, Role, Statement};
use crate::syntax::token::{Token, TokenKind, tokens};

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

/// What a name stands for in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A macro's definition.
    Macro(Range<usize>),
    /// A module: any of these templates.
    Module(Vec<String>),
    /// What a module, any of these templates, calls by this name.
    Member(Vec<String>, String),
}

/// A template's references, in the order in which they stand, and its definitions.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) name: Arc<str>,
    pub(super) source: Arc<str>,
    mentions: Vec<(usize, Mention)>,
    pub(super) meanings: HashMap<String, Vec<Meaning>>,
    pub(super) blocks: HashMap<String, Vec<Range<usize>>>,
    pub(super) components: HashMap<String, Vec<Range<usize>>>,
    pub(super) extends: Vec<String>,
    /// Whether what it extends is known only when it renders.
    pub(super) extends_any: bool,
    /// The outermost macros, in order.
    pub(super) macros: Vec<Range<usize>>,
}

impl Reading {
    pub(super) fn new(name: &str, source: &Arc<str>, syntax: &Syntax) -> Self {
        let mut reader = Reader {
            syntax,
            open: Vec::new(),
            out: Self {
                name: name.into(),
                source: Arc::clone(source),
                mentions: Vec::new(),
                meanings: HashMap::new(),
                blocks: HashMap::new(),
                components: HashMap::new(),
                extends: Vec::new(),
                extends_any: false,
                macros: Vec::new(),
            },
        };
        for piece in Scanner::new(source, syntax) {
            if !piece.closed {
                break;
            }
            reader.piece(source, &piece);
        }
        while let Some((opener, start, name)) = reader.open.pop() {
            reader.define(opener, start..source.len(), name);
        }
        reader.out
    }

    /// What `range` refers to.
    pub(super) fn mentions(&self, range: Range<usize>) -> impl Iterator<Item = &Mention> {
        let first = self.mentions.partition_point(|(at, _)| *at < range.start);
        let rest = self.mentions[first..].iter();
        rest.take_while(move |(at, _)| *at < range.end).map(|(_, mention)| mention)
    }

    /// The stretches outside all macros.
    pub(super) fn outside_macros(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.macros.iter().map(|body| body.end));
        let ends = self.macros.iter().map(|body| body.start).chain([self.source.len()]);
        starts.zip(ends).map(|(start, end)| start..end)
    }
}

struct Reader<'a> {
    syntax: &'a Syntax,
    /// Blocks, macros and components: kind, start, name.
    open: Vec<(Opener, usize, String)>,
    out: Reading,
}

impl Reader<'_> {
    fn piece(&mut self, source: &str, piece: &Piece) {
        match piece.kind {
            PieceKind::Variable => self.expression(source, piece.inner.clone()),
            PieceKind::Block | PieceKind::LineStatement => self.statement(source, piece),
            _ => {}
        }
    }

    fn statement(&mut self, source: &str, piece: &Piece) {
        let dialect = self.syntax.dialect();
        let statement = Statement::read(source, piece, dialect);
        let rest = statement.rest.clone();
        match statement.role {
            Role::Open(opener @ (Opener::Block | Opener::Macro | Opener::Component)) => {
                let mut list = tokens(source, rest.clone(), dialect);
                let name = dotted(source, &mut list.by_ref().peekable());
                self.open.push((opener, piece.start, name.unwrap_or_default()));
                // Arguments may have defaults; the name itself is no reference.
                let arguments = tokens(source, rest.clone(), dialect)
                    .find(|token| token.kind == TokenKind::Open)
                    .map_or(rest.end, |token| token.start);
                self.expression(source, arguments..rest.end);
            }
            Role::Close(opener @ (Opener::Block | Opener::Macro | Opener::Component)) => {
                if self.open.last().is_some_and(|(open, ..)| *open == opener)
                    && let Some((opener, start, name)) = self.open.pop()
                {
                    self.define(opener, start..piece.end, name);
                }
            }
            Role::Extends => {
                let list: Vec<Token> = tokens(source, rest.clone(), dialect).collect();
                let is_constant = list.len() == 1 && list[0].kind == TokenKind::String;
                self.out.extends_any |= !is_constant;
                self.out.extends.extend(names(source, rest, dialect));
            }
            // The call is read where it opens.
            Role::Close(Opener::ComponentCall) => {}
            _ if statement.word == "include" => {
                for name in names(source, rest.clone(), dialect) {
                    self.out.mentions.push((piece.start, Mention::Template(name)));
                }
                self.expression(source, rest);
            }
            _ if dialect == Dialect::MiniJinja && statement.word == "import" => {
                let Some(Import { templates, name }) = import(source, rest) else { return };
                self.mean(name, Meaning::Module(templates));
            }
            _ if dialect == Dialect::MiniJinja && statement.word == "from" => {
                let (templates, list) = members(source, rest);
                for (name, alias) in list {
                    self.mean(alias, Meaning::Member(templates.clone(), name));
                }
            }
            _ => self.expression(source, piece.inner.clone()),
        }
    }

    fn mean(&mut self, name: String, meaning: Meaning) {
        self.out.meanings.entry(name).or_default().push(meaning);
    }

    fn define(&mut self, opener: Opener, range: Range<usize>, name: String) {
        match opener {
            Opener::Block => self.out.blocks.entry(name).or_default().push(range),
            Opener::Component => self.out.components.entry(name).or_default().push(range),
            _ => {
                // An inner macro is done before the one around it.
                self.out.macros.retain(|inner| inner.start < range.start);
                self.out.macros.push(range.clone());
                self.mean(name, Meaning::Macro(range));
            }
        }
    }

    fn expression(&mut self, source: &str, range: Range<usize>) {
        let dialect = self.syntax.dialect();
        let mut before = "";
        let mut list = tokens(source, range, dialect).peekable();
        while let Some(token) = list.next() {
            let text = token.text(source);
            let attribute = matches!(before, "." | "?.");
            before = text;
            let mention = match token.kind {
                TokenKind::Operator if text == "<" && dialect == Dialect::Tera => {
                    // A comparison looks the same; no component has the name of its right side.
                    dotted(source, &mut list).map(Mention::Component)
                }
                TokenKind::Word if attribute => None,
                TokenKind::Word if text == "super" => {
                    let block =
                        self.open.iter().rev().find(|(opener, ..)| *opener == Opener::Block);
                    block.map(|(_, _, name)| Mention::Above(name.clone()))
                }
                TokenKind::Word if dialect == Dialect::MiniJinja => {
                    let point = list.next_if(|token| token.text(source) == ".");
                    let attribute = point
                        .and_then(|_| list.next_if(|token| token.kind == TokenKind::Word))
                        .map(|word| word.start..word.end);
                    if point.is_some() && attribute.is_none() {
                        before = ".";
                    }
                    match attribute.clone() {
                        Some(block) if text == "self" => {
                            Some(Mention::Block(source[block].to_owned()))
                        }
                        _ => Some(Mention::Name(token.start..token.end, attribute)),
                    }
                }
                TokenKind::Word => Some(Mention::Name(token.start..token.end, None)),
                _ => None,
            };
            if let Some(mention) = mention {
                self.out.mentions.push((token.start, mention));
            }
        }
    }
}

/// A name of words with points between, as of a component.
fn dotted(
    source: &str,
    list: &mut std::iter::Peekable<impl Iterator<Item = Token>>,
) -> Option<String> {
    let first = list.next_if(|token| token.kind == TokenKind::Word)?;
    let mut name = first.text(source).to_owned();
    while list.next_if(|token| token.text(source) == ".").is_some() {
        let Some(part) = list.next_if(|token| token.kind == TokenKind::Word) else { break };
        name.push('.');
        name.push_str(part.text(source));
    }
    Some(name)
}
