//! The lossless scanner: cuts a source into adjacent pieces (text, comments, raw, tags) exactly
//! where the engine cuts. The only statement it knows is `raw`.

use std::ops::Range;

use crate::delimiters::Syntax;
use crate::dialect::Rules;
use crate::token::{Token, TokenKind, skip_blank, token_at};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Text,
    Comment,
    /// From the `raw` tag through the `endraw` tag.
    Raw,
    Variable,
    Block,
    LineStatement,
    LineComment,
}

/// The whitespace marker of a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    Minus,
    Plus,
}

impl Marker {
    fn of(byte: Option<&u8>, rules: &'static Rules) -> Self {
        match byte {
            Some(b'-') => Self::Minus,
            Some(b'+') if rules.plus_marker => Self::Plus,
            _ => Self::None,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Minus => "-",
            Self::Plus => "+",
        }
    }
}

/// A contiguous part of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: PieceKind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The content between the delimiters and their whitespace markers.
    pub(super) inner: Range<usize>,
    pub(super) lead: Marker,
    pub(super) trail: Marker,
    /// False if the source ended before the piece did, or a string in it has no end. Such a piece
    /// is the last one.
    pub(super) closed: bool,
    /// Whether this line statement would end earlier if it were written between block delimiters.
    pub(super) only_as_line: bool,
}

impl Piece {
    fn new(kind: PieceKind, span: Range<usize>) -> Self {
        Self {
            kind,
            start: span.start,
            end: span.end,
            inner: span,
            lead: Marker::None,
            trail: Marker::None,
            closed: true,
            only_as_line: false,
        }
    }

    fn unclosed(kind: PieceKind, inner: usize, span: Range<usize>) -> Self {
        let inner = inner.min(span.end)..span.end;
        Self { closed: false, inner, ..Self::new(kind, span) }
    }
}

/// The markers that start a tag or comment.
struct StartMarkers<'a> {
    /// Longest first.
    texts: Vec<(&'a str, PieceKind)>,
    first_bytes: Vec<u8>,
}

impl<'a> StartMarkers<'a> {
    fn new(syntax: &'a Syntax) -> Self {
        let mut texts = vec![
            (syntax.variable_delimiters().0, PieceKind::Variable),
            (syntax.block_delimiters().0, PieceKind::Block),
            (syntax.comment_delimiters().0, PieceKind::Comment),
        ];
        texts.extend(syntax.line_statement_prefix().map(|text| (text, PieceKind::LineStatement)));
        texts.extend(syntax.line_comment_prefix().map(|text| (text, PieceKind::LineComment)));
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let mut first_bytes: Vec<u8> =
            texts.iter().filter_map(|(text, _)| text.bytes().next()).collect();
        first_bytes.sort_unstable();
        first_bytes.dedup();
        Self { texts, first_bytes }
    }

    fn candidate(&self, rest: &[u8]) -> Option<usize> {
        match *self.first_bytes {
            [a] => memchr::memchr(a, rest),
            [a, b] => memchr::memchr2(a, b, rest),
            [a, b, c] => memchr::memchr3(a, b, c, rest),
            _ => rest.iter().position(|byte| self.first_bytes.contains(byte)),
        }
    }

    /// Finds the leftmost marker at or after `from`, the longest one there. Returns its offset,
    /// kind and length.
    fn find(&self, source: &[u8], from: usize) -> Option<(usize, PieceKind, usize)> {
        let mut at = from;
        loop {
            at += self.candidate(source.get(at..)?)?;
            for &(text, kind) in &self.texts {
                if source[at..].starts_with(text.as_bytes())
                    && (kind != PieceKind::LineStatement || starts_line(source, at))
                {
                    return Some((at, kind, text.len()));
                }
            }
            at += 1;
        }
    }
}

fn starts_line(source: &[u8], at: usize) -> bool {
    let before = source[..at].iter().rev().find(|&&byte| byte != b' ' && byte != b'\t');
    matches!(before, None | Some(b'\r' | b'\n'))
}

