//! Shops as separate processes on a shared store: each shows the other's changes,
//! under load and while the store fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod coherence;
mod outages;
mod rush;
mod sharing;
mod site;
