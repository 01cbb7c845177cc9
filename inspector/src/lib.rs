//! A page that shows what [fragcache] does in this process: for each fragment, function and view hits,
//! misses and why, the hit ratio over the last hour, render time saved and spent, bytes, entries,
//! variants, age and tags; the biggest, the coldest, and those that cost more than they save. It can
//! be searched, and has buttons that delete and invalidate.
//!
//! It is a router to be mounted where you want it, and lets nobody in whom your guard does not let in:
//!
//! ```
//! use fragcache::FragmentCache;
//! use fragcache_inspector::Inspector;
//!
//! let cache = FragmentCache::builder().stats_by_name(1000).build()?;
//! let inspector = Inspector::new("shop", cache)
//!     .guard(|request| request.headers.get("x-staff").is_some_and(|value| value == "yes"));
//! let app: axum::Router = axum::Router::new().nest_service("/inspector", inspector.into_router());
//! # Ok::<(), fragcache::Error>(())
//! ```
//!
//! It is served under `localhost`, `127.0.0.1` and `[::1]` alone until you
//! [list its hosts](Inspector::hosts).
//!
//! The pages are made on the server, work without JavaScript and ask nobody else for anything.

#![forbid(unsafe_code)]

mod acts;
mod addresses;
mod charts;
mod figures;
mod forms;
mod hosts;
mod inspector;
mod pages;
mod serve;
mod templates;
mod text;

pub use inspector::{GuardedInspector, Inspector};
