//! A film shop on an embedded SQLite database, with its pages in MiniJinja and in Tera, and cache
//! blocks in the templates. `main.rs` measures it or serves it.
//!
//! The cache appears in few places: in the templates; in [`Views`], which installs
//! it in the engines; in the functions that load data, which add a fragment's tags;
//! and in [`change_price`], which invalidates a tag.

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
