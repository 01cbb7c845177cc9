//! Stores behind a network, against real servers of `fragcache-servers`.

mod conformance;
mod deadlines;
mod large;
mod operations;
mod refusals;
mod secrets;
mod sharing;
mod steps;
pub(crate) mod support;
mod tls;
