//! Parses the arguments of a `cache` tag: splits them at top-level commas, separates options from
//! positional arguments, and prepares the argument list of the lowered call. The values are
//! expressions of the engine; they are copied and not evaluated.

use std::ops::Range;

use crate::error::Error;

use crate::declared;
use crate::delimiters::Syntax;
use crate::options::{self, BlockOption, Kind, Known};
use crate::refusal::{Refusal, excerpt};
use crate::token::{Token, TokenKind, within};

/// A part of the lowered argument list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes of the author's source.
    Copy(Range<usize>),
    /// Generated text.
    Fixed(&'static str),
}

/// The parsed arguments of a `cache` tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    /// The text between the parentheses of the lowered call.
    pub(super) parts: Vec<Part>,
    /// The number of values that the call receives.
    pub(super) values: usize,
    /// The source ranges of timeout, name and vary parts.
    pub(super) positional: Vec<Range<usize>>,
    /// The options in the author's order, each with the source range of its value. A constant that
    /// is false is left out.
    pub(super) options: Vec<(BlockOption, Range<usize>)>,
    /// The text between the parentheses of the call that only a miss makes. Empty if there is no
    /// such call.
    pub(super) declared: Vec<Part>,
}

/// One argument between two commas.
struct Argument<'t> {
    /// Includes the blanks around the argument.
    raw: Range<usize>,
    tokens: &'t [Token],
}

impl Argument<'_> {
    fn span(&self) -> Range<usize> {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => self.raw.clone(),
        }
    }

    /// The option's name if the argument is `name=value`.
    fn option<'s>(&self, source: &'s str) -> Option<&'s str> {
        match self.tokens {
            [name, equals, ..]
                if name.kind == TokenKind::Word
                    && equals.text(source) == "="
                    && !name.text(source).starts_with(|c: char| c.is_ascii_digit()) =>
            {
                Some(name.text(source))
            }
            _ => None,
        }
    }
}

impl Arguments {
    /// Parses the arguments in `area`, the part of a tag between the word `cache` and the tag's
    /// end.
    pub(super) fn parse(
        source: &str,
        (area, tag): (Range<usize>, &[Token]),
        syntax: &Syntax,
        refusal: &Refusal<'_>,
    ) -> Result<Self, Error> {
        let list = split(source, area.clone(), within(tag, &area), refusal)?;
        is_call(source, &list, syntax, refusal)?;
        let mut out = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for argument in &list {
            match argument.option(source) {
                Some(name) => {
                    if seen.contains(&name) {
                        return Err(refusal.at(
                            argument.span().start,
                            format!("option `{name}` is given twice: keep one of them"),
                        ));
                    }
                    seen.push(name);
                    out.option(source, argument, name, syntax, refusal)?;
                }
                None => out.positional(source, argument, seen.last().copied(), refusal)?,
            }
        }
        // The blanks after a trailing comma, or the whole area if there are no arguments.
        let rest = list.last().map_or(area.start, |last| last.raw.end)..area.end;
        out.parts.extend(newlines(source, &rest));
        Ok(out)
    }

    /// Whether the block has this option.
    pub(super) fn has(&self, option: BlockOption) -> bool {
        self.value_of(option).is_some()
    }

    /// The source range of the option's value.
    pub(super) fn value_of(&self, option: BlockOption) -> Option<&Range<usize>> {
        self.options.iter().find(|(given, _)| *given == option).map(|(_, value)| value)
    }

    fn positional(
        &mut self,
        source: &str,
        argument: &Argument<'_>,
        option: Option<&str>,
        refusal: &Refusal<'_>,
    ) -> Result<(), Error> {
        let span = argument.span();
        let text = &source[span.clone()];
        if let Some(option) = option {
            return Err(refusal.at(
                span.start,
                format!(
                    "`{}` stands after the option `{option}`: write timeout, name and vary parts \
                     before the options",
                    excerpt(text)
                ),
            ));
        }
        if text.starts_with('*') || text.starts_with("...") {
            return Err(refusal.at(
                span.start,
                format!(
                    "`{}` unpacks a value into the arguments of `cache`: write each part \
                     separately, or the list as one vary part",
                    excerpt(text)
                ),
            ));
        }
        let first = self.positional.is_empty();
        if !first {
            declared::check_part(source, self.positional.len(), argument.tokens, refusal)?;
        } else if text != "default" {
            declared::check_timeout(source, argument.tokens, refusal)?;
        }
        let value = match text {
            "del" if first => Part::Fixed("\"del\""),
            "default" if first => Part::Fixed("\"default\""),
            _ => Part::Copy(span.clone()),
        };
        self.push(argument, [value]);
        self.positional.push(span);
        Ok(())
    }

    fn option(
        &mut self,
        source: &str,
        argument: &Argument<'_>,
        name: &str,
        syntax: &Syntax,
        refusal: &Refusal<'_>,
    ) -> Result<(), Error> {
        let span = argument.span();
        let Some(option) = BlockOption::of_name(name) else {
            return Err(refusal.at(span.start, options::unknown(name)));
        };
        let Some(first) = argument.tokens.get(2) else {
            return Err(refusal.at(
                span.start,
                format!("option `{name}` has no value: write `{name}=` and an expression"),
            ));
        };
        let value = first.start..span.end;
        if option.known() != Known::Load {
            is_value(source, argument, name, refusal)?;
        }
        declared::check_option(source, option, &argument.tokens[2..], refusal)?;
        match option.known() {
            Known::Load => {
                if matches!(&source[value.clone()], "true" | "True") {
                    self.options.push((option, value));
                }
                self.parts.extend(newlines(source, &argument.raw));
                return Ok(());
            }
            Known::Miss => {
                self.options.push((option, value));
                self.declare(source, argument);
                return Ok(());
            }
            Known::Open(_) => self.options.push((option, value.clone())),
        }
        let removed = newlines(source, &(span.start..value.start));
        let value = match syntax.rules().condition {
            Some((before, after)) if option.kind() == Kind::Condition => {
                vec![Part::Fixed(before), Part::Copy(value), Part::Fixed(after)]
            }
            _ => vec![Part::Copy(value)],
        };
        self.push(argument, removed.chain(value));
        Ok(())
    }

