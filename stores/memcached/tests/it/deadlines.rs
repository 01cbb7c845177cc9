//! Servers that hang, restart, or answer what nobody asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use fragcache::store::{Fault, Store};
use fragcache_servers::{MemcachedServer, eventually};

use super::support::{LONG, SLACK, fault, gauge, get, open, patient, timed};

const LIMIT: Duration = Duration::from_millis(50);

#[test]
fn a_server_that_hangs_is_waited_for_until_the_deadline_and_then_no_more() {
    let server = MemcachedServer::start();
    let store = patient(server.url()).operation_timeout(LIMIT).open().unwrap();
    eventually("there is a connection", || store.set("a", b"old", LONG).is_ok());
    server.stop();
    let (outcome, took) = timed(|| store.set("a", b"late", LONG));
    assert_eq!(fault(outcome).0, Fault::Deadline);
    assert!(took >= LIMIT && took < LIMIT + SLACK, "{took:?}");
    let (outcome, took) = timed(|| (0..20).all(|_| get(&store, "a").is_err()));
    assert!(outcome && took < SLACK, "20 calls that fail at once took {took:?}");
    assert_eq!(gauge(&store, "connected"), 0);
    server.cont();
    eventually("it is used again", || store.set("a", b"new", LONG).is_ok());
    assert_eq!(get(&store, "a").unwrap().unwrap(), b"new");
    assert!(gauge(&store, "deadlines_missed") >= 1);
}

/// Idle connections must not overtake what a failed call has sent.
#[test]
fn a_failed_change_does_not_take_effect_after_a_later_one() {
    let server = MemcachedServer::start();
    let store = patient(server.url()).operation_timeout(LIMIT).open().unwrap();
    for round in 0..5 {
        eventually("several connections are idle", || {
            std::thread::scope(|scope| {
                let calls: Vec<_> = (0..4).map(|_| scope.spawn(|| get(&store, "a"))).collect();
                calls.into_iter().all(|call| call.join().unwrap().is_ok())
            })
        });
        server.stop();
        let late = format!("late {round}");
        assert_eq!(fault(store.set("a", late.as_bytes(), LONG)).0, Fault::Deadline);
        server.cont();
        let new = format!("new {round}");
        eventually("it is used again", || store.set("a", new.as_bytes(), LONG).is_ok());
        for _ in 0..20 {
            assert_eq!(get(&store, "a").unwrap().unwrap(), new.as_bytes());
        }
    }
}

#[test]
fn a_server_that_restarts_is_found_again() {
    let mut server = MemcachedServer::start();
    let store = open(&server);
    store.set("a", b"x", LONG).unwrap();
    server.restart();
    // The idle connection has ended, and is not used.
    assert_eq!(get(&store, "a").unwrap(), None);
    server.kill();
    eventually("it is away", || get(&store, "a").is_err());
    let (kind, said) = fault(get(&store, "a"));
    assert_eq!(kind, Fault::Unreachable, "{said}");
    server.restart();
    eventually("it is back", || store.set("a", b"y", LONG).is_ok());
}

#[test]
fn calls_beyond_the_connections_wait_for_one() {
    let server = MemcachedServer::start();
    let store = patient(server.url()).connections(2).open().unwrap();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let store = &store;
            scope.spawn(move || {
                let key = format!("k:{n}");
                for _ in 0..50 {
                    store.set(&key, b"x", LONG).unwrap();
                    assert_eq!(get(store, &key).unwrap().unwrap(), b"x");
                }
            });
        }
    });
    assert!(gauge(&store, "connects") <= 2);
}

/// What a server answers to a command.
type Answer = Box<dyn Fn(&str) -> String + Send>;

/// A server that greets like Memcached and answers the first read with these bytes.
fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("memcached://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let _ = converse(stream, &answer);
        }
    });
    url
}

fn converse(stream: TcpStream, answer: &impl Fn(&str) -> String) -> std::io::Result<()> {
    let (mut lines, mut stream) = (BufReader::new(stream.try_clone()?), stream);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let reply = match line.trim_end() {
            "stats" => "STAT version 1.6.18\r\nSTAT time 1800000000\r\nEND\r\n".to_owned(),
            "stats settings" => {
                "STAT cas_enabled yes\r\nSTAT item_size_max 1048576\r\nEND\r\n".to_owned()
            }
            "mn" => "MN\r\n".to_owned(),
            command => {
                if let Some(rest) = command.strip_prefix("ms ") {
                    let length: usize = rest.split(' ').nth(1).unwrap().parse().unwrap();
                    lines.read_exact(&mut vec![0; length + 2])?;
                }
                answer(command)
            }
        };
        stream.write_all(reply.as_bytes())?;
    }
}

#[test]
fn answers_that_do_not_fit_end_the_connection() {
    let number = |command: &str| command.rsplit('O').next().unwrap().to_owned();
    let answers: [Answer; 9] = [
        Box::new(|_| "EN\r\n".to_owned()),
        Box::new(|_| "EN O999999\r\n".to_owned()),
        Box::new(move |command| format!("HD O{0}\r\nHD O{0}\r\n", number(command))),
        Box::new(move |command| format!("VA 3 f0 c1 O{}\r\nabcd\r\n", number(command))),
        Box::new(move |command| format!("VA -3 f0 c1 O{}\r\nabc\r\n", number(command))),
        Box::new(move |command| format!("VA 3 fx c1 O{}\r\nabc\r\n", number(command))),
        Box::new(move |command| format!("NS O{}\r\n", number(command))),
        Box::new(|_| "ERROR\r\n".to_owned()),
        Box::new(|_| "x".repeat(5000)),
    ];
    for answer in answers {
        let store = patient(answering(answer)).open().unwrap();
        let (kind, said) = fault(get(&store, "a"));
        assert_eq!(kind, Fault::Protocol, "{said}");
        assert!(said.contains("does not match the request"), "{said}");
        let (kind, _) = fault(get(&store, "a"));
        assert_eq!(kind, Fault::Protocol);
        assert_eq!(gauge(&store, "connects"), 2, "the first connection is not used again");
    }
}

#[test]
fn a_value_larger_than_any_is_skipped() {
    let store = patient(answering(|command| {
        let size = (1 << 20) + 1;
        let number = command.rsplit('O').next().unwrap();
        format!("VA {size} f0 c1 O{number}\r\n{}\r\n", "x".repeat(size))
    }));
    let store = store.max_value_bytes(1 << 16).open().unwrap();
    assert_eq!(get(&store, "a").unwrap(), None);
    assert_eq!(get(&store, "a").unwrap(), None);
    assert_eq!(gauge(&store, "connects"), 1);
}

#[test]
fn a_server_that_is_too_old_is_refused() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("memcached://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut line = String::new();
            let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut line);
            let _ = stream.write_all(b"ERROR\r\n");
        }
    });
    let store = patient(url).open().unwrap();
    let (kind, said) = fault(get(&store, "a"));
    assert_eq!(kind, Fault::Unusable);
    assert!(said.contains("1.6.13 or newer"), "{said}");
}
