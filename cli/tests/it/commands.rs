//! Each command, on each store.

use std::time::Duration;

use fragcache::{Fragment, FragmentCache, fragment_key, fragment_key_at};

use crate::place::{Place, UNCOUNTED, put};

fn row(number: u32) -> Fragment {
    Fragment::new(fragment_key!("row", number)).tags(["rows", "prices"])
}

fn has(cache: &FragmentCache, fragment: &Fragment) -> bool {
    cache.contains(fragment.key()).unwrap()
}

#[test]
fn get_shows_the_markup_exactly() {
    for place in Place::each() {
        let cache = place.cache();
        put(&cache, &row(1), "<td>\n1 €</td>");
        assert_eq!(place.run(&["get", "row", "1"]).done(), "<td>\n1 €</td>");
        let json = place.run(&["get", "row", "1", "--json"]).done();
        assert_eq!(json, "{\"body\":\"<td>\\n1 €</td>\",\"key\":\"row(1)\"}\n");

        let none = Fragment::new(fragment_key!("row", -7, None::<u8>, ["a", "b"], true));
        put(&cache, &none, "parts");
        let parts = r#"[-7, null, ["a", "b"], true]"#;
        assert_eq!(place.run(&["get", "row", "--parts", parts]).done(), "parts");
        put(&cache, &Fragment::new(fragment_key!("row", -7)), "negative");
        assert_eq!(place.run(&["get", "row", "-7"]).done(), "negative");

        put(&cache, &Fragment::new(fragment_key_at("page.html", 7).nth(2)), "unnamed");
        let unnamed = ["get", "--template", "page.html", "--line", "7", "--nth", "2"];
        assert_eq!(place.run(&unnamed).done(), "unnamed");

        put(&cache.namespace("shop").namespace("a/b"), &row(1), "within");
        let within = place.run(&["get", "row", "1", "--namespace", r"shop/a\/b"]);
        assert_eq!(within.done(), "within");
    }
}

#[test]
fn get_says_why_there_is_none() {
    for place in Place::each() {
        let cache = place.cache();
        let said = place.run(&["get", "row", "1"]).stopped(1);
        assert_eq!(
            said,
            "error: row(1) is not stored; for anything but a fragment write --kind value, function \
             or view\n"
        );

        put(&cache, &row(1), "one");
        cache.invalidate_tags(["prices"]).unwrap().eventually();
        let said = place.run(&["get", "row", "1"]).stopped(1);
        assert!(
            said.starts_with("error: row(1) is stored but not served: tag_invalidated, "),
            "{said}"
        );
        let said = place.run(&["get", "row", "1", "--json"]);
        assert_eq!(said.code, 1);
        assert_eq!(said.out, "{\"body\":null,\"key\":\"row(1)\",\"miss\":\"tag_invalidated\"}\n");

        let said = place.run(&["get", "--template", "page.html"]).stopped(2);
        assert!(said.contains("--line LINE"), "{said}");
    }
}

#[test]
fn delete_takes_a_key_a_name_or_a_template() {
    for place in Place::each() {
        let (cache, other) = (place.cache(), place.cache());
        let unnamed = Fragment::new(fragment_key_at("page.html", 7));
        let [one, two] = [row(1), row(2)];
        put(&cache, &one, "one");
        put(&cache, &two, "two");
        put(&cache, &unnamed, "unnamed");

        assert_eq!(place.run(&["delete", "row", "1"]).done(), "removed row(1)\n");
        assert_eq!(place.run(&["delete", "row", "1"]).done(), "absent row(1)\n");
        assert!(!has(&cache, &one) && has(&cache, &two) && has(&other, &unnamed));

        assert_eq!(
            place.run(&["delete", "--name", "row"]).done(),
            format!("invalidated name row{UNCOUNTED}")
        );
        assert!(!has(&cache, &two) && !has(&other, &two));

        let by_line = ["delete", "--template", "page.html", "--line", "7"];
        assert_eq!(place.run(&by_line).done(), "removed page.html:7\n");
        assert!(!has(&cache, &unnamed));

        let json = place.run(&["delete", "--template", "page.html", "--json"]).done();
        assert_eq!(json, "{\"done\":\"invalidated\",\"what\":\"template page.html\"}\n");
    }
}

