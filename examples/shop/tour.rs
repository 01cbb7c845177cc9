//! The measurement: renders one page repeatedly, with changes in between, and compares each render
//! with the same page rendered without a cache.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::HOST;
use fragcache::stats::{Health, Stats};
use fragcache::{Clock as _, FragmentCache, MonotonicClock, fragment_key};
use fragcache_config::Config;
use http_body_util::BodyExt;
use tower::ServiceExt;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog;
use crate::cell::Cell;
use crate::clock::ManualClock;
use crate::database::Database;
use crate::log::Log;
use crate::prices::change_price;
use crate::views::{Engine, Page, Views};

const USER: i64 = 3;
const PRODUCT: i64 = 42;
const HOME: Page = Page::Home { user: USER };

/// The cost and the output of one render.
struct Measured {
    time: Duration,
    hits: u64,
    misses: u64,
    queries: u64,
    /// Calls of the store behind the cache.
    round_trips: u64,
    digest: u64,
    bytes: usize,
}

/// One engine's shop, and the same shop without a cache on the same database.
struct Tour {
    engine: Engine,
    config: Config,
    views: Views,
    uncached: Views,
    cache: FragmentCache,
    clock: ManualClock,
    log: Log,
    database: Arc<Database>,
}

/// Renders the shop's pages with `engine` and a cache with these settings, prints a
/// table, and checks its figures.
///
/// # Errors
///
/// Returns an error if a render fails, if a page differs from the one rendered
/// without a cache, or if more was rendered than the step should need.
#[allow(clippy::print_stdout, reason = "the table is what this is for")]
pub fn tour(engine: Engine, config: &Config) -> anyhow::Result<()> {
    let tour = Tour::start(engine, config)?;
    match tour.cache.health().store {
        Some(store) => println!("\n{engine}, in a store: {store}"),
        None => println!("\n{engine}"),
    }
    println!(
        "{:<36} {:>9} {:>6} {:>7} {:>6} {:>6} {:>8}  digest of the page",
        "step", "ms", "hits", "missed", "SQL", "trips", "bytes"
    );

    let plain = measure(&tour.uncached, &FragmentCache::disabled(), &tour.database, &HOME)?;
    print("home, without a cache", &plain);
    let cold = tour.step("home, cold", &HOME)?;
    ensure!(cold.digest == plain.digest, "the cold page differs");
    let warm = tour.step("home, warm", &HOME)?;
    ensure!(warm.digest == cold.digest, "the warm page differs");
    ensure!(warm.misses == 0 && warm.queries == 0, "the warm page was not free");

    tour.another_process(cold.digest)?;

    let key = fragment_key!("product", PRODUCT);
    tour.cache.delete(&key).eventually();
    let deleted = tour.step(&format!("home, {key} deleted from Rust"), &HOME)?;
    ensure!(deleted.digest == cold.digest, "the page changed though the data did not");
    ensure!(deleted.misses == 2, "more was rendered than the film and the grid around it");

    tour.change_a_price(cold.digest)?;

    let saved = tour.step("another page, with a `del` block", &Page::Saved { user: USER })?;
    ensure!(saved.misses == 0, "the page with the `del` block rendered other fragments");
    tour.log.take();
    let after = tour.step("home, after the `del` block", &HOME)?;
    ensure!(after.digest == cold.digest, "the page changed though the data did not");
    let rendered = tour.log.take();
    let keys: Vec<_> = rendered.iter().map(|fragment| fragment.key.as_str()).collect();
    ensure!(keys == ["sidebar(3)"], "more was rendered than the sidebar: {rendered:?}");

    tour.clock.advance(301);
    let later = tour.step("home, 5 minutes later", &HOME)?;
    ensure!(later.digest == cold.digest && later.misses == 1, "more expired than the sidebar");
    tour.clock.advance(3600);
    let expired = tour.step("home, an hour later", &HOME)?;
    ensure!(expired.digest == cold.digest, "the page changed though the data did not");
    ensure!(expired.hits > 0, "what never expires was rendered");

    let search = Page::Search { user: USER, query: "love".to_owned() };
    let found = tour.step("search for \"love\", first", &search)?;
    ensure!(found.misses == 1, "the search rendered films that the grid had stored");
    let again = tour.step("search for \"love\", again", &search)?;
    ensure!(again.digest == found.digest && again.queries == 0, "the second search was not free");
    tour.step("receipt.txt, first", &Page::Receipt { order: 1 })?;
    tour.step("receipt.txt, again", &Page::Receipt { order: 1 })?;

    tour.ask_for_films()?;

    println!(
        "Every page equals, byte for byte, the one rendered without a cache. The warm page runs {} \
         SQL statements instead of {}, in {:.3} ms instead of {:.1}.",
        warm.queries,
        plain.queries,
        milliseconds(warm.time),
        milliseconds(plain.time),
    );
    Ok(())
}

