//! Name stats: what is counted under which name, the bound, and the entries.

use std::time::Duration;

use super::{Rig, block, rig_with};
use crate::admin::EntryInfo;
use crate::engine::OutputMode;
use crate::events::{BypassReason, MissReason, RefusalReason};
use crate::stats::NameStats;
use crate::{Fragment, FragmentCache, FragmentKey, current, fragment_key, fragment_key_at};

fn stats_rig() -> Rig {
    rig_with(|builder| builder.stats_by_name(100))
}

fn account(cache: &FragmentCache, key: &FragmentKey) -> NameStats {
    let found = cache.stats_by_name().unwrap().names;
    found.into_iter().find(|account| account.key.as_ref() == Some(key)).unwrap()
}

fn all_held(cache: &FragmentCache) -> Vec<EntryInfo> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = cache.entries(cursor);
        found.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

#[test]
fn a_name_sums_the_events_of_its_keys() {
    let rig = stats_rig();
    let render = |user: u32| {
        let clock = rig.clock.clone();
        let body = || {
            clock.advance(Duration::from_millis(30));
            "<nav>"
        };
        rig.cache.render(Fragment::new(fragment_key!("sidebar", user)), body).unwrap();
    };
    for user in [1, 2, 2, 2] {
        render(user);
    }
    rig.clock.advance(Duration::from_secs(61));
    render(2);
    rig.cache.namespace("tenant").render(Fragment::new(fragment_key!("sidebar")), || "").unwrap();
    rig.cache.delete(&fragment_key!("sidebar", 1)).eventually();
    render(1);
    let unless = Fragment::new(fragment_key!("sidebar", 2)).unless(true);
    rig.cache.render(&unless, || "").unwrap();

    let sidebar = account(&rig.cache, &fragment_key!("sidebar"));
    assert_eq!((sidebar.hits, sidebar.lookups(), sidebar.stores), (3, 7, 4));
    assert_eq!(sidebar.misses.of(MissReason::Cold), 3);
    assert_eq!(sidebar.misses.of(MissReason::Deleted), 1);
    assert_eq!(sidebar.bypasses, [(BypassReason::Unless, 1)]);
    assert_eq!((sidebar.deletions, sidebar.stored_bytes), (1, 15));
    assert_eq!((sidebar.renders, sidebar.render_time), (5, Duration::from_millis(90)));
    assert_eq!(sidebar.longest_render, Duration::from_millis(30));
    assert_eq!(sidebar.last_render, Duration::ZERO);
    assert_eq!(sidebar.mean_render(), Duration::from_millis(18));
    assert_eq!(sidebar.saved(), Duration::from_millis(54));
    assert!(sidebar.costs_more_than_it_saves());
    assert_eq!(sidebar.idle, Some(Duration::from_millis(30)));
    let (before, now) = (sidebar.minutes[58], sidebar.minutes[59]);
    assert_eq!((before.served, before.missed, now.served, now.missed), (2, 2, 1, 2));
    assert_eq!(rig.cache.stats_by_name().unwrap().covers, Duration::from_millis(61_090));
    assert_eq!(rig.cache.stats_by_name().unwrap().others.lookups(), 0);
}

#[test]
fn a_block_without_a_name_has_its_place() {
    let rig = stats_rig();
    for template in ["page.html", "page.html", "other.html"] {
        let block = block("a", template, "");
        block.print(&rig.cache, OutputMode::HTML, &[], || "<p>".to_owned());
    }
    let page = account(&rig.cache, &fragment_key_at("page.html", 1));
    assert_eq!((page.hits, page.stores), (1, 1));
    assert_eq!((page.template.as_deref(), page.line), (Some("page.html"), 1));
    assert_eq!(rig.cache.stats_by_name().unwrap().names.len(), 2);
}

#[test]
fn names_are_bounded_and_the_rest_is_added_up() {
    let rig = rig_with(|builder| builder.stats_by_name(10));
    for number in 0..50 {
        let key = FragmentKey::new(format!("name {number}"));
        rig.cache.render(Fragment::new(key).tags(["tag"]), || "").unwrap();
    }
    let long = Fragment::new(FragmentKey::new("x".repeat(300)));
    rig.cache.render(&long, || "").unwrap();
    let stats_by_name = rig.cache.stats_by_name().unwrap();
    assert_eq!((stats_by_name.names.len(), stats_by_name.others.stores), (10, 41));
    assert!(stats_by_name.others.tags.is_empty() && stats_by_name.others.key.is_none());
    let mut all = stats_by_name.others.clone();
    stats_by_name.names.iter().for_each(|account| all.add(account));
    assert_eq!(
        (all.stores, all.misses, all.minutes[59].missed),
        (51, rig.cache.stats().misses, 51)
    );
}

