//! A film shop on an embedded SQLite database, its pages in MiniJinja and in Tera, with cache
//! blocks in the templates. `main.rs` measures it or serves it.
//!
//! The cache shows in few places: the templates; [`Views`], where the engines get it; the functions
//! that load data, which say what a fragment depends on; and [`change_price`], which says what has
//! changed.

mod catalog;
mod cell;
mod clock;
mod database;
#[cfg(doctest)]
#[path = "../docs.rs"]
mod docs;
mod log;
mod prices;
mod queries;
mod seed;
pub mod site;
mod token;
mod tour;
mod views;

pub use catalog::{Film, films};
pub use cell::{Cell, Row};
pub use clock::ManualClock;
pub use database::Database;
pub use log::{Log, Rendered};
pub use prices::change_price;
pub use tour::tour;
pub use views::{Engine, Page, Views};
