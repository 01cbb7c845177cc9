//! Shops as processes of their own, on a store that they share: what one changes the other shows,
//! under load, and whatever becomes of the store.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod coherence;
mod outages;
mod rush;
mod sharing;
mod site;
