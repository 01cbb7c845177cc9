//! The SQL behind the template functions and the site's forms.
//!
//! A function that loads data also adds the tags that the enclosing fragment depends on. Templates
//! need no `tags=` around its calls, and cannot forget it.

use anyhow::bail;
use fragcache::current;

use crate::cell::Row;
use crate::database::Database;

/// A template function: a statement with at most one parameter.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) returns: Returns,
    tag: Tag,
    sql: &'static str,
}

/// The tag that invalidates a fragment that calls a function.
#[derive(Debug, Clone, Copy)]
enum Tag {
    /// `product:42`: the kind of record, and the function's argument.
    Of(&'static str),
    /// `products`: invalidated when a record is added or removed.
    All(&'static str),
}

/// The parameter of a template function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Id,
    Text,
}

/// What a template function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    /// One row; it is an error if there is none.
    One,
    Many,
}

/// The argument of one call.
#[derive(Debug)]
pub(crate) enum Argument {
    None,
    Id(i64),
    Text(String),
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "product",
        takes: Takes::Id,
        returns: Returns::One,
        tag: Tag::Of("product"),
        sql: "SELECT * FROM products WHERE id = ?1",
    },
    Function {
        name: "rating",
        takes: Takes::Id,
        returns: Returns::One,
        tag: Tag::Of("reviews"),
        sql: "SELECT count(*) AS count, CAST(round(avg(stars)) AS INTEGER) AS stars
              FROM reviews WHERE product_id = ?1",
    },
    Function {
        name: "reviews",
        takes: Takes::Id,
        returns: Returns::Many,
        tag: Tag::Of("reviews"),
        sql: "SELECT author, stars, text FROM reviews WHERE product_id = ?1 ORDER BY id",
    },
    Function {
        name: "sold",
        takes: Takes::Id,
        returns: Returns::One,
        tag: Tag::Of("sales"),
        sql: "SELECT coalesce(sum(quantity), 0) AS pieces FROM order_lines WHERE product_id = ?1",
    },
    Function {
        name: "product_list",
        takes: Takes::Nothing,
        returns: Returns::Many,
        tag: Tag::All("products"),
        sql: "SELECT id FROM products ORDER BY year DESC, name",
    },
    Function {
        name: "search",
        takes: Takes::Text,
        returns: Returns::Many,
        tag: Tag::All("products"),
        sql: "SELECT id FROM products
              WHERE instr(lower(name || ' ' || original_name || ' ' || maker), lower(?1)) > 0
              ORDER BY name LIMIT 60",
    },
    Function {
        name: "categories",
        takes: Takes::Nothing,
        returns: Returns::Many,
        tag: Tag::All("products"),
        sql: "SELECT category, count(*) AS films FROM products GROUP BY category
              ORDER BY films DESC, category LIMIT 8",
    },
    Function {
        name: "totals",
        takes: Takes::Nothing,
        returns: Returns::One,
        tag: Tag::All("products"),
        sql: "SELECT count(*) AS films, count(DISTINCT maker) AS makers,
                     min(year) AS since, max(year) AS until FROM products",
    },
    Function {
        name: "users",
        takes: Takes::Nothing,
        returns: Returns::Many,
        tag: Tag::All("users"),
        sql: "SELECT id, name FROM users ORDER BY id",
    },
    Function {
        name: "user",
        takes: Takes::Id,
        returns: Returns::One,
        tag: Tag::Of("user"),
        sql: "SELECT id, name FROM users WHERE id = ?1",
    },
    Function {
        name: "orders",
        takes: Takes::Id,
        returns: Returns::Many,
        tag: Tag::Of("orders-of-user"),
        sql: "SELECT id, day FROM orders WHERE user_id = ?1 ORDER BY day DESC, id DESC",
    },
    Function {
        name: "favourites",
        takes: Takes::Id,
        returns: Returns::Many,
        tag: Tag::Of("orders-of-user"),
        sql: "SELECT category, sum(quantity) AS films FROM orders
              JOIN order_lines ON order_id = orders.id JOIN products ON products.id = product_id
              WHERE user_id = ?1 GROUP BY category ORDER BY films DESC, category LIMIT 3",
    },
    Function {
        name: "order",
        takes: Takes::Id,
        returns: Returns::One,
        tag: Tag::Of("order"),
        sql: "SELECT orders.id, day, users.name AS customer,
                     (SELECT sum(quantity * price_cents) FROM order_lines
                      WHERE order_id = orders.id) AS total_cents
              FROM orders JOIN users ON users.id = user_id WHERE orders.id = ?1",
    },
    Function {
        name: "order_lines",
        takes: Takes::Id,
        returns: Returns::Many,
        tag: Tag::Of("order"),
        sql: "SELECT quantity, products.name, order_lines.price_cents FROM order_lines
              JOIN products ON products.id = product_id WHERE order_id = ?1 ORDER BY products.name",
    },
];

impl Function {
    /// Returns all rows for this argument.
    pub(crate) fn rows(
        &self,
        database: &Database,
        argument: &Argument,
    ) -> anyhow::Result<Vec<Row>> {
        // Does nothing outside a cache block.
        current::add_tags([self.tag.of(argument)])?;
        Ok(match argument {
            Argument::None => database.rows(self.sql, [])?,
            Argument::Id(id) => database.rows(self.sql, [id])?,
            Argument::Text(text) => database.rows(self.sql, [text])?,
        })
    }

    /// Returns the one row for this argument.
    pub(crate) fn row(&self, database: &Database, argument: &Argument) -> anyhow::Result<Row> {
        match self.rows(database, argument)?.into_iter().next() {
            Some(row) => Ok(row),
            None => bail!("{}: nothing found for {argument:?}", self.name),
        }
    }
}

impl Tag {
    fn of(self, argument: &Argument) -> String {
        match (self, argument) {
            (Self::Of(kind), Argument::Id(id)) => format!("{kind}:{id}"),
            (Self::Of(kind) | Self::All(kind), _) => kind.to_owned(),
        }
    }
}

impl Database {
    /// Returns the product with this id, if there is one. For a handler that reads
    /// it before it renders.
    ///
    /// # Errors
    ///
    /// Returns the database's errors.
    pub fn product(&self, id: i64) -> rusqlite::Result<Option<Row>> {
        Ok(self.rows("SELECT * FROM products WHERE id = ?1", [id])?.pop())
    }

    /// Whether an order with this id exists.
    ///
    /// # Errors
    ///
    /// Returns the database's errors.
    pub fn has_order(&self, id: i64) -> rusqlite::Result<bool> {
        Ok(!self.rows("SELECT 1 FROM orders WHERE id = ?1", [id])?.is_empty())
    }

    /// Sets a user's name. Returns whether the user exists.
    ///
    /// # Errors
    ///
    /// Returns the database's errors.
    pub fn set_user_name(&self, id: i64, name: &str) -> rusqlite::Result<bool> {
        Ok(self.execute("UPDATE users SET name = ?2 WHERE id = ?1", (id, name))? > 0)
    }
}
