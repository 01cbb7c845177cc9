//! The calls of the recording are Python expressions; this parses the subset that they use.

use fragcache::KeyPart;
use fragcache::key::KeyEncoder;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value as Json;

/// A literal, or any other expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Py {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Py>),
    Tuple(Vec<Py>),
    Dict(Vec<(Py, Py)>),
    /// A name, or an expression.
    Code(String),
}

/// A call: the callee and its arguments.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) callee: String,
    pub(super) args: Vec<Py>,
    pub(super) named: Vec<(String, Py)>,
}

impl Said {
    /// Parses a call; `None` if the expression is not a call.
    pub(super) fn read(text: &str) -> Option<Self> {
        let inside = text.strip_suffix(')')?;
        let open = last_open(inside)?;
        let mut said = Self { callee: inside[..open].to_owned(), ..Self::default() };
        for piece in split(&inside[open + 1..], ',') {
            let (name, value) = piece.split_once('=').unwrap_or_default();
            if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                said.named.push((name.to_owned(), Py::read(value)));
            } else {
                said.args.push(Py::read(piece));
            }
        }
        Some(said)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Py> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The arguments by position, given the function's parameters with their defaults.
    pub(super) fn bound(&self, parameters: &[(&str, Option<&str>)]) -> Vec<Py> {
        if parameters.is_empty() {
            assert!(self.named.is_empty(), "{self:?} by name");
            return self.args.clone();
        }
        let value = |(at, (name, default)): (usize, &(&str, Option<&str>))| {
            let given = self.args.get(at).or_else(|| self.named(name)).cloned();
            given.or_else(|| default.map(Py::read)).unwrap_or_else(|| panic!("{self:?}: no {name}"))
        };
        parameters.iter().enumerate().map(value).collect()
    }
}

/// Position of the parenthesis that matches one at the end of this text.
fn last_open(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    scan(text, |at, c, _| match c {
        '(' => open.push(at),
        ')' => drop(open.pop()),
        _ => {}
    });
    open.pop()
}

/// Splits at separators outside brackets and string literals.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut cuts = vec![];
    scan(text, |at, c, depth| {
        if c == separator && depth == 0 {
            cuts.push(at);
        }
    });
    cuts.push(text.len());
    let mut from = 0;
    let mut pieces = Vec::new();
    for cut in cuts {
        pieces.push(text[from..cut].trim());
        from = cut + 1;
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Visits the characters outside string literals, with the bracket depth.
fn scan(text: &str, mut see: impl FnMut(usize, char, usize)) {
    let (mut depth, mut quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => {}
            _ => {
                depth = if ")]}".contains(c) { depth.saturating_sub(1) } else { depth };
                see(at, c, depth);
                depth += usize::from("([{".contains(c));
            }
        }
    }
}

fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

impl Py {
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim();
        let all = |inside| split(inside, ',').into_iter().map(Self::read).collect();
        match text {
            "None" => return Self::None,
            "True" => return Self::Bool(true),
            "False" => return Self::Bool(false),
            _ => {}
        }
        if let Ok(number) = text.parse() {
            return Self::Int(number);
        }
        if let Ok(number) = text.parse() {
            return Self::Float(number);
        }
        if let Some(inside) = between(text, "'", "'") {
            return Self::Text(inside.replace("\\n", "\n"));
        }
        if let Some(inside) = between(text, "b'", "'") {
            return Self::Bytes(inside.as_bytes().to_vec());
        }
        if let Some(inside) = between(text, "[", "]") {
            return Self::List(all(inside));
        }
        if let Some(inside) = between(text, "(", ")") {
            return Self::Tuple(all(inside));
        }
        if let Some(inside) = between(text, "{", "}") {
            let pair = |piece| match split(piece, ':')[..] {
                [key, value] => (Self::read(key), Self::read(value)),
                _ => panic!("{text} is no dictionary"),
            };
            return Self::Dict(split(inside, ',').into_iter().map(pair).collect());
        }
        Self::Code(text.to_owned())
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Code(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    pub(super) fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    pub(super) fn json(&self) -> Json {
        serde_json::to_value(self).unwrap()
    }
}

impl Serialize for Py {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_none(),
            Self::Bool(yes) => to.serialize_bool(*yes),
            Self::Int(number) => to.serialize_i64(*number),
            Self::Float(number) => to.serialize_f64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::Bytes(bytes) => to.serialize_bytes(bytes),
            Self::List(parts) | Self::Tuple(parts) => {
                let mut list = to.serialize_seq(Some(parts.len()))?;
                parts.iter().try_for_each(|part| list.serialize_element(part))?;
                list.end()
            }
            Self::Dict(pairs) => {
                let mut map = to.serialize_map(Some(pairs.len()))?;
                pairs.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
            Self::Code(code) => Err(serde::ser::Error::custom(format!("{code} is no value"))),
        }
    }
}

impl KeyPart for Py {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        match self {
            Self::None => None::<&str>.encode(key),
            Self::Bool(yes) => yes.encode(key),
            Self::Int(number) => number.encode(key),
            Self::Float(number) => number.encode(key),
            Self::Text(text) => text.encode(key),
            Self::List(parts) => parts.encode(key),
            other => panic!("{other:?} is no key"),
        }
    }
}

#[test]
fn a_call_is_taken_apart() {
    let said = Said::read("cache.set_many({'a': 1, 'b(,': [2, -3]}, timeout=1.5)").unwrap();
    assert_eq!(said.callee, "cache.set_many");
    let list = Py::List(vec![Py::Int(2), Py::Int(-3)]);
    let text = |text: &str| Py::Text(text.to_owned());
    assert_eq!(said.args, [Py::Dict(vec![(text("a"), Py::Int(1)), (text("b(,"), list)])]);
    assert_eq!(said.named("timeout"), Some(&Py::Float(1.5)));
    let said = Said::read("cache.delete_memoized(Adder(1).add, 3)").unwrap();
    assert_eq!(said.args, [Py::Code("Adder(1).add".to_owned()), Py::Int(3)]);
    assert_eq!(Said::read("Member(1).has(2)").unwrap().callee, "Member(1).has");
    assert!(Said::read("heard").is_none());
}
