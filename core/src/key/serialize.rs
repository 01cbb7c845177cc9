//! Arguments as parts of a key, by value: whatever implements `Serialize`, in one form that does not
//! depend on the order of a map. Structures are lists of their fields, so that no two values of one
//! type share bytes; which type it is, the function's signature says.

use serde::ser::{self, Serialize};

use super::{KeyEncoder, UnusablePart};

/// Writes `value` as exactly one part.
///
/// # Errors
///
/// What its `Serialize` says, or that it nests too deep.
pub(crate) fn encode_by_value<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), Unserializable> {
    value.serialize(ByValue { bytes, depth: 0 })
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

/// How deep values may nest.
const MAX_DEPTH: usize = 8 * UnusablePart::MAX_DEPTH;

struct ByValue<'a> {
    bytes: &'a mut Vec<u8>,
    depth: usize,
}

impl<'a> ByValue<'a> {
    fn key(&mut self) -> KeyEncoder<'_> {
        KeyEncoder::new(self.bytes)
    }

    fn inner(&mut self) -> Result<ByValue<'_>, Unserializable> {
        if self.depth == MAX_DEPTH {
            return Err(ser::Error::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(ByValue { bytes: self.bytes, depth: self.depth + 1 })
    }

    fn parts(self) -> Parts<'a> {
        Parts { out: self, written: Vec::new(), count: 0, head: None, sorted: None }
    }

    /// Parts after the name of a variant.
    fn variant(self, name: &'static str) -> Parts<'a> {
        Parts { head: Some(name), ..self.parts() }
    }
}

/// The parts of a list, a map or a structure, whose number is known at the end.
struct Parts<'a> {
    out: ByValue<'a>,
    written: Vec<u8>,
    count: usize,
    head: Option<&'static str>,
    /// The entries of a map, which is in no order.
    sorted: Option<Vec<Vec<u8>>>,
}

impl Parts<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        self.count += 1;
        let mut out = ByValue { bytes: &mut self.written, depth: self.out.depth };
        value.serialize(out.inner()?)
    }

    fn finish(mut self) {
        if let Some(head) = self.head {
            self.out.key().list(2);
            self.out.key().str(head);
        }
        let mut count = self.count;
        if let Some(mut entries) = self.sorted {
            entries.sort_unstable();
            count = entries.len();
            self.written = entries.concat();
        }
        self.out.key().list(count);
        self.out.bytes.append(&mut self.written);
    }
}

macro_rules! plain {
    ($($method:ident($type:ty) => $write:ident $(as $wide:ty)?;)*) => {$(
        fn $method(mut self, value: $type) -> Result<(), Unserializable> {
            self.key().$write(value $(as $wide)?);
            Ok(())
        }
    )*};
}

impl<'a> ser::Serializer for ByValue<'a> {
    type Ok = ();
    type Error = Unserializable;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    plain! {
        serialize_bool(bool) => bool;
        serialize_i8(i8) => int as i128;
        serialize_i16(i16) => int as i128;
        serialize_i32(i32) => int as i128;
        serialize_i64(i64) => int as i128;
        serialize_i128(i128) => int;
        serialize_u8(u8) => int as i128;
        serialize_u16(u16) => int as i128;
        serialize_u32(u32) => int as i128;
        serialize_u64(u64) => int as i128;
        serialize_u128(u128) => uint;
        serialize_f32(f32) => float as f64;
        serialize_f64(f64) => float;
        serialize_str(&str) => str;
    }

    fn serialize_char(self, value: char) -> Result<(), Unserializable> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Unserializable> {
        self.key().list(value.len());
        value.iter().for_each(|&byte| self.key().int(i128::from(byte)));
        Ok(())
    }

    fn serialize_none(mut self) -> Result<(), Unserializable> {
        self.key().none();
        Ok(())
    }

    // A list of one: an option in an option is another value.
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unserializable> {
        let mut parts = self.parts();
        parts.part(value)?;
        parts.finish();
        Ok(())
    }

    fn serialize_unit(mut self) -> Result<(), Unserializable> {
        self.key().list(0);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unserializable> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Unserializable> {
        self.variant(variant).finish();
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unserializable> {
        value.serialize(self.inner()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unserializable> {
        let mut parts = self.variant(variant);
        parts.part(value)?;
        parts.finish();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, Unserializable> {
        Ok(self.parts())
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, Unserializable> {
        Ok(self.parts())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Unserializable> {
        Ok(self.parts())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Unserializable> {
        Ok(self.variant(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts { sorted: Some(Vec::new()), ..self.parts() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, Unserializable> {
        Ok(self.parts())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Unserializable> {
        Ok(self.variant(variant))
    }
}

macro_rules! lists {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = Unserializable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
                self.part(value)
            }

            fn end(self) -> Result<(), Unserializable> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

lists! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! structures {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = Unserializable;

            // With its name, as a field may be left out.
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unserializable> {
                self.part(&(name, value))
            }

            fn end(self) -> Result<(), Unserializable> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

structures!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Unserializable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unserializable> {
        self.written.clear();
        KeyEncoder::new(&mut self.written).list(2);
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        self.part(value)?;
        let entry = std::mem::take(&mut self.written);
        self.sorted.get_or_insert_default().push(entry);
        Ok(())
    }

    fn end(self) -> Result<(), Unserializable> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use serde::Serialize;

    use super::encode_by_value;

    fn of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_by_value(value, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn equal_maps_are_one_key_whatever_their_order() {
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
    fn what_nests_without_end_is_refused() {
        #[derive(Serialize)]
        struct Nest(Option<Box<Nest>>);
        let deep = (0..1000).fold(Nest(None), |inner, _| Nest(Some(Box::new(inner))));
        assert!(encode_by_value(&deep, &mut Vec::new()).is_err());
    }
}
