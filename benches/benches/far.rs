//! Time of a read and of a hit on a far store, compared with the same read by the bare
//! client, on real servers. `servers/install` fetches them. Whole pages are in `far_pages`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the table is what this program is for"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use fragcache::store::{Operation, Store};
use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_benches::listening::Listening;
use fragcache_benches::pages::body;
use fragcache_benches::sampling::{SAMPLES, Series, alternate};
use fragcache_memcached::MemcachedOptions;
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, MemcachedServer, RedisServer};

/// The keys that a hit with labels reads.
const KEYS: [&str; 5] = ["entry", "label:1", "label:2", "label:3", "label:4"];

fn main() {
    println!("medians of {SAMPLES} (min–max); µs of one MGET of {} keys\n", KEYS.len());
    println!("| server | plain connection | store | store / plain | goal | |");
    println!("|---|---|---|---|---|---|");
    let servers = Flavour::ALL.map(|flavour| (flavour, RedisServer::start(flavour)));
    for (flavour, server) in &servers {
        read(&format!("{flavour:?}, TCP"), &server.url());
        read(&format!("{flavour:?}, socket"), &server.unix_url());
    }
    read_memcached();
    println!("\nmedians of {SAMPLES} (min–max); µs of a hit, and of one MGET of what it reads\n");
    println!("| body | server | plain connection | hit | hit / plain | goal | |");
    println!("|---|---|---|---|---|---|---|");
    for (size, above) in [
        (1 << 10, None),
        (1 << 10, Some(512)),
        (10 << 10, None),
        (10 << 10, Some(2048)),
        (100 << 10, None),
        (100 << 10, Some(2048)),
    ] {
        for (flavour, server) in &servers {
            hit(&format!("{flavour:?}, TCP"), &server.url(), size, above);
        }
    }
}

fn store(url: &str) -> RedisStore {
    RedisOptions::new(url).operation_timeout(Duration::from_secs(5)).open().unwrap()
}

/// One MGET with the bare client.
fn plain(url: &str, keys: Vec<String>) -> impl Fn() -> usize {
    let connection = Mutex::new(redis::Client::open(url).unwrap().get_connection().unwrap());
    move || {
        let mut connection = connection.lock().unwrap();
        let values: Vec<Option<Vec<u8>>> =
            redis::cmd("MGET").arg(&keys).query(&mut *connection).unwrap();
        values.iter().flatten().count()
    }
}

fn read(name: &str, url: &str) {
    let store = store(url);
    let ttl = Duration::from_secs(3600);
    let values = KEYS.map(|key| if key == "entry" { vec![7; 1500] } else { vec![7; 24] });
    let sets = KEYS.iter().zip(&values).map(|(key, value)| Operation::Set { key, value, ttl });
    store.run(&sets.collect::<Vec<_>>()).unwrap();
    let plain = plain(url, KEYS.map(str::to_owned).to_vec());
    let far = || store.get_many(&KEYS).unwrap().len();
    print(name, &alternate([&plain, &far]));
}

/// 100 values of 315 bytes, by `get` with all keys on a plain connection and by the store.
fn read_memcached() {
    let server = MemcachedServer::start();
    let options = MemcachedOptions::new(server.url());
    let store = options.operation_timeout(Duration::from_secs(5)).open().unwrap();
    let (value, ttl) = ([b'x'; 315], Duration::from_secs(3600));
    let keys: Vec<String> = (0..100).map(|n| format!("shop:e:row-{n:032}")).collect();
    let set = |key| Operation::Set { key, value: &value, ttl };
    store.run(&keys.iter().map(|key| set(key.as_str())).collect::<Vec<_>>()).unwrap();
    let stream = Mutex::new(TcpStream::connect(server.address()).unwrap());
    let command = format!("get {}\r\n", keys.join(" "));
    let plain = || {
        let mut stream = stream.lock().unwrap();
        stream.write_all(command.as_bytes()).unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 16 << 10]);
        while !answer.ends_with(b"\r\nEND\r\n") {
            let count = stream.read(&mut buffer).unwrap();
            answer.extend_from_slice(&buffer[..count]);
        }
        let mut rest = answer.as_slice();
        let mut values = Vec::new();
        while let Some(line) = rest.strip_prefix(b"VALUE ") {
            let end = line.iter().position(|&byte| byte == b'\n').unwrap();
            let header = std::str::from_utf8(&line[..end - 1]).unwrap();
            let length: usize = header.rsplit(' ').next().unwrap().parse().unwrap();
            values.push(line[end + 1..end + 1 + length].to_vec());
            rest = &line[end + 3 + length..];
        }
        assert_eq!(values.len(), 100);
        values.len()
    };
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let far = || store.get_many(&keys).unwrap().iter().flatten().count();
    assert_eq!(far(), 100);
    print("Memcached, TCP, 100 keys", &alternate([&plain, &far]));
}

/// A hit of a cache without a near level that remembers the labels: one round trip.
fn hit(name: &str, url: &str, size: usize, above: Option<usize>) {
    let prefix = format!("{size}-{}", above.unwrap_or(0));
    let cache = |level: FarLevel| {
        let level = level.prefix(&prefix).compress_above(above).without_near();
        FragmentCache::builder().far(level).build().unwrap()
    };
    let fragment = Fragment::new(fragment_key!("row", 7));
    let text = varied(size);
    let serve = |cache: &FragmentCache| cache.render(&fragment, || text.clone()).unwrap().len();

    let listening = Listening::to(store(url));
    let heard = cache(FarLevel::new(listening.clone()));
    // Store the entry, learn its labels, then read everything in one call.
    (0..3).for_each(|_| assert_eq!(serve(&heard), size));
    listening.heard();
    serve(&heard);
    let mut reads = listening.heard();
    reads.retain(|keys| keys.iter().any(|key| key.contains(":e:")));
    assert_eq!(reads.len(), 1, "one round trip: {reads:?}");
    let keys = &reads[0];

    let cache = cache(FarLevel::new(store(url)));
    serve(&cache);
    let before = cache.stats().hits;
    let plain = plain(url, keys.clone());
    assert_eq!(plain(), keys.len(), "all are there");
    let series = alternate([&plain, &|| serve(&cache)]);
    let stats = cache.stats();
    assert!(stats.hits > before && stats.misses.total() == 0, "{stats:?}");
    let stored =
        above.map_or("not compressed".to_owned(), |above| format!("compressed above {above}"));
    print(&format!("{} KiB, {stored} | {name}", size >> 10), &series);
}

/// Markup with varying numbers, which compresses like a page.
fn varied(size: usize) -> String {
    let mut state = 1_u32;
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&body(46 + (state >> 28) as usize));
        text.push_str(&format!("<b title=\"{:x}\">{}</b>\n", state, state >> 20));
    }
    text.truncate(size);
    text
}

fn print(name: &str, [plain, ours]: &[Series; 2]) {
    let ratio = ours.ratio(plain).figure();
    let verdict = if ratio.median <= 1.5 { "met" } else { "not met" };
    let micros = |ns: f64| ns / 1000.0;
    println!(
        "| {name} | {:.1} | {:.1} | {ratio:.2} | 1.5 | {verdict} |",
        plain.map(micros).figure(),
        ours.map(micros).figure()
    );
}