#[test]
fn invalidate_and_clear_reach_every_process() {
    for place in Place::each() {
        let (cache, other) = (place.cache(), place.cache());
        put(&cache, &row(1), "one");
        assert!(has(&other, &row(1)));
        let said = place.run(&["invalidate", "posts", "prices"]).done();
        assert_eq!(said, format!("invalidated tags posts prices{UNCOUNTED}"));
        assert!(!has(&cache, &row(1)) && !has(&other, &row(1)));

        let tenant = cache.namespace("tenant:7");
        put(&cache, &row(1), "one");
        put(&tenant, &row(1), "theirs");
        let said = place.run(&["clear", "--namespace", "tenant:7"]).done();
        assert_eq!(said, format!("invalidated namespace tenant:7{UNCOUNTED}"));
        assert!(has(&cache, &row(1)) && !has(&tenant, &row(1)));

        put(&tenant, &row(1), "theirs");
        let said = place.run(&["clear"]).stopped(2);
        assert!(said.contains("--yes"), "{said}");
        assert!(has(&cache, &row(1)), "a refusal has changed something");
        let said = place.run(&["clear", "--yes"]).done();
        assert_eq!(said, format!("invalidated everything{UNCOUNTED}"));
        assert!(!has(&cache, &row(1)) && !has(&tenant, &row(1)));
    }
}

#[test]
fn stats_count_the_entries() {
    for place in Place::each() {
        let cache = place.cache();
        for number in 0..12 {
            put(&cache, &row(number), "markup");
        }
        put(&cache.namespace("tenant"), &row(1), "markup");
        cache.delete(row(3).key()).eventually();
        let foreign = format!("fragcache:e:x:{{{:032x}}}:{:016x}", 1, 2);
        place.store.set(&foreign, b"not an entry", Duration::from_secs(60)).unwrap();

        let said = place.run(&["stats"]);
        let values = ["store", "mode", "entries", "servable", "invalidated", "unreadable"];
        let store = place.store.capabilities().name;
        let expected = [store, "normal", "13", "12", "1", "1"];
        assert_eq!(values.map(|name| said.value(name)), expected.map(str::to_owned), "{said:?}");
        assert_eq!(said.value("markup_bytes"), (13 * "markup".len()).to_string());
        let bytes: u64 = said.value("bytes").parse().unwrap();
        assert!(bytes > 13 * 100, "{said:?}");
        // Versions of the keys and, at least, of their name, the tags and everything.
        let versions: u64 = said.value("versions").parse().unwrap();
        assert!(versions > 13, "{said:?}");
        assert_eq!(said.value("variant_lists"), "13");
        assert_eq!(said.value("leases"), "0");
        assert_eq!(said.code, 0);

        let within = place.run(&["stats", "--namespace", "tenant"]);
        assert_eq!(within.value("entries"), "1");
        let json = place.run(&["stats", "--json"]).done();
        assert!(json.contains("\"entries\":13,"), "{json}");
    }
}

#[test]
fn check_reports_the_capabilities_of_the_store() {
    for place in Place::each() {
        let said = place.run(&["check"]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(said.value("store"), place.store.capabilities().name);
        for name in ["reads", "writes"] {
            assert_eq!(said.value(name), "yes");
        }
        for name in ["scans", "touches", "is_shared"] {
            assert_eq!(said.value(name), "true", "{name}");
        }
        let (median, longest) = (said.value("median_read_us"), said.value("longest_read_us"));
        let micros = |text: &str| text.parse::<u64>().unwrap();
        assert!(0 < micros(&median) && micros(&median) <= micros(&longest), "{said:?}");
        let left = place.store.scan("fragcache:p:", None).unwrap();
        assert!(left.keys.is_empty(), "the probe is still there");
    }
}

#[test]
fn sweep_removes_expired_records_from_a_folder() {
    let place = Place::folder();
    place.store.set("fragcache:e:short", b"x", Duration::from_millis(1)).unwrap();
    place.store.set("fragcache:e:long", b"x", Duration::from_secs(60)).unwrap();
    let over = || place.store.get_many(&["fragcache:e:short"]).unwrap()[0].is_none();
    fragcache_servers::eventually("the record is over", over);
    assert_eq!(place.run(&["sweep"]).done(), "removed 1 expired records\n");
    assert_eq!(place.run(&["sweep", "--json"]).done(), "{\"removed\":0,\"store\":\"file\"}\n");

    let said = Place::redis().run(&["sweep"]).done();
    assert!(
        said.starts_with("there is nothing to sweep: redis removes expired records by itself"),
        "{said}"
    );
}
