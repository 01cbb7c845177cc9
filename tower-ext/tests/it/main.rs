//! The layer around axum's routers: which requests and responses are cached, what deletes them, and
//! what happens under load and on bad input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod bypass;
mod deletion;
mod far;
mod flight;
mod freshness;
mod headers;
mod hosts;
mod layers;
mod length;
mod nesting;
mod private;
mod review;
mod support;
mod vary;
mod wire;
