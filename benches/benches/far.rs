//! What a read of a far store costs, beside the same read by the client it is made with, against a
//! real server. `servers/install` fetches the server.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the table is what this program is for"
)]

use std::sync::Mutex;
use std::time::Duration;

use fragcache::store::{Operation, RedisOptions, Store};
use fragcache_benches::sampling::{SAMPLES, alternate};
use fragcache_servers::{Flavour, RedisServer};

/// What a hit with its labels reads.
const KEYS: [&str; 5] = ["entry", "label:1", "label:2", "label:3", "label:4"];

fn main() {
    println!("medians of {SAMPLES} (min–max); µs of one MGET of {} keys\n", KEYS.len());
    println!("| server | plain connection | store | store / plain | goal | |");
    println!("|---|---|---|---|---|---|");
    for flavour in Flavour::ALL {
        let server = RedisServer::start(flavour);
        row(&format!("{flavour:?}, TCP"), &server.url());
        row(&format!("{flavour:?}, socket"), &server.unix_url());
    }
}

fn row(name: &str, url: &str) {
    let patience = Duration::from_secs(5);
    let store = RedisOptions::new(url).operation_timeout(patience).open().unwrap();
    let ttl = Duration::from_secs(3600);
    let values = KEYS.map(|key| if key == "entry" { vec![7; 1500] } else { vec![7; 24] });
    let sets = KEYS.iter().zip(&values).map(|(key, value)| Operation::Set { key, value, ttl });
    store.run(&sets.collect::<Vec<_>>()).unwrap();

    let connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let connection = Mutex::new(connection);
    let plain = || {
        let mut connection = connection.lock().unwrap();
        let values: Vec<Option<Vec<u8>>> =
            redis::cmd("MGET").arg(&KEYS).query(&mut *connection).unwrap();
        values.len()
    };
    let far = || store.get_many(&KEYS).unwrap().len();
    let [plain, far] = alternate([&plain, &far]);
    let ratio = far.ratio(&plain).figure();
    let verdict = if ratio.median <= 1.5 { "met" } else { "not met" };
    let micros = |ns: f64| ns / 1000.0;
    println!(
        "| {name} | {:.1} | {:.1} | {ratio:.2} | 1.5 | {verdict} |",
        plain.map(micros).figure(),
        far.map(micros).figure()
    );
}
