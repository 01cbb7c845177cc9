//! A page that shows what [fragcache] does in this process. For each fragment, function and view
//! it shows hits, misses and their reasons, the hit ratio over the last hour, render time saved
//! and spent, bytes, entries, variants, age and tags. It lists the biggest names, the coldest, and
//! those that cost more than they save. It has a search, and buttons that delete and invalidate.
//!
//! The page is a router that you mount where you want it. It admits only requests
//! that pass your guard:
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
//! It is served only under `localhost`, `127.0.0.1` and `[::1]` until you
//! [list its hosts](Inspector::hosts).
//!
//! The pages are built on the server, work without JavaScript and load nothing from other sites.

#![cfg_attr(docsrs, feature(doc_cfg))]
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
