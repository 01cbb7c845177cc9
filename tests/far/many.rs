//! Concurrent processes: on one cold key, of two releases, with differing clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use fragcache::{Clock, FarLevel, Fragment, FragmentCache, MonotonicClock, fragment_key};
use fragcache_redis::{RedisOptions, RedisStore};
use fragcache_servers::{Flavour, RedisServer, eventually};

use super::play;
use super::process::{Process, answer, orders};

/// A store with a timeout longer than any pause of a busy machine.
fn open(url: &str) -> RedisStore {
    let patience = Duration::from_secs(30);
    let options = RedisOptions::new(url).operation_timeout(patience);
    options.connect_timeout(patience).open().unwrap()
}

/// Renders one fragment, and waits in its body until it is told to continue.
pub(super) fn hold_on(given: &[String]) {
    let [url, wait, lease] = given else { panic!("given {given:?}") };
    let millis = |text: &String| Duration::from_millis(text.parse().unwrap());
    let level = FarLevel::new(open(url)).lease(millis(lease));
    let cache = FragmentCache::builder().wait_limit(millis(wait)).far(level).build().unwrap();
    let goes_on = Arc::new(AtomicBool::new(false));
    for order in orders() {
        match order.as_str() {
            "start" => {
                let (cache, goes_on) = (cache.clone(), Arc::clone(&goes_on));
                std::thread::spawn(move || {
                    let row = Fragment::new(fragment_key!("row"));
                    let body = || {
                        answer("renders");
                        eventually("it is told to go on", || goes_on.load(Ordering::SeqCst));
                        std::process::id().to_string()
                    };
                    answer(&format!("served {}", cache.render(&row, body).unwrap()));
                });
            }
            "trips" => answer(&cache.health().round_trips.to_string()),
            _ => goes_on.store(true, Ordering::SeqCst),
        }
    }
}

fn start(url: &str, processes: usize, wait: &str, lease: &str) -> Vec<Process> {
    let mut all: Vec<Process> =
        (0..processes).map(|_| play("hold on", &[url, wait, lease])).collect();
    for process in &mut all {
        process.ask("trips");
    }
    all.iter_mut().for_each(|process| process.tell("start"));
    all
}

/// Removes the process that renders first.
fn take_leader(all: &mut Vec<Process>) -> Process {
    let mut found = None;
    eventually("one renders", || {
        found = all.iter_mut().position(|process| match process.heard() {
            Some(told) if told == "renders" => true,
            told => {
                assert_eq!(told, None);
                false
            }
        });
        found.is_some()
    });
    all.swap_remove(found.unwrap())
}

/// Waits until every process has tried several times to take the lease.
fn until_waiting(all: &mut [Process]) {
    for process in all {
        // A process that renders answers with something other than a number.
        let mut trips = || process.ask("trips").parse::<u64>().expect("one renders");
        let before = trips();
        eventually("it waits", || trips() >= before + 4);
    }
}

#[test]
fn i2_of_sixteen_processes_on_a_cold_key_one_renders() {
    let server = RedisServer::start(Flavour::Redis);
    let mut all = start(&server.url(), 16, "60000", "5000");
    let mut leader = take_leader(&mut all);
    until_waiting(&mut all);
    leader.tell("go on");
    let served = leader.hear();
    assert!(served.starts_with("served "), "{served}");
    for mut process in all {
        assert_eq!(process.hear(), served);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "leases are in real time")]
fn i2_a_process_that_is_killed_in_its_render_is_followed_by_another_within_its_lease() {
    let server = RedisServer::start(Flavour::Redis);
    let lease = Duration::from_secs(2);
    let mut all = start(&server.url(), 4, "60000", "2000");
    let mut leader = take_leader(&mut all);
    until_waiting(&mut all);
    leader.kill();
    let killed = Instant::now();
    let mut next = take_leader(&mut all);
    let took = killed.elapsed();
    assert!(took < lease + Duration::from_secs(1), "the next one led after {took:?}");
    until_waiting(&mut all);
    next.tell("go on");
    let served = next.hear();
    assert!(served.starts_with("served "), "{served}");
    for mut process in all {
        assert_eq!(process.hear(), served);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "waits are in real time")]
