//! Checks that a value can be read back unchanged. `MessagePack` writes `Some(x)` as `x`, so a
//! `Some` around nil would come back as `None`.

use std::fmt;

use serde::ser::{self, Serialize};

/// Walks through a value before it is serialized.
///
/// # Errors
///
/// The error of its `Serialize`, or that a `Some` in it contains nil.
pub(super) fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), Unreadable> {
    value.serialize(NilCheck).map(|_| ())
}

/// Why a value could not be read back.
#[derive(Debug)]
pub(super) struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl ser::Error for Unreadable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// How a part of a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Nil,
    More,
}

struct NilCheck;

macro_rules! more {
    ($($method:ident($($argument:ident: $ty:ty),*);)*) => {$(
        fn $method(self, $($argument: $ty),*) -> Result<Written, Unreadable> {
            $(let _ = $argument;)*
            Ok(Written::More)
        }
    )*};
}

macro_rules! parts {
    ($($method:ident($($argument:ident: $ty:ty),*);)*) => {$(
        fn $method(self, $($argument: $ty),*) -> Result<Self, Unreadable> {
            $(let _ = $argument;)*
            Ok(self)
        }
    )*};
}

impl ser::Serializer for NilCheck {
    type Ok = Written;
    type Error = Unreadable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    more! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_i128(v: i128);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_u128(v: u128);
        serialize_f32(v: f32);
        serialize_f64(v: f64);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_bytes(v: &[u8]);
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    parts! {
        serialize_seq(length: Option<usize>);
        serialize_tuple(length: usize);
        serialize_tuple_struct(name: &'static str, length: usize);
        serialize_map(length: Option<usize>);
        serialize_struct(name: &'static str, length: usize);
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unreadable> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Unreadable> {
        Ok(self)
    }

    fn serialize_none(self) -> Result<Written, Unreadable> {
        Ok(Written::Nil)
    }

    fn serialize_unit(self) -> Result<Written, Unreadable> {
        Ok(Written::Nil)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Written, Unreadable> {
        match value.serialize(self)? {
            Written::More => Ok(Written::More),
            Written::Nil => Err(ser::Error::custom(
                "a `Some` around `None` or `()` would be read as `None`; put the inner value into \
                 a struct with a field",
            )),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Written, Unreadable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<Written, Unreadable> {
        value.serialize(self).map(|_| Written::More)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! compound {
    ($($name:ident $method:ident($($key:ty)?);)*) => {$(
        impl ser::$name for NilCheck {
            type Ok = Written;
            type Error = Unreadable;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_: $key,)?
                value: &T,
            ) -> Result<(), Unreadable> {
                value.serialize(NilCheck).map(|_| ())
            }

            fn end(self) -> Result<Written, Unreadable> {
                Ok(Written::More)
            }
        }
    )*};
}

compound! {
    SerializeSeq serialize_element();
    SerializeTuple serialize_element();
    SerializeTupleStruct serialize_field();
    SerializeTupleVariant serialize_field();
    SerializeStruct serialize_field(&'static str);
    SerializeStructVariant serialize_field(&'static str);
}

impl ser::SerializeMap for NilCheck {
    type Ok = Written;
    type Error = Unreadable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unreadable> {
        key.serialize(Self).map(|_| ())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unreadable> {
        value.serialize(Self).map(|_| ())
    }

    fn end(self) -> Result<Written, Unreadable> {
        Ok(Written::More)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::check;

    #[derive(Serialize)]
    struct New<T>(T);

    #[derive(Serialize)]
    struct Named<T> {
        inside: T,
    }

    #[derive(Serialize)]
    enum Either {
        One(Option<u8>),
        Two { inside: Option<Option<u8>> },
    }

    #[test]
    fn a_some_around_nothing_is_found_wherever_it_is() {
        assert!(check(&Some(None::<u8>)).is_err());
        assert!(check(&Some(())).is_err());
        assert!(check(&New(Some(New(None::<u8>)))).is_err());
        assert!(check(&vec![(1, Some(None::<u8>))]).is_err());
        assert!(check(&Named { inside: Some(Some(None::<u8>)) }).is_err());
        assert!(check(&BTreeMap::from([("a", Some(()))])).is_err());
        assert!(check(&Either::Two { inside: Some(None) }).is_err());
    }

    #[test]
    fn what_is_read_as_it_was_written_passes() {
        assert!(check(&Some(Some(1))).is_ok());
        assert!(check(&None::<Option<u8>>).is_ok());
        assert!(check(&()).is_ok());
        assert!(check(&Some(Named { inside: None::<u8> })).is_ok());
        assert!(check(&Some(Either::One(None))).is_ok());
        assert!(check(&Either::Two { inside: Some(Some(1)) }).is_ok());
        assert!(check(&(Some("a"), vec![None, Some(1.5)], BTreeMap::from([(1, ())]))).is_ok());
    }
}
