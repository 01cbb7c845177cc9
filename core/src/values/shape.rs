//! The shape of a type, as its `Deserialize` asks for it: the names of structures, fields and
//! variants, and what they are made of. Bytes of one shape are never read as another: a field that was
//! added, renamed or given another type makes what was stored before a miss.
//!
//! The type is asked by handing it made-up values, one for each field. Where it does not accept one
//! (a date in a text), the shape ends there: what `MessagePack` says of the rest has to do. Of an enum
//! the names of all variants count, and the content of the first.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};
use xxhash_rust::xxh3::xxh3_128;

/// Longest shape that is looked at, in bytes: a type may contain itself.
const MAX_BYTES: usize = 16_384;

/// How deep a type is looked into.
const MAX_DEPTH: usize = 32;

/// The digests of shapes that were asked for. There are as many as types in the program. Of the process,
/// and so no lock of a model's.
static DIGESTS: LazyLock<RwLock<HashMap<TypeId, Arc<str>>>> = LazyLock::new(RwLock::default);

/// The digest of a type's shape.
pub(crate) fn digest<T: DeserializeOwned + 'static>() -> Arc<str> {
    let id = TypeId::of::<T>();
    if let Some(digest) = DIGESTS.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
        return Arc::clone(digest);
    }
    let digest: Arc<str> = format!("{:032x}", xxh3_128(shape::<T>().as_bytes())).into();
    let mut digests = DIGESTS.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(digests.entry(id).or_insert(digest))
}

fn shape<T: DeserializeOwned>() -> String {
    let mut text = String::new();
    let mut open = Vec::new();
    if T::deserialize(Asked { text: &mut text, open: &mut open, depth: 0 }).is_err() {
        // What could not be looked at is at least of another type.
        let _ = write!(text, " {}", type_name::<T>());
    }
    text
}

/// The type wants more than is made up for it.
#[derive(Debug)]
struct Unwilling;

impl fmt::Display for Unwilling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("made-up values do not suffice")
    }
}

impl std::error::Error for Unwilling {}

impl de::Error for Unwilling {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Takes note of what a type asks for.
struct Asked<'a> {
    text: &'a mut String,
    /// The structures that it is in.
    open: &'a mut Vec<&'static str>,
    depth: usize,
}

impl Asked<'_> {
    fn note(&mut self, what: fmt::Arguments<'_>) -> Result<(), Unwilling> {
        if self.text.len() > MAX_BYTES || self.depth > MAX_DEPTH {
            return Err(Unwilling);
        }
        self.text.write_fmt(what).map_err(|_| Unwilling)
    }

    fn inner(&mut self) -> Asked<'_> {
        Asked { text: self.text, open: self.open, depth: self.depth + 1 }
    }
}

