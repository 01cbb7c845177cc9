//! Pairs of types as an old and a new release declare them, and whether their shapes are equal.

macro_rules! rows {
    ($($name:ident: $relation:ident { $($old:tt)* } { $($new:tt)* })*) => {
        $(mod $name {
            #![allow(dead_code, unused_imports, unreachable_pub, reason = "only their shapes are looked at")]

            pub(super) mod old {
                use crate::values::shape::tests::rows::made::*;
                $($old)*
            }

            pub(super) mod new {
                use crate::values::shape::tests::rows::made::*;
                $($new)*
            }
        })*

        /// The name, whether the shapes are equal, and both digests.
        pub(super) fn rows() -> Vec<(&'static str, bool, [Option<u128>; 2])> {
            vec![$((
                stringify!($name),
                stringify!($relation) == "equal",
                [super::seen::<$name::old::T>(), super::seen::<$name::new::T>()],
            )),*]
        }
    };
}

/// The building blocks of the types.
pub(super) mod made {
    pub(super) use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
    pub(super) use std::net::IpAddr;
    pub(super) use std::num::NonZeroU32;
    pub(super) use std::ops::Range;
    pub(super) use std::time::Duration;

    pub(super) use serde::Deserialize;
    use serde::de::{Deserializer, Error, Visitor};

    /// Text that must be a date.
    pub(in super::super) struct Date;

    impl<'de> Deserialize<'de> for Date {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let text = String::deserialize(from)?;
            let is_date = text.len() == 10 && text.split('-').count() == 3;
            is_date.then_some(Self).ok_or_else(|| D::Error::custom("not a date"))
        }
    }

    /// 16 bytes.
    pub(in super::super) struct Id;

    impl<'de> Deserialize<'de> for Id {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Read;

            impl Visitor<'_> for Read {
                type Value = Id;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("16 bytes")
                }

                fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Id, E> {
                    (bytes.len() == 16).then_some(Id).ok_or_else(|| E::custom("not 16 bytes"))
                }
            }

            from.deserialize_bytes(Read)
        }
    }

    /// A list of at least three elements.
    #[allow(dead_code, reason = "only its shape is looked at")]
    pub(in super::super) struct Many<T>(Vec<T>);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let list = Vec::deserialize(from)?;
            if list.len() < 3 { Err(D::Error::custom("too few")) } else { Ok(Self(list)) }
        }
    }
}

