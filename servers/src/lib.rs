//! Real servers for tests and benches, ways to them on which things go wrong, and a browser to look at what is served: started on loopback
//! on a free port in a folder of their own, and stopped when dropped, also by a panic.
//! `servers/install` fetches their programs. Nothing here is a mock, and nothing is skipped: a
//! missing program panics with the command that installs it.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that has no server has nothing else to do"
)]

mod answer;
mod browser;
mod certificates;
mod process;
mod program;
mod proxy;
mod redis;

pub use browser::Browser;
pub use certificates::Certificates;
pub use process::eventually;
pub use program::Flavour;
pub use proxy::{Mutation, Proxy, Way};
pub use redis::{RedisServer, Setup};
