//! Keyed hashes of keys and labels. A reader of the store learns no key and cannot test a guess.
//! `hash` and `far` use them; `key::redacted` shows such keys.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

/// Shortest secret, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// The secret of opaque keys. `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct OpaqueSecret(pub(crate) Arc<[u8]>);

impl fmt::Debug for OpaqueSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueSecret(…)")
    }
}

impl OpaqueSecret {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.len() < MIN_SECRET_BYTES {
            let message = format!(
                "the secret of opaque_keys is shorter than {MIN_SECRET_BYTES} bytes; write a longer \
                 one, of random bytes"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        if !cfg!(feature = "mac") {
            let message = "opaque_keys needs the feature `mac` of fragcache";
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(())
    }
}

#[cfg(feature = "mac")]
pub(crate) use keyed::{KeyDigest, KeyedHash};
#[cfg(not(feature = "mac"))]
pub(crate) use without::{KeyDigest, KeyedHash};

/// Bytes of a key's digest in a record.
#[cfg(feature = "mac")]
const DIGEST_BYTES: usize = 32;

#[cfg(feature = "mac")]
mod keyed {
    //! Derives a separate key for each use from the secret, by HMAC-SHA-256. The hashes have the
    //! same sizes as without a secret: SipHash-2-4 of 64 and of 128 bits.

    use std::fmt;
    use std::hash::Hasher as _;

    use hmac::Mac;
    use siphasher::sip::SipHasher24;
    use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher24Wide};

    use super::{DIGEST_BYTES, OpaqueSecret};
    use crate::mac::{Signer, signer};

    const OF_LABELS: &[u8] = b"fragcache opaque keys 1: labels and names";
    const OF_RECORDS: &[u8] = b"fragcache opaque keys 1: keys in records";

    /// Hashes that mean nothing without the secret.
    #[derive(Clone, Copy)]
    pub(crate) struct KeyedHash {
        narrow: [u64; 2],
        wide: [u64; 2],
    }

    impl KeyedHash {
        /// Always `Some`. `without::KeyedHash` is the one that returns `None`.
        pub(crate) fn new(secret: &OpaqueSecret) -> Option<Self> {
            let derived = derive(secret, OF_LABELS);
            let mut numbers = derived.as_chunks::<8>().0.iter().copied().map(u64::from_le_bytes);
            let mut two = || Some([numbers.next()?, numbers.next()?]);
            Some(Self { narrow: two()?, wide: two()? })
        }

        /// A 64-bit hash in the domain `kind`.
        pub(crate) fn narrow(&self, kind: u64, bytes: &[u8]) -> u64 {
            let mut hasher = SipHasher24::new_with_keys(self.narrow[0], self.narrow[1]);
            hasher.write(&kind.to_le_bytes());
            hasher.write(bytes);
            hasher.finish()
        }

        /// A 128-bit hash, for uses where collisions must not happen.
        pub(crate) fn wide(&self, kind: u64, bytes: &[u8]) -> u128 {
            let mut hasher = SipHasher24Wide::new_with_keys(self.wide[0], self.wide[1]);
            hasher.write(&kind.to_le_bytes());
            hasher.write(bytes);
            hasher.finish128().as_u128()
        }
    }

    /// The digest that stands in a record for its key. It is collision-resistant, with the secret
    /// and without it.
    #[derive(Clone)]
    pub(crate) struct KeyDigest(Signer);

    impl KeyDigest {
        pub(crate) fn new(secret: &OpaqueSecret) -> Option<Self> {
            Some(Self(signer(&derive(secret, OF_RECORDS))))
        }

        pub(crate) fn of(&self, key: &[u8]) -> [u8; DIGEST_BYTES] {
            self.0.clone().chain_update(key).finalize().into_bytes().into()
        }
    }

    fn derive(secret: &OpaqueSecret, purpose: &[u8]) -> [u8; DIGEST_BYTES] {
        signer(&secret.0).chain_update(purpose).finalize().into_bytes().into()
    }

