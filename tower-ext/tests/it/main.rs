//! The layer around axum's routers: which requests and responses are kept, what deletes them, and what
//! happens under load and on bad input.

mod deletion;
mod flight;
mod headers;
mod layers;
mod nesting;
mod support;
mod vary;
mod wire;
