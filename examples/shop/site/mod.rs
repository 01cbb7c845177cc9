//! The shop as a website. Pages are rendered off the async workers, because template functions that
//! query the database block their thread.

mod inspector;
mod pages;
mod problem;
mod visitor;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::{get, post};
use fragcache::FragmentCache;
use tokio::net::TcpListener;

pub use problem::Problem;

use crate::catalog;
use crate::database::Database;
use crate::views::{Engine, Page, Views};

/// State shared by the site's handlers.
pub struct Shop {
    views: Views,
    cache: FragmentCache,
    database: Arc<Database>,
    rendering: AtomicUsize,
    staff_password: Option<String>,
    staff_hosts: Vec<String>,
}

impl fmt::Debug for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leaves out the password.
        f.debug_struct("Shop").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Shop {
    /// Loads the templates of `engine`, which read from `database` and are cached in `cache`.
    ///
    /// # Errors
    ///
    /// Returns an error if a template cannot be loaded.
    pub fn open(engine: Engine, cache: FragmentCache, database: Database) -> anyhow::Result<Self> {
        let database = Arc::new(database);
        let views = Views::load(engine, &database, &cache)?;
        let rendering = AtomicUsize::new(0);
        let (staff_password, staff_hosts) = (None, Vec::new());
        Ok(Self { views, cache, database, rendering, staff_password, staff_hosts })
    }

    /// Enables the inspector under `/inspector` of these hosts, for the user `staff`
    /// with this password. It stays disabled without a password, or with an empty one.
    #[must_use]
    pub fn with_inspector(mut self, password: Option<String>, hosts: Vec<String>) -> Self {
        self.staff_password = password.filter(|password| !password.is_empty());
        self.staff_hosts = hosts;
        self
    }

    /// Whether the inspector is enabled.
    pub fn has_inspector(&self) -> bool {
        self.staff_password.is_some()
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Number of pages being rendered now.
    pub fn rendering(&self) -> usize {
        self.rendering.load(Ordering::Relaxed)
    }

    fn render(&self, page: &Page) -> anyhow::Result<String> {
        self.rendering.fetch_add(1, Ordering::Relaxed);
        let html = self.views.render(page);
        self.rendering.fetch_sub(1, Ordering::Relaxed);
        html
    }
}

/// The site's routes.
pub fn app(shop: Arc<Shop>) -> Router {
    let inspector = shop.staff_password.as_deref();
    let inspector = inspector
        .map(|password| inspector::router(shop.cache.clone(), password, &shop.staff_hosts));
    let app = Router::new()
        .route("/", get(pages::home))
        .route("/product/{id}", get(pages::product))
        .route("/product/{id}/price", post(pages::change_price))
        .route("/search", get(pages::search))
        .route("/orders/{id}/receipt.txt", get(pages::receipt))
        .route("/account", post(pages::save_account))
        .route("/user", post(visitor::switch))
        .route("/stats", get(pages::stats))
        .route("/style.css", get(pages::style))
        .route("/health", get(pages::health))
        .merge(catalog::router(&shop.cache, &shop.database));
    let app = match inspector {
        Some(inspector) => app.nest_service("/inspector", inspector),
        None => app,
    };
    app.fallback(|| async { Problem::NotFound("there is no such page".to_owned()) })
        .with_state(shop)
}

/// Serves the site until ctrl-c or a termination signal.
///
/// # Errors
///
/// Returns an error if the listener fails.
pub async fn serve(listener: TcpListener, shop: Arc<Shop>) -> std::io::Result<()> {
    axum::serve(listener, app(shop)).with_graceful_shutdown(asked_to_end()).await
}

/// Waits for ctrl-c or a termination signal. If no handler can be installed, the signal ends the
/// process by itself.
async fn asked_to_end() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        () = interrupted => {}
        _ = terminated => {}
    }
}
