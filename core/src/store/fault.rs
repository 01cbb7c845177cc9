//! Faults and errors of a store.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The kind of fault that a store reports. It decides how the cache reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// No answer within the deadline. The cache skips the store for a while.
    Deadline,
    /// The answer was arriving but was not complete in time: it is large, or the connection is
    /// slow. Other calls are made as usual.
    Slow,
    /// Another process has locked this key; other keys may be free.
    Busy,
    /// The store cannot be reached, or closed the connection. The cache skips it for a while.
    Unreachable,
    /// The store answers but cannot be used at all: the password is wrong, or it is a replica. The
    /// cache skips it for a while.
    Unusable,
    /// The store refused this call: it is full, or the user lacks a permission.
    Refused,
    /// The store does not support this operation.
    Unsupported,
    /// The answer is malformed or unexpected.
    Protocol,
    /// The store's code panicked. The call counts as failed but may have taken effect. Other calls
    /// are made as usual.
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

    /// Whether any next call would most likely end the same way.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, Self::Deadline | Self::Unreachable | Self::Unusable)
    }
}

/// The error of a failed call to a store.
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
    /// Creates an error. The message is one line in lower case, without secrets.
    pub fn new(fault: Fault, message: impl Into<Box<str>>) -> Self {
        Self { fault, message: message.into(), source: None }
    }

    /// The error for an [`Operation`] that the store does not know.
    ///
    /// ```
    /// use fragcache::store::{Fault, StoreError};
    ///
    /// let error = StoreError::unsupported("dynamo");
    /// assert_eq!(error.fault(), Fault::Unsupported);
    /// assert_eq!(error.to_string(), "this operation is newer than the store dynamo; update its crate");
    /// ```
    ///
    /// [`Operation`]: super::Operation
    pub fn unsupported(store: &str) -> Self {
        let message = format!("this operation is newer than the store {store}; update its crate");
        Self::new(Fault::Unsupported, message)
    }

    /// Adds the cause, which must not contain secrets either.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The kind of fault.
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
