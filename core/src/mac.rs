//! Signatures under a secret. Used by `store::signed` and `opaque`.

/// Length of a record's signature, in bytes: a truncated HMAC.
pub(crate) const SIGNATURE_BYTES: usize = 16;

#[cfg(feature = "mac")]
pub(crate) use keyed::{Signer, signer};

#[cfg(feature = "mac")]
mod keyed {
    use hmac::KeyInit;
    use hmac::digest::Key;
    use sha2::{Digest, Sha256};

    /// An HMAC in progress.
    pub(crate) type Signer = hmac::Hmac<Sha256>;

    /// HMAC-SHA-256 under a secret of any length. The crate's own constructor is fallible by its
    /// type. A secret padded to the block size, as the standard pads it, cannot fail.
    pub(crate) fn signer(secret: &[u8]) -> Signer {
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

    #[cfg(test)]
    mod tests {
        use hmac::Mac;

        use super::*;

        #[test]
        fn a_secret_of_any_length_is_the_standards() {
            for secret in [&b"sixteen bytes or more"[..], &[7; 64], &[7; 65], &[7; 500]] {
                let standard = Signer::new_from_slice(secret).unwrap().chain_update(b"signed");
                let ours = signer(secret).chain_update(b"signed");
                assert_eq!(ours.finalize().into_bytes(), standard.finalize().into_bytes());
            }
        }
    }
}
