//! Checks the literal values of the timeout, vary parts and options. Only single literals, and the
//! literals of a list, are read. Other mistakes show when the values are evaluated, by a miss or by
//! every render.

use crate::error::Error;
use crate::timeout::{Scalar, Timeout};

use crate::options::{BlockOption, Kind};
use crate::refusal::{Refusal, excerpt};
use crate::token::string_value;
use crate::token::{Token, TokenKind};

/// The most tags that a block may declare.
const MOST_TAGS: usize = 64;

/// The most bytes of a tag.
const MOST_TAG_BYTES: usize = 256;

/// The kind of an expression, as far as its tokens show it.
enum Value<'t> {
    /// A string, with its value if that is certain.
    Text(Option<String>),
    Boolean,
    Number(f64),
    Map,
    /// A list with its items.
    List(Vec<&'t [Token]>),
    Other,
}

/// Refuses a value that the option can never have. `value` is its expression and is not empty.
pub(super) fn check_option(
    source: &str,
    option: BlockOption,
    value: &[Token],
    refusal: &Refusal<'_>,
) -> Result<(), Error> {
    let whole = |problem: Option<String>| problem.map(|problem| (value, problem));
    let (name, shown) = (option.name(), excerpt(text_of(source, value)));
    let problem = match option.kind() {
        Kind::Constant(advice) => whole(
            constant(source, value)
                .map(|problem| format!("`{name}` is `{shown}`, {problem}: {advice}")),
        ),
        Kind::CacheName(advice) => whole(
            cache_name(source, value)
                .map(|problem| format!("`{name}` is `{shown}`, {problem}: {advice}")),
        ),
        Kind::Duration(advice) => whole(
            duration(source, value)
                .map(|problem| format!("`{name}` is `{shown}`, which is {problem}: {advice}")),
        ),
        Kind::Tags => tags(source, value),
        Kind::Condition | Kind::Part => None,
    };
    refuse(problem, refusal)
}

/// Refuses a timeout that no block can have. `value` is its expression and is not empty.
pub(super) fn check_timeout(
    source: &str,
    value: &[Token],
    refusal: &Refusal<'_>,
) -> Result<(), Error> {
    refuse(timeout(source, value).map(|problem| (value, problem)), refusal)
}

fn refuse(problem: Option<(&[Token], String)>, refusal: &Refusal<'_>) -> Result<(), Error> {
    match problem.and_then(|(tokens, problem)| Some((tokens.first()?.start, problem))) {
        Some((start, problem)) => Err(refusal.at(start, problem)),
        None => Ok(()),
    }
}

/// Refuses a name (`index` 1) or vary part that no key can have.
pub(super) fn check_part(
    source: &str,
    index: usize,
    value: &[Token],
    refusal: &Refusal<'_>,
) -> Result<(), Error> {
    let what = if index == 1 { "the name" } else { "this vary part" };
    let problem = match (read(source, value), value.first()) {
        (Value::Map, Some(first)) => Some((first, "a map, which has no one text")),
        (Value::Number(number), Some(first)) if !number.is_finite() => {
            Some((first, "larger than any number, so it names no one value"))
        }
        _ => None,
    };
    match problem {
        Some((first, problem)) => Err(refusal.at(
            first.start,
            format!(
                "{what} is `{}`, {problem}: write the values that the fragment depends on, such as \
                 `user.id`",
                excerpt(text_of(source, value))
            ),
        )),
        None => Ok(()),
    }
}

/// Describes what is wrong with a timeout, with the message that a render would give.
fn timeout(source: &str, value: &[Token]) -> Option<String> {
    let text = text_of(source, value);
    let found = match read(source, value) {
        Value::Text(text) => Timeout::from_scalar(Scalar::Str(&text?)),
        Value::Boolean => Timeout::from_scalar(Scalar::Bool(text.starts_with(['t', 'T']))),
        Value::Number(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => match text.parse() {
            Ok(seconds) => Timeout::from_scalar(Scalar::Int(seconds)),
            Err(_) => Timeout::from_scalar(Scalar::Float(f64::MAX)),
        },
        Value::Number(seconds) => Timeout::from_scalar(Scalar::Float(seconds)),
        Value::Map => Timeout::from_scalar(Scalar::Other("map")),
        Value::List(_) => Timeout::from_scalar(Scalar::Other("list")),
        Value::Other => return None,
    };
    found.err().map(|error| error.message().to_owned())
}

fn tags<'t>(source: &str, value: &'t [Token]) -> Option<(&'t [Token], String)> {
    let shown = excerpt(text_of(source, value));
    let not_a_list = |what: &str| {
        format!("`tags` is the {what} `{shown}`, but takes a list: write `tags=[\"nav\"]`")
    };
    let problem = match read(source, value) {
        Value::List(items) => {
            if items.len() > MOST_TAGS {
                let problem = format!(
                    "`tags` lists {} tags, but a fragment can have at most {MOST_TAGS}: keep \
                     those that you delete by",
                    items.len()
                );
                return Some((value, problem));
            }
            return items.into_iter().find_map(|item| Some((item, tag(source, item)?)));
        }
        Value::Text(_) => {
            format!(
                "`tags` is the string `{shown}`, but takes a list: write `tags=[{}]`",
                // With the author's quotes, if the text is not shortened.
                if shown.ends_with('…') { "…" } else { shown.as_str() },
            )
        }
        Value::Boolean => not_a_list("boolean"),
        Value::Number(_) => not_a_list("number"),
        Value::Map => not_a_list("map"),
        Value::Other => return None,
    };
    Some((value, problem))
}

