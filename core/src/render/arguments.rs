//! A cache block's arguments as an engine hands them over.

use crate::key::{KeyEncoder, UnusablePart};
use crate::syntax::site::BlockId;
use crate::timeout::Scalar;

/// The values of a cache block's arguments: first the positional ones (timeout, name, vary parts),
/// then one value for each option that the rewriter noted in the block's site.
pub trait Arguments {
    /// How many values there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index` for use as a timeout.
    fn scalar(&self, index: usize) -> Scalar<'_>;

    /// Whether the value at `index` is true as the engine sees it.
    fn truthy(&self, index: usize) -> bool;

    /// Writes the value at `index` as one part of a key.
    ///
    /// # Errors
    ///
    /// An [`UnusablePart`] for values without a canonical text.
    fn encode(&self, index: usize, key: &mut KeyEncoder<'_>) -> Result<(), UnusablePart>;
}

/// Whether a cache block with this site and so many values has a vary part: something after its
/// timeout and its name.
pub fn varies(site: &str, values: usize) -> bool {
    let options = BlockId::parse(site).map_or(0, |site| site.options.len());
    values > options + 2
}
