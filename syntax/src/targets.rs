//! Reads what a statement evaluates and binds: the targets of `set`, `with`, `for`, imports and
//! definitions, each with the expression of its value. One tag at a time; `bindings.rs` resolves
//! the names.

use std::ops::Range;

use crate::dialect::Rules;
use crate::opener::Opener;
use crate::scanner::Piece;
use crate::statement::{Role, Statement};
use crate::token::{Token, TokenKind, tokens, within};

/// The target of an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'s> {
    Name(&'s str),
    /// MiniJinja's `ns.x = …`, with its offset.
    Attribute(&'s str, usize),
}

impl<'s> Target<'s> {
    pub(super) fn name(&self) -> &'s str {
        let (Self::Name(name) | Self::Attribute(name, _)) = self;
        name
    }
}

/// What a tag evaluates and binds.
#[derive(Debug, Default)]
pub(super) struct Effect<'s> {
    /// Expressions that are evaluated at the tag, each with the targets of its value.
    pub(super) assigns: Vec<(Vec<Target<'s>>, Range<usize>)>,
    /// Names that are bound inside the statement to an argument of the caller, or to a default.
    pub(super) parameters: Vec<(&'s str, Option<Range<usize>>)>,
    /// Loops: the filter, which sees the names that the statement binds.
    pub(super) filter: Option<Range<usize>>,
}

impl<'s> Effect<'s> {
    pub(super) fn of(
        source: &'s str,
        piece: &Piece,
        statement: &Statement<'s>,
        rules: &'static Rules,
    ) -> Self {
        let list: Vec<Token> = tokens(source, piece.inner.clone(), rules).collect();
        Self::read(source, (piece, &list), statement, rules)
    }

    /// Like [`of`](Self::of), for a tag whose tokens are known.
    pub(super) fn read(
        source: &'s str,
        (piece, list): (&Piece, &[Token]),
        statement: &Statement<'s>,
        rules: &'static Rules,
    ) -> Self {
        if matches!(statement.role, Role::EndCache | Role::Close(_) | Role::Leave) {
            return Self::default();
        }
        let rest = statement.rest.clone();
        let list = List { source, list: within(list, &rest), rest };
        let mut effect = Self::default();
        match (statement.role, statement.word) {
            (Role::Open(Opener::Block), _) => {}
            (Role::Open(Opener::Set), _) => {
                let end = list.find(0, |text, depth| depth == 0 && text == "|");
                effect.assigns.push((list.targets(0..end), list.range(end, list.list.len())));
            }
            (_, "set" | "set_global") => {
                let sign = list.find(0, |text, depth| depth == 0 && text == "=");
                effect.assigns.push((list.targets(0..sign), list.range(sign + 1, list.list.len())));
            }
            (Role::Open(Opener::With), _) => {
                for part in list.parts(0, list.list.len()) {
                    let sign = list.sign(&part);
                    let targets = list.targets(part.start..sign.unwrap_or(part.start));
                    let value = sign.map_or(part.start, |sign| sign + 1);
                    effect.assigns.push((targets, list.range(value, part.end)));
                }
            }
            (Role::Open(Opener::For), _) => {
                let word = list.find(0, |text, depth| depth == 0 && text == "in");
                let only = list.find(word, |text, depth| depth == 0 && text == "if");
                effect.assigns.push((list.targets(0..word), list.range(word + 1, only)));
                effect.filter = Some(list.range(only + 1, list.list.len()));
            }
            (Role::Open(Opener::Macro | Opener::Component), _) => {
                let open = list.find(0, |text, _| text == "(");
                let close = list.closing(open);
                list.parameters(open + 1, close, &mut effect);
            }
            (Role::Open(Opener::Call), _) => {
                let mut first = 0;
                if list.text(0) == "(" {
                    first = list.closing(0) + 1;
                    list.parameters(1, first - 1, &mut effect);
                }
                effect.assigns.push((Vec::new(), list.range(first, list.list.len())));
            }
            (Role::Open(Opener::Filter), _) => {
                effect.assigns.push((Vec::new(), list.range(1, list.list.len())));
            }
            (Role::Open(Opener::ComponentCall), _) => {
                effect.assigns.push((Vec::new(), piece.inner.clone()));
            }
            (_, "import") if rules.macros => {
                let word = list.find(0, |text, depth| depth == 0 && text == "as");
                effect.assigns.push((Vec::new(), list.range(0, word)));
                // `with context` may follow.
                let name = list.list.get(word + 1);
                let names = name.map(|name| Target::Name(name.text(source)));
                effect.assigns.push((names.into_iter().collect(), list.rest.end..list.rest.end));
            }
            (_, "from") if rules.macros => {
                let word = list.find(0, |text, _| text == "import");
                effect.assigns.push((Vec::new(), list.range(0, word)));
                let bound = (word + 1..list.list.len()).filter(|at| {
                    list.list[*at].kind == TokenKind::Word
                        && list.text(*at) != "as"
                        && list.text(*at + 1) != "as"
                });
                let names = bound.map(|at| Target::Name(list.text(at))).collect();
                effect.assigns.push((names, list.rest.end..list.rest.end));
            }
            _ => effect.assigns.push((Vec::new(), list.rest.clone())),
        }
        effect
    }
}

/// The tokens after a tag's first word.
struct List<'t, 's> {
    source: &'s str,
    list: &'t [Token],
    rest: Range<usize>,
}

impl<'s> List<'_, 's> {
    fn text(&self, at: usize) -> &'s str {
        self.list.get(at).map_or("", |token| token.text(self.source))
    }

    /// Finds the first token from `from` on for which `is` returns `true`, given its text and
    /// depth; the number of tokens if there is none.
    fn find(&self, from: usize, is: impl Fn(&str, usize) -> bool) -> usize {
        let mut depth = 0_usize;
        for (at, token) in self.list.iter().enumerate().skip(from) {
            if is(token.text(self.source), depth) {
                return at;
            }
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.list.len()
    }

    /// The bracket that closes the one at `open`.
    fn closing(&self, open: usize) -> usize {
        let is_close = |text: &str| matches!(text, ")" | "]" | "}");
        self.find(open + 1, |text, depth| depth == 0 && is_close(text))
    }

    /// The source from token `from` up to token `to`.
    fn range(&self, from: usize, to: usize) -> Range<usize> {
        let start = self.list.get(from).map_or(self.rest.end, |token| token.start);
        let end = self.list.get(to).map_or(self.rest.end, |token| token.start);
        start..end.max(start)
    }

    /// Splits at top-level commas.
    fn parts(&self, from: usize, to: usize) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let mut start = from;
        while start < to {
            let end = self.find(start, |text, depth| depth == 0 && text == ",").min(to);
            parts.push(start..end);
            start = end + 1;
        }
        parts
    }

    /// The `=` of a part, if it assigns.
    fn sign(&self, part: &Range<usize>) -> Option<usize> {
        let sign = self.find(part.start, |text, depth| depth == 0 && text == "=");
        (sign < part.end).then_some(sign)
    }

    fn targets(&self, part: Range<usize>) -> Vec<Target<'s>> {
        let end = part.end.min(self.list.len());
        let words = (part.start..end).filter(|at| {
            self.list[*at].kind == TokenKind::Word
                && (*at == part.start || self.text(*at - 1) != ".")
        });
        let target = |at: usize| match self.text(at + 1) {
            "." if at + 1 < end => Target::Attribute(self.text(at), self.list[at].start),
            _ => Target::Name(self.text(at)),
        };
        words.map(target).collect()
    }

    /// Reads the parameters of a definition, with their defaults.
    fn parameters(&self, from: usize, to: usize, effect: &mut Effect<'s>) {
        for part in self.parts(from, to.min(self.list.len())) {
            let mut words = part.clone().filter(|at| self.list[*at].kind == TokenKind::Word);
            let default = self.sign(&part).map(|sign| self.range(sign + 1, part.end));
            effect.parameters.extend(words.next().map(|at| (self.text(at), default)));
        }
    }
}
