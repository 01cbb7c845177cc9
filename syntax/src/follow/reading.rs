//! Reads one template: what it refers to and what it defines. `closure.rs` decides which parts a
//! cache block's digest covers.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::leaves;
use super::mention::{Meaning, Mention, Parameters};
use super::names::{Import, calls, dotted, import, members, names, variables};
use super::prints::Cached;
use crate::delimiters::Syntax;
use crate::opener::Opener;
use crate::scanner::{Piece, PieceKind, Scanner};
use crate::statement::{Role, Statement};
use crate::targets::{Effect, Target};
use crate::token::{Token, TokenKind, tokens};

/// A template's references, in order, and its definitions.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) name: Arc<str>,
    pub(super) source: Arc<str>,
    mentions: Vec<(usize, Mention)>,
    /// The offsets of names that are passed on, as opposed to printed or tested.
    pub(super) passed_on: HashSet<usize>,
    /// The cache blocks.
    pub(super) caches: Vec<Cached>,
    /// MiniJinja: assignments to attributes of namespaces, each with its offset.
    pub(super) changes: Vec<(usize, String)>,
    /// For each name, the ranges where it is bound as a variable, in order of their ends.
    rebound: HashMap<String, Vec<Range<usize>>>,
    pub(super) definitions: HashMap<usize, Parameters>,
    pub(super) meanings: HashMap<String, Vec<Meaning>>,
    pub(super) blocks: HashMap<String, Vec<Range<usize>>>,
    pub(super) components: HashMap<String, Vec<Range<usize>>>,
    pub(super) extends: Vec<String>,
    /// Whether a variable or a macro captures the output of an included template.
    pub(super) captures_includes: bool,
    /// Whether the template's parent is known only when it renders.
    pub(super) extends_any: bool,
    /// The outermost macros, in order.
    pub(super) macros: Vec<Range<usize>>,
    /// The `break` and `continue` tags that leave a section, in order.
    pub(super) leaves: Vec<usize>,
}

