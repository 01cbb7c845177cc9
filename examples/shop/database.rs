//! The SQLite file behind the shop: connections, and a count of what is asked. The statements
//! themselves are in `queries.rs` and `seed.rs`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::{Connection, Params, Transaction};
use tempfile::TempDir;

use crate::cell::{Cell, Row};
use crate::seed;

/// A freshly seeded database in a folder of its own, removed on drop. Connections are opened as
/// threads need them, and kept.
#[derive(Debug)]
pub struct Database {
    idle: Mutex<Vec<Connection>>,
    queries: AtomicU64,
    path: PathBuf,
    /// Last, so that the connections are closed before their file goes.
    _folder: TempDir,
}

impl Database {
    /// Creates the file and fills it: products from `fixtures/shop/products.csv`, and users,
    /// orders and reviews derived from them, the same on every start.
    ///
    /// # Errors
    ///
    /// If the file cannot be written or the products cannot be read.
    pub fn seeded() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("fragcache-shop-").tempdir()?;
        let path = folder.path().join("shop.sqlite");
        let mut connection = connect(&path)?;
        seed::fill(&mut connection).context("cannot seed the shop")?;
        Ok(Self {
            idle: Mutex::new(vec![connection]),
            queries: AtomicU64::new(0),
            path,
            _folder: folder,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
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
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