    /// Moves an option to the call that only a miss makes. Its newlines stay in place so that the
    /// rest keeps its line numbers; newlines inside its strings move along.
    fn declare(&mut self, source: &str, argument: &Argument) {
        if !self.declared.is_empty() {
            self.declared.push(Part::Fixed(", "));
        }
        let is_newline = |range: Range<usize>| {
            memchr::memchr_iter(b'\n', source[range.clone()].as_bytes())
                .map(move |at| range.start + at)
        };
        let span = argument.span();
        let (mut copied, mut before, mut moved) = (span.start, span.start, 0);
        for token in argument.tokens {
            for newline in is_newline(before..token.start) {
                self.declared.extend([Part::Copy(copied..newline), Part::Fixed(" ")]);
                copied = newline + 1;
            }
            moved += is_newline(token.start..token.end).count();
            before = token.end;
        }
        self.declared.push(Part::Copy(copied..span.end));
        self.parts.extend(newlines(source, &argument.raw).skip(moved));
    }

    /// Adds a value to the argument list of the call, with the blanks around the argument.
    fn push(&mut self, argument: &Argument<'_>, value: impl IntoIterator<Item = Part>) {
        if self.values > 0 {
            self.parts.push(Part::Fixed(","));
        }
        self.values += 1;
        let span = argument.span();
        self.parts.push(Part::Copy(argument.raw.start..span.start));
        self.parts.extend(value);
        self.parts.push(Part::Copy(span.end..argument.raw.end));
    }
}

/// Refuses arguments in parentheses, as in a function call.
fn is_call(
    source: &str,
    list: &[Argument<'_>],
    syntax: &Syntax,
    refusal: &Refusal<'_>,
) -> Result<(), Error> {
    let [Argument { tokens, .. }] = list else { return Ok(()) };
    let [open, inside @ .., close] = tokens else { return Ok(()) };
    let mut depth = 0_usize;
    let mut holds_comma = false;
    for token in inside {
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close if depth == 0 => return Ok(()),
            TokenKind::Close => depth -= 1,
            _ => holds_comma |= depth == 0 && token.text(source) == ",",
        }
    }
    if open.text(source) != "(" || close.text(source) != ")" || !holds_comma {
        return Ok(());
    }
    Err(refusal.at(
        open.start,
        format!(
            "the arguments of `cache` are in parentheses, like those of a function: write them \
             without, as in `{}`",
            syntax.tag("cache 300, \"name\", user.id"),
        ),
    ))
}

/// Refuses an option value that would be several values, or none, in the lowered call.
fn is_value(
    source: &str,
    argument: &Argument<'_>,
    name: &str,
    refusal: &Refusal<'_>,
) -> Result<(), Error> {
    let Some(first) = argument.tokens.get(2) else { return Ok(()) };
    let text = &source[first.start..argument.span().end];
    if text.starts_with('*') || text.starts_with("...") {
        return Err(refusal.at(
            first.start,
            format!(
                "`{}` unpacks a value into the arguments of `cache`: write `{name}=` and one \
                 expression",
                excerpt(text)
            ),
        ));
    }
    let assigns = argument.tokens.get(3).is_some_and(|next| next.text(source) == "=");
    if assigns && first.kind == TokenKind::Word {
        return Err(refusal.at(
            first.start,
            format!(
                "`{}` is an assignment, not a value of `{name}`: write `==` to compare, or a \
                 comma between two options",
                excerpt(text)
            ),
        ));
    }
    Ok(())
}

fn split<'t>(
    source: &str,
    area: Range<usize>,
    list: &'t [Token],
    refusal: &Refusal<'_>,
) -> Result<Vec<Argument<'t>>, Error> {
    let mut arguments = Vec::new();
    let mut open: Vec<&Token> = Vec::new();
    let (mut start, mut first) = (area.start, 0);
    for (at, token) in list.iter().enumerate() {
        match token.kind {
            TokenKind::Open => open.push(token),
            TokenKind::Close if open.is_empty() => {
                let bracket = token.text(source);
                return Err(refusal.at(
                    token.start,
                    format!("this `{bracket}` closes nothing in the arguments: remove it"),
                ));
            }
            TokenKind::Close => drop(open.pop()),
            TokenKind::Operator if open.is_empty() && token.text(source) == "," => {
                if first == at {
                    return Err(refusal.at(
                        token.start,
                        "an argument is missing before this comma: write one, or remove the comma"
                            .into(),
                    ));
                }
                arguments.push(Argument { raw: start..token.start, tokens: &list[first..at] });
                (start, first) = (token.end, at + 1);
            }
            _ => {}
        }
    }
    if let Some(bracket) = open.last() {
        return Err(refusal.at(
            bracket.start,
            format!("this `{}` is never closed in the arguments: close it", bracket.text(source)),
        ));
    }
    if first < list.len() {
        arguments.push(Argument { raw: start..area.end, tokens: &list[first..] });
    }
    Ok(arguments)
}

/// Yields one newline for each newline in `range`.
pub(super) fn newlines<'s>(
    source: &'s str,
    range: &Range<usize>,
) -> impl Iterator<Item = Part> + use<'s> {
    memchr::memchr_iter(b'\n', source[range.clone()].as_bytes()).map(|_| Part::Fixed("\n"))
}
