//! The clock that bounds waits for the server. No other file reads it.

use std::time::Instant;

/// The current instant.
#[allow(clippy::disallowed_methods, reason = "waits for a server are wall-clock time")]
pub(super) fn instant() -> Instant {
    Instant::now()
}
