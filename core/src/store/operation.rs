//! Batches of operations, for stores that run them in one round trip.

use std::time::Duration;

use super::{Fault, Store, StoreError, Value};

/// One operation of a [`Store::run`].
///
/// A store that runs batches itself answers an operation that it does not know with
/// [`Fault::Unsupported`]; the default implementation of [`Store::run`] knows all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// [`Store::get_many`] of one key; replied to by [`Reply::Value`].
    Get {
        /// The key.
        key: &'a str,
    },
    /// [`Store::set`]; replied to by [`Reply::Done`] with `true`.
    Set {
        /// The key.
        key: &'a str,
        /// Its value.
        value: &'a [u8],
        /// Its TTL.
        ttl: Duration,
    },
    /// [`Store::add`]; replied to by [`Reply::Done`].
    Add {
        /// The key.
        key: &'a str,
        /// Its value.
        value: &'a [u8],
        /// Its TTL.
        ttl: Duration,
    },
    /// [`Store::delete`]; replied to by [`Reply::Done`].
    Delete {
        /// The key.
        key: &'a str,
    },
    /// [`Store::compare_and_delete`]; replied to by [`Reply::Done`].
    CompareAndDelete {
        /// The key.
        key: &'a str,
        /// The value that it must have.
        expected: &'a [u8],
    },
    /// [`Store::compare_and_set`]; replied to by [`Reply::Done`].
    CompareAndSet {
        /// The key.
        key: &'a str,
        /// The value that it must have.
        expected: &'a [u8],
        /// The new value.
        value: &'a [u8],
        /// Its TTL.
        ttl: Duration,
    },
    /// [`Store::touch`]; replied to by [`Reply::Done`].
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
}

/// The result of an [`Operation`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The value of a [`Get`](Operation::Get), if there is one.
    Value(Option<Value>),
    /// The `bool` that the method of [`Store`] returns.
    Done(bool),
}

/// [`Store::run`] in terms of the other methods; adjacent reads share one call.
pub(crate) fn run_one_by_one<S: Store + ?Sized>(
    store: &S,
    operations: &[Operation<'_>],
) -> Result<Vec<Reply>, StoreError> {
    let mut replies = Vec::with_capacity(operations.len());
    let mut rest = operations;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        let done = match *first {
            Operation::Get { key } => {
                let mut keys = vec![key];
                while let Some((&Operation::Get { key }, others)) = rest.split_first() {
                    keys.push(key);
                    rest = others;
                }
                let values = store.get_many(&keys)?;
                if values.len() != keys.len() {
                    return Err(StoreError::new(
                        Fault::Protocol,
                        format!("{} values were returned for {} keys", values.len(), keys.len()),
                    ));
                }
                replies.extend(values.into_iter().map(Reply::Value));
                continue;
            }
            Operation::Set { key, value, ttl } => store.set(key, value, ttl).map(|()| true),
            Operation::Add { key, value, ttl } => store.add(key, value, ttl),
            Operation::Delete { key } => store.delete(key),
            Operation::CompareAndDelete { key, expected } => {
                store.compare_and_delete(key, expected)
            }
            Operation::CompareAndSet { key, expected, value, ttl } => {
                store.compare_and_set(key, expected, value, ttl)
            }
            Operation::Touch { key, ttl } => store.touch(key, ttl),
        };
        replies.push(Reply::Done(done?));
    }
    Ok(replies)
}
