//! Entries other than fragments: `get` and `delete` select them with the same arguments.

use fragcache::engine::view_key;
use fragcache::memoize::Function;
use fragcache::{Fragment, FragmentCache, fragment_key};

use crate::place::{Place, Said, UNCOUNTED, put};

/// Stores one entry of each kind, and others with similar names.
fn fill(cache: &FragmentCache) {
    cache.values().set("stock", &3).unwrap();
    cache.values().set(["price", "7"], &9).unwrap();
    let call = Function::new("shop::price").call().arg(&7);
    assert_eq!(cache.memoize(&call, || 7), 7);
    for view in [
        view_key("film", "/film/7").vary_on("//shop.example").vary_on(None::<&str>),
        view_key("film", "/film/7").vary_on("//blog.example").vary_on("page=2"),
        view_key("film", "/film/70").vary_on("//shop.example"),
        view_key("film", "/film/7)").vary_on("//shop.example"),
        view_key("films", "/film/7"),
    ] {
        cache.render(Fragment::new(view), || "response").unwrap();
    }
    put(cache, &Fragment::new(fragment_key!("sidebar")), "markup");
}

/// The keys of the lines about entries in a state.
fn keys(out: &str, state: &str) -> Vec<String> {
    let lines = out.lines().filter(|line| line.starts_with(state));
    let mut keys: Vec<_> = lines.map(|line| line.split('\t').nth(5).unwrap().to_owned()).collect();
    keys.sort();
    keys
}

/// The arguments of one kind, the entries that they select, and the report of a deletion with them.
type Words = (&'static [&'static str], &'static [&'static str], String);

/// The responses of the view `film`. Those in the middle are for `/film/7`.
const FILMS: &[&str] = &[
    r#"film("/film/7)", //shop.example)"#,
    r#"film(/film/7, //blog.example, "page=2")"#,
    "film(/film/7, //shop.example, none)",
    "film(/film/70, //shop.example)",
];

fn words() -> [Words; 5] {
    let invalidated = |what: &str| format!("invalidated {what}{UNCOUNTED}");
    [
        (&["--kind", "value", "stock"], &["stock"], "removed value stock\n".to_owned()),
        (&["--kind", "value", "price", "7"], &["[price, 7]"], String::new()),
        (
            &["--kind", "function", "shop::price"],
            &["shop::price(7)"],
            invalidated("function shop::price"),
        ),
        (&["--kind", "view", "film", "/film/7"], &FILMS[1..3], invalidated("view film /film/7")),
        (&["--kind", "view", "film"], FILMS, invalidated("view film")),
    ]
}

#[test]
fn keys_from_a_scan_can_be_read_and_deleted() {
    for place in Place::each() {
        let cache = place.cache();
        fill(&cache);
        // Entries of another namespace are not selected.
        fill(&cache.namespace("tenant"));
        for (words, reached, told) in words() {
            let run = |command: &str| place.run(&[&[command], words].concat());
            let got = run("get").done();
            assert_eq!(keys(&got, "servable"), reached, "{words:?}: {got}");
            let scanned = place.run(&["scan"]).done();
            assert!(got.lines().all(|line| scanned.lines().any(|other| alike(line, other))));
            let json: serde_json::Value = serde_json::from_str(
                place.run(&[&["get", "--json"], words].concat()).done().lines().next().unwrap(),
            )
            .unwrap();
            assert_eq!(json["state"], "servable");

            let said = run("delete");
            assert_eq!(said.err, "", "{words:?}");
            let said = said.done();
            assert!(
                said == told || told.is_empty() && said.starts_with("removed value "),
                "{said}"
            );
            let after = run("get");
            assert_eq!(after.code, 1, "{after:?}");
            assert!(after.err.ends_with(" is stored but not served\n"), "{after:?}");
            assert_eq!(keys(&after.out, "servable"), [""; 0], "{words:?}");
            let left = keys(&place.run(&["scan", "--namespace", "tenant"]).done(), "servable");
            assert_eq!(left.len(), 9, "{words:?}: {left:?}");
            fill(&cache);
        }
    }
}

