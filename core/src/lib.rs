//! A cache for rendered template fragments.
//!
//! This crate is the cache behind `{% cache 300, "sidebar", user.id %} … {% endcache %}` in MiniJinja
//! (crate `fragcache-minijinja`) and Tera (crate `fragcache-tera`). It also caches markup that Rust
//! code renders, plain values, results of functions and, with `fragcache-tower`, whole responses.
//! Entries are in the memory of the process, and optionally in a store that processes share.
//!
//! # Why
//!
//! - **No stale fill.** Once a deletion has returned, no later read is served a render that began
//!   before it. The same holds for the fragments around the deleted one.
//! - **Single flight.** One caller renders a key at a time; the others wait for it, for a bounded
//!   time.
//! - **It never breaks a page.** An error of a body passes through unchanged. When the store fails,
//!   bodies are rendered.
//! - **Everything is bounded**: memory, every table, every wait.
//!
//! # Example
//!
//! ```
//! use fragcache::{Fragment, FragmentCache, fragment_key};
//! use std::time::Duration;
//!
//! let cache = FragmentCache::in_memory();
//! let row = Fragment::new(fragment_key!("row", 7))
//!     .expires_after(Duration::from_secs(60))
//!     .tags(["product:7"]);
//!
//! let html = cache.render(&row, || "<td>10 €</td>")?;
//! assert_eq!(&*html, "<td>10 €</td>");
//! assert_eq!(cache.render(&row, || "not evaluated")?, html);
//!
//! cache.invalidate_tags(["product:7"])?.eventually();
//! assert!(!cache.contains(row.key())?);
//! # Ok::<(), fragcache::Error>(())
//! ```
//!
//! Start with [`FragmentCache`] and [`CacheBuilder`]. [`FarLevel`] puts a shared store behind a cache,
//! [`Caches`] gives the templates of one engine several caches, [`InvalidationBatch`] invalidates
//! after a commit, and [`ReadPoint`] covers data that is read before the render.
//!
//! # Features
//!
//! None is enabled by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `values` | typed values (`FragmentCache::values`) and memoized functions (`FragmentCache::memoize`) |
//! | `async` | `memoize_async` and caching of responses for layers; needs tokio's timer; enables `values` |
//! | `macros` | the attributes `#[memoize]` and `#[invalidates]`; enables `values` |
//! | `mac` | signed records ([`FarLevel::mac_key`]) and opaque keys ([`CacheBuilder::opaque_keys`]) |
//! | `tracing` | `events::TracingObserver` |
//! | `metrics` | `events::MetricsObserver` |
//! | `testing` | a manual clock, a recorder, a store in memory, a faulty store, the store conformance suite |
//!
//! # Modules
//!
//! | module | what it has |
//! |---|---|
//! | [`current`] | functions that code in a body calls about the fragment being rendered |
//! | [`key`] | keys: what can be part of one, and their kinds |
//! | [`tag`] | the limits of tags |
//! | [`stats`] | counters of the whole cache and by name; health of the store |
//! | [`events`] | events, their reasons, and observers |
//! | [`store`] | the trait of shared stores |
//! | [`admin`] | listing, deleting and switching for administrators |
//! | `values` | plain values (feature `values`) |
//! | `memoize` | memoized functions (feature `values`) |
//! | `testing` | helpers for tests (feature `testing`) |
//! | [`syntax`] | the rewriter of cache blocks in templates: the crate `fragcache-syntax` |
//! | [`engine`] | for authors of engine extensions and layers |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod admin;
mod ageing;
mod cache;
mod caches;
mod clock;
pub mod engine;
mod entry;
mod error;
pub mod events;
#[cfg_attr(fragcache_shuttle, allow(dead_code, unused_imports, reason = "a model has no worker"))]
mod far;
mod flight;
mod fragment;
mod freshness;
mod handle;
mod hash;
#[cfg(all(test, not(fragcache_shuttle)))]
mod history;
pub mod key;
mod label;
mod lookup;
mod mac;
#[cfg(feature = "values")]
pub mod memoize;
#[cfg(all(test, fragcache_shuttle))]
mod model;
mod near;
mod opaque;
mod options;
mod policy;
mod protection;
mod read_point;
mod render;
pub mod stats;
pub mod store;
mod sync;
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

pub use cache::{CacheBuilder, FragmentCache};
pub use caches::Caches;
pub use clock::{Clock, MonotonicClock};
pub use error::{Error, ErrorKind, Location};
pub use far::FarLevel;
#[cfg(feature = "macros")]
pub use fragcache_macros::{invalidates, memoize};
pub use fragcache_syntax as syntax;
pub use fragment::Fragment;
pub use handle::{Invalidation, InvalidationBatch};
pub use key::{FragmentKey, KeyPart, fragment_key_at, make_template_fragment_key};
pub use policy::{CacheMode, ErrorPolicy, Policy};
pub use read_point::ReadPoint;
pub use render::current;
pub use timeout::Timeout;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
