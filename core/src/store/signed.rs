//! A store that signs its records. An attacker who can write to the store but lacks the secret
//! cannot forge a record, nor move one to another name, kind or prefix.
//!
//! A stored record is the value followed by the first 16 bytes of an HMAC-SHA-256. The HMAC covers
//! the name of the record, a zero byte (which no name contains) and the value. Its key is derived
//! from the secret and the prefix. The name includes the kind of record. The same value under the
//! same name has the same signature, so a store can compare signed values.
//!
//! A present record with no valid signature is read as [`UNTRUSTED`]: it occupies its name but is
//! not valid as any record.

use std::fmt;
use std::sync::Arc;

use hmac::Mac;

use super::{Capabilities, Operation, Page, Reply, Store, StoreError, UNTRUSTED, Value};
use crate::mac::{SIGNATURE_BYTES, Signer, signer};
use crate::sync::{AtomicU64, Ordering};

/// Context for deriving the key of a prefix.
const OF_RECORDS: &[u8] = b"fragcache mac_key 1: records of ";

/// A store that signs all records.
pub(crate) struct Signed {
    store: Arc<dyn Store>,
    signer: Signer,
    untrusted: AtomicU64,
}

/// The signed value and expected value of an operation; empty if it has none.
#[derive(Default)]
struct Bytes {
    value: Value,
    expected: Value,
}

impl Signed {
    pub(crate) fn new(store: Arc<dyn Store>, secret: &[u8], prefix: &str) -> Self {
        let key = signer(secret).chain_update(OF_RECORDS).chain_update(prefix);
        let signer = signer(&key.finalize().into_bytes());
        Self { store, signer, untrusted: AtomicU64::new(0) }
    }

    fn begin(&self, name: &str, value: &[u8]) -> Signer {
        self.signer.clone().chain_update(name).chain_update([0]).chain_update(value)
    }

    fn sign(&self, name: &str, value: &[u8]) -> Value {
        let signature = self.begin(name, value).finalize().into_bytes();
        let mut signed = Vec::with_capacity(value.len() + SIGNATURE_BYTES);
        signed.extend_from_slice(value);
        signed.extend(signature.into_iter().take(SIGNATURE_BYTES));
        signed
    }

    fn is_signed(&self, name: &str, bytes: &[u8]) -> bool {
        let Some((value, signature)) = bytes.split_last_chunk::<SIGNATURE_BYTES>() else {
            return false;
        };
        // Compares in constant time.
        self.begin(name, value).verify_truncated_left(signature).is_ok()
    }

    /// Verifies a record and returns its value.
    fn open(&self, name: &str, mut bytes: Value) -> Value {
        if !self.is_signed(name, &bytes) {
            self.untrusted.fetch_add(1, Ordering::Relaxed);
            return UNTRUSTED;
        }
        bytes.truncate(bytes.len() - SIGNATURE_BYTES);
        bytes
    }

    /// The stored bytes of a record that was read as `value`. For an untrusted record this takes
    /// another round trip, so that the record can be replaced.
    fn expected(&self, name: &str, value: &[u8]) -> Result<Value, StoreError> {
        if *value == UNTRUSTED {
            let there = self.store.get_many(&[name])?.pop().flatten();
            if let Some(there) = there.filter(|there| !self.is_signed(name, there)) {
                return Ok(there);
            }
        }
        Ok(self.sign(name, value))
    }

    fn bytes(&self, operation: &Operation<'_>) -> Result<Bytes, StoreError> {
        Ok(match *operation {
            Operation::Set { key, value, .. } | Operation::Add { key, value, .. } => {
                Bytes { value: self.sign(key, value), ..Bytes::default() }
            }
            Operation::CompareAndDelete { key, expected } => {
                Bytes { expected: self.expected(key, expected)?, ..Bytes::default() }
            }
            Operation::CompareAndSet { key, expected, value, .. } => {
                Bytes { value: self.sign(key, value), expected: self.expected(key, expected)? }
            }
            Operation::Get { .. } | Operation::Delete { .. } | Operation::Touch { .. } => {
                Bytes::default()
            }
        })
    }
}

