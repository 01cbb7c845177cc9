//! How often caching schemes serve outdated data after all activity has stopped: four processes on
//! one store, for many rounds. `servers/install` fetches the servers.
//!
//!     FRAGCACHE_STALE_ROUNDS=20000 cargo bench -p fragcache-benches --bench stale [words of a row]

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the table is what this program is for"
)]

#[path = "../../tests/far/process.rs"]
mod process;
#[path = "../../tests/far/stale/mod.rs"]
mod stale;

use fragcache_servers::{Flavour, RedisServer};
use stale::{Rounds, Scheme};

/// Rounds of each row, unless `FRAGCACHE_STALE_ROUNDS` is set.
const ROUNDS: u64 = 3000;

fn main() {
    if let Some(given) = process::given() {
        return stale::take_part(&given[1..]);
    }
    let most = std::env::var("FRAGCACHE_STALE_ROUNDS");
    let most = most.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    println!("| store | scheme | rounds | stale | hits once quiet |");
    println!("|---|---|---|---|---|");
    let row = |store: &str, place: &str, scheme: Scheme| {
        let name = format!("{store} | {}", scheme.name());
        if !words.iter().all(|word| name.contains(word.as_str())) {
            return;
        }
        let outcome = stale::run(scheme, place, &[], Rounds { most, until_stale: false });
        let hits: u64 = outcome.hits.iter().sum();
        println!("| {name} | {} | {} | {hits} |", outcome.rounds, outcome.stale);
        outcome.seen.iter().for_each(|seen| eprintln!("  {seen}"));
    };
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = format!("{flavour:?}");
        let naive = Scheme::NAIVE.into_iter().filter(|_| flavour == Flavour::Redis);
        naive.chain(Scheme::OURS).for_each(|scheme| row(&store, &server.url(), scheme));
    }
    let folder = tempfile::tempdir().unwrap();
    for scheme in Scheme::OURS {
        row("files", folder.path().join("fragments").to_str().unwrap(), scheme);
    }
}
