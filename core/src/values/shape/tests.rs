//! Which types have the same shape, which cannot be seen, and the cost of exploring one.

mod rows;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use super::trace::trace;
use super::{Shape, digest};

fn seen<T: DeserializeOwned>() -> Option<u128> {
    trace::<T>().digest
}

#[test]
fn types_share_a_digest_exactly_if_declared_alike() {
    for (name, are_equal, [old, new]) in rows::rows() {
        assert!(old.is_some() && new.is_some(), "{name} is not seen");
        assert_eq!(old == new, are_equal, "{name}");
    }
}

#[test]
fn one_type_has_one_digest() {
    for ((name, _, [old, new]), (_, _, again)) in rows::rows().into_iter().zip(rows::rows()) {
        assert_eq!([old, new], again, "{name}");
    }
}

/// Types that cannot be seen completely.
mod unseen {
    #![allow(dead_code, reason = "only their shapes are looked at")]

    use std::collections::HashMap;

    use serde::Deserialize;
    use serde::de::{Deserializer, Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    pub(super) enum Untagged {
        Number(u32),
        Text(String),
    }

    #[derive(Deserialize)]
    #[serde(tag = "kind")]
    pub(super) enum Tagged {
        A { a: u8 },
        B { b: u8 },
    }

    #[derive(Deserialize)]
    #[serde(tag = "kind", content = "fields")]
    pub(super) enum FieldsBesideATag {
        A(u8),
        B { b: u8 },
    }

    #[derive(Deserialize)]
    pub(super) struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: HashMap<String, u8>,
    }

    /// Reads the entries that it knows.
    pub(super) struct Picks(Option<u8>);

    impl<'de> Deserialize<'de> for Picks {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Read;

            impl<'de> serde::de::Visitor<'de> for Read {
                type Value = Picks;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("entries")
                }

                fn visit_map<M: serde::de::MapAccess<'de>>(
                    self,
                    mut map: M,
                ) -> Result<Picks, M::Error> {
                    let mut found = None;
                    while let Some(key) = map.next_key::<String>()? {
                        if key == "known" {
                            found = Some(map.next_value()?);
                        } else {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                    Ok(Picks(found))
                }
            }

            from.deserialize_map(Read)
        }
    }

    #[derive(Deserialize)]
    pub(super) enum InALaterVariant {
        A,
        B(Vec<serde_json::Value>),
    }

    pub(super) struct Never;

    impl<'de> Deserialize<'de> for Never {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            String::deserialize(from)?;
            Err(D::Error::custom("none will do"))
        }
    }

    #[derive(Deserialize)]
    pub(super) struct Checked {
        a: u8,
        b: Option<Never>,
    }

    /// Treats any error inside as nothing.
    pub(super) struct Forgiving(Option<(Never, u8)>);

    impl<'de> Deserialize<'de> for Forgiving {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            Ok(Self(Deserialize::deserialize(from).ok()))
        }
    }

    #[derive(Debug)]
    pub(super) struct Panics;

    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let number = u8::deserialize(from)?;
            std::panic::resume_unwind(Box::new(number))
        }
    }

    #[derive(Deserialize)]
    pub(super) struct Endless(Box<Endless>);

    #[derive(Deserialize)]
    pub(super) enum Empty {}

    type Boxes<T> = Box<[T; 32]>;
    pub(super) type Giant = Boxes<Boxes<Boxes<Boxes<u8>>>>;
}

#[test]
fn what_cannot_be_seen_is_known_not_to_be() {
    fn unseen<T: DeserializeOwned>() {
        let traced = trace::<T>();
        assert!(traced.digest.is_none(), "{}", std::any::type_name::<T>());
        assert!(
            traced.passes <= 1_001 && traced.steps <= 100_001,
            "{}",
            std::any::type_name::<T>()
        );
    }
    unseen::<serde_json::Value>();
    unseen::<Vec<(u8, serde_json::Value)>>();
    unseen::<unseen::Untagged>();
    unseen::<Option<unseen::Untagged>>();
    unseen::<unseen::Tagged>();
    unseen::<unseen::FieldsBesideATag>();
    unseen::<unseen::Flat>();
    unseen::<unseen::Picks>();
    unseen::<unseen::InALaterVariant>();
    unseen::<unseen::Never>();
    unseen::<unseen::Checked>();
    unseen::<unseen::Forgiving>();
    unseen::<(u8, unseen::Panics)>();
    unseen::<unseen::Endless>();
    unseen::<unseen::Empty>();
    unseen::<unseen::Giant>();
}

