//! The recipes of the docs, as written there: templates that reach an engine without
//! this workspace's functions, and engines that are cloned, shared and configured late.

mod minijinja;
mod tera;
