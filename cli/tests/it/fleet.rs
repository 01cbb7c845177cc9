//! The mode of all processes: two running processes follow the tool.

use std::time::{Duration, Instant};

use fragcache::admin::Admin;
use fragcache::{CacheMode, Fragment, fragment_key};
use fragcache_servers::eventually;

use crate::place::{Place, UNCOUNTED, put, run_with};

/// Time that a busy machine may add to the two seconds.
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn running_caches_follow_the_mode_within_two_seconds() {
    for place in Place::each() {
        let (one, two) = (place.cache(), place.cache());
        let footer = Fragment::new(fragment_key!("footer"));
        put(&one, &footer, "stored");
        for (word, mode) in [
            ("bypass", CacheMode::Bypass),
            ("read-only", CacheMode::ReadOnly),
            ("normal", CacheMode::Normal),
        ] {
            let said = place.run(&["mode", word]).done();
            let told = instant();
            assert!(said.starts_with(word) && said.ends_with("within two seconds\n"), "{said}");
            eventually("both follow", || one.mode() == mode && two.mode() == mode);
            assert!(told.elapsed() < Duration::from_secs(2) + SLACK, "{:?}", told.elapsed());
            assert_eq!(place.run(&["mode"]).done(), format!("{word}\n"));
            let served = one.render(&footer, || "rendered").unwrap();
            assert_eq!(&*served, if mode == CacheMode::Bypass { "rendered" } else { "stored" });
        }
    }
}

/// A stale entry that an application stores in between, from a lagging replica, is invalidated
/// before the tool ends.
#[test]
fn a_deletion_is_repeated_after_the_lag_before_the_tool_exits() {
    for place in Place::each() {
        let cache = place.cache();
        let row = Fragment::new(fragment_key!("row")).tags(["product:7"]);
        put(&cache, &row, "old");
        std::thread::scope(|threads| {
            let tool = threads.spawn(|| {
                let variables = [("FRAGCACHE_REPLICA_LAG", "3s")];
                run_with(&variables, &["--store", &place.address, "invalidate", "product:7"])
            });
            eventually("it is told", || !cache.contains(row.key()).unwrap());
            put(&cache, &row, "old, from a replica");
            let said = tool.join().unwrap().done();
            assert_eq!(said, format!("invalidated tags product:7{UNCOUNTED}"));
        });
        assert!(!cache.contains(row.key()).unwrap(), "it is told once more");
    }
}

#[test]
fn a_mode_ends_by_itself() {
    for place in Place::each() {
        let said = place.run(&["mode", "bypass", "--for", "1s"]).done();
        assert!(said.starts_with("bypass for 1s, then normal: "), "{said}");
        let admin = Admin::new(&place.cache()).unwrap();
        eventually("the mode is over", || admin.fleet_mode().unwrap() == CacheMode::Normal);

        let said = place.run(&["mode", "read-only"]).done();
        assert!(said.starts_with("read-only for 30days, then normal"), "{said}");
        let json = place.run(&["mode", "read-only", "--for", "1h", "--json"]).done();
        assert_eq!(json, "{\"for_seconds\":3600,\"mode\":\"read-only\"}\n");
    }
}

#[test]
fn a_time_that_makes_no_sense_is_refused() {
    let place = Place::folder();
    for (arguments, expected) in [
        (["mode", "bypass", "--for", "0s"], "write 1 second to 100 years"),
        (["mode", "normal", "--for", "1h"], "normal needs no time"),
    ] {
        let said = place.run(&arguments).stopped(2);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(place.run(&["mode", "off"]).code, 2);
    assert_eq!(place.run(&["mode"]).done(), "normal\n");
}

#[allow(clippy::disallowed_methods, reason = "two seconds are in real time")]
fn instant() -> Instant {
    Instant::now()
}