fn i7_a_killed_process_keeps_no_caller_beyond_the_limit() {
    let server = RedisServer::start(Flavour::Redis);
    // The lease outlives the test.
    let mut all = start(&server.url(), 1, "60000", "100000");
    let mut leader = take_leader(&mut all);
    leader.kill();
    let begun = Instant::now();
    let mut others = start(&server.url(), 3, "300", "100000");
    for process in &mut others {
        assert_eq!(process.hear(), "renders");
        process.tell("go on");
        assert!(process.hear().starts_with("served "));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// A site with one template, whose source differs between two releases.
pub(super) fn release(given: &[String]) {
    let [url, engine, words] = given else { panic!("given {given:?}") };
    let level = FarLevel::new(open(url)).without_near();
    let cache = FragmentCache::builder().far(level).build().unwrap();
    // Lives as long as the process.
    let source: &str =
        format!("{{% cache 300, 'row', id %}}{words} {{{{ id }}}}{{% endcache %}}").leak();
    let page: Box<dyn Fn(u64) -> String> = if engine == "tera" {
        let mut tera = tera::Tera::default();
        fragcache_tera::add_to_tera(&mut tera, cache.clone()).unwrap();
        fragcache_tera::add_raw_template(&mut tera, "page.html", source).unwrap();
        Box::new(move |id| {
            let mut context = tera::Context::new();
            context.insert("id", &id);
            tera.render("page.html", &context).unwrap()
        })
    } else {
        let mut env = minijinja::Environment::new();
        fragcache_minijinja::add_to_environment(&mut env, cache.clone()).unwrap();
        fragcache_minijinja::add_template(&mut env, "page.html", source).unwrap();
        Box::new(move |id| {
            let page = env.get_template("page.html").unwrap();
            page.render(minijinja::context!(id)).unwrap()
        })
    };
    for order in orders() {
        match order.as_str() {
            "hits" => answer(&cache.stats().hits.to_string()),
            "unreadable" => answer(&cache.health().unreadable.to_string()),
            "clear" => answer(&format!("{:?}", cache.clear())),
            id => answer(&page(id.parse().unwrap())),
        }
    }
}

#[test]
fn two_releases_of_a_template_share_a_store_and_nothing_else() {
    for engine in ["minijinja", "tera"] {
        let server = RedisServer::start(Flavour::Redis);
        let mut releases =
            ["old", "new"].map(|words| (words, play("release", &[&server.url(), engine, words])));
        for round in 0..4 {
            for id in 0..10 {
                for (words, site) in &mut releases {
                    assert_eq!(site.ask(&id.to_string()), format!("{words} {id}"));
                    // Each release finds its own entries again, in spite of the other's.
                    let hits = (round * 10) + if round == 0 { 0 } else { id - 9 };
                    assert_eq!(site.ask("hits"), hits.to_string(), "{engine}");
                }
            }
        }
        releases[0].1.ask("clear");
        let hits = releases[1].1.ask("hits");
        assert_eq!(releases[1].1.ask("3"), "new 3");
        assert_eq!(releases[1].1.ask("hits"), hits, "cleared for both");
    }
}

#[test]
fn an_entry_of_a_later_format_is_a_miss() {
    let server = RedisServer::start(Flavour::Redis);
    let mut site = play("release", &[&server.url(), "minijinja", "present"]);
    assert_eq!(site.ask("1"), "present 1");
    let mut beside = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*:e:*").query(&mut beside).unwrap();
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    let mut bytes: Vec<u8> = redis::cmd("GET").arg(key).query(&mut beside).unwrap();
    bytes[4] = 200;
    redis::cmd("SET").arg(key).arg(&bytes).exec(&mut beside).unwrap();
    assert_eq!(site.ask("1"), "present 1");
    assert_ne!(site.ask("unreadable"), "0");
    let hits = site.ask("hits");
    assert_eq!(hits, "0");
    assert_eq!(site.ask("1"), "present 1");
    assert_eq!(site.ask("hits"), "1", "stored again");
}

/// The system's clock, with an offset in the time that it reports to other processes.
#[derive(Debug, Clone)]
struct Off {
    clock: MonotonicClock,
    seconds: Arc<AtomicI64>,
}

impl Clock for Off {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn unix_time(&self) -> Duration {
        let seconds = self.seconds.load(Ordering::SeqCst);
        let by = Duration::from_secs(seconds.unsigned_abs());
        let now = self.clock.unix_time();
        if seconds < 0 { now - by } else { now + by }
    }
}

/// A process with a wrong clock: `row TEXT MILLIS`, `delete`, `off SECONDS`.
pub(super) fn off(given: &[String]) {
    let [url, seconds] = given else { panic!("given {given:?}") };
    let seconds = Arc::new(AtomicI64::new(seconds.parse().unwrap()));
    let clock = Off { clock: MonotonicClock::default(), seconds: Arc::clone(&seconds) };
    let builder = FragmentCache::builder().clock(clock).jitter(0.0);
    let cache = builder.far(FarLevel::new(open(url))).build().unwrap();
    for order in orders() {
        let words: Vec<&str> = order.split(' ').collect();
        match words.as_slice() {
            ["row", text, life] => {
                let life = Duration::from_millis(life.parse().unwrap());
                let row = Fragment::new(fragment_key!("row")).expires_after(life).tags(["tag"]);
                answer(&cache.render(&row, || *text).unwrap());
            }
            ["delete"] => answer(&format!("{:?}", cache.invalidate_tags(["tag"]).unwrap())),
            ["off", by] => {
                seconds.store(by.parse().unwrap(), Ordering::SeqCst);
                answer("so be it");
            }
            order => panic!("told {order:?}"),
        }
    }
}

const HOURS: [&str; 3] = ["-3600", "0", "3600"];

#[test]
fn i1_clocks_an_hour_off_bring_nothing_stale() {
    let server = RedisServer::start(Flavour::Redis);
    let mut all = HOURS.map(|seconds| play("off", &[&server.url(), seconds]));
    for one in 0..3 {
        for other in 0..3 {
            for deletes in 0..3 {
                all[one].ask("row old 300000");
                all[other].ask("row old 300000");
                all[deletes].ask("delete");
                assert_eq!(all[other].ask("row new 300000"), "new");
                for process in &mut all {
                    assert_eq!(process.ask("row new 300000"), "new");
                }
                all[deletes].ask("delete");
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_an_hour_makes_nothing_immortal() {
    let server = RedisServer::start(Flavour::Redis);
    for (before, after) in [("3600", "0"), ("0", "3600"), ("0", "-3600")] {
        let mut process = play("off", &[&server.url(), before]);
        assert_eq!(process.ask("row old 1000"), "old");
        process.ask(&format!("off {after}"));
        let mut other = play("off", &[&server.url(), "0"]);
        let told = other.ask("row old 1000");
        assert_eq!(told, "old");
        for process in [&mut process, &mut other] {
            eventually("it expires", || process.ask("row new 60000") == "new");
            assert_eq!(process.ask("row newer 60000"), "new");
        }
        process.ask("delete");
    }
}

#[test]
fn i1_an_hour_of_difference_lives_no_longer_than_its_record() {
    let server = RedisServer::start(Flavour::Redis);
    let mut ahead = play("off", &[&server.url(), "3600"]);
    ahead.ask("row old 60000");
    let mut beside = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut beside).unwrap();
    for key in keys.iter().filter(|key| !key.contains(":v:")) {
        let life: i64 = redis::cmd("PTTL").arg(key).query(&mut beside).unwrap();
        assert!((1..=60_000).contains(&life), "{key} lives {life} ms");
    }
    for key in keys.iter().filter(|key| key.contains(":v:")) {
        let life: i64 = redis::cmd("PTTL").arg(key).query(&mut beside).unwrap();
        assert!(life > 60_000, "{key} lives {life} ms");
    }
}
