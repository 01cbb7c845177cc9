//! Servers that do not answer, hang up, go away and come back.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fragcache::store::{Fault, Store};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, RedisServer, eventually};

use super::support::{LONG, SLACK, connected, fault, gauge, get, open, patient, plain, timed};

/// Long enough for a busy machine to answer, most of the time.
const DEADLINE: Duration = Duration::from_millis(200);

fn hasty(url: impl Into<String>) -> RedisStore {
    RedisOptions::new(url).operation_timeout(DEADLINE).open().unwrap()
}

/// Sets a key, retrying while a busy machine misses the deadline.
fn set(store: &RedisStore, key: &str, value: &[u8]) {
    eventually("it is set", || store.set(key, value, LONG).is_ok());
}

/// Reads a key, retrying while a busy machine misses the deadline.
fn read(store: &RedisStore, key: &str) -> Option<Vec<u8>> {
    let mut value = None;
    eventually("it is read", || get(store, key).map(|found| value = found).is_ok());
    value
}

/// A call that fails within the deadline.
#[track_caller]
fn fails_in_time(store: &RedisStore) -> Fault {
    let (outcome, took) = timed(|| get(store, "a"));
    let (kind, said) = fault(outcome);
    assert!(matches!(kind, Fault::Deadline | Fault::Unreachable), "{said}");
    assert!(took < DEADLINE + SLACK, "took {took:?}: {said}");
    kind
}

#[test]
fn a_stopped_server_costs_the_deadline_once_and_comes_back() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = hasty(server.url());
        set(&store, "a", b"x");
        let missed = gauge(&store, "deadlines_missed");
        server.stop();
        let (outcome, took) = timed(|| get(&store, "a"));
        assert_eq!(fault(outcome).0, Fault::Deadline);
        assert!(took >= DEADLINE && took < DEADLINE + SLACK, "{took:?}");
        assert_eq!(gauge(&store, "deadlines_missed"), missed + 1);
        eventually("the connection is given up", || gauge(&store, "connected") == 0);
        for _ in 0..5 {
            let (outcome, took) = timed(|| get(&store, "a"));
            assert_eq!(fault(outcome).0, Fault::Unreachable);
            assert!(took < SLACK, "{took:?}");
        }
        assert_eq!(gauge(&store, "deadlines_missed"), missed + 1);
        server.cont();
        assert_eq!(read(&store, "a").unwrap(), b"x");
        assert!(gauge(&store, "reconnects") >= 1);
    }
}

#[test]
fn a_late_answer_is_never_anothers() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = hasty(server.url());
        connected(&store);
        let keys: Vec<_> = (0..8).map(|n| format!("key:{n}")).collect();
        keys.iter().for_each(|key| set(&store, key, key.as_bytes()));
        for round in 0..10 {
            read(&store, &keys[round % keys.len()]);
            server.stop();
            std::thread::scope(|scope| {
                for key in &keys {
                    scope.spawn(|| get(&store, key).unwrap_err());
                }
            });
            server.cont();
            // From here on, every reply belongs to its own key.
            let mut answered = 0;
            eventually("forty answers", || {
                for key in keys.iter().rev() {
                    if let Ok(value) = get(&store, key) {
                        assert_eq!(value.unwrap(), key.as_bytes());
                        answered += 1;
                    }
                }
                answered >= 40
            });
        }
    }
}

#[test]
fn a_write_that_was_given_up_does_not_land_after_a_later_one() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = hasty(server.url());
        connected(&store);
        for round in 0..10 {
            read(&store, "a");
            server.stop();
            assert!(store.set("a", b"old", LONG).is_err());
            server.cont();
            let new = format!("new {round}");
            set(&store, "a", new.as_bytes());
            let mut reads = 0;
            eventually("twenty reads", || {
                if let Ok(value) = get(&store, "a") {
                    assert_eq!(value.unwrap(), new.as_bytes());
                    reads += 1;
                }
                reads >= 20
            });
        }
    }
}

