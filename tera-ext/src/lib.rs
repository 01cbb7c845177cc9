//! `{% cache %}` for Tera: template fragments cached by [`fragcache`].

mod args;
mod delimiters;
mod error;
mod filters;
#[cfg(feature = "glob_fs")]
mod glob;
mod install;
mod render;
mod templates;

pub use delimiters::{set_delimiters, syntax};
pub use error::explain;
#[cfg(feature = "glob_fs")]
pub use glob::{full_reload, load_from_glob};
pub use install::add_to_tera;
pub use render::{render, render_str, render_to, scope};
pub use templates::{add_raw_template, add_raw_templates, cache_blocks, rewrite};
