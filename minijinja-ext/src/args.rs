//! Converts MiniJinja values to cache block arguments: key parts, tags and timeouts. The key
//! encoding and the timeout rules are in core.

use fragcache::engine::{Arguments, KeyEncoder, OptionValue, Scalar, UnusablePart};
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::callers::macro_name;

/// The argument values that follow a block's id.
pub(crate) struct Args<'a>(pub(crate) &'a [Value]);

impl Arguments for Args<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn scalar(&self, index: usize) -> Scalar<'_> {
        self.0.get(index).map_or(Scalar::Undefined, scalar)
    }

    fn truthy(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(Value::is_true)
    }

    fn encode(&self, index: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart> {
        self.0.get(index).map_or(Err(UnusablePart::Undefined), |value| encode(value, key, 0))
    }
}

/// The value of an option or of a function's argument: the items of a list, or one value.
pub(crate) enum Items<'a> {
    List(Vec<Value>),
    One(&'a Value),
}

impl<'a> Items<'a> {
    pub(crate) fn of(value: &'a Value) -> Self {
        match (value.kind(), value.try_iter()) {
            (ValueKind::Seq | ValueKind::Iterable, Ok(items)) => Self::List(items.collect()),
            _ => Self::One(value),
        }
    }

    pub(crate) fn value(&self) -> OptionValue<'_> {
        match self {
            Self::List(items) => OptionValue::List(items.iter().map(scalar).collect()),
            Self::One(value) => OptionValue::Scalar(scalar(value)),
        }
    }
}

/// The parts of a prefetched key: the block name and its vary parts.
pub(crate) fn parts(name: &Value, vary: Value) -> Vec<Value> {
    let mut parts = vec![name.clone()];
    match Items::of(&vary) {
        Items::List(items) => parts.extend(items),
        Items::One(_) => parts.push(vary),
    }
    parts
}

pub(crate) fn scalar(value: &Value) -> Scalar<'_> {
    // Fast path: most timeouts are small integers.
    if value.is_integer()
        && let Some(number) = value.as_i64()
    {
        return Scalar::Int(i128::from(number));
    }
    match value.kind() {
        ValueKind::Undefined => Scalar::Undefined,
        ValueKind::None => Scalar::None,
        ValueKind::Bool => Scalar::Bool(value.is_true()),
        ValueKind::String => value.as_str().map_or(Scalar::Other("string"), Scalar::Str),
        ValueKind::Number => number(value),
        _ => Scalar::Other(name(value)),
    }
}

fn number(value: &Value) -> Scalar<'_> {
    if !value.is_integer() {
        return f64::try_from(value.clone()).map_or(Scalar::Other("number"), Scalar::Float);
    }
    match i128::try_from(value.clone()) {
        Ok(number) => Scalar::Int(number),
        Err(_) => u128::try_from(value.clone()).map_or(Scalar::Other("number"), Scalar::BigInt),
    }
}

fn encode(value: &Value, key: &mut KeyEncoder<'_>, depth: usize) -> Result<(), UnusablePart> {
    if let Some(text) = value.as_str() {
        key.str(text);
        return Ok(());
    }
    match scalar(value) {
        Scalar::Int(number) => key.int(number),
        Scalar::BigInt(number) => key.uint(number),
        Scalar::Float(number) if number.is_finite() => key.float(number),
        Scalar::Float(_) => return Err(UnusablePart::NotFinite),
        Scalar::Bool(value) => key.bool(value),
        Scalar::None => key.none(),
        Scalar::Undefined => return Err(UnusablePart::Undefined),
        _ if matches!(value.kind(), ValueKind::Seq) => return list(value, key, depth),
        _ => return Err(UnusablePart::Kind(name(value))),
    }
    Ok(())
}

fn list(value: &Value, key: &mut KeyEncoder<'_>, depth: usize) -> Result<(), UnusablePart> {
    if depth >= UnusablePart::MAX_DEPTH {
        return Err(UnusablePart::TooDeep);
    }
    let items = value.try_iter().map_err(|_| UnusablePart::Kind("sequence"))?;
    // The encoding puts the length before the items. An object may report a wrong length, so the
    // items are collected and counted.
    let items: Vec<Value> = items.collect();
    key.list(items.len());
    items.iter().try_for_each(|item| encode(item, key, depth + 1))
}

fn name(value: &Value) -> &'static str {
    match value.kind() {
        // Before `Map`: a macro has attributes and would count as a map.
        _ if macro_name(value).is_some() => "macro",
        ValueKind::Bytes => "byte string",
        ValueKind::Seq => "list",
        ValueKind::Map => "map",
        ValueKind::Iterable => "lazy sequence (write it as a list: `part | list`)",
        ValueKind::Plain => "plain object",
        ValueKind::Invalid => "invalid value",
        _ => "value without a text",
    }
}
