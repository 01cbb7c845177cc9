//! Server faults under load: four threads render pages continuously while their data
//! changes. No page fails, an outage costs each thread one or two timeouts, and
//! after the server has recovered, every served page is up to date.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};
use fragcache_redis::RedisOptions;
use fragcache_servers::{Flavour, RedisServer, Setup, eventually};

const THREADS: usize = 4;
const KEYS: usize = 24;

/// The store's default timeout, and the time that a page may take beyond it.
const MOST: Duration = Duration::from_millis(55);

/// Number of pages that the shared machine itself may delay.
const HELD_UP: usize = 48;

/// A site under load.
struct Site {
    cache: FragmentCache,
    url: String,
    truth: [AtomicU64; KEYS],
    pages: AtomicU64,
    is_over: AtomicBool,
}

impl Site {
    fn new(url: &str) -> Self {
        Self {
            cache: cache(url),
            url: url.to_owned(),
            truth: std::array::from_fn(|_| AtomicU64::new(0)),
            pages: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn row(&self, cache: &FragmentCache, key: usize) -> String {
        let row = Fragment::new(fragment_key!("row", key)).tags([tag(key)]);
        let body = || format!("{};{}", self.truth[key].load(Ordering::SeqCst), "x".repeat(1500));
        let text = cache.render(&row, body).unwrap();
        text.split(';').next().unwrap().to_owned()
    }

    /// Two rows, one of them in an enclosing fragment.
    fn page(&self, cache: &FragmentCache, key: usize) -> [String; 2] {
        let around = Fragment::new(fragment_key!("around", key));
        let around = cache.render(&around, || self.row(cache, key)).unwrap();
        [around.to_string(), self.row(cache, (key + 1) % KEYS)]
    }

    fn change(&self, key: usize) {
        self.truth[key].fetch_add(1, Ordering::SeqCst);
        self.cache.invalidate_tags([tag(key)]).unwrap().eventually();
    }

    /// Renders pages on all threads while `happens` runs. Returns the duration of each page.
    #[allow(clippy::disallowed_methods, reason = "pages are timed")]
    fn under_load(&self, happens: impl FnOnce()) -> Times {
        let make_pages = |thread: usize| {
            let (mut times, mut random) = (Vec::new(), fastrand::Rng::with_seed(thread as u64));
            while !self.is_over.load(Ordering::SeqCst) {
                let start = Instant::now();
                self.page(&self.cache, random.usize(..KEYS));
                times.push(start.elapsed());
                self.pages.fetch_add(1, Ordering::SeqCst);
                if random.u8(..16) == 0 && thread == 0 {
                    self.change(random.usize(..KEYS));
                }
            }
            times
        };
        let mut times = std::thread::scope(|threads| {
            let make_pages = &make_pages;
            let all: Vec<_> = (0..THREADS).map(|n| threads.spawn(move || make_pages(n))).collect();
            let end = End(&self.is_over);
            happens();
            drop(end);
            all.into_iter()
                .flat_map(|thread| thread.join().expect("no page fails"))
                .collect::<Vec<_>>()
        });
        times.sort_unstable();
        Times(times)
    }

    /// Waits until `more` more pages were rendered.
    fn pages(&self, more: u64) {
        let until = self.pages.load(Ordering::SeqCst) + more;
        eventually("pages go on", || self.pages.load(Ordering::SeqCst) >= until);
    }

    fn until_away(&self) {
        eventually("the store is away", || !self.cache.health().is_reachable);
    }

    fn until_well(&self) {
        eventually("the store is well, and told of everything", || {
            let health = self.cache.health();
            health.is_reachable && health.pending_invalidations == 0
        });
    }

    #[track_caller]
    fn assert_true(&self, cache: &FragmentCache) {
        let truth = |key: usize| self.truth[key].load(Ordering::SeqCst).to_string();
        for key in 0..KEYS {
            assert_eq!(self.page(cache, key), [truth(key), truth((key + 1) % KEYS)]);
        }
    }

    /// Checks that all pages are up to date, here and in a new process, and are stored again.
    #[track_caller]
    fn assert_well(&self) {
        self.until_well();
        self.assert_true(&self.cache);
        let later = cache(&self.url);
        self.assert_true(&later);
        self.assert_true(&later);
        assert!(later.stats().hits > 0, "{:?}", later.stats());
    }
}

/// Ends the load on drop, also after a panic.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Durations of pages, the shortest first.
struct Times(Vec<Duration>);

impl Times {
    /// Checks that an outage cost each thread no more than a few timeouts.
    #[allow(clippy::print_stdout, reason = "figures for whoever asks by --nocapture")]
    #[track_caller]
    fn assert_held_up(&self, outages: usize, what: &str) {
        let at = |share: f64| self.0[(((self.0.len() - 1) as f64) * share) as usize];
        let late = self.0.iter().filter(|&&time| time > MOST).count();
        println!(
            "{what}: {} pages, p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}, {late} over {MOST:?}",
            self.0.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
        );
        assert!(late <= THREADS * outages * 2 + HELD_UP, "{what}: {late} pages were late");
    }
}

fn tag(key: usize) -> String {
    format!("number:{key}")
}

/// A cache with the store's default timeouts.
fn cache(url: &str) -> FragmentCache {
    let store = RedisOptions::new(url).open().unwrap();
    FragmentCache::builder().far(FarLevel::new(store)).build().unwrap()
}

fn plain(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

/// Runs each fault with both servers.
macro_rules! on_each_server {
    ($($name:ident: $fault:ident;)*) => {
        mod on_redis {
            $(#[test]
            fn $name() {
                super::$fault(super::Flavour::Redis);
            })*
        }

        mod on_valkey {
            $(#[test]
            fn $name() {
                super::$fault(super::Flavour::Valkey);
            })*
        }
    };
}

on_each_server! {
    i3_a_server_that_is_down_at_the_start: a_server_that_is_down_at_the_start;
    i3_a_server_that_is_killed_and_comes_back: a_server_that_is_killed_and_comes_back;
    i3_a_server_that_is_stopped_in_its_tracks: a_server_that_is_stopped_in_its_tracks;
    i3_a_server_that_does_not_know_the_password: a_server_that_does_not_know_the_password;
    i3_a_server_that_is_a_replica: a_server_that_is_a_replica;
    i3_a_server_that_is_full_and_keeps_what_it_has: a_server_that_is_full_and_keeps_what_it_has;
    i3_a_server_that_is_full_and_evicts: a_server_that_is_full_and_evicts;
    i3_keys_that_hold_another_type: keys_that_hold_another_type;
    i3_a_server_that_is_flushed: a_server_that_is_flushed;
}

fn a_server_that_is_down_at_the_start(flavour: Flavour) {
    let mut server = RedisServer::start(flavour);
    server.kill();
    let site = Site::new(&server.url());
    let times = site.under_load(|| {
        site.pages(2000);
        assert!(!site.cache.health().is_reachable);
        server.restart();
        site.until_well();
        site.pages(500);
    });
    times.assert_held_up(1, &format!("down at the start, {flavour:?}"));
    site.assert_well();
}

fn a_server_that_is_killed_and_comes_back(flavour: Flavour) {
    let mut server = RedisServer::start(flavour);
    let site = Site::new(&server.url());
    let times = site.under_load(|| {
        for _ in 0..3 {
            site.pages(200);
            server.kill();
            site.until_away();
            site.pages(1000);
            server.restart();
            site.until_well();
        }
        site.pages(200);
    });
    times.assert_held_up(3, &format!("killed, {flavour:?}"));
    site.assert_well();
}

fn a_server_that_is_stopped_in_its_tracks(flavour: Flavour) {
    let server = RedisServer::start(flavour);
    let site = Site::new(&server.url());
    let times = site.under_load(|| {
        for _ in 0..3 {
            site.pages(200);
            server.stop();
            site.until_away();
            site.pages(1000);
            server.cont();
            site.until_well();
        }
        site.pages(200);
    });
    times.assert_held_up(3, &format!("stopped, {flavour:?}"));
    site.assert_well();
}

fn a_server_that_does_not_know_the_password(flavour: Flavour) {
    let server = Setup::new(flavour).password("secret").start();
    let site = Site::new(&format!("redis://:hunter2@127.0.0.1:{}", server.port()));
    let times = site.under_load(|| site.pages(1000));
    times.assert_held_up(1, &format!("wrong password, {flavour:?}"));
    site.assert_true(&site.cache);
    let health = site.cache.health();
    assert!(health.faults > 0 && health.pending_invalidations > 0, "{health:?}");
    assert!(!format!("{health:?} {:?}", site.cache).contains("hunter2"));
}

fn a_server_that_is_a_replica(flavour: Flavour) {
    let master = RedisServer::start(flavour);
    let replica = Setup::new(flavour).replica_of(&master).start();
    let site = Site::new(&replica.url());
    let times = site.under_load(|| site.pages(1000));
    times.assert_held_up(1, &format!("a replica, {flavour:?}"));
    site.assert_true(&site.cache);
    assert!(site.cache.health().pending_invalidations > 0);
}

fn a_server_that_is_full_and_keeps_what_it_has(flavour: Flavour) {
    let server = Setup::new(flavour).maxmemory("100mb", "noeviction").start();
    let (site, mut beside) = (Site::new(&server.url()), plain(&server));
    let mut limit = |bytes: &str| {
        redis::cmd("CONFIG").arg(&["SET", "maxmemory", bytes]).exec(&mut beside).unwrap();
    };
    let times = site.under_load(|| {
        site.pages(500);
        limit("1mb");
        eventually("the server refuses", || site.cache.health().pending_invalidations > 0);
        site.pages(500);
        limit("100mb");
        site.until_well();
        site.pages(200);
    });
    times.assert_held_up(0, &format!("full, {flavour:?}"));
    site.assert_well();
}

fn a_server_that_is_full_and_evicts(flavour: Flavour) {
    let server = Setup::new(flavour).maxmemory("100mb", "allkeys-lru").start();
    let (site, mut beside) = (Site::new(&server.url()), plain(&server));
    let mut junk = plain(&server);
    let used: String = redis::cmd("INFO").arg("memory").query(&mut beside).unwrap();
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    // Room for the connections and for some keys.
    let limit = (used.trim().parse::<u64>().unwrap() + 1_000_000).to_string();
    redis::cmd("CONFIG").arg(&["SET", "maxmemory", &limit]).exec(&mut beside).unwrap();
    let times = site.under_load(|| {
        let mut evicted = || -> u64 {
            let stats: String = redis::cmd("INFO").arg("stats").query(&mut beside).unwrap();
            let told = stats.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
            told.trim().parse().unwrap()
        };
        let mut n = 0;
        eventually("the server evicts", || {
            n += 1;
            let value = vec![b'x'; 4096];
            let set = redis::cmd("SET").arg(format!("junk:{n}")).arg(value).exec(&mut junk);
            // The server may be full for a moment, until it has evicted enough.
            assert!(set.as_ref().is_err_and(|e| e.to_string().contains("OOM")) || set.is_ok());
            evicted() > 200
        });
        site.pages(200);
    });
    times.assert_held_up(0, &format!("evicting, {flavour:?}"));
    let set = &["SET", "maxmemory", "0"];
    redis::cmd("CONFIG").arg(set).exec(&mut beside).unwrap();
    site.assert_well();
}

fn keys_that_hold_another_type(flavour: Flavour) {
    let server = RedisServer::start(flavour);
    let (site, mut beside) = (Site::new(&server.url()), plain(&server));
    let times = site.under_load(|| {
        for _ in 0..3 {
            site.pages(200);
            let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut beside).unwrap();
            assert!(keys.iter().any(|key| key.contains(":v:")));
            for key in keys.iter().filter(|_| fastrand::bool()) {
                let mut both = redis::pipe();
                both.atomic().cmd("DEL").arg(key).cmd("RPUSH").arg(&[key, "another's"]);
                both.exec(&mut beside).unwrap();
            }
        }
        site.pages(500);
    });
    times.assert_held_up(0, &format!("another type, {flavour:?}"));
    site.assert_well();
}

fn a_server_that_is_flushed(flavour: Flavour) {
    let server = RedisServer::start(flavour);
    let (site, mut beside) = (Site::new(&server.url()), plain(&server));
    let times = site.under_load(|| {
        for _ in 0..10 {
            site.pages(100);
            redis::cmd("FLUSHALL").exec(&mut beside).unwrap();
        }
        site.pages(200);
    });
    times.assert_held_up(0, &format!("flushed, {flavour:?}"));
    site.assert_well();
}
