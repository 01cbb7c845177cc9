//! What the cache holds for one variant of a fragment, apart from where it is held.

mod body;
mod origin;

pub use body::{Body, Markup};
pub use origin::OutputMode;
pub(crate) use origin::{Origin, Origins, digest_of};

use crate::clock::Moment;
use crate::fresh::{Dependencies, Sequence};

/// The bytes of an encoded key. Up to 16 of them need no allocation of their own.
pub(crate) type KeyBytes = smallvec::SmallVec<[u8; 16]>;

/// A rendered fragment and what has to hold for it to be served.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) body: Body,
    pub(crate) origin: std::sync::Arc<Origin>,
    /// Where the data in the body may have been read, at the earliest.
    pub(crate) read: Sequence,
    pub(crate) expires: Moment,
    pub(crate) dependencies: Option<std::sync::Arc<Dependencies>>,
}
