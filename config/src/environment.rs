//! Settings from environment variables. Each variable is read separately, so that an error can name
//! it.

use std::ffi::OsString;
use std::iter;

use fragcache::{Error, ErrorKind};
use serde::Deserialize;
use serde::de::value::{Error as Refusal, MapDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::explain::{self, Author};
use super::flask;
use super::sections::{Layer, Settings};

/// Separates the name of a table from the name of a setting in it.
const INTO: &str = "__";

/// The settings of the variables whose names begin with `prefix`.
pub(super) fn layer<N, V>(
    prefix: &str,
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<Layer, Error>
where
    N: Into<OsString>,
    V: Into<OsString>,
{
    let refuse = |message: String| Err(Error::new(ErrorKind::Config, message));
    if prefix.is_empty() {
        return refuse(
            "the prefix of the variables is empty, so every variable would be a setting; write one \
             such as \"FRAGCACHE_\""
                .to_owned(),
        );
    }
    let mut layer = Layer::default();
    for (name, value) in variables {
        let (name, value) = (name.into(), value.into());
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(prefix) else {
            layer.ignored.extend(flask::is_setting(name).then(|| name.to_owned()));
            continue;
        };
        let Some(value) = value.to_str() else {
            return refuse(format!("{name} is not UTF-8; write a value that is, or unset it"));
        };
        if value.is_empty() {
            return refuse(format!("{name} is empty; write a value, or unset it"));
        }
        let path: Vec<String> = rest.split(INTO).map(str::to_lowercase).collect();
        let setting = path.join(".");
        let settings = Settings::deserialize(Nested { path: &path, value }).map_err(|cause| {
            let author = Author::OfVariables(prefix);
            Error::new(
                ErrorKind::Config,
                explain::of_setting(&author, &setting, &cause.to_string()),
            )
        })?;
        layer.settings.merge(settings);
        layer.places.note_variable(setting, name);
    }
    Ok(layer)
}

/// The variable of a setting.
pub(super) fn variable(prefix: &str, setting: &str) -> String {
    format!("{prefix}{}", setting.replace('.', INTO).to_uppercase())
}

/// One value within the tables of its path.
#[derive(Clone, Copy)]
struct Nested<'v> {
    path: &'v [String],
    value: &'v str,
}

impl<'de> IntoDeserializer<'de, Refusal> for Nested<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'v> Nested<'v> {
    /// The text, if the path ends here.
    fn text(&self) -> Option<&'v str> {
        self.path.is_empty().then_some(self.value)
    }

    fn whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.text().map(str::trim).map(str::parse::<u64>) {
            None => self.deserialize_any(visitor),
            Some(Ok(number)) => visitor.visit_u64(number),
            Some(Err(_)) => Err(Refusal::custom("this is not a whole number; write one like 3")),
        }
    }
}

impl<'de> Deserializer<'de> for Nested<'_> {
    type Error = Refusal;

    /// A table if the path goes on. Otherwise what the text is in TOML, or a string.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if let Some((first, path)) = self.path.split_first() {
            let inner = Nested { path, value: self.value };
            return visitor.visit_map(MapDeserializer::new(iter::once((first.as_str(), inner))));
        }
        let text = self.value.trim();
        let is_number =
            text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit());
        if let (true, Ok(number)) = (is_number, text.parse::<i64>()) {
            return visitor.visit_i64(number);
        }
        if let (true, Ok(number)) = (is_number, text.parse::<f64>()) {
            return visitor.visit_f64(number);
        }
        match text {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                Some(quoted) => visitor.visit_str(quoted),
                None => visitor.visit_str(self.value),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.text() {
            Some(text) => visitor.visit_str(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.text().map(str::trim) {
            Some("true") => visitor.visit_bool(true),
            Some("false") => visitor.visit_bool(false),
            Some(_) => Err(Refusal::custom("this is not a boolean; write true or false")),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.whole(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.text().map(str::trim).map(str::parse::<f64>) {
            None => self.deserialize_any(visitor),
            Some(Ok(number)) => visitor.visit_f64(number),
            Some(Err(_)) => Err(Refusal::custom("this is not a number; write one like 0.1")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.text() {
            Some(text) => visitor.visit_enum(text.into_deserializer()),
            None => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u64 u128 f32 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
