//! fragcache from the outside, in both engines: the tests that span several
//! packages, and those of the fixtures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in what the tests share"
)]

mod bodies;
mod calls;
mod config;
mod corpus;
mod errors;
mod facts;
mod far;
mod flask;
mod follow;
mod keys;
mod packages;
mod prefetch;
mod random;
mod read_points;
mod recipes;
mod reload;
mod requests;
mod rewrites;
mod stories;
mod structure;
mod support;
mod tidy;
mod values;
mod watching;