impl Tour {
    fn start(engine: Engine, config: &Config) -> anyhow::Result<Self> {
        let clock = ManualClock::default();
        let log = Log::default();
        let cache = cache(engine, config, &clock, &log)?;
        // A shared store may still contain the entries of an earlier tour.
        cache.clear().eventually();
        if let Health { is_reachable: false, store: Some(_), last_fault: Some(fault), .. } =
            cache.health()
        {
            bail!("there is nothing to measure without the store: {fault}");
        }
        let database = Arc::new(Database::seeded()?);
        let views = Views::load(engine, &database, &cache)?;
        let uncached = Views::load(engine, &database, &FragmentCache::disabled())?;
        // Not measured: opening files and compiling templates.
        for page in [HOME, Page::Receipt { order: 1 }] {
            uncached.render(&page)?;
        }
        Ok(Self { engine, config: config.clone(), views, uncached, cache, clock, log, database })
    }

    /// Renders a page, prints its cost, and compares it with the page rendered without a cache.
    fn step(&self, name: &str, page: &Page) -> anyhow::Result<Measured> {
        let measured = measure(&self.views, &self.cache, &self.database, page)?;
        print(name, &measured);
        let plain = self.uncached.render(page)?;
        let equal = xxh3_64(plain.as_bytes()) == measured.digest;
        ensure!(equal, "{name}: the page differs from the one rendered without a cache");
        Ok(measured)
    }

    /// Requests the films as JSON: a cached response around the cached result of a function.
    fn ask_for_films(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let router: Router = catalog::router(&self.cache, &self.database);
        let ask = |name: &str| -> anyhow::Result<Measured> {
            let measured = measured(&self.cache, &self.database, || {
                let request = Request::get("/films.json").header(HOST, "shop.example");
                let request = request.body(Body::empty())?;
                let response = runtime.block_on(router.clone().oneshot(request))?;
                ensure!(response.status().is_success(), "{}", response.status());
                let body = runtime.block_on(response.into_body().collect())?.to_bytes();
                Ok(String::from_utf8(body.to_vec())?)
            })?;
            print(name, &measured);
            Ok(measured)
        };
        let first = ask("films.json, first")?;
        let again = ask("films.json, again")?;
        ensure!(again.queries == 0 && again.digest == first.digest, "the response was not cached");
        self.cache.delete_views(catalog::VIEW).eventually();
        let result = ask("films.json, the response deleted")?;
        ensure!(result.queries == 0 && result.digest == first.digest, "the result was not cached");
        let (_, price) = self.film()?;
        change_price(&self.database, &self.cache, PRODUCT, price + 100)?;
        let dearer = ask("films.json, a film's price up")?;
        ensure!(dearer.queries == 1 && dearer.digest != first.digest, "the new price is not there");
        change_price(&self.database, &self.cache, PRODUCT, price)?;
        let back = ask("films.json, its price back")?;
        ensure!(back.digest == first.digest, "the films did not come back with the price");
        Ok(())
    }

