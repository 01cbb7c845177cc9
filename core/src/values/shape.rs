//! The shape of a type, as its `Deserialize` asks for it: the names of structures, fields and
//! variants, and what they are made of. Bytes of one shape are never read as another: a field that was
//! added, renamed or given another type, in whatever variant, makes what was stored before a miss.
//!
//! A type of which not everything can be seen is read by the build that stored it, unless its caller
//! states a version of it. How a type is looked at is in `trace`.

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

/// What tells types apart. There are as many as types in the program. Of the process, and so no lock of
/// a model's.
static SHAPES: LazyLock<RwLock<HashMap<TypeId, Shape>>> = LazyLock::new(RwLock::default);

/// What tells a type from others.
#[derive(Debug, Clone)]
struct Shape {
    digest: Arc<str>,
    /// The same where a version of the type is stated.
    base: Arc<str>,
}

/// The digest of a type's shape, or of this version of the type, as a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    shape: Arc<str>,
    version: Option<u32>,
}

/// The digest of a type's shape, or of this version of the type.
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
    /// The whole text, which is made only where a version is stated.
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
