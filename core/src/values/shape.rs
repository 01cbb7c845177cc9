//! The shape of a type, as its `Deserialize` reveals it: the names of structs, fields and variants,
//! and their contents. Bytes of one shape are never read as another. A field that is added, renamed
//! or given another type, in any variant, makes older entries a miss.
//!
//! A type that cannot be seen completely is read only by the build that stored it, unless its
//! caller states a version. `trace` explores a type.

mod asked;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;
mod trace;

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128;

use super::build;
use super::seen::Seen;

/// Lists of shapes. A program has few more types of values, so that each list is short.
const LISTS: usize = 256;

/// The shapes of the types seen so far: as many as types in the program.
static SHAPES: [Seen<(TypeId, Shape)>; LISTS] = [const { Seen::new() }; LISTS];

/// Distinguishes a type from others.
#[derive(Debug, Clone)]
struct Shape {
    digest: Box<str>,
    /// The digest without the build, for a type with a stated version.
    base: Box<str>,
}

/// The digest of a type's shape, or of a stated version of the type. Each type is explored once.
pub(crate) fn digest<T: DeserializeOwned + 'static>(version: Option<u32>) -> Cow<'static, str> {
    shape::<T>().digest(version)
}

fn shape<T: DeserializeOwned + 'static>() -> &'static Shape {
    let id = TypeId::of::<T>();
    let is = |(of, _): &(TypeId, Shape)| *of == id;
    let list = &SHAPES[list_of(id)];
    if let Some((_, shape)) = list.find(is) {
        return shape;
    }
    let seen = trace::trace::<T>().digest;
    let code = trace::trace::<T> as fn() -> trace::Traced as usize;
    let shape = Shape::new(type_name::<T>(), seen, || build::of_code(code));
    &list.add(|| (id, shape.clone()), is).1
}

/// The list that has a type.
fn list_of(id: TypeId) -> usize {
    /// A type's id is a hash already, and hashes as a part of it.
    struct Part(usize);
    impl Hasher for Part {
        fn write(&mut self, bytes: &[u8]) {
            bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ usize::from(byte));
        }

        #[allow(clippy::cast_possible_truncation, reason = "a part of a hash")]
        fn write_u64(&mut self, hash: u64) {
            self.0 = hash as usize;
        }

        fn finish(&self) -> u64 {
            self.0 as u64
        }
    }
    let mut part = Part(0);
    id.hash(&mut part);
    part.0 % LISTS
}

impl Shape {
    fn new(name: &str, seen: Option<u128>, build: impl FnOnce() -> u128) -> Self {
        match seen {
            Some(seen) => {
                let digest: Box<str> = format!("{seen:032x}").into();
                Self { base: digest.clone(), digest }
            }
            None => {
                let name = xxh3_128(name.as_bytes());
                let digest = xxh3_128(&[name.to_le_bytes(), build().to_le_bytes()].concat());
                Self {
                    digest: format!("b{digest:032x}").into(),
                    base: format!("u{name:032x}").into(),
                }
            }
        }
    }

    /// The text is built only if a version is stated.
    fn digest(&self, version: Option<u32>) -> Cow<'_, str> {
        match version {
            None => Cow::Borrowed(&self.digest),
            Some(version) => Cow::Owned(format!("{}v{version}", self.base)),
        }
    }
}
