//! `{% cache %}` for Tera 2: template fragments cached by [`fragcache`].
//!
//! Two lines of Rust give a Tera the block: [`add_to_tera`], and [`add_raw_template`] (or
//! [`add_raw_templates`], or `load_from_glob`) in place of Tera's own method. From the second
//! render on, the body of a cache block is not evaluated:
//!
//! ```
//! use fragcache::{FragmentCache, fragment_key};
//! use tera::{Tera, context};
//!
//! let cache = FragmentCache::in_memory();
//! let mut tera = Tera::new();
//! fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
//! fragcache_tera::add_raw_template(
//!     &mut tera,
//!     "page.html",
//!     r#"Hi {{ user }}! {% cache 300, "sidebar", user %}Last visit: {{ visit }}{% endcache %}"#,
//! )?;
//!
//! let page = fragcache_tera::render(&tera, "page.html", &context! { user => "Ann", visit => &1 })?;
//! assert_eq!(page, "Hi Ann! Last visit: 1");
//! // A hit: the body is not evaluated. Others have a fragment of their own.
//! let page = fragcache_tera::render(&tera, "page.html", &context! { user => "Ann", visit => &2 })?;
//! assert_eq!(page, "Hi Ann! Last visit: 1");
//! let page = fragcache_tera::render(&tera, "page.html", &context! { user => "Bob", visit => &2 })?;
//! assert_eq!(page, "Hi Bob! Last visit: 2");
//!
//! // Ann has changed something: her sidebar is rendered again.
//! cache.delete(&fragment_key!("sidebar", "Ann")).eventually();
//! let page = fragcache_tera::render(&tera, "page.html", &context! { user => "Ann", visit => &3 })?;
//! assert_eq!(page, "Hi Ann! Last visit: 3");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The block
//!
//! `{% cache [timeout [, name [, vary…]]] [, option=expression …] %} body {% endcache %}`
//!
//! - The timeout is a number of seconds, a duration (`"90s"`, `"1h 30m"`), `none` for no expiry,
//!   or `del` to delete the fragment. Without a timeout the cache's default applies.
//! - The name and the vary parts make up the key. Without a name the block's place is used.
//! - `unless=` renders without the cache, and `refresh=` forces a refresh. `shared=true`
//!   declares that content filled in from outside the block is the same for everyone.
//! - `tags=["post:7"]` lets Rust code invalidate the entry with all others that carry
//!   the tag. `version=` makes an entry of another version a miss. `stale="30s"`
//!   serves the entry for that much longer while one caller refreshes it.
//!
//! In a body, `{{ cache_tags(tags=[…]) }}` adds tags, `{{ cache_expire(after="10s")
//! }}` shortens the TTL, and `{{ cache_veto() }}` prevents the fragment and those
//! around it from being stored. All three print nothing. Rust functions that a body
//! calls do the same through [`fragcache::current`].
//!
//! Cache blocks may nest, and may appear in loops, includes, components, and the blocks of
//! base and child templates, with `super()`. A plain `set` in the body has no effect after the
//! block, on a miss or a hit. A `set` in a child's block, or in a parent's through `super()`,
//! cannot be confined to the block: a render in which one happens is not stored. Whitespace
//! markers work as in a native `if`. A block that cannot be cached soundly is refused when the
//! template loads; the error names the line and column and says what to write instead.
//!
//! # Rendering
//!
//! [`render`], [`render_to`] and [`render_str`] mark the start and end of a render. If a body
//! fails, the callers that wait for it learn so immediately. Put a [`scope`] around renders
//! that you do not make yourself. A bare [`Tera::render`](tera::Tera::render) caches too.
//!
//! Errors of these functions show the author's source. The text of an error that
//! Tera itself returns refers to the rewritten source: the lines are the author's,
//! the columns are not. [`explain`] shows it against the author's source.
//!
//! # Data loaded before the render
//!
//! A handler that loads its data before it renders takes a
//! [`ReadPoint`](fragcache::ReadPoint) first. It passes the read point to the render
//! with [`ReadPoint::scope`](fragcache::ReadPoint::scope), or as the context
//! variable `fragcache_read_point`:
//!
//! ```
//! use fragcache::{FragmentCache, fragment_key};
//! use tera::{Tera, context};
//!
//! let cache = FragmentCache::in_memory();
//! let mut tera = Tera::new();
//! fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
//! let source = "{% cache 60, \"price\", tags=[\"product:7\"] %}{{ price }}{% endcache %}";
//! fragcache_tera::add_raw_template(&mut tera, "a.html", source)?;
//!
//! let point = cache.read_point();
//! let price = 10; // from the database …
//! cache.invalidate_tags(["product:7"])?.eventually(); // … where another request changes it
//!
//! let context = context! { price => &price, fragcache_read_point => &point.to_token() };
//! assert_eq!(fragcache_tera::render(&tera, "a.html", &context)?, "10");
//! assert!(!cache.contains(&fragment_key!("price"))?, "printed, and not stored");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a bare `tera.render`, the variable is visible only where the template sees
//! it, so not inside components: use the scope there.
//!
//! # Sources that reach Tera another way
//!
//! A framework's loader, or a build script, can pass sources through [`rewrite`] or
//! [`fragcache::syntax::rewrite_folder`]. A source that was not rewritten fails to load with
//! "Unknown tag".
//!
//! # Delimiters
//!
//! Set them with [`set_delimiters`] in place of Tera's own method, because Tera does
//! not expose them. Calls on a Tera whose delimiters are not known return an error;
//! its templates never pass through without being rewritten.
//!
//! # Features
//!
//! - `glob_fs`: `load_from_glob` and `full_reload`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod args;
mod delimiters;
mod error;
mod filters;
mod functions;
#[cfg(feature = "glob_fs")]
mod glob;
mod install;
mod loaded;
mod render;
mod templates;

pub use delimiters::{set_delimiters, syntax_of};
pub use error::explain;
pub use fragcache;
#[cfg(feature = "glob_fs")]
pub use glob::{full_reload, load_from_glob};
pub use install::{add_to_tera, cache};
pub use render::{render, render_str, render_to, scope};
pub use templates::{add_raw_template, add_raw_templates, cache_blocks, rewrite, warnings};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