/// Describes what is wrong with one item of a list.
fn tag(source: &str, item: &[Token]) -> Option<String> {
    let tag = match read(source, item) {
        Value::Text(Some(tag)) => tag,
        Value::List(_) => {
            return Some(format!(
                "the tag `{}` is a list, but a tag is a text: write its items directly in `tags`",
                excerpt(text_of(source, item))
            ));
        }
        _ => return None,
    };
    if tag.is_empty() {
        return Some(
            "this tag is empty: write a text to delete the fragment by, such as \"post:7\", or \
             remove it"
                .into(),
        );
    }
    (tag.len() > MOST_TAG_BYTES).then(|| {
        format!(
            "the tag `{}` is {} bytes long, but a tag can have at most {MOST_TAG_BYTES}: write a \
             shorter one",
            excerpt(&tag),
            tag.len()
        )
    })
}

/// Describes what is wrong with a value that must be known when the template is loaded.
fn constant(source: &str, value: &[Token]) -> Option<&'static str> {
    (!matches!(read(source, value), Value::Boolean))
        .then_some("which is known only when the page renders")
}

fn cache_name(source: &str, value: &[Token]) -> Option<&'static str> {
    match read(source, value) {
        Value::Text(Some(name)) if is_cache_name(&name) => None,
        Value::Text(Some(_)) => Some("which is not a valid cache name"),
        Value::Boolean => Some("a boolean"),
        Value::Number(_) => Some("a number"),
        Value::Map => Some("a map"),
        Value::List(_) => Some("a list"),
        Value::Other if matches!(text_of(source, value), "none" | "None") => Some("not a name"),
        Value::Text(None) | Value::Other => None,
    }
}

fn duration(source: &str, value: &[Token]) -> Option<&'static str> {
    match read(source, value) {
        Value::Boolean => Some("a boolean"),
        Value::Number(seconds) if seconds < 0.0 => Some("negative"),
        Value::Number(0.0) => Some(NO_TIME),
        Value::Number(seconds) => {
            Timeout::from_scalar(Scalar::Float(seconds)).is_err().then_some(TOO_LONG)
        }
        Value::Text(Some(text)) => match Timeout::parse(&text) {
            Ok(Timeout::After(_)) => None,
            _ => Some(of_text(text.trim())),
        },
        Value::Text(None) | Value::Map | Value::List(_) | Value::Other => None,
    }
}

const TOO_LONG: &str = "longer than a clock can count";
const NO_TIME: &str = "zero";

/// Describes what is wrong with a text that is not a positive duration.
fn of_text(text: &str) -> &'static str {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return if text.bytes().all(|byte| byte == b'0') { NO_TIME } else { TOO_LONG };
    }
    match humantime::parse_duration(text) {
        Ok(life) if life.is_zero() => NO_TIME,
        Ok(_) | Err(humantime::DurationError::NumberOverflow) => TOO_LONG,
        Err(_) => "not a duration",
    }
}

fn text_of<'s>(source: &'s str, tokens: &[Token]) -> &'s str {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => &source[first.start..last.end],
        _ => "",
    }
}

fn read<'t>(source: &str, tokens: &'t [Token]) -> Value<'t> {
    match tokens {
        [one] if one.kind == TokenKind::String => {
            Value::Text(string_value(source, &(one.start..one.end)))
        }
        [one] if matches!(one.text(source), "true" | "True" | "false" | "False") => Value::Boolean,
        [open, inside @ .., close]
            if open.kind == TokenKind::Open
                && close.kind == TokenKind::Close
                && is_balanced(inside) =>
        {
            match open.text(source) {
                "[" => Value::List(items(source, inside)),
                "{" => Value::Map,
                _ => Value::Other,
            }
        }
        _ => number(text_of(source, tokens)).map_or(Value::Other, Value::Number),
    }
}

/// Whether no bracket in `tokens` closes one that was opened before them.
fn is_balanced(tokens: &[Token]) -> bool {
    let mut depth = 0_usize;
    tokens.iter().all(|token| match token.kind {
        TokenKind::Open => {
            depth += 1;
            true
        }
        TokenKind::Close => match depth.checked_sub(1) {
            Some(less) => {
                depth = less;
                true
            }
            None => false,
        },
        _ => true,
    })
}

/// The items between the brackets of a list. Empty ones are left out, so a trailing comma adds
/// none.
fn items<'t>(source: &str, inside: &'t [Token]) -> Vec<&'t [Token]> {
    let mut depth = 0_usize;
    inside
        .split(|token| {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.text(source) == ","
        })
        .filter(|item| !item.is_empty())
        .collect()
}

fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text).trim_start();
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value: f64 = digits.replace('_', "").parse().ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}

/// The longest name of a cache that `using=` may name, in bytes.
///
/// ```
/// assert_eq!(fragcache_syntax::MAX_CACHE_NAME_BYTES, 64);
/// ```
pub const MAX_CACHE_NAME_BYTES: usize = 64;

/// Whether a cache may have this name: 1 to [`MAX_CACHE_NAME_BYTES`] ASCII letters, digits, `_`, `-`
/// and `.`.
///
/// ```
/// use fragcache_syntax::is_cache_name;
///
/// assert!(is_cache_name("pages.v2"));
/// assert!(!is_cache_name("my pages"));
/// ```
pub fn is_cache_name(name: &str) -> bool {
    (1..=MAX_CACHE_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
