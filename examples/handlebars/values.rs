//! Handlebars values as arguments of a cache block: timeouts, conditions, tags and parts of keys.

use fragcache::engine::{Arguments, BlockOption, KeyEncoder, OptionValue, Scalar, UnusablePart};
use handlebars::{Helper, JsonTruthy, PathAndJson};
use serde_json::Value as Json;

/// The options whose values follow the positional arguments, in the order of their values.
pub(crate) const OPTIONS: &[BlockOption] =
    &[BlockOption::Unless, BlockOption::Refresh, BlockOption::Version];

/// The arguments of one call: timeout, name and vary parts, then the values of [`OPTIONS`].
pub(crate) struct Values<'h>(Vec<&'h PathAndJson<'h>>);

impl<'h> Values<'h> {
    pub(crate) fn of(helper: &'h Helper<'_>) -> Self {
        let options = OPTIONS.iter().filter_map(|option| helper.hash_get(option.name()));
        Self(helper.params().iter().chain(options).collect())
    }
}

impl Arguments for Values<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn scalar(&self, index: usize) -> Scalar<'_> {
        self.0.get(index).map_or(Scalar::Undefined, |value| scalar_of(value))
    }

    fn truthy(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|value| value.value().is_truthy(false))
    }

    fn encode(&self, index: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart> {
        match self.0.get(index) {
            Some(value) if !value.is_value_missing() => encode(value.value(), key, 0),
            _ => Err(UnusablePart::Undefined),
        }
    }
}

/// A value as a timeout or a tag.
fn scalar_of<'v>(value: &'v PathAndJson<'_>) -> Scalar<'v> {
    if value.is_value_missing() { Scalar::Undefined } else { scalar(value.value()) }
}

/// The value of an option that a miss declares.
pub(crate) fn option<'v>(value: &'v PathAndJson<'_>) -> OptionValue<'v> {
    match value.value() {
        Json::Array(items) => OptionValue::List(items.iter().map(scalar).collect()),
        _ => OptionValue::Scalar(scalar_of(value)),
    }
}

fn scalar(value: &Json) -> Scalar<'_> {
    match value {
        Json::Null => Scalar::None,
        Json::Bool(value) => Scalar::Bool(*value),
        Json::String(text) => Scalar::Str(text),
        Json::Array(_) => Scalar::Other("list"),
        Json::Object(_) => Scalar::Other("map"),
        Json::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(int), _) => Scalar::Int(int),
            (None, Some(float)) => Scalar::Float(float),
            (None, None) => Scalar::Other("number"),
        },
    }
}

/// Writes the canonical text of a value: the same that Rust code writes for a key, so that
/// `make_template_fragment_key` finds the fragment.
fn encode(value: &Json, key: &mut KeyEncoder<'_>, depth: usize) -> Result<(), UnusablePart> {
    match scalar(value) {
        Scalar::None => key.none(),
        Scalar::Bool(value) => key.bool(value),
        Scalar::Str(text) => key.str(text),
        Scalar::Int(int) => key.int(int),
        Scalar::Float(float) if float.is_finite() => key.float(float),
        Scalar::Float(_) => return Err(UnusablePart::NotFinite),
        _ => {
            let items = value.as_array().ok_or(UnusablePart::Kind("map"))?;
            if depth == UnusablePart::MAX_DEPTH {
                return Err(UnusablePart::TooDeep);
            }
            key.list(items.len());
            return items.iter().try_for_each(|item| encode(item, key, depth + 1));
        }
    }
    Ok(())
}