    /// Checks that a newly started process serves the fragments that this one stored, and shows the
    /// changes that this one makes.
    fn another_process(&self, home: u64) -> anyhow::Result<()> {
        if self.cache.health().store.is_none() {
            return Ok(());
        }
        let cache = cache(self.engine, &self.config, &self.clock, &Log::default())?;
        let views = Views::load(self.engine, &self.database, &cache)?;
        let step = |name: &str| -> anyhow::Result<Measured> {
            let measured = measure(&views, &cache, &self.database, &HOME)?;
            print(name, &measured);
            Ok(measured)
        };
        let first = step("home, in another process, cold")?;
        ensure!(first.digest == home && first.queries == 0, "the store did not serve the page");
        self.cache.invalidate_tags([format!("product:{PRODUCT}")])?.eventually();
        let again = step("home there, a film invalidated here")?;
        ensure!(again.digest == home, "the page changed though the data did not");
        ensure!(again.misses == 2, "more was rendered than the film and the grid around it");
        Ok(())
    }

    /// Three pages show the film. After its price changes and one tag is
    /// invalidated, only the fragments that show the price, and those around them,
    /// are rendered again. `home` is the digest of the first page.
    #[allow(clippy::print_stdout, reason = "the list is what this is for")]
    fn change_a_price(&self, home: u64) -> anyhow::Result<()> {
        let search = Page::Search { user: USER, query: "telets".to_owned() };
        self.step("the film's page, first", &self.film()?.0)?;
        self.step("search that finds it, first", &search)?;
        let (_, price) = self.film()?;
        self.log.take();

        change_price(&self.database, &self.cache, PRODUCT, price + 100)?;
        let dearer = self.step("home, the film's price up", &HOME)?;
        ensure!(dearer.digest != home, "the new price is not on the page");
        self.step("the film's page, price up", &self.film()?.0)?;
        self.step("search that finds it, price up", &search)?;

        let rendered = self.log.take();
        rendered.iter().for_each(|fragment| println!("    rendered again: {fragment}"));
        let keys: Vec<_> = rendered.iter().map(|fragment| fragment.key.as_str()).collect();
        // The grid, the card in it, the film's fragment on its own page, and the
        // search. Not the 512 other cards, the reviews or the sidebar.
        ensure!(keys == ["grid", "product(42)", "product(42)", "search(telets)"], "{keys:?}");

        change_price(&self.database, &self.cache, PRODUCT, price)?;
        let back = self.step("home, its price back", &HOME)?;
        ensure!(back.digest == home, "the page did not come back with the price");
        Ok(())
    }

    /// The film's page as its handler builds it, and its price.
    fn film(&self) -> anyhow::Result<(Page, i64)> {
        let read_point = self.cache.read_point();
        let film = self.database.product(PRODUCT)?.context("the film is gone")?;
        let Some(&Cell::Int(price)) = film.get("price_cents") else {
            anyhow::bail!("the film has no price")
        };
        Ok((Page::Product { user: USER, film, read_point }, price))
    }
}

/// The cache of one process. Its entries are in a namespace of their own, because
/// others may use the same store.
fn cache(
    engine: Engine,
    config: &Config,
    clock: &ManualClock,
    log: &Log,
) -> anyhow::Result<FragmentCache> {
    let builder = config.clone().into_builder()?.clock(clock.clone()).observer(log.clone());
    Ok(builder.build()?.namespace(&format!("tour-{engine}")))
}

fn measure(
    views: &Views,
    cache: &FragmentCache,
    database: &Database,
    page: &Page,
) -> anyhow::Result<Measured> {
    measured(cache, database, || views.render(page))
}

fn measured(
    cache: &FragmentCache,
    database: &Database,
    render: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<Measured> {
    let clock = MonotonicClock::default();
    let (before, queries): (Stats, u64) = (cache.stats(), database.queries());
    let round_trips = cache.health().round_trips;
    let html = render()?;
    let time = clock.now();
    let after = cache.stats();
    Ok(Measured {
        time,
        hits: after.hits - before.hits,
        misses: after.misses.total() - before.misses.total(),
        queries: database.queries() - queries,
        round_trips: cache.health().round_trips - round_trips,
        digest: xxh3_64(html.as_bytes()),
        bytes: html.len(),
    })
}

#[allow(clippy::print_stdout, reason = "the table is what this is for")]
fn print(name: &str, row: &Measured) {
    println!(
        "{name:<36} {:>9.3} {:>6} {:>7} {:>6} {:>6} {:>8}  {:016x}",
        milliseconds(row.time),
        row.hits,
        row.misses,
        row.queries,
        row.round_trips,
        row.bytes,
        row.digest
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
