//! Stores behind a network, against real servers of `fragcache-servers`.

mod conformance;
mod deadlines;
mod operations;
mod refusals;
mod secrets;
mod sharing;
pub(crate) mod support;
mod tls;
