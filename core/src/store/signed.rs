//! A store whose records are signed: whoever can write to it but lacks the secret cannot make a record
//! that is believed, nor move one to another name, another kind or another prefix.
//!
//! What is stored is the value and after it the first 16 bytes of HMAC-SHA-256 over the name of the
//! record, a zero byte (no name has one) and the value, under a key that is made of the secret and the
//! prefix. The name says of what kind a record is. The same value under the same name has the same
//! signature, so what a store compares may be signed.
//!
//! What is there and is not signed so is read as [`UNTRUSTED`]: something is there, and it is nothing
//! that anybody takes for a record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::Mac;

use super::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError, UNTRUSTED, Value};
use crate::mac::{SIGNATURE_BYTES, Signer, signer};
use crate::sync::{AtomicU64, Ordering};

/// What the key of a prefix is made for.
const OF_RECORDS: &[u8] = b"fragcache mac_key 1: records of ";

/// A store, all of whose records are signed.
pub(crate) struct Signed {
    store: Arc<dyn Store>,
    signer: Signer,
    untrusted: AtomicU64,
}

/// An operation's value and what it expects, signed; without bytes where it has none.
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
        // Takes the same time wherever they differ.
        self.begin(name, value).verify_truncated_left(signature).is_ok()
    }

    /// A value as it was signed.
    fn open(&self, name: &str, mut bytes: Value) -> Value {
        if !self.is_signed(name, &bytes) {
            self.untrusted.fetch_add(1, Ordering::Relaxed);
            return UNTRUSTED;
        }
        bytes.truncate(bytes.len() - SIGNATURE_BYTES);
        bytes
    }

    /// The bytes of a record that was read as `value`. Of one that is not to be believed they are
    /// asked for: a round trip more, so that it can be replaced.
    fn expected(&self, name: &str, value: &[u8]) -> Result<Value, StoreError> {
        if *value == UNTRUSTED {
            let there = self.store.get_many(&[name])?.pop().flatten();
            if let Some(there) = there.filter(|there| !self.is_signed(name, there)) {
                return Ok(there);
            }
        }
        Ok(self.sign(name, value))
    }

    fn one(&self, operation: Operation<'_>) -> Result<bool, StoreError> {
        match self.run(&[operation])?.as_slice() {
            [Reply::Done(done)] => Ok(*done),
            _ => Err(StoreError::new(Fault::Protocol, "the store answered what was not asked")),
        }
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

    fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> {
        let values = self.store.get_many(keys)?.into_iter().enumerate();
        // Of too many values none is for a key; the caller sees that they do not fit.
        let open = |(at, value): (usize, Option<Value>)| {
            value.zip(keys.get(at)).map(|(value, key)| self.open(key, value))
        };
        Ok(values.map(open).collect())
    }

    fn set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        self.one(Operation::Set { key, value, ttl }).map(drop)
    }

    fn add(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        self.one(Operation::Add { key, value, ttl })
    }

    fn delete(&self, key: &str) -> Result<bool, StoreError> {
        self.store.delete(key)
    }

    fn compare_and_delete(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError> {
        self.one(Operation::CompareAndDelete { key, expected })
    }

    fn compare_and_set(
        &self,
        key: &str,
        expected: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.one(Operation::CompareAndSet { key, expected, value, ttl })
    }

    fn touch(&self, key: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.store.touch(key, ttl)
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

/// An operation with these bytes in the place of its own.
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
        report.assert_kept();
    }

    #[test]
    fn what_is_stored_is_the_value_with_its_signature() {
        let store = MemoryStore::new();
        signed(&store, SECRET, "shop").set("shop:m", b"bypass", LIFE).unwrap();
        let bytes = store.get_many(&["shop:m"]).unwrap().remove(0).unwrap();
        let hex: String = bytes[6..].iter().map(|byte| format!("{byte:02x}")).collect();
        // By another implementation: every later release must find what is stored.
        assert_eq!((&bytes[..6], &*hex), (&b"bypass"[..], "7f1f6acb82569ec754e01456b53e1741"));
    }

    #[test]
    fn only_what_was_signed_for_this_name_is_read() {
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
    fn what_is_not_believed_is_replaced_if_it_is_still_there() {
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
        // What somebody has stored since stays.
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
