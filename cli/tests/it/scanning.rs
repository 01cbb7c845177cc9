//! Scans, and deletions by a pattern.

use fragcache::{Fragment, FragmentCache, fragment_key, fragment_key_at};

use crate::place::{Place, UNCOUNTED, put};

/// The keys that a scan lists.
fn keys(out: &str) -> Vec<String> {
    let key = |line: &str| line.split('\t').nth(5).unwrap().to_owned();
    let mut keys: Vec<String> = out.lines().map(key).collect();
    keys.sort();
    keys
}

fn filled(place: &Place) -> FragmentCache {
    let cache = place.cache();
    for number in [1, 2, 30] {
        put(&cache, &Fragment::new(fragment_key!("row", number, "en")), "row");
    }
    put(&cache, &Fragment::new(fragment_key!("side-bar")), "bar");
    put(&cache, &Fragment::new(fragment_key_at("shop/page.html", 7)), "unnamed");
    put(&cache.namespace("tenant").namespace("7"), &Fragment::new(fragment_key!("row", 1)), "own");
    cache
}

#[test]
fn a_pattern_matches_keys_names_and_templates() {
    for place in Place::each() {
        filled(&place);
        let scan = |arguments: &[&str]| place.run(&[&["scan"], arguments].concat());
        assert_eq!(keys(&scan(&[]).done()).len(), 6);
        for (pattern, expected) in [
            ("row", &["row(1)", "row(1, en)", "row(2, en)", "row(30, en)"][..]),
            ("row([12]*", &["row(1)", "row(1, en)", "row(2, en)"]),
            ("*, en)", &["row(1, en)", "row(2, en)", "row(30, en)"]),
            ("s*", &["shop/page.html:7", "side-bar"]),
            ("shop/*.html:?", &["shop/page.html:7"]),
            ("{side-bar,nothing}", &["side-bar"]),
            ("ROW*", &[]),
        ] {
            let said = scan(&[pattern]);
            assert!(said.err.ends_with(&format!("{} of 6 entries match\n", expected.len())));
            assert_eq!(keys(&said.done()), expected, "{pattern}");
        }
        let within = scan(&["--namespace", "tenant"]).done();
        let fields: Vec<&str> = within.trim_end().split('\t').collect();
        assert_eq!(
            (fields[0], fields[4], fields[5], fields[6]),
            ("servable", "tenant/7", "row(1)", "-")
        );
        assert!(scan(&["--namespace", "7"]).done().is_empty());
        assert!(scan(&["[a"]).stopped(2).contains("the pattern is not valid"));
    }
}