/// Whether two lines describe the same entry: they may differ in times.
fn alike(one: &str, other: &str) -> bool {
    let fields = |line: &str| {
        line.split('\t')
            .enumerate()
            .filter(|(at, _)| !matches!(at, 1 | 2))
            .map(|(_, field)| field)
            .collect::<Vec<_>>()
            .join("\t")
    };
    fields(one) == fields(other)
}

#[test]
fn an_unreached_store_is_never_reported_as_done() {
    for place in Place::each() {
        let cache = place.cache();
        fill(&cache);
        let run = |arguments: &[&str]| place.run(arguments);
        let note = |said: Said| {
            assert_eq!(said.code, 0, "{said:?}");
            (said.out, said.err)
        };
        let (out, err) = note(run(&["delete", "stock"]));
        assert_eq!(out, "absent stock\n");
        assert_eq!(err, "note: there is a value with this key: write --kind value\n");
        let (out, err) = note(run(&["delete", "nosuch"]));
        assert_eq!(out, "absent nosuch\n");
        assert_eq!(err, "note: for anything but a fragment write --kind value, function or view\n");
        let (out, err) = note(run(&["delete", "--kind", "value", "sidebar"]));
        assert_eq!(out, "absent value sidebar\n");
        assert_eq!(err, "note: there is a fragment with this key: leave out --kind\n");
        let (out, err) = note(run(&["delete", "--kind", "value", "nosuch"]));
        assert_eq!((&*out, &*err), ("absent value nosuch\n", ""));

        let (out, err) = note(run(&["delete", "--name", "nosuch"]));
        assert_eq!((out, &*err), (format!("invalidated name nosuch{UNCOUNTED}"), ""));
        let (out, err) = note(run(&["delete", "--kind", "view", "film", "film/7"]));
        assert_eq!(out, format!("invalidated view film film/7{UNCOUNTED}"));
        assert!(err.starts_with("note: a path begins with a slash"), "{err}");
        assert_eq!(keys(&run(&["get", "--kind", "view", "film"]).done(), "servable").len(), 4);

        let said = run(&["get", "stock"]).stopped(1);
        assert_eq!(
            said,
            "error: stock is not stored; there is a value with this key: write --kind value\n"
        );
        let said = run(&["get", "--kind", "value", "sidebar"]).stopped(1);
        assert_eq!(
            said,
            "error: value sidebar is not stored; there is a fragment with this key: leave out \
             --kind\n"
        );
        let said = run(&["get", "film", "/film/7"]).stopped(1);
        assert!(said.contains("write --kind value, function or view"), "{said}");
        let said = run(&["get", "--kind", "view", "film", "film/7"]).stopped(1);
        assert_eq!(said, "error: view film film/7 is not stored\n");
        for command in ["get", "delete"] {
            let why = run(&[command, "--kind", "function", "shop::price", "7"]).stopped(2);
            assert!(why.contains("scan PATTERN"), "{why}");
            let why = run(&[command, "--kind", "view", "film", "/film/7", "x"]).stopped(2);
            assert!(why.contains("scan PATTERN"), "{why}");
            let why = run(&[command, "--kind", "value", "stock", "--parts", "[1]"]).stopped(2);
            assert!(why.contains("--parts is for fragments"), "{why}");
        }
    }
}

#[test]
fn opaque_keys_hide_which_responses_and_results_there_are() {
    const SECRET: &str = "correct horse battery";
    let place = Place::folder();
    let cache = FragmentCache::builder().far(place.level()).opaque_keys(SECRET).build().unwrap();
    fill(&cache);
    let run = |words: &[&str]| {
        let variables = [("FRAGCACHE_OPAQUE_KEYS", SECRET)];
        crate::place::run_with(&variables, &[&["--store", &place.address], words].concat())
    };
    let got = run(&["get", "--kind", "value", "stock"]).done();
    assert_eq!(keys(&got, "servable"), ["stock"]);
    for words in
        [&["get", "--kind", "view", "film", "/film/7"], &["get", "--kind", "function", "f"][..]]
    {
        let why = run(words).stopped(2);
        assert!(why.contains("opaque") && why.contains("scan --kind"), "{why}");
    }
    run(&["delete", "--kind", "view", "film", "/film/7"]).done();
    let left = run(&["scan", "--kind", "view"]).done();
    assert_eq!(left.lines().filter(|line| line.starts_with("servable")).count(), 3, "{left}");
}
