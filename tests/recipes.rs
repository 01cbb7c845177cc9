//! The recipes of the docs, as written there: templates that reach an engine by another way than
//! this workspace's own functions, and engines that are cloned, shared and configured late.

mod minijinja;
mod tera;