#[test]
fn a_scan_prints_one_line_per_entry() {
    for place in Place::each() {
        let cache = place.cache();
        let evil = Fragment::new(fragment_key!("a\n\x1b[31m\tb\u{202e}", "\0"));
        put(&cache.namespace("n\n"), &evil, "x");
        let out = place.run(&["scan"]).done();
        assert_eq!(out.lines().count(), 1, "{out:?}");
        let odd = |c: char| (c.is_control() && !"\t\n".contains(c)) || c == '\u{202e}';
        assert!(!out.contains(odd), "{out:?}");
        assert_eq!(out.trim_end().split('\t').count(), 8, "{out:?}");
        let json = place.run(&["scan", "--json"]).done();
        assert_eq!(json.lines().count(), 1);
        assert!(json.contains(r#""namespaces":["n\n"]"#), "{json}");
    }
}

#[test]
fn deleting_by_a_pattern_reaches_every_process_and_no_other_fragment() {
    for place in Place::each() {
        let (cache, other) = (filled(&place), place.cache());
        let has = |cache: &FragmentCache, number: u32| {
            cache.contains(&fragment_key!("row", number, "en")).unwrap()
        };
        assert!(has(&other, 1) && has(&other, 30));
        let said = place.run(&["delete", "--matching", "row([12]*", "--dry-run"]).done();
        assert_eq!(said, "would delete 3 of 6 entries\n");
        assert!(has(&cache, 1), "a dry run has deleted");

        let said = place.run(&["delete", "--matching", "row([12]*"]).done();
        assert_eq!(said, "deleted 3 of 6 entries\n");
        for cache in [&cache, &other] {
            assert!(!has(cache, 1) && !has(cache, 2) && has(cache, 30));
        }
        let tenant = other.namespace("tenant").namespace("7");
        assert!(!tenant.contains(&fragment_key!("row", 1)).unwrap());
        let again = place.run(&["delete", "--matching", "row([12]*", "--json"]).done();
        assert_eq!(again, "{\"dry_run\":false,\"matching\":0,\"scanned\":6}\n");

        let deleted = keys(&place.run(&["scan", "*"]).done());
        assert_eq!(deleted.len(), 6, "records stay until their life is over");
        let everything = place.run(&["delete", "--matching", "*"]).stopped(2);
        assert!(everything.contains("write clear"), "{everything}");
        let one_part = ["delete", "--matching", "row*", "--namespace", "tenant"];
        assert_eq!(place.run(&one_part).done(), "deleted 0 of 1 entries\n");
        assert!(has(&cache, 30));
    }
}

#[test]
fn ten_thousand_entries_are_scanned_in_batches_with_progress() {
    for place in Place::each() {
        let cache = place.cache();
        for number in 0..10_000 {
            let row = Fragment::new(fragment_key!("row", number));
            cache.render(&row, || "<td></td>").unwrap();
        }
        let said = place.run(&["scan", "row(?)"]);
        let progress = said.err.lines().filter(|line| line.starts_with("scanned ")).count();
        assert!((5..=10).contains(&progress), "{}", said.err);
        assert!(said.err.ends_with("10 of 10000 entries match\n"), "{}", said.err);
        assert_eq!(keys(&said.done()).len(), 10);

        let said = place.run(&["delete", "--matching", "row(*[02468])"]).done();
        assert_eq!(said, "deleted 5000 of 10000 entries\n");
        let stats = place.run(&["stats"]);
        assert_eq!(
            (stats.value("servable"), stats.value("invalidated")),
            ("5000".into(), "5000".into())
        );
    }
}

/// A value, a function's result and a response beside a fragment of the same name.
fn of_each_kind(place: &Place) -> FragmentCache {
    let cache = place.cache();
    put(&cache, &Fragment::new(fragment_key!("film", 7)), "fragment");
    cache.values().set("film", &7).unwrap();
    let call = fragcache::memoize::Function::new("film").call().arg(&7);
    assert_eq!(cache.memoize(&call, || 7), 7);
    let view = fragcache::engine::view_key("film", "/film/7?page=2");
    assert_eq!(&*cache.render(Fragment::new(view), || "response").unwrap(), "response");
    cache
}

#[test]
fn entries_of_every_kind_are_listed_and_deleted() {
    for place in Place::each() {
        let cache = of_each_kind(&place);
        let kinds = |arguments: &[&str]| {
            let out = place.run(&[&["scan"], arguments].concat()).done();
            let kind = |line: &str| line.split('\t').nth(7).unwrap().to_owned();
            let servable = out.lines().filter(|line| line.starts_with("servable"));
            let mut kinds: Vec<_> = servable.map(kind).collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&[]), ["fragment", "function", "value", "view"]);
        assert_eq!(kinds(&["--kind", "value"]), ["value"]);
        let run = |arguments: &[&str]| place.run(&[&["delete"], arguments].concat());
        for (arguments, said, left) in [
            (&["--kind", "value", "film"][..], "value film", &["fragment", "function", "view"][..]),
            (&["--kind", "view", "film", "/film/7?page=2"], "view film", &["fragment", "function"]),
            (&["--kind", "function", "film"], "invalidated function film", &["fragment"]),
        ] {
            let out = run(arguments).done();
            assert!(out.contains(said), "{out}");
            assert_eq!(kinds(&[]), left);
        }
        assert!(!cache.values().contains("film").unwrap());
        of_each_kind(&place);
        let said = run(&["--name", "film"]).done();
        assert_eq!(said, format!("invalidated name film{UNCOUNTED}"));
        assert_eq!(kinds(&[]), [""; 0]);
        let why = run(&["--kind", "function", "film", "7"]).stopped(2);
        assert!(why.contains("--matching"), "{why}");
    }
}

#[test]
fn a_pattern_matches_shown_and_literal_keys() {
    for place in Place::each() {
        of_each_kind(&place);
        for pattern in ["film(/film/*", "film(\"/film/*", "film(/film/7?page=2)"] {
            let out = place.run(&["scan", pattern]).done();
            assert_eq!(out.lines().count(), 1, "{pattern}: {out}");
        }
        let out = place.run(&["delete", "--matching", "film(/film/*"]).done();
        assert!(out.starts_with("deleted 1 of "), "{out}");
    }
}

#[test]
fn json_holds_nothing_that_a_terminal_obeys() {
    for place in Place::each() {
        let odd = "a\u{7f}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{e0041}é";
        put(&place.cache(), &Fragment::new(fragment_key!(odd)), odd);
        for arguments in [&["scan", "--json"][..], &["get", odd, "--json"]] {
            let out = place.run(arguments).done();
            let obeyed = |c: char| c != '\n' && c.escape_debug().count() > 1 && !c.is_ascii();
            assert!(!out.contains(obeyed) && !out.contains('\u{7f}'), "{out:?}");
            let read: serde_json::Value = serde_json::from_str(&out).unwrap();
            let text = read.get("name").or(read.get("body")).unwrap();
            assert_eq!(text, odd);
        }
    }
}

/// Memcached lists no keys; whatever needs no list works.
#[test]
fn a_store_that_cannot_list_says_so() {
    let server = fragcache_servers::MemcachedServer::start();
    let options = fragcache_memcached::MemcachedOptions::new(server.url());
    let patience = std::time::Duration::from_secs(10);
    let store = options.operation_timeout(patience).connect_timeout(patience).open().unwrap();
    let cache = FragmentCache::builder().far(fragcache::FarLevel::new(store)).build().unwrap();
    let row = Fragment::new(fragment_key!("row", 1)).tags(["product:1"]);
    put(&cache, &row, "row");

    let url = server.url();
    let run =
        |arguments: &[&str]| crate::place::run_with(&[], &[&["--store", &url], arguments].concat());
    for command in [&["scan"][..], &["stats"], &["delete", "--matching", "row*"]] {
        let said = run(command).stopped(1);
        assert!(said.contains("memcached cannot list its keys"), "{command:?}: {said}");
    }
    run(&["get", "row", "1"]).done();
    run(&["invalidate", "product:1"]).done();
    run(&["get", "row", "1"]).stopped(1);
    run(&["check"]).done();
}
