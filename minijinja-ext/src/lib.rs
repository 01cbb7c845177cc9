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
//! cache.delete(&make_template_fragment_key("sidebar", ["42"]))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The environment, its loaders and its templates stay MiniJinja's own. Templates reach it through
//! [`add_template`], [`path_loader`] or [`caching_loader`]; everything else in them passes through
//! byte for byte. `unknown statement cache` from the engine means that a template came in another
//! way: see [`rewrite`].

mod args;
mod error;
mod filters;
mod functions;
mod install;
mod known;
mod loader;
mod markup;
mod templates;

pub use error::explain;
pub use fragcache;
pub use install::{add_to_environment, cache, cache_blocks, set_formatter, warnings};
pub use loader::{Loader, caching_loader, path_loader};
pub use templates::{add_template, render_str, rewrite, syntax_of};
