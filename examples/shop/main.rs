//! What does a fragment cache do for a page that asks a database 1,550 times?
//!
//! ```text
//! cargo run --release -p fragcache-examples --bin shop                  # measure both engines
//! cargo run --release -p fragcache-examples --bin shop -- --serve       # http://127.0.0.1:3000
//! cargo run --release -p fragcache-examples --bin shop -- --engine tera --serve 127.0.0.1:8080
//! cargo run --release -p fragcache-examples --bin shop -- --store redis://127.0.0.1:6379
//! cargo run --release -p fragcache-examples --bin shop -- --help
//! ```
#![allow(clippy::print_stdout, reason = "a command-line program")]

mod options;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use fragcache_examples::site::{self, Shop};
use fragcache_examples::{Engine, tour};
use tokio::net::TcpListener;

use options::Options;

fn main() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.asks_for_help {
        println!("{}", options::usage());
        return Ok(());
    }
    if let Some(address) = options.serve {
        return serve(&options, address);
    }
    let config = options.patient_config()?;
    match options.engine {
        Some(engine) => tour(engine, &config),
        None => Engine::ALL.into_iter().try_for_each(|engine| tour(engine, &config)),
    }
}

#[tokio::main]
async fn serve(options: &Options, address: SocketAddr) -> anyhow::Result<()> {
    let engine = options.engine.unwrap_or(Engine::MiniJinja);
    // The site starts and serves even if the store is unavailable.
    let mut builder = options.config()?.into_builder()?;
    let password = std::env::var("SHOP_INSPECTOR_PASSWORD").ok();
    if password.is_some() {
        builder = builder.stats_by_name(1000);
    }
    let cache = builder.build()?;
    // Under other hosts, the inspector could be read as a page of another site (DNS rebinding).
    let named = std::env::var("SHOP_INSPECTOR_HOSTS").unwrap_or_default();
    let named = named.split(',').map(|host| host.trim().to_owned());
    let hosts = named.chain([address.ip().to_string(), "localhost".to_owned()]).collect();
    let shop = Shop::open(engine, cache, options.database()?)?.with_inspector(password, hosts);
    let shop = Arc::new(shop);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    println!("{engine} shop on http://{address}, ctrl-c ends it");
    if shop.has_inspector() {
        println!("what its cache does, for the user \"staff\": http://{address}/inspector");
    }
    Ok(site::serve(listener, shop).await?)
}
