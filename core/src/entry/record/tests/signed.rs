//! Signatures: who has no secret can neither write nor read.

use super::super::Unreadable;
use super::*;

/// What a codec without a secret sees.
#[test]
fn a_signed_record_is_refused_without_the_secret() {
    let bytes = golden::released("v1-signed.bin");
    assert_eq!(plain().decode(&bytes), Err(Unreadable::Mac));
}

#[cfg(feature = "mac")]
mod with_a_secret {
    use super::super::super::codec::flag;
    use super::*;

    const SECRET: &[u8] = b"sixteen bytes or more";

    fn signing(secret: &[u8]) -> Codec {
        Codec::new(Some(secret), Some(256), MAX_BODY_BYTES)
    }

    #[test]
    fn a_signed_record_is_read_with_the_same_secret() {
        for record in [sample(), large_sample()] {
            for secret in [SECRET, &[7; 64], &[7; 65], &[7; 500]] {
                let bytes = encode(&signing(secret), &record);
                assert_eq!(signing(secret).decode(&bytes).unwrap(), record);
            }
        }
    }

    #[test]
    fn another_secret_none_or_a_missing_signature_is_refused() {
        let signed = encode(&signing(SECRET), &sample());
        let unsigned = encode(&plain(), &sample());
        for secret in [&b"sixteen bytes or morf"[..], b"sixteen bytes or mor", &[0; 64]] {
            assert_eq!(signing(secret).decode(&signed), Err(Unreadable::Mac));
        }
        assert_eq!(plain().decode(&signed), Err(Unreadable::Mac));
        assert_eq!(signing(SECRET).decode(&unsigned), Err(Unreadable::Mac));
    }

    #[test]
    fn whoever_lacks_the_secret_cannot_make_a_record() {
        // A checksum in the place of a signature, under either flag.
        let crafted = Crafted::new();
        assert_eq!(signing(SECRET).decode(&crafted.bytes()), Err(Unreadable::Mac));
        let mut crafted = Crafted { flags: flag::SIGNED, ..crafted };
        crafted.stored_bytes = Some(crafted.body.len() as u64);
        crafted.raw_bytes = crafted.stored_bytes;
        crafted.body.extend([0; 16]);
        assert_eq!(signing(SECRET).decode(&crafted.bytes()), Err(Unreadable::Mac));
        let mut zeros = encode(&signing(SECRET), &sample());
        let length = zeros.len();
        zeros[length - 32..].fill(0);
        assert_eq!(signing(SECRET).decode(&zeros), Err(Unreadable::Mac));
    }

    #[test]
    fn i8_a_signed_record_that_is_changed_or_cut_is_refused() {
        let codec = signing(SECRET);
        let bytes = encode(&codec, &sample());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(codec.decode(&flipped).is_err(), "bit {bit}");
            assert!(plain().decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(codec.decode(&bytes[..length]), Err(Unreadable::Torn));
        }
    }

    #[test]
    fn the_signature_is_hmac_sha_256_over_all_before_it() {
        use hmac::{Hmac, KeyInit, Mac};

        for secret in [SECRET, &[7; 64], &[7; 65], &[7; 500]] {
            let bytes = encode(&signing(secret), &sample());
            let (sealed, signature) = bytes.split_at(bytes.len() - 32);
            let mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap().chain_update(sealed);
            assert_eq!(mac.finalize().into_bytes().as_slice(), signature);
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", signing(SECRET));
        assert!(shown.contains("Signed(…)"), "{shown}");
        assert!(!shown.contains("sixteen") && !shown.contains("115, 105, 120"), "{shown}");
    }
}
