//! The SQLite file behind the shop: connections, and a count of what is asked. The statements
//! themselves are in `queries.rs` and `seed.rs`.

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

/// The shop's database. Connections are opened as threads need them, and kept.
pub struct Database {
    idle: Mutex<Vec<Connection>>,
    queries: AtomicU64,
    path: PathBuf,
    form_secret: String,
    /// Last, so that the connections are closed before their file goes.
    _folder: Option<TempDir>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    /// A database in a folder of its own, removed on drop: products from
    /// `fixtures/shop/products.csv`, and users, orders and reviews derived from them, the same on
    /// every start.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or the products cannot be read.
    pub fn seeded() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fragcache-shop-").tempdir()?;
        let mut database = Self::open(folder.path().join("shop.sqlite"))?;
        database._folder = Some(folder);
        Ok(database)
    }

    /// The database in this file, which other processes may use too. A file that is not there is
    /// made and filled as in [`seeded`](Self::seeded).
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, is no database of a shop, or the products cannot be
    /// read.
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

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the tokens of forms are made with, in all processes of this shop.
    pub(crate) fn form_secret(&self) -> &str {
        &self.form_secret
    }

    /// Statements run since the start, seeding not counted.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// All rows that a statement returns.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn rows(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Row>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let rows = statement.query_map(params, |row| {
                let cell =
                    |(at, name): (usize, &String)| Ok((name.clone(), Cell::from(row.get_ref(at)?)));
                columns.iter().enumerate().map(cell).collect()
            })?;
            rows.collect()
        })
    }

    /// What `read` makes of each row that a statement returns.
    ///
    /// # Errors
    ///
    /// The database's, and those of `read`.
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

    /// Runs a statement that changes something; how many rows it changed.
    ///
    /// # Errors
    ///
    /// The database's.
    pub fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.with_connection(|connection| connection.prepare_cached(sql)?.execute(params))
    }

    /// Runs statements as one transaction: committed if `run` succeeds, undone if it fails.
    ///
    /// # Errors
    ///
    /// That of `run`, or the database's.
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
    // Outlives the process, not a power cut: enough for a shop that sells nothing.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
