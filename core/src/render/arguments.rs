//! A cache block's arguments as the engine passes them.

use fragcache_syntax::BlockHead;

use crate::key::{KeyEncoder, UnusablePart};
use crate::timeout::Scalar;

/// The values of a cache block's arguments: first the positional ones (timeout, name, vary parts),
/// then one value per option that the rewriter wrote into the block id.
pub trait Arguments {
    /// The number of values.
    fn len(&self) -> usize;

    /// Whether there are no values.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`, read as a timeout.
    fn scalar(&self, index: usize) -> Scalar<'_>;

    /// Whether the value at `index` is true by the engine's rules.
    fn truthy(&self, index: usize) -> bool;

    /// Writes the value at `index` as one part of a key.
    ///
    /// # Errors
    ///
    /// An [`UnusablePart`] for values without a canonical text.
    fn encode(&self, index: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart>;
}

/// Whether a cache block with this block id and this number of values has a vary part, that is, an
/// argument after its timeout and its name.
pub fn varies(site: &str, values: usize) -> bool {
    let options = BlockHead::of(site).map_or(0, |head| head.values());
    values > options + 2
}
