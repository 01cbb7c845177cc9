//! A cached view under load by wrk, compared with a bare handler of the same bytes and, with
//! `FRAGCACHE_PEER=URL`, with Flask-Caching (`benches/peers/flask_views.py`). They run in turn.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the table is what this program is for"
)]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use fragcache::FragmentCache;
use fragcache_benches::sampling::Series;
use fragcache_tower::CacheLayer;

/// Bytes of the page, the same as the peer's.
const PAGE: usize = 10_240;

const ROUNDS: usize = 11;
const SECONDS: u32 = 2;
const CONNECTIONS: u32 = 64;

fn main() {
    if Command::new("wrk").arg("--version").output().is_err() {
        eprintln!("wrk is missing: apt-get install wrk");
        std::process::exit(1);
    }
    let address = serve();
    let mut sides = vec![format!("http://{address}/bare"), format!("http://{address}/cached")];
    sides.extend(std::env::var("FRAGCACHE_PEER"));
    sides.iter().for_each(|url| _ = load(url));
    let mut rates = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for (url, rates) in sides.iter().zip(&mut rates) {
            rates.push(load(url));
        }
    }
    let rates: Vec<Series> = rates.into_iter().map(Series::from).collect();
    println!("medians of {ROUNDS} (min–max); wrk, {CONNECTIONS} connections, {SECONDS} s a side\n");
    println!("| | requests a second | the cached view beside it |");
    println!("|---|---|---|");
    for (url, rate) in sides.iter().zip(&rates) {
        let ratio = rates[1].ratio(rate).figure();
        println!("| {url} | {:.0} | {ratio:.2} |", rate.figure());
    }
}

/// Serves both pages on two threads of this process.
fn serve() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let cache = FragmentCache::in_memory();
            let page = || async { "x".repeat(PAGE) };
            let view = CacheLayer::new(&cache, "page").expires_after(Duration::from_secs(3600));
            let router =
                Router::new().route("/bare", get(page)).route("/cached", get(page).layer(view));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    told.recv().unwrap()
}

/// Requests per second.
fn load(url: &str) -> f64 {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), url])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{text}");
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| panic!("{url}: {text}"))
}
