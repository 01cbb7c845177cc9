//! Response caching for axum and other tower services.
//!
//! ```
//! use axum::{Router, extract::Path, routing::get};
//! use fragcache::FragmentCache;
//! use fragcache_tower::{CacheLayer, ResponsePolicy};
//! use std::time::Duration;
//!
//! async fn film(Path(id): Path<u32>) -> (ResponsePolicy, String) {
//!     (ResponsePolicy::new().tags([format!("film:{id}")]), format!("Film {id}"))
//! }
//!
//! let cache = FragmentCache::in_memory();
//! let view = CacheLayer::new(&cache, "film").expires_after(Duration::from_secs(300));
//! let app: Router = Router::new().route("/film/{id}", get(film).layer(view.clone()));
//!
//! cache.invalidate_tags(["film:7"])?.eventually(); // the response, and the fragments with that tag
//! view.delete("/film/7").eventually(); // or the response alone
//! # let _ = app;
//! # Ok::<(), fragcache::Error>(())
//! ```
//!
//! A response is a cache entry like a fragment: it has tags, single flight (of a thousand requests
//! for an expired view, one runs the handler), stale windows, stores and read points. Cache blocks
//! and memoized functions that run on the handler's own task are inside the response: deleting one
//! of them deletes the response. Work on other threads is inside the response if it runs through
//! `CacheContext::blocking` (feature `tokio`) or [`CacheContext::scope`].
//!
//! # What is cached
//!
//! | requests | |
//! |---|---|
//! | `GET` | answered from the cache; the response is cached |
//! | `HEAD` | answered from a cached `GET` of this process; otherwise the handler runs |
//! | `POST` | cached with [`key_with_body`](CacheLayer::key_with_body) only |
//! | other methods, `Range`, `Upgrade`, `GET` and `HEAD` with a body | bypass the cache |
//! | with a header that identifies the visitor: `Authorization`, `Cookie`, `X-Api-Key`, `X-Forwarded-User`, … | bypass the cache, unless [allowed](CacheLayer::allow_headers) or [in the key](CacheLayer::vary_on) |
//! | without a host, with two, with user info in it | bypass the cache, unless the [host is ignored](CacheLayer::ignore_host) |
//! | `If-None-Match`, `If-Modified-Since` of `GET` | answered with 304 by the layer; the handler does not see them |
//! | `Cache-Control` | respected with [`respect_clients`](CacheLayer::respect_clients) only |
//!
//! | responses | |
//! |---|---|
//! | 200, 203, 301, 308 | cached; [other statuses](CacheLayer::statuses) on request |
//! | a redirect to the same path and query, compared as the key has them | not cached, unless the key has a [scheme](CacheLayer::scheme) and the redirect leads to another scheme or host |
//! | `Cache-Control: private`, `no-store`, `no-cache`; `Set-Cookie`; `Vary: *` | not cached |
//! | `s-maxage`, else `max-age`, else `Expires` minus `Date` | the timeout, in place of the view's |
//! | `Age`, `Date` | the age is subtracted from the timeout |
//! | `must-revalidate`, `proxy-revalidate`, `s-maxage` | never served stale |
//! | `Vary` | cached per value of these request headers |
//! | no `ETag` | the layer adds a weak one |
//! | a body of unknown length, `text/event-stream`, a body longer than the cache stores or than [`max_body`](CacheLayer::max_body) | not cached, and streamed to the client |
//! | a body that fails half-way, has trailers, or differs in length from its `Content-Length` | not cached; the client gets what the handler sent |
//!
//! A response from the cache has an `Age`, and all headers as the handler set them.
//!
//! # Order of layers
//!
//! Outside, nearer to the client: compression, timeouts, tracing, request limits, session cookies
//! that are written with every response, and access control. Inside: what the response depends on.
//! A layer that reads a cookie or a header and changes the response must be outside, or the header
//! must be in `Vary` or [`vary_on`](CacheLayer::vary_on).
//!
//! The layer needs tokio's timer. A store behind the cache is queried on the thread that polls.
//! That thread blocks for a round trip, at most for the operation's deadline (50 ms). Other tasks go
//! on meanwhile if the store is in a `BlockInPlace` (feature `tokio`).

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admit;
mod answer;
mod body;
mod cached;
mod cookie;
mod directives;
mod fields;
mod fill;
mod freshness;
mod header_names;
mod host;
#[cfg(feature = "tokio")]
mod in_place;
mod key;
mod record;
mod route;
mod service;
mod status;
mod terms;
mod view;

pub use body::CachedBody;
pub use cached::CacheLayer;
pub use cookie::{AmbiguousCookie, cookie};
#[cfg(feature = "tokio")]
pub use in_place::BlockInPlace;
pub use route::path_of;
pub use service::{CacheFuture, CacheService};
pub use terms::ResponsePolicy;
pub use view::CacheContext;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
