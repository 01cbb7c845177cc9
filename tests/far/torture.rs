//! The stress test for stale fills on every store, and with the schemes that fail it.

use fragcache_servers::{Flavour, MemcachedServer, RedisServer};

use super::stale::{Outcome, Rounds, Scheme, run};
use super::{OTHER_SIDE, process};

/// Number of rounds, unless `FRAGCACHE_STALE_ROUNDS` is set.
const ROUNDS: u64 = 100;

/// Rounds within which a naive scheme must have served stale data.
const NAIVE_ROUNDS: u64 = 5_000;

fn rounds() -> u64 {
    let given = std::env::var("FRAGCACHE_STALE_ROUNDS");
    given.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"))
}

fn torture(scheme: Scheme, place: &str, rounds: Rounds) -> Outcome {
    assert!(process::given().is_none(), "other processes do not start others");
    run(scheme, place, &OTHER_SIDE, rounds)
}

fn finds_nothing_stale(place: &str) {
    for scheme in Scheme::OURS {
        let rounds = Rounds { most: rounds(), until_stale: false };
        let outcome = torture(scheme, place, rounds);
        assert_eq!(outcome.stale, 0, "{scheme:?}: {:?}", outcome.seen);
        // The cache was used: fragments of every sort were stored and served.
        assert!(outcome.hits.iter().all(|&hits| hits > outcome.rounds / 10), "{outcome:?}");
    }
}

#[test]
fn i1_processes_on_one_redis_serve_nothing_stale() {
    finds_nothing_stale(&RedisServer::start(Flavour::Redis).url());
}

#[test]
fn i1_processes_on_one_valkey_serve_nothing_stale() {
    finds_nothing_stale(&RedisServer::start(Flavour::Valkey).url());
}

#[test]
fn i1_processes_on_one_memcached_serve_nothing_stale() {
    finds_nothing_stale(&MemcachedServer::start().url());
}

#[test]
fn i1_processes_on_one_folder_serve_nothing_stale() {
    let folder = tempfile::tempdir().unwrap();
    finds_nothing_stale(folder.path().join("fragments").to_str().unwrap());
}

#[test]
fn the_torture_finds_stale_bodies_of_naive_schemes() {
    let server = RedisServer::start(Flavour::Redis);
    for scheme in Scheme::NAIVE {
        let rounds = Rounds { most: NAIVE_ROUNDS, until_stale: true };
        let outcome = torture(scheme, &server.url(), rounds);
        assert_eq!(outcome.stale, 1, "{scheme:?} stood {} rounds", outcome.rounds);
    }
}
