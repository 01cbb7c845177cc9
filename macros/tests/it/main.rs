//! Runs the code that the attributes generate. What they reject is tested inside the crate.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod bad_input;
mod calls;
mod flights;
mod kept;
mod methods;
mod sets;
mod sites;
mod writes;
