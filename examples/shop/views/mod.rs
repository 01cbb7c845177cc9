//! The shop's pages, rendered by either engine.

mod figures;
mod minijinja;
mod tera;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::bail;
use fragcache::{FragmentCache, ReadPoint};

use crate::cell::{Cell, Row};
use crate::database::Database;

pub(crate) use figures::health;

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shop/templates");

/// The template engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// MiniJinja, with `fragcache-minijinja`.
    MiniJinja,
    /// Tera, with `fragcache-tera`.
    Tera,
}

impl Engine {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MiniJinja, Self::Tera];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MiniJinja => "MiniJinja",
            Self::Tera => "Tera",
        })
    }
}

impl FromStr for Engine {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "minijinja" => Ok(Self::MiniJinja),
            "tera" => Ok(Self::Tera),
            _ => bail!("there is no engine {text:?}; write minijinja or tera"),
        }
    }
}

/// A page and its data.
#[derive(Debug, Clone)]
pub enum Page {
    /// All products.
    Home {
        /// The visitor.
        user: i64,
    },
    /// One product.
    Product {
        /// The visitor.
        user: i64,
        /// The product, as the handler read it.
        film: Row,
        /// Taken before the handler read the product.
        read_point: ReadPoint,
    },
    /// The products that contain a text.
    Search {
        /// The visitor.
        user: i64,
        /// The text.
        query: String,
    },
    /// Shown after an account was saved. Its template deletes the user's sidebar.
    Saved {
        /// The owner of the account.
        user: i64,
    },
    /// The cache's figures.
    Stats {
        /// The visitor.
        user: i64,
    },
    /// An order as plain text.
    Receipt {
        /// The order.
        order: i64,
    },
}

impl Page {
    fn template(&self) -> &'static str {
        match self {
            Self::Home { .. } => "home.html",
            Self::Product { .. } => "product.html",
            Self::Search { .. } => "search.html",
            Self::Saved { .. } => "saved.html",
            Self::Stats { .. } => "stats.html",
            Self::Receipt { .. } => "receipt.txt",
        }
    }

    /// The template's variables, mostly ids. Functions that the template calls read the records,
    /// so a fragment served from the cache reads none. A record that the handler read comes with
    /// the read point taken before it; both engines look for the read point under this name.
    fn context(&self) -> Row {
        let (mut values, user) = match self {
            Self::Home { user } | Self::Saved { user } | Self::Stats { user } => {
                (Row::new(), Some(*user))
            }
            Self::Product { user, film, read_point } => (
                row([
                    ("film", Cell::Record(film.clone())),
                    ("fragcache_read_point", read_point.to_token().as_str().into()),
                ]),
                Some(*user),
            ),
            Self::Search { user, query } => (row([("query", query.as_str().into())]), Some(*user)),
            Self::Receipt { order } => (row([("order_id", (*order).into())]), None),
        };
        if let Some(user) = user {
            values.insert("user_id".to_owned(), user.into());
        }
        values
    }
}

/// The templates of one engine, with their functions and their cache.
#[derive(Debug)]
pub struct Views(Loaded);

#[derive(Debug)]
enum Loaded {
    MiniJinja(Box<::minijinja::Environment<'static>>),
    Tera(Box<::tera::Tera>),
}

impl Views {
    /// Loads the templates of `engine`, which read from `database` and are cached in `cache`.
    ///
    /// # Errors
    ///
    /// Returns an error if a template cannot be loaded.
    pub fn load(
        engine: Engine,
        database: &Arc<Database>,
        cache: &FragmentCache,
    ) -> anyhow::Result<Self> {
        Ok(Self(match engine {
            Engine::MiniJinja => {
                Loaded::MiniJinja(Box::new(minijinja::environment(database, cache)?))
            }
            Engine::Tera => Loaded::Tera(Box::new(tera::tera(database, cache)?)),
        }))
    }

    /// Renders a page. It may block on the database and on another thread that
    /// renders the same fragment, so call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// Returns an error if a function or the template fails; the text names the template's line.
    pub fn render(&self, page: &Page) -> anyhow::Result<String> {
        let (name, context) = (page.template(), page.context());
        match &self.0 {
            Loaded::MiniJinja(environment) => minijinja::render(environment, name, context),
            Loaded::Tera(tera) => tera::render(tera, name, context),
        }
    }
}

fn row<const N: usize>(cells: [(&str, Cell); N]) -> Row {
    cells.into_iter().map(|(name, cell)| (name.to_owned(), cell)).collect()
}

/// Formats `749` as `7.49 €`.
fn money(cents: i64) -> String {
    format!("{}.{:02} €", cents / 100, cents % 100)
}

/// Formats three of five stars as `★★★☆☆`; the empty string for a film without reviews.
fn stars(stars: Option<i64>) -> String {
    let Some(stars) = stars else { return String::new() };
    (1..=5).map(|place| if place <= stars { '★' } else { '☆' }).collect()
}
