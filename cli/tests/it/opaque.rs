//! Caches with opaque keys: the listings, and the deletions that work without patterns.

use fragcache::{FarLevel, Fragment, FragmentCache, fragment_key};

use crate::place::{Place, Said, run_with};

const SECRET: &str = "correct horse battery";

/// Part of all words that must not appear in a listing.
const PLANTED: &str = "planted";

fn row() -> Fragment {
    Fragment::new(fragment_key!("planted-name", "planted-vary")).tags(["planted-tag"])
}

fn opaque(level: FarLevel) -> FragmentCache {
    FragmentCache::builder().far(level).opaque_keys(SECRET).build().unwrap()
}

/// Runs the tool on a store, with or without this secret.
fn run(place: &Place, secret: Option<&str>, arguments: &[&str]) -> Said {
    let variables: Vec<_> =
        secret.map(|secret| ("FRAGCACHE_OPAQUE_KEYS", secret)).into_iter().collect();
    run_with(&variables, &[&["--store", &place.address], arguments].concat())
}

#[test]
fn entries_are_listed_by_their_digests() {
    for place in Place::each() {
        let cache = opaque(place.level());
        let space = cache.namespace("planted-space");
        for cache in [&cache, &space] {
            cache.render(row(), || "<td>").unwrap();
        }
        let listed = run(&place, Some(SECRET), &["scan"]).done();
        assert!(!listed.contains(PLANTED), "{listed}");
        let digest = |cache: &FragmentCache| {
            let shown = cache.shown_key(row().key()).to_string();
            shown.split_once(['(', ')']).unwrap().1.trim_end_matches(')').to_owned()
        };
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines.len(), 2, "{listed}");
        for cache in [&cache, &space] {
            let of = format!("\t{}\t-\tfragment", digest(cache));
            assert!(lines.iter().any(|line| line.starts_with("servable\t") && line.ends_with(&of)));
        }
        let json = run(&place, Some(SECRET), &["--json", "scan"]).done();
        assert!(json.contains("\"name\":null") && json.contains("\"template\":null"), "{json}");
        assert!(!json.contains(PLANTED), "{json}");
        let inside = ["scan", "--namespace", "planted-space"];
        let inside = run(&place, Some(SECRET), &inside).done();
        assert!(inside.lines().count() == 1 && inside.contains(&digest(&space)), "{inside}");
        let stats = run(&place, Some(SECRET), &["stats"]);
        assert_eq!((stats.value("servable"), stats.value("unreadable")), ("2".into(), "0".into()));

        let one = run(&place, Some(SECRET), &["delete", "--matching", &digest(&space)]).done();
        assert_eq!(one, "deleted 1 of 2 entries\n");
        assert!(!space.contains(row().key()).unwrap() && cache.contains(row().key()).unwrap());
    }
}

#[test]
fn a_known_key_is_found_and_deleted() {
    let place = Place::folder();
    let cache = opaque(place.level());
    let ways: [&[&str]; 4] = [
        &["delete", "planted-name", "planted-vary"],
        &["delete", "--name", "planted-name"],
        &["invalidate", "planted-tag"],
        &["clear", "--yes"],
    ];
    for way in ways {
        cache.render(row(), || "<td>").unwrap();
        let get = ["get", "planted-name", "planted-vary"];
        assert_eq!(run(&place, Some(SECRET), &get).done(), "<td>");
        run(&place, Some(SECRET), way).done();
        assert!(!cache.contains(row().key()).unwrap(), "{way:?}");
        let why = run(&place, Some(SECRET), &get).stopped(1);
        assert!(why.contains("is stored but not served: "), "{why}");
    }
}

#[test]
fn a_pattern_of_names_is_refused_with_advice() {
    let place = Place::folder();
    let cache = opaque(place.level());
    cache.render(row(), || "<td>").unwrap();
    for arguments in [
        &["scan", "planted*"][..],
        &["delete", "--matching", "planted*"],
        &["delete", "--matching", "*a"],
    ] {
        let said = run(&place, Some(SECRET), arguments).stopped(2);
        assert!(said.contains("opaque") && said.contains("invalidate TAG"), "{said}");
    }
    assert!(cache.contains(row().key()).unwrap());
}

#[test]
fn another_secret_or_none_lists_nothing_and_deletes_nothing() {
    let place = Place::folder();
    let cache = opaque(place.level());
    cache.render(row(), || "<td>").unwrap();
    for secret in [None, Some("another secret of some length")] {
        let listed = run(&place, secret, &["scan"]).done();
        assert!(listed.starts_with("unreadable:opaque\t") && !listed.contains(PLANTED), "{listed}");
        let change = ["delete", "planted-name", "planted-vary"];
        let said = run(&place, secret, &change).stopped(1);
        assert!(said.contains("and the opaque_keys"), "{said}");
        assert!(cache.contains(row().key()).unwrap());
    }
    let short = run(&place, Some("hunter2"), &["stats"]).stopped(1);
    assert!(short.contains("16 bytes") && !short.contains("hunter2"), "{short}");
}
