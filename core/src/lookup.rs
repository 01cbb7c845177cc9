//! What a caller looks up: one request from the wall of an engine to the near level, the flights and
//! the store.

use std::sync::Arc;

use crate::entry::{Body, EntrySource, OutputMode};
use crate::hash::{HashedKey, Version};
use crate::label::Labels;
use crate::options::Options;

/// Which of a key's variants is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant<'a> {
    pub(crate) digest: &'a str,
    pub(crate) mode: OutputMode,
    pub(crate) version: Version,
}

/// A key, what renders it, and the options of the lookup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) hashed: HashedKey<'a>,
    pub(crate) source: &'a Arc<EntrySource>,
    pub(crate) version: Version,
    pub(crate) options: Options,
}

impl<'a> Request<'a> {
    pub(crate) fn variant(&self) -> Variant<'a> {
        let (digest, mode) = (self.source.digest(), self.source.mode());
        Variant { digest, mode, version: self.version }
    }

    /// The part that the near level needs.
    #[inline]
    pub(crate) fn quick<'s>(&'s self) -> QuickLookup<'s>
    where
        'a: 's,
    {
        QuickLookup { hashed: self.hashed, variant: self.variant(), options: &self.options }
    }
}

/// A lookup of the near level alone. A hit needs no more than the digest of what renders an entry,
/// so its source is looked up after a miss.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuickLookup<'a> {
    pub(crate) hashed: HashedKey<'a>,
    pub(crate) variant: Variant<'a>,
    pub(crate) options: &'a Options,
}

impl<'a> QuickLookup<'a> {
    /// The whole request; `source` has the digest and the mode of the variant.
    pub(crate) fn request<'s>(&self, source: &'s Arc<EntrySource>) -> Request<'s>
    where
        'a: 's,
    {
        let Self { hashed, variant: Variant { version, .. }, options } = *self;
        Request { hashed, source, version, options: *options }
    }
}

/// A [`Request`] that owns its key.
#[cfg(feature = "async")]
#[derive(Debug, Clone)]
pub(crate) struct OwnedRequest {
    pub(crate) hash: u64,
    pub(crate) key: Box<[u8]>,
    pub(crate) source: Arc<EntrySource>,
    pub(crate) version: Version,
    pub(crate) options: Options,
}

#[cfg(feature = "async")]
impl OwnedRequest {
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            hashed: HashedKey { hash: self.hash, key: &self.key },
            source: &self.source,
            version: self.version,
            options: self.options,
        }
    }
}

/// A request on its way past the near level: with the labels that end its entry, and with how a
/// body is made of a store's bytes.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'a> {
    pub(crate) request: Request<'a>,
    pub(crate) labels: &'a Labels,
    /// Returns `None` for bytes that are no valid body.
    pub(crate) body: &'a dyn Fn(Vec<u8>) -> Option<Body>,
}
