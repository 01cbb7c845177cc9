//! Converts Tera values to cache block arguments: timeouts, conditions, tags and key parts. The key
//! encoding is in core's `KeyEncoder`.

use fragcache::engine::{Arguments, KeyEncoder, OptionValue, Scalar, UnusablePart};
use tera::Value;
use tera::value::ValueKind;

/// The argument values that follow a block's id.
pub(crate) struct Values<'a>(pub(crate) &'a [Value]);

impl Arguments for Values<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn scalar(&self, index: usize) -> Scalar<'_> {
        self.0.get(index).map_or(Scalar::Undefined, scalar)
    }

    fn truthy(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(Value::is_truthy)
    }

    fn encode(&self, index: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart> {
        let value = self.0.get(index).ok_or(UnusablePart::Undefined)?;
        encode(value, key, 0)
    }
}

/// The parts of a prefetched key: the block name and its vary parts.
pub(crate) fn parts(name: &Value, vary: &Value) -> Vec<Value> {
    let several = vary.as_array().filter(|_| vary.kind() == ValueKind::Array);
    let mut parts = vec![name.clone()];
    match several {
        Some(items) => parts.extend(items.iter().cloned()),
        None => parts.push(vary.clone()),
    }
    parts
}

pub(crate) fn scalar(value: &Value) -> Scalar<'_> {
    match value.kind() {
        ValueKind::Undefined => Scalar::Undefined,
        ValueKind::None => Scalar::None,
        ValueKind::Bool => Scalar::Bool(value.is_truthy()),
        ValueKind::String => value.as_str().map_or(Scalar::Other("string"), Scalar::Str),
        ValueKind::F64 => value.as_f64().map_or(Scalar::Other("float"), Scalar::Float),
        _ => match (value.as_i128(), value.as_u128()) {
            (Some(int), _) => Scalar::Int(int),
            (None, Some(int)) => Scalar::BigInt(int),
            (None, None) => Scalar::Other(name_of(value)),
        },
    }
}

/// The value of an option or of a function's argument: the items of a list, or one value.
pub(crate) fn option(value: &Value) -> OptionValue<'_> {
    match value.as_array() {
        Some(items) => OptionValue::List(items.iter().map(scalar).collect()),
        None => OptionValue::Scalar(scalar(value)),
    }
}

fn encode(value: &Value, key: &mut KeyEncoder<'_>, depth: usize) -> Result<(), UnusablePart> {
    match value.kind() {
        ValueKind::Undefined => return Err(UnusablePart::Undefined),
        ValueKind::None => key.none(),
        ValueKind::Bool => key.bool(value.is_truthy()),
        ValueKind::String => key.str(value.as_str().ok_or(UnusablePart::Kind("string"))?),
        ValueKind::F64 => {
            let float = value.as_f64().filter(|float| float.is_finite());
            key.float(float.ok_or(UnusablePart::NotFinite)?);
        }
        ValueKind::Array => {
            if depth == UnusablePart::MAX_DEPTH {
                return Err(UnusablePart::TooDeep);
            }
            let items = value.as_array().ok_or(UnusablePart::Kind("list"))?;
            key.list(items.len());
            for item in items {
                encode(item, key, depth + 1)?;
            }
        }
        _ => match (value.as_i128(), value.as_u128()) {
            (Some(int), _) => key.int(int),
            (None, Some(int)) => key.uint(int),
            (None, None) => return Err(UnusablePart::Kind(name_of(value))),
        },
    }
    Ok(())
}

/// The type's name for template authors.
fn name_of(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Array => "list",
        ValueKind::Bytes => "sequence of bytes",
        ValueKind::Map => "map",
        _ => value.name(),
    }
}
