//! The tool as an administrator runs it: the built program, with a folder and a real Redis, beside
//! caches in use.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in what the tests share"
)]

mod commands;
mod documented;
mod fleet;
mod help;
mod kinds;
mod opaque;
mod place;
mod scanning;
mod trouble;
