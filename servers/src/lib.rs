//! Real servers for tests and benches, faulty connections to them, and a browser. A server runs on
//! a free loopback port in its own folder, and stops when it is dropped, also after a panic.
//! `servers/install` fetches the programs. Nothing here is a mock, and nothing is skipped: a
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
mod ask;
mod browser;
mod certificates;
mod cluster;
mod memcached;
mod process;
mod program;
mod proxy;
mod redis;
mod sentinel;

pub use browser::Browser;
pub use certificates::Certificates;
pub use cluster::Cluster;
pub use memcached::{MemcachedServer, MemcachedSetup, memcached_keys};
pub use process::eventually;
pub use program::Flavour;
pub use proxy::{Mutation, Proxy, Way};
pub use redis::{RedisServer, Setup};
pub use sentinel::Sentinels;
