//! The inspector from outside: its router, request by request, and in a real browser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod browser;
mod forms;
mod hostile;
mod mounting;
mod opaque;
mod pages;
mod pictures;
mod support;
