//! Function arguments as parts of a key, by value, for any type that implements `Serialize`. Two
//! values share bytes exactly if they are equal by kind and value. Each kind has its tag (see
//! `typed`): null, bool, integers of all widths, floats by their bits, text, bytes, options,
//! sequences, maps and `Unordered` in any order, structs and variants by their names.

use serde::ser::{self, Serialize};

use super::encode::length;
use super::typed::{MAX_DEPTH, tag};

/// Writes `value` as exactly one part.
///
/// # Errors
///
/// The error of its `Serialize`, or that it nests too deep.
pub(crate) fn encode_by_value<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), Unserializable> {
    value.serialize(ByValue { bytes, depth: 0, is_unordered: false })
}

/// Why a value cannot be serialized.
#[derive(Debug, Clone)]
pub(crate) struct Unserializable(String);

impl std::fmt::Display for Unserializable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unserializable {}

impl ser::Error for Unserializable {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The name of the newtype that marks an unordered sequence. No user type has it.
pub(crate) const UNORDERED: &str = "fragcache::memoize::Unordered";

struct ByValue<'a> {
    bytes: &'a mut Vec<u8>,
    depth: usize,
    /// True if the next sequence is unordered.
    is_unordered: bool,
}

impl<'a> ByValue<'a> {
    fn inner(&mut self, is_unordered: bool) -> Result<ByValue<'_>, Unserializable> {
        if self.depth == MAX_DEPTH {
            return Err(ser::Error::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(ByValue { bytes: self.bytes, depth: self.depth + 1, is_unordered })
    }

    /// Writes the tag of anything but a sequence.
    fn tag(&mut self, tag: u8) -> Result<(), Unserializable> {
        if self.is_unordered {
            return Err(ser::Error::custom(
                "Unordered wraps a value that is not a sequence: write it around the set itself",
            ));
        }
        self.bytes.push(tag);
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        length(self.bytes, text.len());
        self.bytes.extend_from_slice(text);
    }

    fn tagged(&mut self, tag: u8, text: &[u8]) -> Result<(), Unserializable> {
        self.tag(tag)?;
        self.text(text);
        Ok(())
    }

    /// Starts a compound value that has items until its end tag, after its names.
    fn open(mut self, tag: u8, names: &[&str]) -> Result<Items<'a>, Unserializable> {
        self.tag(tag)?;
        names.iter().for_each(|name| self.text(name.as_bytes()));
        Ok(Items(self))
    }

    fn sequence(self) -> Entries<'a> {
        let starts = self.is_unordered.then(Vec::new);
        self.bytes.push(if starts.is_some() { tag::UNORDERED } else { tag::SEQUENCE });
        Entries { items: Items(self), starts }
    }
}

/// The items of a sequence, a struct or a variant. An end tag closes them, so no count is needed.
struct Items<'a>(ByValue<'a>);

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        value.serialize(self.0.inner(false)?)
    }

    #[allow(clippy::unnecessary_wraps, reason = "what `end` returns")]
    fn close(self) -> Result<(), Unserializable> {
        self.0.bytes.push(tag::END);
        Ok(())
    }
}

/// The items of a sequence or the entries of a map. Unordered ones are sorted at the end.
struct Entries<'a> {
    items: Items<'a>,
    /// The start of each item; `None` if order matters.
    starts: Option<Vec<usize>>,
}

impl Entries<'_> {
    fn start(&mut self) {
        if let Some(starts) = &mut self.starts {
            starts.push(self.items.0.bytes.len());
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        self.start();
        self.items.item(value)
    }

    fn close(mut self) -> Result<(), Unserializable> {
        self.sort();
        self.items.close()
    }

    fn sort(&mut self) {
        let bytes = &mut *self.items.0.bytes;
        let Some(starts) = &self.starts else { return };
        let Some(&first) = starts.first() else { return };
        let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
        let mut entries: Vec<&[u8]> =
            starts.iter().zip(ends).map(|(&start, end)| &bytes[start..end]).collect();
        if entries.is_sorted() {
            return;
        }
        entries.sort_unstable();
        let sorted = entries.concat();
        bytes.truncate(first);
        bytes.extend_from_slice(&sorted);
    }
}

macro_rules! integers {
    ($($method:ident($type:ty);)*) => {$(
        fn $method(mut self, value: $type) -> Result<(), Unserializable> {
            self.tagged(tag::INT, itoa::Buffer::new().format(value).as_bytes())
        }
    )*};
}

impl<'a> ser::Serializer for ByValue<'a> {
    type Ok = ();
    type Error = Unserializable;
    type SerializeSeq = Entries<'a>;
    type SerializeTuple = Entries<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    integers! {
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
    }

    fn serialize_bool(mut self, value: bool) -> Result<(), Unserializable> {
        self.tag(if value { tag::TRUE } else { tag::FALSE })
    }

