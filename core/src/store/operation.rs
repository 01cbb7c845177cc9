//! The operations of a store, and their replies.

use std::time::Duration;

use super::{Fault, Store, StoreError, Value};

/// One operation of a [`Store::run`].
///
/// ```
/// use std::time::Duration;
/// use fragcache::store::{Operation, Reply, Store};
/// use fragcache::testing::MemoryStore;
///
/// let store = MemoryStore::new();
/// let replies = store.run(&[
///     Operation::Add { key: "greeting", value: b"hello", ttl: Duration::from_secs(60) },
///     Operation::Get { key: "greeting" },
/// ])?;
/// assert_eq!(replies, [Reply::Done(true), Reply::Value(Some(b"hello".to_vec()))]);
/// # Ok::<(), fragcache::store::StoreError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// Reads the value of a key; replied to by [`Reply::Value`], with `None` if it has none.
    Get {
        /// The key.
        key: &'a str,
    },
    /// Sets a key to a value, overwriting any value; replied to by [`Reply::Done`] with `true`.
    Set {
        /// The key.
        key: &'a str,
        /// Its value.
        value: &'a [u8],
        /// Its TTL, at least a millisecond.
        ttl: Duration,
    },
    /// Sets a key to a value if it has none; replied to by [`Reply::Done`] with whether it had
    /// none. Of several concurrent callers, one succeeds.
    Add {
        /// The key.
        key: &'a str,
        /// Its value.
        value: &'a [u8],
        /// Its TTL, at least a millisecond.
        ttl: Duration,
    },
    /// Deletes the value of a key; replied to by [`Reply::Done`] with whether it had one.
    Delete {
        /// The key.
        key: &'a str,
    },
    /// Deletes the value of a key if it is `expected`; replied to by [`Reply::Done`] with whether
    /// it was. The comparison and the deletion are one atomic step.
    CompareAndDelete {
        /// The key.
        key: &'a str,
        /// The value that it must have.
        expected: &'a [u8],
    },
    /// Sets a key to a value if its value is `expected`; replied to by [`Reply::Done`] with whether
    /// it was. The comparison and the change are one atomic step.
    ///
    /// A store that never loses a single record may instead run a
    /// [`CompareAndDelete`](Self::CompareAndDelete) and, if that found the value, an
    /// [`Add`](Self::Add); in between, the key has no value. On other stores this is not safe: if
    /// another value is set in between and then lost, the `Add` brings back the part that this
    /// value shares with the overwritten one.
    CompareAndSet {
        /// The key.
        key: &'a str,
        /// The value that it must have.
        expected: &'a [u8],
        /// The new value.
        value: &'a [u8],
        /// Its TTL, at least a millisecond.
        ttl: Duration,
    },
    /// Sets the TTL of a present record; replied to by [`Reply::Done`] with whether it was present.
    /// A store that cannot do this ([`Capabilities::touches`](super::Capabilities::touches)) does
    /// nothing and replies `false`.
    Touch {
        /// The key.
        key: &'a str,
        /// The new TTL, from now on.
        ttl: Duration,
    },
}

impl<'a> Operation<'a> {
    /// The key of the operation.
    ///
    /// ```
    /// use fragcache::store::Operation;
    ///
    /// assert_eq!(Operation::Delete { key: "greeting" }.key(), "greeting");
    /// ```
    pub fn key(&self) -> &'a str {
        match *self {
            Self::Get { key }
            | Self::Set { key, .. }
            | Self::Add { key, .. }
            | Self::Delete { key }
            | Self::CompareAndDelete { key, .. }
            | Self::CompareAndSet { key, .. }
            | Self::Touch { key, .. } => key,
        }
    }

    /// The value that the operation stores, if it stores one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fragcache::store::Operation;
    ///
    /// let add = Operation::Add { key: "greeting", value: b"hello", ttl: Duration::from_secs(60) };
    /// assert_eq!(add.value(), Some(&b"hello"[..]));
    /// assert_eq!(Operation::Get { key: "greeting" }.value(), None);
    /// ```
    pub fn value(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Set { value, .. }
            | Self::Add { value, .. }
            | Self::CompareAndSet { value, .. } => Some(value),
            Self::Get { .. }
            | Self::Delete { .. }
            | Self::CompareAndDelete { .. }
            | Self::Touch { .. } => None,
        }
    }

    /// Whether the operation only reads.
    ///
    /// ```
    /// use fragcache::store::Operation;
    ///
    /// assert!(Operation::Get { key: "greeting" }.is_read());
    /// assert!(!Operation::Delete { key: "greeting" }.is_read());
    /// ```
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Get { .. })
    }
}

/// The result of an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The value of a [`Get`](Operation::Get), if there is one.
    Value(Option<Value>),
    /// Whether an operation of another kind did what it is for; see [`Operation`].
    Done(bool),
}

impl Reply {
    /// The value of a [`Get`](Operation::Get).
    pub(super) fn into_value(self) -> Result<Option<Value>, StoreError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Done(_) => Err(mismatch()),
        }
    }
}

/// Runs one operation that is no [`Get`](Operation::Get).
pub(super) fn run_one<S: Store + ?Sized>(
    store: &S,
    operation: Operation<'_>,
) -> Result<bool, StoreError> {
    match store.run(&[operation])?.as_slice() {
        [Reply::Done(done)] => Ok(*done),
        _ => Err(mismatch()),
    }
}

/// The error for replies that are not those of the operations.
pub(super) fn mismatch() -> StoreError {
    StoreError::new(Fault::Protocol, "the store's replies do not fit the operations")
}
