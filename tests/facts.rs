//! What the design relies on in the engines themselves, without a cache anywhere. When an engine is
//! updated and one of these fails, the lowering or the documentation has to follow.

mod minijinja;
mod tera;