impl Reading {
    pub(super) fn new(name: &str, source: &Arc<str>, syntax: &Syntax) -> Self {
        let mut reader = Reader {
            syntax,
            open: Vec::new(),
            calls: 0,
            caching: Vec::new(),
            scopes: vec![Vec::new()],
            sections: Vec::new(),
            out: Self {
                name: name.into(),
                source: Arc::clone(source),
                mentions: Vec::new(),
                passed_on: HashSet::new(),
                caches: Vec::new(),
                changes: Vec::new(),
                rebound: HashMap::new(),
                definitions: HashMap::new(),
                meanings: HashMap::new(),
                blocks: HashMap::new(),
                components: HashMap::new(),
                extends: Vec::new(),
                extends_any: false,
                captures_includes: false,
                macros: Vec::new(),
                leaves: leaves::all(source, syntax),
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
        while !reader.scopes.is_empty() {
            reader.leave(source.len());
        }
        reader.out
    }

    /// The references in `range`.
    pub(super) fn mentions(&self, range: Range<usize>) -> impl Iterator<Item = &Mention> {
        let first = self.mentions.partition_point(|(at, _)| *at < range.start);
        let rest = self.mentions[first..].iter();
        rest.take_while(move |(at, _)| *at < range.end).map(|(_, mention)| mention)
    }

    /// Whether `name` is bound as a variable of the template at `at`.
    pub(super) fn is_variable(&self, name: &str, at: usize) -> bool {
        let bound = self.rebound.get(name).into_iter().flatten();
        { bound }.any(|range| range.contains(&at))
    }

    /// Whether a binding made after `since` gives `name` another value at `at`.
    pub(super) fn is_rebound(&self, name: &str, at: usize, since: usize) -> bool {
        let bound = self.rebound.get(name).into_iter().flatten();
        { bound }.any(|range| range.start > since && range.contains(&at))
    }

    /// The outside names that its macros use, except those that it defines.
    pub(super) fn closed_over(&self) -> impl Iterator<Item = &str> {
        let mentions = self.macros.iter().flat_map(|body| self.mentions(body.clone()));
        let names = mentions.filter_map(|mention| Some((mention.name(self)?, mention.at()?)));
        let free = names.filter(|(name, at)| {
            !self.meanings.contains_key(*name) && !self.is_variable(name, *at) && *name != "caller"
        });
        free.map(|(name, _)| name)
    }

    /// The templates that it includes, extends or imports.
    pub(super) fn refers_to(&self) -> impl Iterator<Item = &str> {
        let meanings = self.meanings.values().flatten();
        let imported = meanings.filter_map(|meaning| match meaning {
            Meaning::Module(templates) | Meaning::Member(templates, _) => Some(templates),
            Meaning::Macro(_) | Meaning::Value(_) => None,
        });
        self.templates().chain(imported.flatten().map(String::as_str))
    }

    /// The templates that it includes or extends.
    pub(super) fn templates(&self) -> impl Iterator<Item = &str> {
        self.mentions.iter().filter_map(|(_, mention)| match mention {
            Mention::Template(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether `range` includes another template.
    pub(super) fn includes(&self, range: Range<usize>) -> bool {
        self.mentions(range).any(|mention| matches!(mention, Mention::Template(_)))
    }

    /// The ranges outside all macros.
    pub(super) fn outside_macros(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.macros.iter().map(|body| body.end));
        let ends = self.macros.iter().map(|body| body.start).chain([self.source.len()]);
        starts.zip(ends).map(|(start, end)| start..end)
    }
}

/// An open `set` section.
#[derive(Default)]
struct Section {
    /// The variables that it binds.
    names: Vec<(String, usize)>,
    /// These, and the namespaces whose attributes it sets.
    targets: Vec<String>,
    start: usize,
}

struct Reader<'a> {
    syntax: &'a Syntax,
    /// Open blocks, macros and components: kind, start, name.
    open: Vec<(Opener, usize, String)>,
    /// The number of open `call` sections and components with a body.
    calls: usize,
    /// The open cache blocks.
    caching: Vec<usize>,
    /// The names that each open statement binds, each with the offset from which it is bound.
    scopes: Vec<Vec<(String, usize)>>,
    /// The open `set` sections.
    sections: Vec<Section>,
    out: Reading,
}

impl Reader<'_> {
    fn piece(&mut self, source: &str, piece: &Piece) {
        match piece.kind {
            PieceKind::Variable => {
                self.expression(source, piece.inner.clone());
                if self.is_captured() || calls(source, piece.inner.clone(), self.syntax.rules()) {
                    self.record_passed_on(piece.start);
                }
            }
            PieceKind::Block | PieceKind::LineStatement => self.statement(source, piece),
            _ => {}
        }
    }

    /// Whether output here is captured by a variable or is the result of a call.
    fn is_captured(&self) -> bool {
        let macros = self.open.iter().filter(|(opener, ..)| *opener == Opener::Macro);
        self.calls > 0 || !self.sections.is_empty() || macros.count() > 1
    }

    fn statement(&mut self, source: &str, piece: &Piece) {
        let rules = self.syntax.rules();
        let statement = Statement::read(source, piece, rules);
        let rest = statement.rest.clone();
        self.bind(source, piece, &statement);
        match statement.role {
            Role::Cache => {
                self.caching.push(self.out.caches.len());
                self.out.caches.push(Cached {
                    tag: piece.start..piece.end,
                    end: source.len(),
                    varies_on: variables(source, rest.clone(), rules),
                });
            }
            Role::EndCache => {
                let closed = self.caching.pop().and_then(|at| self.out.caches.get_mut(at));
                if let Some(cached) = closed {
                    cached.end = piece.end;
                }
            }
            Role::Open(Opener::Call | Opener::ComponentCall) => self.calls += 1,
            Role::Close(Opener::Call | Opener::ComponentCall) => {
                self.calls = self.calls.saturating_sub(1);
            }
            _ => {}
        }
        match statement.role {
            Role::Open(opener @ (Opener::Block | Opener::Macro | Opener::Component)) => {
                let mut list = tokens(source, rest.clone(), rules);
                let name = dotted(source, &mut list.by_ref().peekable());
                self.open.push((opener, piece.start, name.unwrap_or_default()));
                let names = Effect::of(source, piece, &statement, rules).parameters;
                if opener == Opener::Component {
                    // Implicit arguments use the caller's variables.
                    let arguments = tokens(source, rest.clone(), rules)
                        .find(|token| token.kind == TokenKind::Open)
                        .map_or(rest.end, |token| token.start);
                    self.expression(source, arguments..rest.end);
                } else {
                    let defaults = names.iter().filter_map(|(_, default)| default.clone());
                    defaults.for_each(|default| self.expression(source, default));
                }
                let list: Vec<Token> = tokens(source, rest.clone(), rules).collect();
                let marked = list.windows(2).filter(|two| two[0].text(source) == "@");
                let parameters = Parameters {
                    implicit: marked.map(|two| two[1].text(source).to_owned()).collect(),
                    names: names.into_iter().map(|(name, _)| name.to_owned()).collect(),
                    is_macro: opener == Opener::Macro,
                    body: piece.end,
                    takes_rest: source[rest].contains("..."),
                };
                // A block sees the names around it and has no parameters.
                if opener != Opener::Block {
                    self.out.definitions.insert(piece.start, parameters);
                }
            }
            Role::Close(opener @ (Opener::Block | Opener::Macro | Opener::Component)) => {
                if self.open.last().is_some_and(|(open, ..)| *open == opener)
                    && let Some((opener, start, name)) = self.open.pop()
                {
                    self.define(opener, start..piece.end, name);
                }
            }
            Role::Extends => {
                let list: Vec<Token> = tokens(source, rest.clone(), rules).collect();
                let is_constant = list.len() == 1 && list[0].kind == TokenKind::String;
                self.out.extends_any |= !is_constant;
                for name in names(source, rest, rules) {
                    self.out.mentions.push((piece.start, Mention::Template(name.clone())));
                    self.out.extends.push(name);
                }
            }
            // The call is read at its opening tag.
            Role::Close(Opener::ComponentCall) => {}
            _ if statement.word == "include" => {
                let is_in_macro = self.open.iter().any(|(opener, ..)| *opener == Opener::Macro);
                self.out.captures_includes |= is_in_macro || self.is_captured();
                for name in names(source, rest.clone(), rules) {
                    self.out.mentions.push((piece.start, Mention::Template(name)));
                }
                self.expression(source, rest);
            }
            _ if rules.macros && statement.word == "import" => {
                let Some(Import { templates, name }) = import(source, rest, rules) else { return };
                self.add_meaning(name, Meaning::Module(templates));
            }
            _ if rules.macros && statement.word == "from" => {
                let (templates, list) = members(source, rest, rules);
                for (name, alias) in list {
                    self.add_meaning(alias, Meaning::Member(templates.clone(), name));
                }
            }
            role => {
                // The target of an assignment is not a use.
                let effect = Effect::of(source, piece, &statement, rules);
                let read = effect.assigns.into_iter().map(|(_, range)| range);
                let defaults = effect.parameters.into_iter().filter_map(|(_, default)| default);
                let read = read.chain(defaults).chain(effect.filter);
                read.for_each(|range| self.expression(source, range));
                let tests = matches!(role, Role::Open(Opener::If) | Role::Else);
                if role != Role::Cache && (!tests || calls(source, piece.inner.clone(), rules)) {
                    self.record_passed_on(piece.start);
                }
            }
        }
    }

    /// Records that the names since `from` are passed on.
    fn record_passed_on(&mut self, from: usize) {
        let first = self.out.mentions.partition_point(|(at, _)| *at < from);
        let since = self.out.mentions[first..].iter().map(|(at, _)| *at);
        self.out.passed_on.extend(since);
    }

    /// Records what a statement binds, and where the binding ends.
    fn bind(&mut self, source: &str, piece: &Piece, statement: &Statement<'_>) {
        let rules = self.syntax.rules();
        let names = |assigns: &[(Vec<Target<'_>>, Range<usize>)]| -> Vec<(String, usize)> {
            let targets = assigns.iter().flat_map(|(targets, _)| targets);
            let names = targets.filter_map(|target| match target {
                Target::Name(name) => Some(((*name).to_owned(), piece.end)),
                Target::Attribute(..) => None,
            });
            names.collect()
        };
        let effect = || Effect::of(source, piece, statement, rules);
        if statement.word == "set" && rules.namespaces {
            let assigns = effect().assigns;
            let targets = assigns.iter().flat_map(|(targets, _)| targets);
            self.out.changes.extend(targets.filter_map(|target| match target {
                Target::Attribute(name, at) => Some((*at, (*name).to_owned())),
                Target::Name(_) => None,
            }));
        }
        if self.is_open_to_others() {
            self.values(&effect().assigns);
        }
        match statement.role {
            Role::Cache => self.scopes.push(Vec::new()),
            Role::Open(Opener::Set) => {
                // The names are bound after the section.
                let assigns = effect().assigns;
                let targets = assigns.iter().flat_map(|(targets, _)| targets);
                let targets = targets.map(|target| target.name().to_owned()).collect();
                self.sections.push(Section { names: names(&assigns), targets, start: piece.end });
                self.scopes.push(Vec::new());
            }
            Role::Open(Opener::For | Opener::With) => self.scopes.push(names(&effect().assigns)),
            Role::Open(opener) => {
                if opener == Opener::Macro
                    && let Some(name) = statement.name(source, rules)
                {
                    self.unbind(name, piece.start);
                }
                let start = if rules.defaults_see_parameters { piece.start } else { piece.end };
                let parameters = effect().parameters.into_iter();
                let names = parameters.map(|(name, _)| (name.to_owned(), start));
                self.scopes.push(names.collect());
            }
            Role::Else => {
                self.leave(piece.start);
                self.scopes.push(Vec::new());
            }
            Role::EndCache => self.leave(piece.start),
            Role::Close(opener) => {
                self.leave(piece.start);
                if opener == Opener::Set {
                    let section = self.sections.pop().unwrap_or_default();
                    if self.is_open_to_others() {
                        for name in section.targets {
                            self.add_meaning(name, Meaning::Value(section.start..piece.start));
                        }
                    }
                    let bound = section.names.into_iter().map(|(name, _)| (name, piece.end));
                    self.scopes
                        .last_mut()
                        .into_iter()
                        .for_each(|scope| scope.extend(bound.clone()));
                }
            }
            // From here on, the name is a macro or a module.
            _ if matches!(statement.word, "import" | "from") => {
                for (name, _) in names(&effect().assigns) {
                    self.unbind(&name, piece.start);
                }
            }
            _ if statement.word == "set" => {
                let bound = names(&effect().assigns);
                self.scopes.last_mut().into_iter().for_each(|scope| scope.extend(bound.clone()));
            }
            _ => {}
        }
    }

    /// Whether other templates may see what is bound here. That includes what a block binds: in
    /// MiniJinja, a child may fill a block inside.
    fn is_open_to_others(&self) -> bool {
        self.open.iter().all(|open| open.0 == Opener::Block)
    }

    /// Records the values of variables.
    fn values(&mut self, assigns: &[(Vec<Target<'_>>, Range<usize>)]) {
        for (targets, value) in assigns.iter().filter(|(_, value)| !value.is_empty()) {
            for target in targets {
                self.add_meaning(target.name().to_owned(), Meaning::Value(value.clone()));
            }
        }
    }

    /// Ends the binding of `name` as a variable at `end`.
    fn unbind(&mut self, name: &str, end: usize) {
        for scope in &mut self.scopes {
            let bound = scope.extract_if(.., |(bound, _)| bound == name);
            let ranges = bound.map(|(_, start)| start..end);
            self.out.rebound.entry(name.to_owned()).or_default().extend(ranges);
        }
    }

    /// Ends the innermost open statement at `end`.
    fn leave(&mut self, end: usize) {
        for (name, start) in self.scopes.pop().unwrap_or_default() {
            self.out.rebound.entry(name).or_default().push(start..end);
        }
    }

    fn add_meaning(&mut self, name: String, meaning: Meaning) {
        self.out.meanings.entry(name).or_default().push(meaning);
    }

    fn define(&mut self, opener: Opener, range: Range<usize>, name: String) {
        match opener {
            Opener::Block => self.out.blocks.entry(name).or_default().push(range),
            Opener::Component => self.out.components.entry(name).or_default().push(range),
            _ => {
                // An inner macro is closed before the one around it.
                self.out.macros.retain(|inner| inner.start < range.start);
                self.out.macros.push(range.clone());
                self.add_meaning(name, Meaning::Macro(range));
            }
        }
    }

    fn expression(&mut self, source: &str, range: Range<usize>) {
        let rules = self.syntax.rules();
        let mut before = "";
        let mut list = tokens(source, range, rules).peekable();
        while let Some(token) = list.next() {
            let text = token.text(source);
            let attribute = matches!(before, "." | "?.");
            // Tera: a variable of the caller, which may have a default.
            let is_implicit = before == "@";
            let is_sign = |next: &Token| next.text(source) == "=";
            before = text;
            let mention = match token.kind {
                TokenKind::Operator if text == "<" && rules.components => {
                    // A comparison looks the same, but no component has the name of its right side.
                    dotted(source, &mut list).map(Mention::Component)
                }
                TokenKind::Word if attribute => None,
                // A keyword argument.
                TokenKind::Word if !is_implicit && list.peek().is_some_and(is_sign) => None,
                TokenKind::Word if text == "super" => {
                    let block =
                        self.open.iter().rev().find(|(opener, ..)| *opener == Opener::Block);
                    block.map(|(_, _, name)| Mention::Above(name.clone()))
                }
                TokenKind::Word if rules.macros => {
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
