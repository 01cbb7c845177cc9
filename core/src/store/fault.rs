//! What can go wrong in a store.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What sort of fault a store reports. It decides what the cache does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// No answer within the deadline. The store is left alone for a while.
    Deadline,
    /// The answer was arriving, and was not whole in time: it is large, or the way to the store is
    /// slow. Other calls are made as before.
    Slow,
    /// Another process holds this key, and others may be free.
    Busy,
    /// The store cannot be reached, or hung up. It is left alone for a while.
    Unreachable,
    /// The store is there and is of no use at all: the password is wrong, or it is a replica. It is
    /// left alone for a while.
    Unusable,
    /// The store answered, and refused this call: it is full, or the user has not the right.
    Refused,
    /// The store cannot do this at all.
    Unsupported,
    /// What came back makes no sense.
    Protocol,
    /// The store's code panicked. The call counts as failed; it may have taken effect. Other calls are
    /// made as before.
    Panicked,
}

impl Fault {
    /// The fault as one word, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Unusable => "unusable",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Protocol => "protocol",
            Self::Panicked => "panicked",
        }
    }

    /// Whether the next call would most likely end the same way, whatever it asks.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, Self::Deadline | Self::Unreachable | Self::Unusable)
    }
}

/// Why a store did not do what it was asked to.
///
/// ```
/// use fragcache::store::{Fault, StoreError};
///
/// let error = StoreError::new(Fault::Deadline, "no answer from 127.0.0.1:6379 within 50 ms");
/// assert_eq!(error.fault(), Fault::Deadline);
/// assert_eq!(error.to_string(), "no answer from 127.0.0.1:6379 within 50 ms");
/// ```
#[derive(Debug, Clone)]
pub struct StoreError {
    fault: Fault,
    message: Box<str>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// A fault, with a message in lower case, one line, without secrets.
    pub fn new(fault: Fault, message: impl Into<Box<str>>) -> Self {
        Self { fault, message: message.into(), source: None }
    }

    /// The same error with its cause, which must hold no secrets either.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What sort of fault this is.
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
