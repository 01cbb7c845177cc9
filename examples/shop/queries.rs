//! The SQL behind each template function, and behind the forms of the site.

use anyhow::bail;

use crate::cell::{Cell, Row};
use crate::database::Database;

/// A template function: a statement with at most one parameter.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) takes: Takes,
    pub(crate) returns: Returns,
    sql: &'static str,
}

/// What a template function is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Id,
    Text,
}

/// What a template function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    /// One row; to find none is an error.
    One,
    Many,
}

/// The parameter of one call.
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
        sql: "SELECT * FROM products WHERE id = ?1",
    },
    Function {
        name: "rating",
        takes: Takes::Id,
        returns: Returns::One,
        sql: "SELECT count(*) AS count, CAST(round(avg(stars)) AS INTEGER) AS stars
              FROM reviews WHERE product_id = ?1",
    },
    Function {
        name: "reviews",
        takes: Takes::Id,
        returns: Returns::Many,
        sql: "SELECT author, stars, text FROM reviews WHERE product_id = ?1 ORDER BY id",
    },
    Function {
        name: "sold",
        takes: Takes::Id,
        returns: Returns::One,
        sql: "SELECT coalesce(sum(quantity), 0) AS pieces FROM order_lines WHERE product_id = ?1",
    },
    Function {
        name: "product_list",
        takes: Takes::Nothing,
        returns: Returns::Many,
        sql: "SELECT id FROM products ORDER BY year DESC, name",
    },
    Function {
        name: "search",
        takes: Takes::Text,
        returns: Returns::Many,
        sql: "SELECT id FROM products
              WHERE instr(lower(name || ' ' || original_name || ' ' || maker), lower(?1)) > 0
              ORDER BY name LIMIT 60",
    },
    Function {
        name: "categories",
        takes: Takes::Nothing,
        returns: Returns::Many,
        sql: "SELECT category, count(*) AS films FROM products GROUP BY category
              ORDER BY films DESC, category LIMIT 8",
    },
    Function {
        name: "totals",
        takes: Takes::Nothing,
        returns: Returns::One,
        sql: "SELECT count(*) AS films, count(DISTINCT maker) AS makers,
                     min(year) AS since, max(year) AS until FROM products",
    },
    Function {
        name: "users",
        takes: Takes::Nothing,
        returns: Returns::Many,
        sql: "SELECT id, name FROM users ORDER BY id",
    },
    Function {
        name: "user",
        takes: Takes::Id,
        returns: Returns::One,
        sql: "SELECT id, name FROM users WHERE id = ?1",
    },
    Function {
        name: "orders",
        takes: Takes::Id,
        returns: Returns::Many,
        sql: "SELECT id, day FROM orders WHERE user_id = ?1 ORDER BY day DESC, id DESC",
    },
    Function {
        name: "favourites",
        takes: Takes::Id,
        returns: Returns::Many,
        sql: "SELECT category, sum(quantity) AS films FROM orders
              JOIN order_lines ON order_id = orders.id JOIN products ON products.id = product_id
              WHERE user_id = ?1 GROUP BY category ORDER BY films DESC, category LIMIT 3",
    },
    Function {
        name: "order",
        takes: Takes::Id,
        returns: Returns::One,
        sql: "SELECT orders.id, day, users.name AS customer,
                     (SELECT sum(quantity * price_cents) FROM order_lines
                      WHERE order_id = orders.id) AS total_cents
              FROM orders JOIN users ON users.id = user_id WHERE orders.id = ?1",
    },
    Function {
        name: "order_lines",
        takes: Takes::Id,
        returns: Returns::Many,
        sql: "SELECT quantity, products.name, order_lines.price_cents FROM order_lines
              JOIN products ON products.id = product_id WHERE order_id = ?1 ORDER BY products.name",
    },
];

impl Function {
    /// All rows for this argument.
    pub(crate) fn rows(
        &self,
        database: &Database,
        argument: &Argument,
    ) -> anyhow::Result<Vec<Row>> {
        Ok(match argument {
            Argument::None => database.rows(self.sql, [])?,
            Argument::Id(id) => database.rows(self.sql, [id])?,
            Argument::Text(text) => database.rows(self.sql, [text])?,
        })
    }

    /// The one row for this argument.
    pub(crate) fn row(&self, database: &Database, argument: &Argument) -> anyhow::Result<Row> {
        match self.rows(database, argument)?.into_iter().next() {
            Some(row) => Ok(row),
            None => bail!("{}: nothing found for {argument:?}", self.name),
        }
    }
}

impl Database {
    /// Whether there is such a product.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn has_product(&self, id: i64) -> rusqlite::Result<bool> {
        Ok(!self.rows("SELECT 1 FROM products WHERE id = ?1", [id])?.is_empty())
    }

    /// Whether there is such an order.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn has_order(&self, id: i64) -> rusqlite::Result<bool> {
        Ok(!self.rows("SELECT 1 FROM orders WHERE id = ?1", [id])?.is_empty())
    }

    /// A product's price in cents.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn price(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        let rows = self.rows("SELECT price_cents FROM products WHERE id = ?1", [id])?;
        Ok(match rows.first().and_then(|row| row.get("price_cents")) {
            Some(Cell::Int(cents)) => Some(*cents),
            _ => None,
        })
    }

    /// Sets a product's price; whether there is such a product.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn set_price(&self, id: i64, cents: i64) -> rusqlite::Result<bool> {
        let changed =
            self.execute("UPDATE products SET price_cents = ?2 WHERE id = ?1", [id, cents])?;
        Ok(changed > 0)
    }

    /// Sets a user's name; whether there is such a user.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn set_user_name(&self, id: i64, name: &str) -> rusqlite::Result<bool> {
        Ok(self.execute("UPDATE users SET name = ?2 WHERE id = ?1", (id, name))? > 0)
    }
}