#[test]
fn i6_a_long_name_has_no_account_of_its_own() {
    let rig = stats_rig();
    let long = Fragment::new(FragmentKey::new("x".repeat(100_000)));
    rig.cache.render(&long, || "").unwrap();
    let stats_by_name = rig.cache.stats_by_name().unwrap();
    assert!(stats_by_name.names.is_empty());
    assert_eq!(stats_by_name.others.refusals, [(RefusalReason::KeyTooLong, 1)]);
}

#[test]
fn tags_are_remembered_the_last_ones_first_and_bounded() {
    let rig = stats_rig();
    let row = Fragment::new(fragment_key!("row")).tags(["first"]).refresh(true);
    let body = || {
        current::add_tags((0..20).map(|number| format!("tag {number}"))).unwrap();
        current::add_tags(["é".repeat(100)]).unwrap();
        ""
    };
    rig.cache.render(&row, body).unwrap();
    let tags = account(&rig.cache, row.key()).tags;
    assert_eq!((tags.len(), &*tags[0], &*tags[1]), (16, &*"é".repeat(100), "tag 19"));
    rig.cache.render(&row, || "").unwrap();
    assert_eq!(account(&rig.cache, row.key()).tags[0], "first");
}

#[test]
fn fragments_inside_one_another_are_counted_each() {
    let rig = stats_rig();
    let (outer, inner) =
        (Fragment::new(fragment_key!("outer")), Fragment::new(fragment_key!("inner")));
    let page = || {
        rig.cache.render(&outer, || rig.cache.render(&inner, || "in").unwrap()).unwrap();
    };
    page();
    rig.cache.delete(outer.key()).eventually();
    page();
    let inner = account(&rig.cache, inner.key());
    assert_eq!((inner.hits, inner.misses.total()), (1, 1));
    assert_eq!(account(&rig.cache, outer.key()).misses.total(), 2);
}

#[test]
fn without_statistics_by_name_there_are_none() {
    assert_eq!(rig_with(|builder| builder).cache.stats_by_name(), None);
}

#[test]
fn entries_are_listed_with_age_and_removal_cause() {
    let rig = rig_with(|builder| builder.default_timeout(Some(Duration::from_secs(60))));
    let tenant = rig.cache.namespace("tenant");
    let row = |number: u32| Fragment::new(fragment_key!("row", number)).tags(["rows"]);
    tenant.render(row(1), || "<td>").unwrap();
    rig.clock.advance(Duration::from_secs(10));
    rig.cache.render(row(2), || "<td>2").unwrap();

    assert_eq!(all_held(&rig.cache).len(), 2);
    let held = all_held(&tenant);
    assert_eq!(held.len(), 1);
    let held = &held[0];
    assert_eq!((held.key.clone(), held.namespaces.len()), (fragment_key!("row", 1), 0));
    assert_eq!((held.age, held.left), (Duration::from_secs(10), Some(Duration::from_secs(50))));
    assert_eq!((held.body_bytes, held.variants, held.miss), (4, 1, None));
    let sum: usize = all_held(&rig.cache).iter().map(|held| held.bytes).sum();
    assert!(sum as u64 >= rig.cache.stats().bytes, "{sum}");

    tenant.invalidate_tags(["rows"]).unwrap().eventually();
    assert_eq!(all_held(&tenant)[0].miss, Some(MissReason::TagInvalidated));
    rig.clock.advance(Duration::from_secs(51));
    assert_eq!(all_held(&rig.cache).iter().filter(|held| held.miss.is_some()).count(), 1);
}

#[test]
fn a_listing_goes_through_all_shards_and_pages() {
    let rig = rig_with(|builder| builder.max_bytes(64 << 20));
    for number in 0..20_000 {
        rig.cache.render(Fragment::new(fragment_key!("row", number)), || "").unwrap();
    }
    let mut keys: Vec<_> = all_held(&rig.cache).into_iter().map(|held| held.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 20_000);
}