#[test]
fn what_cannot_be_seen_is_of_one_build_unless_its_version_is_stated() {
    let of = |name, build| Shape::new(name, None, || build);
    let (one, other) = (of("Film", 1), of("Film", 2));
    assert_ne!(one.digest(None), other.digest(None));
    assert_ne!(one.digest(None), of("Book", 1).digest(None));
    assert_eq!(one.digest(None), of("Film", 1).digest(None));
    assert_eq!(one.digest(Some(3)), other.digest(Some(3)));
    assert_ne!(one.digest(Some(3)), other.digest(Some(4)));
    assert_ne!(one.digest(Some(3)), of("Book", 1).digest(Some(3)));

    // A type that is seen is shared by all builds, but not by versions.
    let of = |seen| Shape::new("Film", Some(seen), || panic!("no build is asked for"));
    assert_eq!(of(7).digest(None), of(7).digest(None));
    assert_ne!(of(7).digest(Some(1)), of(8).digest(Some(1)));
    let shape = of(7);
    let all = [None, Some(1), Some(2)].map(|version| shape.digest(version));
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
}

#[test]
fn a_type_is_looked_at_once() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static LOOKED: AtomicUsize = AtomicUsize::new(0);

    struct Counted;

    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            LOOKED.fetch_add(1, Ordering::Relaxed);
            u8::deserialize(from).map(|_| Self)
        }
    }

    let first = digest::<Counted>(None);
    assert_eq!(LOOKED.load(Ordering::Relaxed), 1);
    assert_eq!(digest::<Counted>(None), first);
    assert_ne!(digest::<Counted>(Some(1)), first);
    assert_eq!(LOOKED.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_refused_is_tried_once() {
    use std::fmt::Debug;
    use std::sync::Mutex;

    use serde::de::Error;

    static TRIED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// Rejects every value.
    #[allow(dead_code, reason = "none is ever made")]
    struct Refuses<T>(T);

    impl<'de, T: Deserialize<'de> + Debug> Deserialize<'de> for Refuses<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let tried = format!("{:?}", T::deserialize(from)?);
            TRIED.lock().unwrap().push(tried);
            Err(D::Error::custom("none will do"))
        }
    }

    fn tried<T: DeserializeOwned + Debug>() -> Vec<String> {
        assert!(trace::<Refuses<T>>().digest.is_none());
        std::mem::take(&mut TRIED.lock().unwrap())
    }

    assert_eq!(tried::<i8>(), ["1", "0", "2", "-1", "7", "60", "100"]);
    assert_eq!(tried::<Vec<()>>(), ["[()]", "[(), ()]", "[(), (), ()]", "[(), (), (), ()]"]);
    assert_eq!(tried::<(bool, bool)>().len(), 4);
    let texts = tried::<String>();
    let distinct: std::collections::HashSet<_> = texts.iter().collect();
    assert!(texts.len() > 20 && distinct.len() == texts.len(), "{texts:?}");
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only its shape is looked at")]
struct Tag<const N: usize>(u8);

/// Fifty variants, each with its own content.
macro_rules! fifty {
    ($name:ident of $content:ident: $($variant:ident $at:literal)*) => {
        #[derive(Deserialize)]
        #[allow(dead_code, reason = "only its shape is looked at")]
        enum $name<T> {
            $($variant($content<Tag<$at>, T>)),*
        }
    };
    ($name:ident of $content:ident) => {
        fifty! {
            $name of $content:
            V0 0 V1 1 V2 2 V3 3 V4 4 V5 5 V6 6 V7 7 V8 8 V9 9 V10 10 V11 11 V12 12 V13 13 V14 14
            V15 15 V16 16 V17 17 V18 18 V19 19 V20 20 V21 21 V22 22 V23 23 V24 24 V25 25 V26 26 V27 27
            V28 28 V29 29 V30 30 V31 31 V32 32 V33 33 V34 34 V35 35 V36 36 V37 37 V38 38 V39 39 V40 40
            V41 41 V42 42 V43 43 V44 44 V45 45 V46 46 V47 47 V48 48 V49 49
        }
    };
}

type Pair<A, T> = (A, T);
type Nested<A, T> = Option<Inner<(A, T)>>;
fifty!(Inner of Pair);
fifty!(Outer of Nested);

#[test]
fn passes_grow_with_the_sum_of_variants() {
    let costs = |traced: super::trace::Traced| {
        assert!(traced.digest.is_some());
        assert!(traced.steps < 40 * traced.passes, "{} steps", traced.steps);
        traced.passes
    };
    assert_eq!(costs(trace::<Inner<u8>>()), 50);
    // Siblings are seen in one pass.
    assert_eq!(costs(trace::<Vec<(Inner<u8>, Inner<u8>)>>()), 25);
    assert_eq!(costs(trace::<(Inner<u8>, Inner<u16>, Inner<u32>, Inner<u64>)>()), 50);
    assert_eq!(costs(trace::<Inner<Inner<u8>>>()), 50);
    // Fifty enums, each in a variant of its own.
    assert_eq!(costs(trace::<Outer<u8>>()), 50 * 50);
}
