//! The store against real servers of `fragcache-servers`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in what the tests share"
)]

mod cluster;
mod conformance;
mod deadlines;
mod large;
mod operations;
mod refusals;
mod secrets;
mod sentinel;
mod sharing;
mod steps;
mod support;
mod tls;
