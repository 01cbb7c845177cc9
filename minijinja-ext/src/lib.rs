//! The `{% cache %}` tag for MiniJinja.
//!
//! ```
//! use fragcache::{FragmentCache, make_template_fragment_key};
//! use minijinja::{Environment, context};
//!
//! let cache = FragmentCache::in_memory();
//! let mut env = Environment::new();
//! fragcache_minijinja::add_to_environment(&mut env, cache.clone())?;
//! fragcache_minijinja::add_template(
//!     &mut env,
//!     "page.html",
//!     r#"{% cache 300, "sidebar", user %}<nav>{{ menu() }}</nav>{% endcache %}"#,
//! )?;
//! env.add_function("menu", || "expensive");
//!
//! let page = env.get_template("page.html")?;
//! assert_eq!(page.render(context!(user => 42))?, "<nav>expensive</nav>");
//! assert_eq!(page.render(context!(user => 42))?, "<nav>expensive</nav>"); // menu() not called
//! assert_eq!(cache.stats().hits, 1);
//!
//! cache.delete(&make_template_fragment_key("sidebar", ["42"])).eventually();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a body, `{{ cache_tags(tags=[…]) }}` adds tags, `{{ cache_expire(after="10s")
//! }}` shortens the TTL, and `{{ cache_veto() }}` prevents the fragment and those
//! around it from being stored. All three print nothing. Rust functions that a body
//! calls do the same through [`fragcache::current`].
//!
//! A handler that loads its data before it renders takes a
//! [`ReadPoint`](fragcache::ReadPoint) first. It passes the read point to the render
//! with [`ReadPoint::scope`](fragcache::ReadPoint::scope), or as the context
//! variable `fragcache_read_point`:
//!
//! ```
//! use fragcache::{FragmentCache, fragment_key};
//! use minijinja::{Environment, context};
//!
//! let cache = FragmentCache::in_memory();
//! let mut env = Environment::new();
//! fragcache_minijinja::add_to_environment(&mut env, cache.clone())?;
//! let source = r#"{% cache 60, "price", tags=["product:7"] %}{{ price }}{% endcache %}"#;
//! fragcache_minijinja::add_template(&mut env, "a.html", source)?;
//!
//! let point = cache.read_point();
//! let price = 10; // from the database …
//! cache.invalidate_tags(["product:7"])?.eventually(); // … where another request changes it
//!
//! let context = context!(price => price, fragcache_read_point => point.to_token());
//! assert_eq!(env.get_template("a.html")?.render(context)?, "10");
//! assert!(!cache.contains(&fragment_key!("price"))?, "printed, and not stored");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The environment, its loaders and its templates remain MiniJinja's own. Load templates through
//! [`add_template`], [`path_loader`] or [`caching_loader`]. Everything except cache blocks passes
//! through byte for byte. If the engine reports `unknown statement cache`, the template was loaded
//! another way: see [`rewrite`].

#![cfg_attr(docsrs, feature(doc_cfg))]

mod args;
mod callers;
mod error;
mod filters;
mod functions;
mod install;
mod known;
mod loader;
mod markup;
mod namespaces;
mod templates;

pub use error::explain;
pub use fragcache;
pub use install::{add_to_environment, cache, cache_blocks, set_formatter, warnings};
pub use loader::{Loader, caching_loader, path_loader};
pub use templates::{add_template, render_str, rewrite, syntax_of};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
