//! What stands at the end of a record: a checksum against accidents, or a signature against
//! others. Which of them a record must have is for the codec to say.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::Unreadable;

/// Bytes of a checksum.
pub(super) const CHECKSUM_BYTES: usize = 16;

/// Bytes of a signature.
pub(super) const MAC_BYTES: usize = 32;

/// What seals records and looks at their seals.
#[derive(Clone)]
pub(super) enum Seal {
    Checksum,
    #[cfg(feature = "mac")]
    Signed(Signer),
}

/// A signature under a secret, begun.
#[cfg(feature = "mac")]
pub(crate) type Signer = hmac::Hmac<sha2::Sha256>;

impl Seal {
    /// Signatures under this secret, or checksums. [`FarLevel`](crate::FarLevel) refuses a secret
    /// where the feature `mac` is off.
    pub(super) fn new(secret: Option<&[u8]>) -> Self {
        #[cfg(feature = "mac")]
        if let Some(secret) = secret {
            return Self::Signed(signer(secret));
        }
        debug_assert!(secret.is_none());
        Self::Checksum
    }

    pub(super) fn is_signed(&self) -> bool {
        !matches!(self, Self::Checksum)
    }

    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        if self.is_signed() { MAC_BYTES } else { CHECKSUM_BYTES }
    }

    /// Adds the seal over what is there.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Checksum => {
                let sum = xxh3_128(out);
                out.extend_from_slice(&sum.to_le_bytes());
            }
            #[cfg(feature = "mac")]
            Self::Signed(signer) => {
                use hmac::Mac;

                let mac = signer.clone().chain_update(&*out).finalize();
                out.extend_from_slice(&mac.into_bytes());
            }
        }
    }

    /// Whether this is the seal over these bytes.
    pub(super) fn check(&self, sealed: &[u8], seal: &[u8]) -> Result<(), Unreadable> {
        match self {
            Self::Checksum if xxh3_128(sealed).to_le_bytes() == *seal => Ok(()),
            Self::Checksum => Err(Unreadable::Checksum),
            #[cfg(feature = "mac")]
            Self::Signed(signer) => {
                use hmac::Mac;

                // Takes the same time wherever they differ.
                let signer = signer.clone().chain_update(sealed);
                signer.verify_slice(seal).map_err(|_| Unreadable::Mac)
            }
        }
    }
}

/// HMAC-SHA-256 under a secret of any length. The crate's own way may fail as far as its types
/// tell; a secret that fills the block of the hash, as the standard pads it, cannot.
#[cfg(feature = "mac")]
pub(crate) fn signer(secret: &[u8]) -> Signer {
    use hmac::KeyInit;
    use hmac::digest::Key;
    use sha2::{Digest, Sha256};

    let mut block = Key::<Signer>::default();
    let hashed;
    let secret = if secret.len() <= block.len() {
        secret
    } else {
        hashed = Sha256::digest(secret);
        hashed.as_slice()
    };
    for (place, byte) in block.iter_mut().zip(secret) {
        *place = *byte;
    }
    Signer::new(&block)
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_signed() { "Signed(…)" } else { "Checksum" })
    }
}