impl Store for Signed {
    fn capabilities(&self) -> Capabilities {
        let can = self.store.capabilities();
        let most = can.max_value_bytes.saturating_sub(SIGNATURE_BYTES);
        can.max_value_bytes(most)
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let bytes = operations.iter().map(|one| self.bytes(one)).collect::<Result<Vec<_>, _>>()?;
        let signed: Vec<_> = operations.iter().zip(&bytes).map(signed).collect();
        let open = |(at, reply)| match reply {
            Reply::Value(value) => {
                let value: Option<(Value, &Operation<'_>)> = value.zip(operations.get(at));
                Reply::Value(value.map(|(value, operation)| self.open(operation.key(), value)))
            }
            Reply::Done(done) => Reply::Done(done),
        };
        Ok(self.store.run(&signed)?.into_iter().enumerate().map(open).collect())
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        self.store.scan(prefix, cursor)
    }

    fn gauges(&self) -> Vec<(&'static str, u64)> {
        let mut gauges = self.store.gauges();
        gauges.push(("untrusted_records", self.untrusted.load(Ordering::Relaxed)));
        gauges
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.store.sweep()
    }
}

/// The operation with its bytes replaced by the signed ones.
fn signed<'a>((operation, bytes): (&Operation<'a>, &'a Bytes)) -> Operation<'a> {
    let Bytes { value, expected } = bytes;
    match *operation {
        Operation::Set { key, ttl, .. } => Operation::Set { key, value, ttl },
        Operation::Add { key, ttl, .. } => Operation::Add { key, value, ttl },
        Operation::CompareAndDelete { key, .. } => Operation::CompareAndDelete { key, expected },
        Operation::CompareAndSet { key, ttl, .. } => {
            Operation::CompareAndSet { key, expected, value, ttl }
        }
        other @ (Operation::Get { .. } | Operation::Delete { .. } | Operation::Touch { .. }) => {
            other
        }
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "testing", not(fragcache_shuttle)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::conformance::Suite;
    use crate::testing::{ManualClock, MemoryStore};

    const SECRET: &[u8] = b"the secret of these tests, 32 by";
    const LIFE: Duration = Duration::from_secs(60);

    fn signed(store: &MemoryStore, secret: &[u8], prefix: &str) -> Signed {
        Signed::new(Arc::new(store.clone()), secret, prefix)
    }

    #[test]
    fn a_signed_store_keeps_the_contract() {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        let report = Suite::new(signed(&store, SECRET, "shop"))
            .another(move || signed(&store, SECRET, "shop"))
            .advance(move |by| clock.advance(by))
            .run();
        report.assert_passed();
    }

    #[test]
    fn a_stored_value_has_its_signature() {
        let store = MemoryStore::new();
        signed(&store, SECRET, "shop").set("shop:m", b"bypass", LIFE).unwrap();
        let bytes = store.get_many(&["shop:m"]).unwrap().remove(0).unwrap();
        let hex: String = bytes[6..].iter().map(|byte| format!("{byte:02x}")).collect();
        // Computed by another implementation: every later release must be able to read stored
        // records.
        assert_eq!((&bytes[..6], &*hex), (&b"bypass"[..], "7f1f6acb82569ec754e01456b53e1741"));
    }

    #[test]
    fn a_value_signed_for_another_name_is_refused() {
        let store = MemoryStore::new();
        let shop = signed(&store, SECRET, "shop");
        let read = |name: &str| shop.get_many(&[name]).unwrap().remove(0);
        shop.set("shop:v:1", b"version", LIFE).unwrap();
        assert_eq!(read("shop:v:1").unwrap(), b"version");
        let bytes = store.get_many(&["shop:v:1"]).unwrap().remove(0).unwrap();
        for name in ["shop:v:2", "shop:l:1", "shop:v:11", "shop:v:", "shop", "blog:v:1"] {
            store.set(name, &bytes, LIFE).unwrap();
            assert_eq!(read(name).unwrap(), UNTRUSTED, "{name}");
        }
        for length in 0..bytes.len() {
            store.set("shop:v:1", &bytes[..length], LIFE).unwrap();
            assert_eq!(read("shop:v:1").unwrap(), UNTRUSTED, "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            store.set("shop:v:1", &flipped, LIFE).unwrap();
            assert_eq!(read("shop:v:1").unwrap(), UNTRUSTED, "{bit}");
        }
        for (secret, prefix) in [(&[7; 32][..], "shop"), (SECRET, "blog"), (SECRET, "shop:v")] {
            signed(&store, secret, prefix).set("shop:v:1", b"version", LIFE).unwrap();
            assert_eq!(read("shop:v:1").unwrap(), UNTRUSTED, "{prefix}");
        }
        let gauges = shop.gauges();
        let count = gauges.iter().find(|(name, _)| *name == "untrusted_records").unwrap().1;
        assert_eq!(count as usize, 6 + bytes.len() + bytes.len() * 8 + 3);
    }

    #[test]
    fn an_unsigned_value_is_replaced_if_it_is_unchanged() {
        let store = MemoryStore::new();
        let shop = signed(&store, SECRET, "shop");
        let replace = || {
            let replies = shop.run(&[
                Operation::CompareAndDelete { key: "k", expected: &UNTRUSTED },
                Operation::Add { key: "k", value: b"ours", ttl: LIFE },
                Operation::Get { key: "k" },
            ]);
            replies.unwrap()
        };
        let ours = Reply::Value(Some(b"ours".to_vec()));
        for planted in [&b""[..], b"planted", &[0; 40]] {
            store.set("k", planted, LIFE).unwrap();
            assert_eq!(replace(), [Reply::Done(true), Reply::Done(true), ours.clone()]);
        }
        // A record that was stored since then stays.
        assert_eq!(replace(), [Reply::Done(false), Reply::Done(false), ours]);
        store.set("k", b"planted", LIFE).unwrap();
        assert!(shop.compare_and_set("k", &UNTRUSTED, b"ours", LIFE).unwrap());
        assert!(!shop.compare_and_delete("k", &UNTRUSTED).unwrap());
        assert!(shop.compare_and_delete("k", b"ours").unwrap());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", signed(&MemoryStore::new(), b"hunter2hunter2hunter2", "shop"));
        assert!(shown.starts_with("Signed") && !shown.contains("hunter2"), "{shown}");
    }
}
