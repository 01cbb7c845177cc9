//! Does a cache help a site that is built once? The site has a page for each of 513
//! films, and a sidebar that is the same on all of them. The sidebar is rendered for
//! the first page and reused in the others.
//!
//! `cargo run -p fragcache-examples --bin static-site [FOLDER]`
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use anyhow::ensure;
use fragcache::FragmentCache;
use serde::{Deserialize, Serialize};
use tera::{Context, Kwargs, State, Tera, Value};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Film {
    id: u32,
    name: String,
    maker: String,
    category: String,
    year: u32,
    minutes: u32,
}

fn main() -> anyhow::Result<()> {
    let folder = match env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(HERE).join("../target/static-site"),
    };
    let films = csv::Reader::from_path(format!("{HERE}/../fixtures/shop/products.csv"))?
        .deserialize()
        .collect::<Result<Vec<Film>, _>>()?;

    let cache = FragmentCache::in_memory();
    let asked = Arc::new(AtomicU32::new(0));
    let tera = templates(&films, &cache, &asked)?;

    fs::create_dir_all(&folder)?;
    let mut page = Context::new();
    for film in &films {
        page.insert("film", film);
        let html = fragcache_tera::render(&tera, "film.html", &page)?;
        fs::write(folder.join(format!("{}.html", film.id)), html)?;
    }
    page.insert("films", &films);
    fs::write(folder.join("index.html"), fragcache_tera::render(&tera, "index.html", &page)?)?;

    let (stats, asked) = (cache.stats(), asked.load(Ordering::Relaxed));
    ensure!(asked == 1 && stats.misses.total() == 1, "the sidebar was rendered {asked} times");
    ensure!(stats.hits == films.len() as u64, "a page went without the stored sidebar");
    println!("{} pages in {}", films.len() + 1, folder.display());
    println!("the sidebar: rendered once, served {} times from the cache", stats.hits);
    Ok(())
}

/// The site's templates, with a function that iterates over all films.
fn templates(
    films: &[Film],
    cache: &FragmentCache,
    asked: &Arc<AtomicU32>,
) -> anyhow::Result<Tera> {
    let mut tera = Tera::new();
    fragcache_tera::add_to_tera(&mut tera, cache.clone())?;
    let (films, asked) = (films.to_vec(), Arc::clone(asked));
    tera.register_function("films_by_decade", move |_: Kwargs, _: &State| {
        asked.fetch_add(1, Ordering::Relaxed);
        let mut decades: BTreeMap<u32, Vec<&Film>> = BTreeMap::new();
        for film in &films {
            decades.entry(film.year / 10 * 10).or_default().push(film);
        }
        let lists: Vec<(u32, Vec<&Film>)> = decades.into_iter().collect();
        Value::from_serializable(&lists)
    });
    fragcache_tera::load_from_glob(&mut tera, &format!("{HERE}/static-site/templates/**/*.html"))?;
    Ok(tera)
}
