//! What the attributes write, run. What they refuse is in the crate's own tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod bad_input;
mod calls;
mod flights;
mod kept;
mod methods;
mod sets;
mod sites;
mod writes;