rows! {
    nothing_changed: equal
        { #[derive(Deserialize)] pub enum T { A, B { a: Option<u8> } } }
        { #[derive(Deserialize)] pub enum T { A, B { a: Option<u8> } } }
    boxes_and_owners: equal
        { pub type T = (Box<u8>, String, Vec<u8>, BTreeSet<u8>, BTreeMap<u8, u8>); }
        { pub type T = (u8, Box<str>, HashSet<u8>, Vec<u8>, HashMap<u8, u8>); }
    how_it_is_read: equal
        { #[derive(Deserialize)] pub struct T { a: u8 } }
        { #[derive(Deserialize)] #[serde(deny_unknown_fields)] pub struct T { #[serde(default)] a: u8 } }
    what_is_not_stored: equal
        { #[derive(Deserialize)] pub struct T { a: u8 } }
        { #[derive(Deserialize)] pub struct T { a: u8, #[serde(skip)] b: u8 } }
    transparent: equal
        { #[derive(Deserialize)] pub struct T { a: u8 } }
        { #[derive(Deserialize)] pub struct T { a: B } #[derive(Deserialize)] #[serde(transparent)] pub struct B(u8); }
    default_field_of_a_later_variant: differ
        { #[derive(Deserialize)] pub enum T { Empty, Full { title: String } } }
        { #[derive(Deserialize)] pub enum T { Empty, Full { title: String, #[serde(default)] is_draft: bool } } }
    integer_as_float: differ { pub type T = u32; } { pub type T = f64; }
    integer_as_float_in_a_later_variant: differ
        { #[derive(Deserialize)] pub enum T { A, B(u32) } }
        { #[derive(Deserialize)] pub enum T { A, B(f64) } }
    width: differ { pub type T = u32; } { pub type T = u64; }
    sign: differ { pub type T = u32; } { pub type T = i32; }
    wide_integers: differ { pub type T = i128; } { pub type T = u128; }
    float_width: differ { pub type T = f32; } { pub type T = f64; }
    bool_as_integer: differ { pub type T = bool; } { pub type T = u8; }
    char_as_text: differ { pub type T = char; } { pub type T = String; }
    bytes_as_list: differ { pub type T = Id; } { pub type T = Vec<u8>; }
    unit_as_unit_struct: differ
        { pub type T = (); } { #[derive(Deserialize)] pub struct T; }
    unit_as_none: differ { pub type T = (); } { pub type T = Option<()>; }
    of_ok: differ { pub type T = Result<u8, String>; } { pub type T = Result<u16, String>; }
    of_err: differ { pub type T = Result<u8, String>; } { pub type T = Result<u8, u8>; }
    fields_of_err: differ
        { pub type T = Result<u8, E>; #[derive(Deserialize)] pub struct E { a: u8 } }
        { pub type T = Result<u8, E>; #[derive(Deserialize)] pub struct E { a: u8, b: Option<u8> } }
    of_some: differ { pub type T = Option<u8>; } { pub type T = Option<u16>; }
    becomes_optional: differ { pub type T = u8; } { pub type T = Option<u8>; }
    of_an_element: differ { pub type T = Vec<(u8, u8)>; } { pub type T = Vec<(u8, i8)>; }
    of_a_key: differ { pub type T = HashMap<u8, u8>; } { pub type T = HashMap<u16, u8>; }
    of_a_map_value: differ
        { pub type T = HashMap<u8, Option<u8>>; } { pub type T = HashMap<u8, Option<u16>>; }
    list_as_map: differ { pub type T = Vec<u8>; } { pub type T = HashMap<u8, u8>; }
    list_as_tuple: differ { pub type T = Vec<u8>; } { pub type T = (u8,); }
    arity: differ { pub type T = (u8, u8); } { pub type T = (u8, u8, u8); }
    array_length: differ { pub type T = [u8; 3]; } { pub type T = [u8; 4]; }
    last_of_a_tuple: differ { pub type T = (u8, Date, u8); } { pub type T = (u8, Date, u16); }
    name: differ
        { pub type T = A; #[derive(Deserialize)] pub struct A { a: u8 } }
        { pub type T = B; #[derive(Deserialize)] pub struct B { a: u8 } }
    field_name: differ
        { #[derive(Deserialize)] pub struct T { a: u8 } }
        { #[derive(Deserialize)] pub struct T { b: u8 } }
    field_names_in_another_case: differ
        { #[derive(Deserialize)] pub struct T { a_b: u8 } }
        { #[derive(Deserialize)] #[serde(rename_all = "camelCase")] pub struct T { a_b: u8 } }
    field_added: differ
        { #[derive(Deserialize)] pub struct T { a: u8 } }
        { #[derive(Deserialize)] pub struct T { a: u8, #[serde(default)] b: u8 } }
    field_no_longer_stored: differ
        { #[derive(Deserialize)] pub struct T { a: u8, b: u8 } }
        { #[derive(Deserialize)] pub struct T { a: u8, #[serde(skip)] b: u8 } }
    field_beside_an_alias: differ
        { #[derive(Deserialize)] pub struct T { #[serde(alias = "old", alias = "z")] a: u8, b: u8 } }
        { #[derive(Deserialize)] pub struct T { #[serde(alias = "old", alias = "z")] a: u8, b: i8 } }
    newtype: differ
        { #[derive(Deserialize)] pub struct T(u8); } { #[derive(Deserialize)] pub struct T(u16); }
    tuple_struct: differ
        { #[derive(Deserialize)] pub struct T(u8, u8); }
        { #[derive(Deserialize)] pub struct T(u8, i8); }
    variant_name: differ
        { #[derive(Deserialize)] pub enum T { A, B } } { #[derive(Deserialize)] pub enum T { A, C } }
    variant_added: differ
        { #[derive(Deserialize)] pub enum T { A } } { #[derive(Deserialize)] pub enum T { A, B } }
    variant_gets_content: differ
        { #[derive(Deserialize)] pub enum T { A, B } }
        { #[derive(Deserialize)] pub enum T { A, B(()) } }
    variant_gets_names: differ
        { #[derive(Deserialize)] pub enum T { A, B(u8, u8) } }
        { #[derive(Deserialize)] pub enum T { A, B { a: u8, b: u8 } } }
    tuple_variant: differ
        { #[derive(Deserialize)] pub enum T { A, B(u8, u8) } }
        { #[derive(Deserialize)] pub enum T { A, B(u8, u8, u8) } }
    list_in_a_later_variant: differ
        { #[derive(Deserialize)] pub enum T { A, B(Vec<u8>) } }
        { #[derive(Deserialize)] pub enum T { A, B(Vec<i8>) } }
    enum_in_a_later_variant: differ
        { #[derive(Deserialize)] pub enum T { A, B(HashMap<u8, E>) } #[derive(Deserialize)] pub enum E { A, B(u8) } }
        { #[derive(Deserialize)] pub enum T { A, B(HashMap<u8, E>) } #[derive(Deserialize)] pub enum E { A, B(i8) } }
    enums_beside_each_other: differ
        { pub type T = (Result<u8, u8>, Option<E>); #[derive(Deserialize)] pub enum E { A, B, C(Vec<u8>) } }
        { pub type T = (Result<u8, u8>, Option<E>); #[derive(Deserialize)] pub enum E { A, B, C(Vec<i8>) } }
    one_enum_of_two_types: differ
        { pub type T = (Result<u8, u8>, Result<u16, u8>); } { pub type T = (Result<u8, u8>, Result<u16, u16>); }
    structure_in_a_later_variant: differ
        { pub type T = Vec<A>; #[derive(Deserialize)] pub enum A { A, B(B) } #[derive(Deserialize)] pub struct B { a: Option<E> } #[derive(Deserialize)] pub enum E { A, B(u8) } }
        { pub type T = Vec<A>; #[derive(Deserialize)] pub enum A { A, B(B) } #[derive(Deserialize)] pub struct B { a: Option<E> } #[derive(Deserialize)] pub enum E { A, B(i8) } }
    behind_itself: differ
        { #[derive(Deserialize)] pub struct T { below: Vec<T>, left: Option<Box<T>>, a: u8 } }
        { #[derive(Deserialize)] pub struct T { below: Vec<T>, left: Option<Box<T>>, a: i8 } }
    list_of_itself: differ
        { #[derive(Deserialize)] pub struct T { below: Vec<T> } }
        { #[derive(Deserialize)] pub struct T { below: Option<Box<T>> } }
    recursive_enum: differ
        { #[derive(Deserialize)] pub enum T { Add(Box<T>, Box<T>), Not(Box<T>), Number(u8), If { then: Box<T>, or: Option<Box<T>> } } }
        { #[derive(Deserialize)] pub enum T { Add(Box<T>, Box<T>), Not(Box<T>), Number(u8), If { then: Box<T>, or: Vec<T> } } }
    recursive_enum_of_one_variant: differ
        { #[derive(Deserialize)] pub enum T { A(Option<Box<T>>, u8) } }
        { #[derive(Deserialize)] pub enum T { A(Option<Box<T>>, i8) } }
    recursive_enum_of_recursive_variants: differ
        { #[derive(Deserialize)] pub enum T { A(Box<T>), B(Option<Box<T>>), C { below: Vec<T>, a: u8 } } }
        { #[derive(Deserialize)] pub enum T { A(Box<T>), B(Option<Box<T>>), C { below: Vec<T>, a: i8 } } }
    types_around_each_other: differ
        { #[derive(Deserialize)] pub struct T { a: Option<Box<B>> } #[derive(Deserialize)] pub enum B { A(Box<T>), B { a: Vec<T>, b: u8 } } }
        { #[derive(Deserialize)] pub struct T { a: Option<Box<B>> } #[derive(Deserialize)] pub enum B { A(Box<T>), B { a: Vec<T>, b: i8 } } }
    generic: differ
        { pub type T = G<u8>; #[derive(Deserialize)] pub enum G<A> { A, B(A) } }
        { pub type T = G<u16>; #[derive(Deserialize)] pub enum G<A> { A, B(A) } }
    generic_within_itself: differ
        { pub type T = G<G<u8>>; #[derive(Deserialize)] pub enum G<A> { A, B(A) } }
        { pub type T = G<G<u16>>; #[derive(Deserialize)] pub enum G<A> { A, B(A) } }
    behind_a_number_that_is_checked: differ
        { pub type T = (NonZeroU32, u8); } { pub type T = (NonZeroU32, i8); }
    behind_a_text_that_is_checked: differ
        { #[derive(Deserialize)] pub enum T { A, B { at: Date, id: Id, a: u8 }, C { at: Date, a: u8 } } }
        { #[derive(Deserialize)] pub enum T { A, B { at: Date, id: Id, a: u8 }, C { at: Date, a: i8 } } }
    in_a_list_that_is_checked: differ
        { pub type T = (Many<Date>, u8); } { pub type T = (Many<Date>, u16); }
    content_beside_a_tag: differ
        { #[derive(Deserialize)] #[serde(tag = "t", content = "c")] pub enum T { A(u8), B(Vec<Result<u8, u8>>) } }
        { #[derive(Deserialize)] #[serde(tag = "t", content = "c")] pub enum T { A(u8), B(Vec<Result<u8, u16>>) } }
    times: differ { pub type T = Duration; } { pub type T = u64; }
    addresses: differ { pub type T = IpAddr; } { pub type T = String; }
    ranges: differ { pub type T = Range<u8>; } { pub type T = Range<u16>; }
}
