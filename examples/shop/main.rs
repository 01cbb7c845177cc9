//! What does a fragment cache do for a page that asks a database 1,550 times?
//!
//! ```text
//! cargo run --release -p fragcache-examples --bin shop                  # measure both engines
//! cargo run --release -p fragcache-examples --bin shop -- --serve       # http://127.0.0.1:3000
//! cargo run --release -p fragcache-examples --bin shop -- --engine tera --serve 127.0.0.1:8080
//! ```
#![allow(clippy::print_stdout, reason = "a command-line program")]

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use fragcache::FragmentCache;
use fragcache_examples::site::{self, Shop};
use fragcache_examples::{Engine, tour};
use tokio::net::TcpListener;

const USAGE: &str = "usage: shop [--engine minijinja|tera] [--serve [ADDRESS]]";

#[derive(Debug, Default)]
struct Options {
    engine: Option<Engine>,
    serve: Option<SocketAddr>,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut args = args.peekable();
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--engine" => {
                    options.engine = Some(args.next().context(USAGE)?.parse()?);
                }
                "--serve" => {
                    let address = args.next_if(|next| !next.starts_with("--"));
                    let address = address.as_deref().unwrap_or("127.0.0.1:3000");
                    let parsed = address.parse().with_context(|| {
                        format!("{address:?} is not an address; write one such as 127.0.0.1:3000")
                    })?;
                    options.serve = Some(parsed);
                }
                _ => bail!("{arg:?} is unknown; {USAGE}"),
            }
        }
        Ok(options)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    if let Some(address) = options.serve {
        return serve(options.engine.unwrap_or(Engine::MiniJinja), address);
    }
    match options.engine {
        Some(engine) => tour(engine),
        None => Engine::ALL.into_iter().try_for_each(tour),
    }
}

#[tokio::main]
async fn serve(engine: Engine, address: SocketAddr) -> anyhow::Result<()> {
    let shop = Arc::new(Shop::open(engine, FragmentCache::in_memory())?);
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("{engine} shop on http://{}, ctrl-c ends it", listener.local_addr()?);
    Ok(site::serve(listener, shop).await?)
}
