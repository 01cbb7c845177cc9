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
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128;

use super::build;

/// The shapes of the types seen so far: as many as types in the program. The lock belongs to the
/// process, so models do not use it.
static SHAPES: LazyLock<RwLock<HashMap<TypeId, Shape>>> = LazyLock::new(RwLock::default);

/// Distinguishes a type from others.
#[derive(Debug, Clone)]
struct Shape {
    digest: Arc<str>,
    /// The digest without the build, for a type with a stated version.
    base: Arc<str>,
}

/// The digest of a type's shape, or of a stated version of the type, as text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    shape: Arc<str>,
    version: Option<u32>,
}

/// The digest of a type's shape, or of a stated version of the type.
pub(crate) fn digest<T: DeserializeOwned + 'static>(version: Option<u32>) -> Digest {
    let id = TypeId::of::<T>();
    let known = |shape: &Shape| shape.digest(version);
    let shapes = SHAPES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = shapes.get(&id).map(known) {
        return digest;
    }
    drop(shapes);
    let seen = trace::trace::<T>().digest;
    let code = trace::trace::<T> as fn() -> trace::Traced as usize;
    let shape = Shape::new(type_name::<T>(), seen, || build::of_code(code));
    let mut shapes = SHAPES.write().unwrap_or_else(PoisonError::into_inner);
    shapes.entry(id).or_insert(shape).digest(version)
}

impl Shape {
    fn new(name: &str, seen: Option<u128>, build: impl FnOnce() -> u128) -> Self {
        match seen {
            Some(seen) => {
                let digest: Arc<str> = format!("{seen:032x}").into();
                Self { base: Arc::clone(&digest), digest }
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

    fn digest(&self, version: Option<u32>) -> Digest {
        let shape = if version.is_none() { &self.digest } else { &self.base };
        Digest { shape: Arc::clone(shape), version }
    }
}

impl Digest {
    /// The whole text. It is built only if a version is stated.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self.version {
            None => Cow::Borrowed(&self.shape),
            Some(_) => Cow::Owned(self.to_string()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shape)?;
        self.version.map_or(Ok(()), |version| write!(f, "v{version}"))
    }
}
