//! Engine behaviour that the design relies on, without a cache. If one of these
//! fails after an engine update, adapt the rewriter or the documentation.

mod minijinja;
mod tera;
