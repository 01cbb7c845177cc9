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
#[cfg(feature = "values")]
mod call;
mod clock;
#[cfg(feature = "config")]
pub mod config;
pub mod engine;
mod entry;
mod error;
#[cfg_attr(fragcache_shuttle, allow(dead_code, unused_imports, reason = "a model has no keeper"))]
mod far;
mod flight;
mod fragment;
mod fresh;
mod hash;
mod held;
#[cfg(all(test, not(fragcache_shuttle)))]
mod history;
mod key;
mod mac;
#[cfg(all(test, fragcache_shuttle))]
mod model;
mod near;
mod observe;
mod opaque;
mod point;
mod policy;
mod protection;
mod render;
pub mod store;
mod sync;
pub mod syntax;
mod tag;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(all(test, not(fragcache_shuttle)))]
mod tests;
mod timeout;
#[cfg(feature = "values")]
mod values;
#[cfg(feature = "async")]
mod views;

pub use batch::InvalidationBatch;
pub use builder::Builder;
pub use cache::{Deletion, FragmentCache};
pub use caches::Caches;
#[cfg(feature = "values")]
pub use call::{Call, Calls, Function, Instance, Site, Unordered};
pub use clock::{Clock, MonotonicClock};
pub use error::{Error, ErrorKind, Location};
pub use far::{FarLevel, Health};
#[cfg(feature = "macros")]
pub use fragcache_macros::{invalidates, memoize};
pub use fragment::Fragment;
pub use held::{HeldCursor, HeldEntry, HeldPage};
pub use key::{
    FragmentKey, KeyEncoder, KeyKind, KeyPart, MAX_KEY_BYTES, fragment_key_at,
    make_template_fragment_key,
};
#[cfg(feature = "metrics")]
pub use observe::MetricsObserver;
#[cfg(feature = "tracing")]
pub use observe::TracingObserver;
pub use observe::{
    Account, BypassReason, Event, EventKind, Ledger, MINUTES, Minute, MissReason, Misses, Observer,
    RefusalReason, RemovalCause, Stats,
};
pub use point::ReadPoint;
pub use policy::{Mode, OnMistake, Policy};
pub use render::current;
pub use tag::{MAX_TAG_BYTES, MAX_TAGS};
pub use timeout::Timeout;
#[cfg(feature = "values")]
pub use values::{Keep, SetReport, Value, Values};
