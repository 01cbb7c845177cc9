//! The films as JSON: a cached response, around a function with cached results. Code that changes a
//! price does not know either of them: one tag deletes both.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use fragcache::{FragmentCache, current, memoize};
use fragcache_tower::{CacheContext, CacheLayer};
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::site::Problem;

/// The view's name in the cache.
pub(crate) const VIEW: &str = "films";

const FILMS_OF_A_PAGE: u32 = 50;

/// A film in the JSON response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Film {
    id: i64,
    name: String,
    price_cents: i64,
}

/// Returns fifty films by page number, starting at 1. The results are cached by page number.
///
/// # Errors
///
/// Returns the database's errors; nothing is cached then.
#[memoize(cache = cache, ignore(database), timeout = "1h", name = "shop::films")]
pub fn films(cache: &FragmentCache, database: &Database, page: u32) -> anyhow::Result<Vec<Film>> {
    let sql = "SELECT id, name, price_cents FROM products ORDER BY id LIMIT ?1 OFFSET ?2";
    let before = u64::from(page.saturating_sub(1)) * u64::from(FILMS_OF_A_PAGE);
    let before = i64::try_from(before)?;
    let films = database.read(sql, (FILMS_OF_A_PAGE, before), |row| {
        Ok(Film { id: row.get(0)?, name: row.get(1)?, price_cents: row.get(2)? })
    })?;
    current::add_tags(films.iter().map(|film| format!("product:{}", film.id)))?;
    Ok(films)
}

/// The state of the view's handler.
#[derive(Debug, Clone)]
struct Catalog {
    cache: FragmentCache,
    database: Arc<Database>,
}

/// A router with the view.
pub(crate) fn router<S>(cache: &FragmentCache, database: &Arc<Database>) -> Router<S> {
    // The response does not depend on cookies, nor on query parameters other than the page.
    let view = CacheLayer::new(cache, VIEW)
        .expires_after(Duration::from_secs(3600))
        .only_query(["page"])
        .allow_cookies()
        .cache_status();
    let catalog = Catalog { cache: cache.clone(), database: Arc::clone(database) };
    Router::new().route("/films.json", get(answer).layer(view)).with_state(catalog)
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default = "first")]
    page: u32,
}

fn first() -> u32 {
    1
}

async fn answer(
    view: CacheContext,
    State(catalog): State<Catalog>,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<Film>>, Problem> {
    // A database call blocks its thread. The response inherits the function's dependencies.
    let films = view.blocking(move || films(&catalog.cache, &catalog.database, asked.page));
    Ok(Json(films.await??))
}
