//! A film shop on an embedded SQLite database, its pages in MiniJinja and in Tera, with cache
//! blocks in the templates. `main.rs` measures it or serves it.
//!
//! The cache shows in few places: the templates, [`Views`] where the engines get it, and in
//! [`site`] the one line that deletes a fragment after a price has changed.

mod cell;
mod clock;
mod database;
mod queries;
mod seed;
pub mod site;
mod tour;
mod views;

pub use cell::{Cell, Row};
pub use clock::ManualClock;
pub use database::Database;
pub use tour::tour;
pub use views::{Engine, Page, Views};
