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
}

/// A [`Request`] that owns its key.
#[cfg(feature = "values")]
#[derive(Debug, Clone)]
pub(crate) struct OwnedRequest {
    pub(crate) hash: u64,
    pub(crate) key: Box<[u8]>,
    pub(crate) source: Arc<EntrySource>,
    pub(crate) version: Version,
    pub(crate) options: Options,
}

#[cfg(feature = "values")]
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
