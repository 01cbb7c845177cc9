//! The SQLite file behind the shop: its connections, and a count of the statements
//! run. The statements are in `queries.rs` and `seed.rs`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, Params, Transaction};
use tempfile::TempDir;

use crate::cell::{Cell, Row};
use crate::seed;

/// The shop's database. Connections are opened when threads need them, and reused.
pub struct Database {
    idle: Mutex<Vec<Connection>>,
    queries: AtomicU64,
    path: PathBuf,
    form_secret: String,
    /// Declared last, so that the connections are closed before their file is removed.
    _folder: Option<TempDir>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Creates a database in a folder of its own, which is removed on drop. It
    /// contains the products from `fixtures/shop/products.csv`, and users, orders
    /// and reviews derived from them, the same on every start.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written or the products cannot be read.
    pub fn seeded() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fragcache-shop-").tempdir()?;
        let mut database = Self::open(folder.path().join("shop.sqlite"))?;
        database._folder = Some(folder);
        Ok(database)
    }

    /// Opens the database in this file, which other processes may use too. A missing
    /// file is created and filled as in [`seeded`](Self::seeded).
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or written, if it is not a shop's
    /// database, or if the products cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        let failed = || format!("cannot open the shop's database {}", path.display());
        let mut connection = connect(&path).with_context(failed)?;
        seed::fill(&mut connection).with_context(failed)?;
        let secret = "SELECT form_secret FROM site";
        let form_secret =
            connection.query_row(secret, [], |row| row.get(0)).with_context(failed)?;
        Ok(Self {
            idle: Mutex::new(vec![connection]),
            queries: AtomicU64::new(0),
            path,
            form_secret,
            _folder: None,
        })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret behind the form tokens, the same in all processes of this shop.
    pub(crate) fn form_secret(&self) -> &str {
        &self.form_secret
    }

    /// Number of statements run since the start, without seeding.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Returns all rows of a statement.
    ///
    /// # Errors
    ///
    /// Returns the database's errors.
    pub fn rows(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Row>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let columns: Vec<String> =
                statement.column_names().into_iter().map(str::to_owned).collect();
            let rows = statement.query_map(params, |row| {
                let cell =
                    |(at, name): (usize, &String)| Ok((name.clone(), Cell::from(row.get_ref(at)?)));
                columns.iter().enumerate().map(cell).collect()
            })?;
            rows.collect()
        })
    }

    /// Maps each row of a statement with `read`.
    ///
    /// # Errors
    ///
    /// Returns the database's errors and those of `read`.
    pub fn read<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.with_connection(|connection| {
            connection.prepare_cached(sql)?.query_map(params, read)?.collect()
        })
    }

    /// Runs a statement that changes rows. Returns the number of changed rows.
    ///
    /// # Errors
    ///
    /// Returns the database's errors.
    pub fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.with_connection(|connection| connection.prepare_cached(sql)?.execute(params))
    }

    /// Runs statements as one transaction: committed if `run` succeeds, rolled back if it fails.
    ///
    /// # Errors
    ///
    /// Returns the error of `run`, or the database's.
    pub fn transaction<T>(
        &self,
        run: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.with_connection(|connection| {
            let transaction = connection.transaction()?;
            let result = run(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    fn with_connection<T, E: From<rusqlite::Error>>(
        &self,
        run: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let result = run(&mut connection);
        self.idle().push(connection);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    // Survives a crash of the process but not a power failure, which is enough for an example.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
