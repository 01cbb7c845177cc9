//! Template fragments, cached.
//!
//! This crate is the cache behind `{% cache 300, "sidebar", user.id %} … {% endcache %}` in
//! MiniJinja (`fragcache-minijinja`) and Tera (`fragcache-tera`). It knows neither engine: it
//! rewrites cache blocks ([`syntax`]), names fragments ([`FragmentKey`]), keeps rendered bodies
//! ([`FragmentCache`]) and sees to it that nothing deleted is served again.

pub mod admin;
mod ageing;
mod batch;
mod builder;
mod cache;
mod caches;
mod clock;
#[cfg(feature = "config")]
pub mod config;
pub mod engine;
mod entries;
mod entry;
mod error;
pub mod events;
#[cfg_attr(fragcache_shuttle, allow(dead_code, unused_imports, reason = "a model has no worker"))]
mod far;
mod flight;
mod fragment;
mod freshness;
mod hash;
#[cfg(all(test, not(fragcache_shuttle)))]
mod history;
pub mod key;
mod mac;
#[cfg(feature = "values")]
pub mod memoize;
#[cfg(all(test, fragcache_shuttle))]
mod model;
mod near;
mod opaque;
mod policy;
mod protection;
mod read_point;
mod render;
pub mod stats;
pub mod store;
mod sync;
pub mod syntax;
pub mod tag;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;
mod timeout;
#[cfg(feature = "values")]
pub mod values;
#[cfg(feature = "async")]
mod views;

pub use batch::InvalidationBatch;
pub use builder::CacheBuilder;
pub use cache::{FragmentCache, Invalidation};
pub use caches::Caches;
pub use clock::{Clock, MonotonicClock};
pub use error::{Error, ErrorKind, Location};
pub use far::FarLevel;
#[cfg(feature = "macros")]
pub use fragcache_macros::{invalidates, memoize};
pub use fragment::Fragment;
pub use key::{FragmentKey, KeyPart, fragment_key_at, make_template_fragment_key};
pub use policy::{CacheMode, ErrorPolicy, Policy};
pub use read_point::ReadPoint;
pub use render::current;
pub use timeout::Timeout;