#[test]
fn a_name_is_deleted_by_any_of_its_keys() {
    let rig = rig_with(|builder| builder);
    for number in 0..3 {
        rig.cache.render(Fragment::new(fragment_key!("row", number)), || "").unwrap();
    }
    rig.cache.delete_name_of(&fragment_key!("row")).eventually();
    assert!((0..3).all(|number| !rig.cache.contains(&fragment_key!("row", number)).unwrap()));
}

#[test]
fn deleting_an_unknown_name_adds_no_statistics() {
    let rig = stats_rig();
    rig.cache.delete(&fragment_key!("row", 1)).eventually();
    rig.cache.delete_name("row").eventually();
    assert!(rig.cache.stats_by_name().unwrap().names.is_empty());
    assert_eq!(rig.cache.stats_by_name().unwrap().others.deletions, 2);
}

#[cfg(feature = "values")]
mod kinds {
    use super::{account, all_held, stats_rig};
    use crate::key::KeyKind;
    use crate::memoize::Function;
    use crate::{Fragment, fragment_key};

    const BALANCE: Function = Function::new("tests::stats_by_name::balance");

    #[test]
    fn values_functions_and_methods_have_statistics_and_entries() {
        let rig = stats_rig();
        let (cache, tenant) = (&rig.cache, rig.cache.namespace("tenant"));
        cache.render(Fragment::new(fragment_key!("n")), || "<b>").unwrap();
        tenant.values().set("n", "text & more").unwrap();
        cache.values().set("number", &300).unwrap();
        for _ in 0..3 {
            cache.memoize(&BALANCE.of(&7).call().arg(&["eur"]), || "ten".to_owned());
            cache.memoize(&BALANCE.call().arg(&7), || 10);
        }
        assert_eq!(tenant.values().get::<String>("n").as_deref(), Some("text & more"));

        let mut held: Vec<_> = all_held(cache)
            .iter()
            .map(|held| {
                let text = held.text().map(str::to_owned);
                (held.key.kind(), held.key.to_string(), held.namespaces.join(""), text)
            })
            .collect();
        held.sort();
        let of = |kind, key: &str, place: &str, text: Option<&str>| {
            (kind, key.to_owned(), place.to_owned(), text.map(str::to_owned))
        };
        assert_eq!(
            held,
            [
                of(KeyKind::Fragment, "n", "", Some("<b>")),
                of(KeyKind::Value, "n", "tenant", Some("text & more")),
                of(KeyKind::Value, "number", "", None),
                of(KeyKind::Function, "tests::stats_by_name::balance(7)", "", None),
                of(KeyKind::Function, "tests::stats_by_name::balance(7, [eur])", "", Some("ten")),
            ]
        );
        let number = all_held(cache).into_iter().find(|held| held.key.to_string() == "number");
        assert_eq!(number.unwrap().body_bytes, 3, "as MessagePack");

        let method = BALANCE.of(&7).call().key().unwrap().bare();
        let function = BALANCE.call().key().unwrap().bare();
        for key in [method, function] {
            let account = account(cache, &key);
            assert_eq!((account.hits, account.misses.total(), account.renders), (2, 1, 1));
        }
        let value = account(cache, &cache.values().key("n"));
        assert_eq!((value.hits, value.lookups(), value.stores), (1, 1, 1), "setting is no lookup");
    }

    #[test]
    fn the_name_of_a_function_is_deleted_with_its_methods_and_nothing_else() {
        for by_method in [false, true] {
            let rig = stats_rig();
            let cache = &rig.cache;
            let method = BALANCE.of(&7).call().arg(&1);
            let function = BALANCE.call().arg(&7);
            cache.memoize(&method, || 1);
            cache.memoize(&function, || 1);
            cache.values().set(BALANCE.name(), &1).unwrap();
            cache.render(Fragment::new(fragment_key!(BALANCE.name())), || "").unwrap();
            let key = if by_method { &method } else { &function }.key().unwrap();
            cache.delete_name_of(&key).eventually();
            assert!(!cache.contains(&method.key().unwrap()).unwrap());
            assert!(!cache.contains(&function.key().unwrap()).unwrap());
            assert!(cache.values().contains(BALANCE.name()).unwrap());
            assert!(cache.contains(&fragment_key!(BALANCE.name())).unwrap());
            cache.delete_name_of(&cache.values().key(BALANCE.name())).eventually();
            assert!(!cache.values().contains(BALANCE.name()).unwrap());
            assert!(cache.contains(&fragment_key!(BALANCE.name())).unwrap());
        }
    }
}
