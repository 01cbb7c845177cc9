//! The deserializer that explores a type: it records what the type requests and returns made-up
//! values. `trace` decides the order in which they are tried.

use std::any::TypeId;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Visitor};

use super::trace::{Choice, MAX_SAMPLES, Trace};

/// The type rejects a made-up value.
#[derive(Debug)]
pub(super) enum Unwilling {
    Sample,
    /// The name of a field is an alias.
    DuplicateField,
}

impl fmt::Display for Unwilling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type does not accept a made-up value")
    }
}

impl std::error::Error for Unwilling {}

impl de::Error for Unwilling {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Sample
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::DuplicateField
    }
}

const SIGNED: [i8; 7] = [1, 0, 2, -1, 7, 60, 100];
const UNSIGNED: [u8; 7] = [1, 0, 2, 7, 60, 100, 200];
const FLOATS: [f32; 5] = [1.0, 0.0, 0.5, -1.0, 100.0];
const BYTES: [u8; 64] = [0; 64];
const LENGTHS: [usize; 14] = [0, 16, 32, 4, 8, 12, 20, 24, 64, 1, 2, 3, 6, 48];

/// Common texts: dates, identifiers, addresses.
const TEXTS: [&str; 29] = [
    "a",
    "",
    "1",
    "2000-01-01T00:00:00Z",
    "2000-01-01",
    "00:00:00",
    "2000-01-01T00:00:00",
    "2000-01-01T00:00:00+00:00[UTC]",
    "UTC",
    "PT1H",
    "1s",
    "00000000-0000-0000-0000-000000000001",
    "00000000000000000000000000",
    "000000000000000000000000",
    "http://a.example/",
    "a@a.example",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.0/8",
    "::1",
    "1.0.0",
    "en",
    "en-US",
    "US",
    "+12025550123",
    "EUR",
    "#000000",
    "text/plain",
    "/",
];

// No other kind has more samples.
const _: () = assert!(TEXTS.len() <= MAX_SAMPLES);

/// Numbers of elements to try. The first time, there must be at least one.
const SOME: &[usize] = &[1, 2, 3, 4];

/// One value that a type requests.
pub(super) struct Asked<'t> {
    trace: &'t mut Trace,
    depth: usize,
    frame: usize,
    /// The field that the value is for.
    field: &'static str,
}

impl<'t> Asked<'t> {
    pub(super) fn new(trace: &'t mut Trace) -> Self {
        Self { trace, depth: 0, frame: 0, field: "" }
    }

    fn inner(&mut self, frame: usize, field: &'static str) -> Asked<'_> {
        Asked { trace: self.trace, depth: self.depth + 1, frame, field }
    }

    fn leaf<V, R>(
        self,
        what: &'static str,
        count: usize,
        visit: impl FnOnce(usize) -> Result<R, Unwilling>,
    ) -> Result<R, Unwilling> {
        self.trace.begin(format_args!("{what}"), self.depth)?;
        let value = visit(self.trace.sample(typeid::of::<V>(), self.field, count))?;
        self.trace.finish();
        Ok(value)
    }

    /// Explores a value that contains others.
    fn around<R>(
        mut self,
        what: fmt::Arguments<'_>,
        visit: impl FnOnce(&mut Self) -> Result<R, Unwilling>,
    ) -> Result<R, Unwilling> {
        self.trace.begin(what, self.depth)?;
        let value = visit(&mut self)?;
        self.trace.finish();
        Ok(value)
    }

    /// Explores a named type.
    fn named<R>(
        self,
        reader: TypeId,
        what: fmt::Arguments<'_>,
        visit: impl FnOnce(&mut Self) -> Result<R, Unwilling>,
    ) -> Result<R, Unwilling> {
        self.around(what, |asked| {
            asked.frame = asked.trace.enter(reader, asked.frame);
            visit(asked)
        })
    }

    /// The number of elements to return.
    fn length(&mut self) -> usize {
        let first = usize::from(self.trace.is_full(self.frame));
        self.trace.choose(Choice::new(first, SOME))
    }

    fn elements(&mut self, left: usize) -> Elements<'_> {
        let frame = self.frame;
        Elements { asked: self.inner(frame, ""), left }
    }
}