macro_rules! plain {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unwilling> {
            self.note(format_args!("{};", &stringify!($visit)[6..]))?;
            visitor.$visit($value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Asked<'_> {
    type Error = Unwilling;

    plain! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 1;
        deserialize_i16 visit_i16 1;
        deserialize_i32 visit_i32 1;
        deserialize_i64 visit_i64 1;
        deserialize_i128 visit_i128 1;
        deserialize_u8 visit_u8 1;
        deserialize_u16 visit_u16 1;
        deserialize_u32 visit_u32 1;
        deserialize_u64 visit_u64 1;
        deserialize_u128 visit_u128 1;
        deserialize_f32 visit_f32 1.0;
        deserialize_f64 visit_f64 1.0;
        deserialize_char visit_char 'a';
        deserialize_str visit_str "";
        deserialize_string visit_string String::new();
        deserialize_bytes visit_bytes &[];
        deserialize_byte_buf visit_byte_buf Vec::new();
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unwilling> {
        self.note(format_args!("unit;"))?;
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.deserialize_unit(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unwilling> {
        self.note(format_args!("any;"))?;
        visitor.visit_unit()
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unwilling> {
        self.note(format_args!("option "))?;
        visitor.visit_some(self.inner())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.note(format_args!("unit {name};"))?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.note(format_args!("new {name} "))?;
        visitor.visit_newtype_struct(self.inner())
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unwilling> {
        self.note(format_args!("seq "))?;
        visitor.visit_seq(Parts { asked: self, left: 1, fields: &[] })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.note(format_args!("tuple {len} "))?;
        visitor.visit_seq(Parts { asked: self, left: len, fields: &[] })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.note(format_args!("tuple {name} {len} "))?;
        visitor.visit_seq(Parts { asked: self, left: len, fields: &[] })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unwilling> {
        self.note(format_args!("map "))?;
        visitor.visit_map(Parts { asked: self, left: 1, fields: &[] })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.note(format_args!("struct {name} {fields:?} "))?;
        // A type that contains itself was told already.
        if self.open.contains(&name) {
            return Err(Unwilling);
        }
        self.open.push(name);
        let asked = self.inner();
        let value = visitor.visit_map(Parts { asked, left: fields.len(), fields })?;
        self.open.pop();
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.note(format_args!("enum {name} {variants:?} "))?;
        let first = variants.first().ok_or(Unwilling)?;
        visitor.visit_enum(First { asked: self, name: first })
    }
}

/// Made-up parts of a list, a map or a structure.
struct Parts<'a> {
    asked: Asked<'a>,
    left: usize,
    fields: &'static [&'static str],
}

impl<'de> de::SeqAccess<'de> for Parts<'_> {
    type Error = Unwilling;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unwilling> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.asked.inner()).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Parts<'_> {
    type Error = Unwilling;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unwilling> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        match self.fields.iter().rev().nth(left) {
            Some(&field) => seed.deserialize(StrDeserializer::new(field)).map(Some),
            None => seed.deserialize(self.asked.inner()).map(Some),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unwilling> {
        seed.deserialize(self.asked.inner())
    }
}

/// The first variant of an enum.
struct First<'a> {
    asked: Asked<'a>,
    name: &'static str,
}

impl<'a, 'de> de::EnumAccess<'de> for First<'a> {
    type Error = Unwilling;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Unwilling> {
        let name = seed.deserialize(StrDeserializer::<Unwilling>::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de> de::VariantAccess<'de> for First<'_> {
    type Error = Unwilling;

    fn unit_variant(self) -> Result<(), Unwilling> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        mut self,
        seed: S,
    ) -> Result<S::Value, Unwilling> {
        seed.deserialize(self.asked.inner())
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Unwilling> {
        de::Deserializer::deserialize_tuple(self.asked, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        de::Deserializer::deserialize_struct(self.asked, self.name, fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::{digest, shape};

    mod before {
        #[derive(serde::Deserialize)]
        #[allow(dead_code, reason = "only its shape is looked at")]
        pub(super) struct Product {
            id: u32,
            name: String,
        }
    }

    mod after {
        #[derive(serde::Deserialize)]
        #[allow(dead_code, reason = "only its shape is looked at")]
        pub(super) struct Product {
            id: u32,
            name: String,
            price: Option<f64>,
        }
    }

    #[test]
    fn a_field_that_was_added_is_another_shape() {
        assert_ne!(digest::<before::Product>(), digest::<after::Product>());
        assert_ne!(digest::<Vec<before::Product>>(), digest::<Vec<after::Product>>());
        assert_eq!(digest::<before::Product>(), digest::<before::Product>());
        assert_eq!(shape::<before::Product>(), r#"struct Product ["id", "name"] u32;string;"#);
    }

    #[test]
    fn kinds_of_numbers_and_lists_are_shapes_of_their_own() {
        let digests = [
            digest::<u32>(),
            digest::<i32>(),
            digest::<u64>(),
            digest::<f64>(),
            digest::<String>(),
            digest::<Option<u32>>(),
            digest::<Vec<u32>>(),
            digest::<(u32, u32)>(),
            digest::<HashMap<u32, u32>>(),
            digest::<()>(),
            digest::<Result<u32, String>>(),
        ];
        for (at, one) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(one), "{at}");
        }
    }

    #[test]
    fn types_that_contain_themselves_have_a_shape() {
        #[derive(Deserialize)]
        #[allow(dead_code, reason = "only its shape is looked at")]
        struct Tree {
            name: String,
            below: Vec<Tree>,
            left: Option<Box<Tree>>,
        }
        assert!(
            shape::<Tree>().starts_with(r#"struct Tree ["name", "below", "left"] string;seq "#)
        );
        assert_ne!(digest::<Tree>(), digest::<Vec<Tree>>());
    }
}
