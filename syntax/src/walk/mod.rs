//! The walk through a template: pairs its statements, tracks what its names are bound to, and
//! refuses cache blocks that are malformed or cannot be cached safely.

mod bindings;
mod checks;
mod definitions;
mod flows;
mod mark;
mod nesting;
mod passing;
mod secret;
mod uses;

pub(crate) use nesting::outline;
pub(crate) use uses::check_others;