macro_rules! leaves {
    ($($method:ident $visit:ident $samples:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
            self.leaf::<V, _>(&stringify!($visit)[6..], $samples.len(), |at| {
                visitor.$visit($samples[at].into())
            })
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Asked<'_> {
    type Error = Unwilling;

    leaves! {
        deserialize_i8 visit_i8 SIGNED;
        deserialize_i16 visit_i16 SIGNED;
        deserialize_i32 visit_i32 SIGNED;
        deserialize_i64 visit_i64 SIGNED;
        deserialize_i128 visit_i128 SIGNED;
        deserialize_u8 visit_u8 UNSIGNED;
        deserialize_u16 visit_u16 UNSIGNED;
        deserialize_u32 visit_u32 UNSIGNED;
        deserialize_u64 visit_u64 UNSIGNED;
        deserialize_u128 visit_u128 UNSIGNED;
        deserialize_f32 visit_f32 FLOATS;
        deserialize_f64 visit_f64 FLOATS;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.leaf::<V, _>("bool", 2, |at| visitor.visit_bool(at == 1))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        const CHARS: [char; 3] = ['a', 'A', '0'];
        self.leaf::<V, _>("char", CHARS.len(), |at| visitor.visit_char(CHARS[at]))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.leaf::<V, _>("text", TEXTS.len(), |at| visitor.visit_str(TEXTS[at]))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.leaf::<V, _>("bytes", LENGTHS.len(), |at| visitor.visit_bytes(&BYTES[..LENGTHS[at]]))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.around(format_args!("unit"), |_| visitor.visit_unit())
    }

    // The type inspects the bytes to find out what they are. Its later versions would do the same.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unwilling> {
        Err(self.trace.blind())
    }

    // The type knows names that it does not reveal, as one with a flattened field does.
    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unwilling> {
        Err(self.trace.blind())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unwilling> {
        Err(self.trace.blind())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.around(format_args!("option"), |asked| {
            let choice = match asked.trace.is_full(asked.frame) {
                true => Choice::new(1, &[]),
                false => Choice::new(0, &[1]),
            };
            match asked.trace.choose(choice) {
                0 => visitor.visit_none(),
                _ => visitor.visit_some(asked.inner(asked.frame, asked.field)),
            }
        })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.around(format_args!("unit {name:?}"), |_| visitor.visit_unit())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.named(typeid::of::<V>(), format_args!("new {name:?}"), |asked| {
            visitor.visit_newtype_struct(asked.inner(asked.frame, name))
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.around(format_args!("seq"), |asked| {
            let length = asked.length();
            visitor.visit_seq(asked.elements(length))
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.around(format_args!("tuple {len}"), |asked| visitor.visit_seq(asked.elements(len)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.named(typeid::of::<V>(), format_args!("tuple {name:?} {len}"), |asked| {
            visitor.visit_seq(asked.elements(len))
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unwilling> {
        self.around(format_args!("map"), |asked| {
            let length = asked.length();
            visitor.visit_map(asked.elements(length))
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.named(typeid::of::<V>(), format_args!("struct {name:?} {fields:?}"), |asked| {
            // Some handwritten implementations read no names.
            match asked.trace.choose(Choice::new(0, &[1])) {
                0 => {
                    let frame = asked.frame;
                    visitor.visit_map(Fields {
                        asked: asked.inner(frame, ""),
                        at: "",
                        left: fields,
                    })
                }
                _ => visitor.visit_seq(asked.elements(fields.len())),
            }
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unwilling> {
        self.around(format_args!("enum {name:?} {variants:?}"), |asked| {
            let (at, variant, frame) =
                asked.trace.enter_enum(typeid::of::<V>(), variants.len(), asked.frame)?;
            let name = variants[variant];
            asked.trace.note(format_args!("{name:?}"));
            let value = visitor.visit_enum(Variant { asked: asked.inner(frame, name), name })?;
            asked.trace.leave_enum(at, variant);
            Ok(value)
        })
    }
}

/// The elements of a list, or the entries of a map.
struct Elements<'a> {
    asked: Asked<'a>,
    left: usize,
}

impl Elements<'_> {
    fn next(&mut self) -> Option<Asked<'_>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.value())
    }

    fn value(&mut self) -> Asked<'_> {
        let frame = self.asked.frame;
        self.asked.inner(frame, "")
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Unwilling;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unwilling> {
        self.next().map(|asked| seed.deserialize(asked)).transpose()
    }
}

impl<'de> de::MapAccess<'de> for Elements<'_> {
    type Error = Unwilling;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unwilling> {
        self.next().map(|asked| seed.deserialize(asked)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unwilling> {
        seed.deserialize(self.value())
    }
}

/// The fields of a struct, including aliases.
struct Fields<'a> {
    asked: Asked<'a>,
    at: &'static str,
    left: &'static [&'static str],
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Unwilling;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Unwilling> {
        while let Some((field, left)) = self.left.split_first() {
            (self.at, self.left) = (field, left);
            if self.asked.trace.choose(Choice::field()) == 0 {
                return seed.deserialize(StrDeserializer::new(field)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unwilling> {
        let (frame, field) = (self.asked.frame, self.at);
        seed.deserialize(self.asked.inner(frame, field))
    }
}

/// One variant of an enum.
struct Variant<'a> {
    asked: Asked<'a>,
    name: &'static str,
}

impl<'de> de::EnumAccess<'de> for Variant<'_> {
    type Error = Unwilling;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Unwilling> {
        let name = seed.deserialize(StrDeserializer::<Unwilling>::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_> {
    type Error = Unwilling;

    fn unit_variant(self) -> Result<(), Unwilling> {
        self.asked.trace.note(format_args!("unit"));
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Unwilling> {
        self.asked.trace.note(format_args!("new"));
        seed.deserialize(self.asked)
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