#[test]
fn a_server_that_is_not_there_at_first_is_found_later() {
    for flavour in Flavour::ALL {
        let mut server = RedisServer::start(flavour);
        server.kill();
        let store = hasty(server.url());
        for _ in 0..3 {
            assert_eq!(fails_in_time(&store), Fault::Unreachable);
        }
        server.restart();
        assert_eq!(read(&store, "a"), None);
    }
}

#[test]
fn a_restart_and_a_killed_connection_are_survived() {
    for flavour in Flavour::ALL {
        let mut server = RedisServer::start(flavour);
        let store = hasty(server.url());
        set(&store, "a", b"x");
        server.kill();
        eventually("the fault is seen", || get(&store, "a").is_err());
        fails_in_time(&store);
        server.restart();
        assert_eq!(read(&store, "a"), None);

        let reconnects = gauge(&store, "reconnects");
        let mut kill = redis::cmd("CLIENT");
        let _: i64 = kill.arg("KILL").arg("TYPE").arg("normal").query(&mut plain(&server)).unwrap();
        eventually("it connects anew", || gauge(&store, "reconnects") > reconnects);
        read(&store, "a");
    }
}

#[test]
fn a_connection_that_hung_up_while_idle_is_renewed_before_anyone_calls() {
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        let store = open(&server);
        store.set("a", b"x", LONG).unwrap();
        let mut kill = redis::cmd("CLIENT");
        let _: i64 = kill.arg("KILL").arg("TYPE").arg("normal").query(&mut plain(&server)).unwrap();
        eventually("it connects anew", || gauge(&store, "reconnects") == 1);
        assert_eq!(get(&store, "a").unwrap().unwrap(), b"x");
    }
}

#[test]
fn one_that_listens_and_says_nothing_costs_the_deadline() {
    // The kernel accepts the connection, but no process reads from it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for url in [format!("redis://127.0.0.1:{port}"), format!("redis://127.0.0.1:{port}/2")] {
        let store = hasty(url);
        for _ in 0..5 {
            fails_in_time(&store);
        }
    }
}

#[test]
fn one_that_takes_no_connections_costs_the_deadline() {
    // The connection queue is full, so further connections hang.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    eventually("the queue is full", || {
        match TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            Ok(stream) => {
                held.push(stream);
                false
            }
            Err(_) => true,
        }
    });
    let store = hasty(format!("redis://{address}"));
    for _ in 0..5 {
        fails_in_time(&store);
    }
}

#[test]
fn one_that_talks_nonsense_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.unwrap();
                let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        });
        let store = patient(format!("redis://127.0.0.1:{port}")).open().unwrap();
        let (kind, said) = fault(get(&store, "a"));
        assert!(matches!(kind, Fault::Protocol | Fault::Unreachable), "{said}");
        over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", port));
    });
}

#[test]
fn a_name_that_does_not_resolve_is_unreachable() {
    let store = hasty("redis://no-such-host.invalid");
    for _ in 0..3 {
        fails_in_time(&store);
    }
}

#[test]
fn more_calls_than_the_queue_holds_fail_at_once() {
    let server = RedisServer::start(Flavour::Redis);
    let store = patient(server.url()).queue_length(2).open().unwrap();
    connected(&store);
    server.stop();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..2).map(|_| scope.spawn(|| get(&store, "a"))).collect();
        eventually("two calls wait", || gauge(&store, "calls_under_way") == 2);
        let (outcome, took) = timed(|| get(&store, "a"));
        let (kind, said) = fault(outcome);
        assert_eq!(kind, Fault::Deadline);
        assert!(said.contains("2 calls"), "{said}");
        assert!(took < SLACK, "{took:?}");
        server.cont();
        for one in waiting {
            one.join().unwrap().unwrap();
        }
    });
    assert_eq!(gauge(&store, "calls_under_way"), 0);
    get(&store, "a").unwrap();
}
