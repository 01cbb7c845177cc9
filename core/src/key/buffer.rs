//! Buffers for encoded keys, reused on each thread so that a lookup allocates nothing.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::MAX_KEY_BYTES;

std::thread_local! {
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The bytes of a key that is being built. Dropping it gives its memory to the next one of the
/// thread, unless the key is too long to be cached.
#[derive(Debug)]
pub(crate) struct KeyBuffer(Vec<u8>);

impl KeyBuffer {
    /// An empty buffer.
    #[inline]
    pub(crate) fn new() -> Self {
        let mut bytes = SPARE.try_with(RefCell::take).unwrap_or_default();
        bytes.clear();
        Self(bytes)
    }
}

impl Drop for KeyBuffer {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() <= 2 * MAX_KEY_BYTES {
            let bytes = std::mem::take(&mut self.0);
            // A thread that ends keeps none.
            drop(SPARE.try_with(|spare| spare.replace(bytes)));
        }
    }
}

impl Clone for KeyBuffer {
    fn clone(&self) -> Self {
        let mut buffer = Self::new();
        buffer.extend_from_slice(self);
        buffer
    }
}

impl Deref for KeyBuffer {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for KeyBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}