    impl fmt::Debug for KeyedHash {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("KeyedHash(…)")
        }
    }

    impl fmt::Debug for KeyDigest {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("KeyDigest(…)")
        }
    }
}

#[cfg(not(feature = "mac"))]
mod without {
    //! Without the feature there is no secret: the builder refuses one.

    use super::OpaqueSecret;

    #[derive(Debug, Clone, Copy)]
    pub(crate) enum KeyedHash {}

    impl KeyedHash {
        pub(crate) fn new(_: &OpaqueSecret) -> Option<Self> {
            None
        }

        pub(crate) fn narrow(&self, _kind: u64, _bytes: &[u8]) -> u64 {
            match *self {}
        }

        pub(crate) fn wide(&self, _kind: u64, _bytes: &[u8]) -> u128 {
            match *self {}
        }
    }

    #[derive(Debug, Clone)]
    pub(crate) enum KeyDigest {}

    impl KeyDigest {
        pub(crate) fn new(_: &OpaqueSecret) -> Option<Self> {
            None
        }

        pub(crate) fn of(&self, _key: &[u8]) -> [u8; 32] {
            match *self {}
        }
    }
}

#[cfg(all(test, feature = "mac"))]
mod tests {
    use super::*;

    fn secret(text: &str) -> OpaqueSecret {
        OpaqueSecret(text.as_bytes().into())
    }

    #[test]
    fn hashes_are_those_of_the_standards() {
        // Values from other implementations of HMAC-SHA-256 and SipHash-2-4. Every later release
        // must find what is stored under them.
        let (keyed_hash, digest) = {
            let secret = secret("0123456789abcdef");
            (KeyedHash::new(&secret).unwrap(), KeyDigest::new(&secret).unwrap())
        };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(format!("{:016x}", keyed_hash.narrow(7, b"sidebar")), "c07178fb69c78f98");
        assert_eq!(
            format!("{:032x}", keyed_hash.wide(7, b"sidebar")),
            "a73de9dae9eeb20a6b51cfefdbcbceed"
        );
        assert_eq!(
            hex(&digest.of(b"sidebar")),
            "624e3539b1fdd4a1ded080c4a437754f668eacdd2691f9b61aed5b498c979c4e"
        );
    }

    #[test]
    fn nothing_is_the_same_under_another_secret_or_of_another_kind() {
        let (one, other) = (secret("0123456789abcdef"), secret("0123456789abcdeg"));
        let (first, second) = (KeyedHash::new(&one).unwrap(), KeyedHash::new(&other).unwrap());
        assert_ne!(first.narrow(1, b"x"), second.narrow(1, b"x"));
        assert_ne!(first.narrow(1, b"x"), first.narrow(2, b"x"));
        assert_ne!(first.wide(1, b"x"), second.wide(1, b"x"));
        assert_ne!(first.wide(1, b"x"), first.wide(2, b"x"));
        let digest = |secret| KeyDigest::new(secret).unwrap().of(b"x");
        assert_ne!(digest(&one), digest(&other));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = secret("hunter2hunter2hunter2");
        let shown =
            format!("{secret:?} {:?} {:?}", KeyedHash::new(&secret), KeyDigest::new(&secret));
        assert_eq!(shown, "OpaqueSecret(…) Some(KeyedHash(…)) Some(KeyDigest(…))");
        let error = OpaqueSecret(b"hunter2".as_slice().into()).check().unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("16 bytes"), "{error}");
    }
}

#[cfg(all(test, not(feature = "mac")))]
mod tests {
    #[test]
    fn a_secret_needs_the_feature() {
        let error = crate::FragmentCache::builder().opaque_keys([7; 32]).build().unwrap_err();
        assert_eq!(error.message(), "opaque_keys needs the feature `mac` of fragcache");
    }
}