/// Iterates over the pieces of a source.
pub(super) struct Scanner<'a> {
    source: &'a str,
    syntax: &'a Syntax,
    markers: StartMarkers<'a>,
    at: usize,
    pending: Option<(PieceKind, usize)>,
    tokens: Vec<Token>,
    /// Open brackets. MiniJinja counts them across tags and ends no tag while one is open.
    balance: isize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(source: &'a str, syntax: &'a Syntax) -> Self {
        let markers = StartMarkers::new(syntax);
        Self { source, syntax, markers, at: 0, pending: None, tokens: Vec::new(), balance: 0 }
    }

    /// The tokens of the last piece, if that is a tag.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    fn bytes(&self) -> &'a [u8] {
        self.source.as_bytes()
    }

    fn piece(&mut self, kind: PieceKind, marker_len: usize) -> Piece {
        self.tokens.clear();
        let start = self.at;
        let mut inner = start + marker_len;
        let lead = match kind {
            PieceKind::LineStatement | PieceKind::LineComment => Marker::None,
            _ => Marker::of(self.bytes().get(inner), self.syntax.rules()),
        };
        inner += lead.text().len();
        let piece = match kind {
            PieceKind::Comment => self.comment(start, inner),
            PieceKind::LineComment => self.line_comment(start, inner),
            PieceKind::LineStatement => self.line_statement(start, inner),
            PieceKind::Block => self.raw(start, inner).unwrap_or_else(|| {
                self.tag(PieceKind::Block, start, inner, self.syntax.block_delimiters().1)
            }),
            _ => self.tag(kind, start, inner, self.syntax.variable_delimiters().1),
        };
        Piece { lead, ..piece }
    }

    fn comment(&self, start: usize, inner: usize) -> Piece {
        let end_marker = self.syntax.comment_delimiters().1;
        match memchr::memmem::find(&self.bytes()[inner..], end_marker.as_bytes()) {
            Some(len) => Piece {
                inner: inner..inner + len,
                ..Piece::new(PieceKind::Comment, start..inner + len + end_marker.len())
            },
            None => Piece::unclosed(PieceKind::Comment, inner, start..self.source.len()),
        }
    }

    fn line_comment(&self, start: usize, inner: usize) -> Piece {
        let rest = &self.bytes()[inner..];
        let len = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let end = inner + len + newline_len(&self.source[inner + len..]);
        Piece { inner: inner..inner + len, ..Piece::new(PieceKind::LineComment, start..end) }
    }

    /// The raw section at `start`, if there is one.
    fn raw(&self, start: usize, inner: usize) -> Option<Piece> {
        let (block_start, block_end) = self.syntax.block_delimiters();
        let Rules { raw_open_markers: open_lead, raw_markers: markers, .. } = self.syntax.rules();
        let body = inner + bare_tag(&self.source[inner..], "raw", block_end, open_lead, markers)?;
        let mut at = body;
        while let Some(found) = memchr::memmem::find(&self.bytes()[at..], block_start.as_bytes()) {
            let tag = at + found;
            at = tag + block_start.len();
            if let Some(len) = bare_tag(&self.source[at..], "endraw", block_end, markers, markers) {
                return Some(Piece {
                    inner: body..tag,
                    ..Piece::new(PieceKind::Raw, start..at + len)
                });
            }
        }
        Some(Piece::unclosed(PieceKind::Raw, body, start..self.source.len()))
    }

    fn tag(&mut self, kind: PieceKind, start: usize, inner: usize, end_marker: &str) -> Piece {
        let mut at = inner;
        loop {
            at = skip_blank(self.source, at);
            if let Some(trail) = self.tag_end(at, end_marker) {
                let end = at + trail.text().len() + end_marker.len();
                return Piece { inner: inner..at, trail, ..Piece::new(kind, start..end) };
            }
            match self.token(at) {
                Some(end) => at = end,
                None => return Piece::unclosed(kind, inner, start..self.source.len()),
            }
        }
    }

    fn line_statement(&mut self, start: usize, inner: usize) -> Piece {
        let block_end = self.syntax.block_delimiters().1;
        let mut only_as_line = false;
        let mut at = inner;
        loop {
            if self.balance == 0 {
                let rest = &self.source[at..];
                let blank = rest.find(|c| !is_blank(c)).unwrap_or(rest.len());
                let newline = newline_len(&rest[blank..]);
                if newline > 0 || blank == rest.len() {
                    let span = start..at + blank + newline;
                    let piece = Piece::new(PieceKind::LineStatement, span);
                    return Piece { inner: inner..at, only_as_line, ..piece };
                }
            }
            at = skip_blank(self.source, at);
            only_as_line |= self.tag_end(at, block_end).is_some();
            if at == self.source.len() {
                let piece = Piece::new(PieceKind::LineStatement, start..at);
                return Piece { inner: inner..at, only_as_line, ..piece };
            }
            match self.token(at) {
                Some(end) => at = end,
                None => {
                    return Piece::unclosed(
                        PieceKind::LineStatement,
                        inner,
                        start..self.source.len(),
                    );
                }
            }
        }
    }

    /// The whitespace marker of the tag end at `at`, if the tag ends there.
    fn tag_end(&self, at: usize, end_marker: &str) -> Option<Marker> {
        let rules = self.syntax.rules();
        if rules.brackets_hide_tag_end && self.balance != 0 {
            return None;
        }
        let rest = &self.bytes()[at..];
        let marker = Marker::of(rest.first(), rules);
        if marker != Marker::None && rest[1..].starts_with(end_marker.as_bytes()) {
            return Some(marker);
        }
        // A cheap test first: most tokens differ from the end marker in their first byte.
        let may_end = rest.first() == end_marker.as_bytes().first();
        (may_end && rest.starts_with(end_marker.as_bytes())).then_some(Marker::None)
    }

    /// The end of the token at `at`; `None` at the end of the source or for an unterminated string.
    fn token(&mut self, at: usize) -> Option<usize> {
        let token = token_at(self.source, at, self.syntax.rules())?;
        match token.kind {
            TokenKind::Open => self.balance += 1,
            TokenKind::Close => self.balance -= 1,
            _ => {}
        }
        self.tokens.push(token);
        Some(token.end)
    }
}

