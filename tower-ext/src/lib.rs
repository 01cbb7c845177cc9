//! Responses, cached: a layer for axum and whatever else stands on tower.
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
//! A response is an entry like a fragment: with its tags, single flight (of a thousand requests for an
//! expired view one runs the handler), stale windows, stores and read points. Cache blocks and
//! memoized functions that the handler's own task runs are inside the response: when one is deleted,
//! the response is too. What it runs on other threads is so by `CacheContext::blocking` (feature `tokio`) and
//! [`CacheContext::scope`].
//!
//! # What is kept
//!
//! | of requests | |
//! |---|---|
//! | `GET` | kept, and answered from the cache |
//! | `HEAD` | answered from what a `GET` has kept in this process; else the handler runs |
//! | `POST` | with [`key_with_body`](CacheLayer::key_with_body) only |
//! | other methods, `Range`, `Upgrade`, `GET` and `HEAD` with a body | bypass |
//! | with a header that says who asks: `Authorization`, `Cookie`, `X-Api-Key`, `X-Forwarded-User`, … | bypass, unless [allowed](CacheLayer::allow_headers) or [in the key](CacheLayer::vary_on) |
//! | without a host, with two, with user info in it | bypass, unless the [host does not count](CacheLayer::ignore_host) |
//! | `If-None-Match`, `If-Modified-Since` of `GET` | answered with 304 by the layer; the handler does not see them |
//! | `Cache-Control` | counts with [`heed_clients`](CacheLayer::heed_clients) |
//!
//! | of responses | |
//! |---|---|
//! | 200, 203, 301, 308 | kept; [other statuses](CacheLayer::statuses) on request |
//! | a redirect to the same path and query, as the key has it | not kept, unless the key has a [scheme](CacheLayer::scheme) and the redirect goes to another scheme or host |
//! | `Cache-Control: private`, `no-store`, `no-cache`; `Set-Cookie`; `Vary: *` | not kept |
//! | `s-maxage`, else `max-age`, else `Expires` less `Date` | the timeout, in place of the view's |
//! | `Age`, `Date` | so much less of the timeout |
//! | `must-revalidate`, `proxy-revalidate`, `s-maxage` | never served stale |
//! | `Vary` | kept for the values that the request has of these headers |
//! | no `ETag` | is given a weak one |
//! | a body of unknown length, `text/event-stream`, longer than the cache stores, or [`max_body`](CacheLayer::max_body) | not kept, and sent as it comes |
//! | a body that fails half-way, has trailers, or is not as long as its `Content-Length` | not kept, and sent as far as it comes |
//!
//! From the cache a response has an `Age`, and all headers as the handler set them.
//!
//! # Its place among layers
//!
//! Outside, nearer to the client: compression, timeouts, tracing, request limits, cookies of a session
//! that are written with every response, and whatever decides who may see the page. Inside: what the
//! response depends on. A layer that reads a cookie or a header and changes the answer has to be
//! either outside, or said in `Vary` or [`vary_on`](CacheLayer::vary_on).
//!
//! Needs tokio's timer. A store behind the cache is asked on the thread that polls, which blocks for a
//! round trip, and for the operation's deadline at most (50 ms).

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
pub use route::path_of;
pub use service::{CacheFuture, CacheService};
pub use terms::ResponsePolicy;
pub use view::CacheContext;