    fn serialize_f32(self, value: f32) -> Result<(), Unserializable> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(mut self, value: f64) -> Result<(), Unserializable> {
        let value = if value.is_nan() { f64::NAN } else { value };
        self.tag(tag::FLOAT)?;
        self.bytes.extend_from_slice(&value.to_bits().to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Unserializable> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), Unserializable> {
        self.tagged(tag::TEXT, value.as_bytes())
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Unserializable> {
        self.tagged(tag::BYTES, value)
    }

    // An absent `Option` around a set is not a set.
    fn serialize_none(self) -> Result<(), Unserializable> {
        self.bytes.push(tag::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Unserializable> {
        self.bytes.push(tag::SOME);
        value.serialize(self.inner(self.is_unordered)?)
    }

    fn serialize_unit(mut self) -> Result<(), Unserializable> {
        self.tag(tag::UNIT)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Unserializable> {
        self.open(tag::TUPLE_STRUCT, &[name])?.close()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Unserializable> {
        self.open(tag::VARIANT, &[name, variant])?.close()
    }

    // With its name: in an untagged enum, only the name distinguishes two ids.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unserializable> {
        if name == UNORDERED {
            return value.serialize(self.inner(true)?);
        }
        let is_unordered = std::mem::take(&mut self.is_unordered);
        let mut items = self.open(tag::TUPLE_STRUCT, &[name])?;
        value.serialize(items.0.inner(is_unordered)?)?;
        items.close()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unserializable> {
        let mut items = self.open(tag::VARIANT, &[name, variant])?;
        items.item(value)?;
        items.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Entries<'a>, Unserializable> {
        Ok(self.sequence())
    }

    fn serialize_tuple(self, _: usize) -> Result<Entries<'a>, Unserializable> {
        Ok(self.sequence())
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Unserializable> {
        self.open(tag::TUPLE_STRUCT, &[name])
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Unserializable> {
        self.open(tag::VARIANT, &[name, variant])
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Unserializable> {
        Ok(Entries { items: self.open(tag::MAP, &[])?, starts: Some(Vec::new()) })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Items<'a>, Unserializable> {
        self.open(tag::STRUCT, &[name])
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Unserializable> {
        self.open(tag::STRUCT_VARIANT, &[name, variant])
    }
}

macro_rules! lists {
    ($($trait:ident for $list:ident: $method:ident by $item:ident;)*) => {$(
        impl ser::$trait for $list<'_> {
            type Ok = ();
            type Error = Unserializable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
                self.$item(value)
            }

            fn end(self) -> Result<(), Unserializable> {
                self.close()
            }
        }
    )*};
}

lists! {
    SerializeSeq for Entries: serialize_element by element;
    SerializeTuple for Entries: serialize_element by element;
    SerializeTupleStruct for Items: serialize_field by item;
    SerializeTupleVariant for Items: serialize_field by item;
}

macro_rules! structures {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = Unserializable;

            // With its name, because a field may be skipped.
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unserializable> {
                self.0.text(name.as_bytes());
                self.item(value)
            }

            fn end(self) -> Result<(), Unserializable> {
                self.close()
            }
        }
    )*};
}

structures!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Unserializable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unserializable> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        self.items.item(value)
    }

    fn end(self) -> Result<(), Unserializable> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use serde::Serialize;

    use super::super::encode::Decoder;
    use super::super::typed::skip;
    use super::{MAX_DEPTH, encode_by_value};

    fn of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_by_value(value, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn equal_maps_are_one_key_in_any_order() {
        let one: HashMap<u32, &str> = (0..50).map(|n| (n, "x")).collect();
        let other: HashMap<u32, &str> = (0..50).rev().map(|n| (n, "x")).collect();
        let sorted: BTreeMap<u32, &str> = (0..50).map(|n| (n, "x")).collect();
        assert_eq!(of(&one), of(&other));
        assert_eq!(of(&one), of(&sorted));
        assert_ne!(of(&HashMap::from([(1, 2)])), of(&HashMap::from([(2, 1)])));
    }

    #[test]
    fn values_of_one_type_that_differ_are_different_keys() {
        #[derive(Serialize)]
        enum Shape {
            Dot,
            Line(u32),
            Box { w: u32, h: u32 },
        }
        let shapes = [
            of(&Shape::Dot),
            of(&Shape::Line(1)),
            of(&Shape::Line(2)),
            of(&Shape::Box { w: 1, h: 2 }),
            of(&Shape::Box { w: 2, h: 1 }),
        ];
        let options: [Option<Option<u8>>; 3] = [None, Some(None), Some(Some(1))];
        let lists: [&[&[u8]]; 4] = [&[&[1], &[2]], &[&[1, 2]], &[&[1, 2], &[]], &[]];
        for keys in
            [shapes.to_vec(), options.iter().map(of).collect(), lists.iter().map(of).collect()]
        {
            let distinct: std::collections::HashSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len(), "{keys:?}");
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        #[derive(Serialize)]
        struct Nest(Option<Box<Nest>>);
        let deep = (0..1000).fold(Nest(None), |inner, _| Nest(Some(Box::new(inner))));
        assert!(encode_by_value(&deep, &mut Vec::new()).is_err());
    }

    #[test]
    fn values_at_the_greatest_depth_are_read_back() {
        use serde_json::{Value, json};

        let nested =
            |around: fn(Value) -> Value| (0..MAX_DEPTH).fold(json!(1), |value, _| around(value));
        for around in [|value| json!([value]), |value| json!({ "a": value })] {
            let deep = nested(around);
            let bytes = of(&deep);
            let mut rest = Decoder::new(&bytes);
            assert!(skip(&mut rest).is_some() && rest.rest().is_empty());
            assert!(encode_by_value(&around(deep), &mut Vec::new()).is_err());
        }
    }
}