impl Iterator for Scanner<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.at >= self.source.len() {
            return None;
        }
        let piece = match self.pending.take() {
            Some((kind, len)) => self.piece(kind, len),
            None => match self.markers.find(self.bytes(), self.at) {
                Some((at, kind, len)) if at == self.at => self.piece(kind, len),
                Some((at, kind, len)) => {
                    self.pending = Some((kind, len));
                    Piece::new(PieceKind::Text, self.at..at)
                }
                None => Piece::new(PieceKind::Text, self.at..self.source.len()),
            },
        };
        self.at = piece.end;
        Some(piece)
    }
}

/// Whether `c` is whitespace other than a line ending.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n' && c != '\r'
}

/// The length of what MiniJinja treats as the newline of a line statement: `\n`, `\r` or `\n\r`. Of
/// `\r\n` it takes only the `\r`.
fn newline_len(rest: &str) -> usize {
    match rest.as_bytes() {
        [b'\n', b'\r', ..] => 2,
        [b'\n' | b'\r', ..] => 1,
        _ => 0,
    }
}

/// The length of ` name %}` at the start of `rest`, with the given whitespace markers allowed.
fn bare_tag(
    rest: &str,
    name: &str,
    end_marker: &str,
    lead: &[char],
    trail: &[char],
) -> Option<usize> {
    let blank = |c: char| c.is_ascii_whitespace();
    let after = rest.strip_prefix(lead).unwrap_or(rest);
    let after = after.trim_start_matches(blank).strip_prefix(name)?.trim_start_matches(blank);
    let after = after.strip_prefix(trail).unwrap_or(after).strip_prefix(end_marker)?;
    Some(rest.len() - after.len())
}
