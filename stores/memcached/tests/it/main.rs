//! The store against real servers of `fragcache-servers`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in what the tests share"
)]

mod conformance;
mod deadlines;
mod large;
mod operations;
mod refusals;
mod servers;
mod support;
#[cfg(feature = "tls")]
mod tls;
