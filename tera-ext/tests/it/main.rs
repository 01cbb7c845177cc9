//! Cache blocks in Tera, from the outside: the page, how often bodies ran, and errors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "also in what the tests share")]

mod edges;
mod errors;
mod follow;
#[cfg(feature = "glob_fs")]
mod glob;
mod installing;
mod options;
mod parity;
mod refusals;
mod scopes;
mod support;
mod threads;
mod traces;
