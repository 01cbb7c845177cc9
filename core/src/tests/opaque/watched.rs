//! What observers, annotated pages, name stats and listings show: a name and a digest.

use super::*;
use crate::Policy;
use crate::admin::Admin;
use crate::admin::EntryInfo;
use crate::store::Fault;
use crate::testing::FaultyStore;

/// All entries in this process, for a cache with few entries.
fn held(cache: &FragmentCache) -> Vec<EntryInfo> {
    let mut pages = vec![cache.entries(None)];
    while let Some(next) = pages.last().unwrap().next {
        pages.push(cache.entries(Some(next)));
    }
    pages.into_iter().flat_map(|page| page.entries).collect()
}

#[test]
fn events_and_stats_show_names_and_digests() {
    for levels in LEVELS {
        let rig = levels.opaque(&MemoryStore::new());
        live(&rig.cache);
        let events = rig.recorder.events();
        let told = format!("{events:?} {:?}", rig.cache.stats_by_name());
        assert!(!told.contains(PLANTED_VALUE), "{levels:?}: {told}");
        for known in [NAME, TEMPLATE, TAG, SPACE, FUNCTION] {
            assert!(told.contains(known), "{levels:?}: {known} is no secret");
        }
        let shown = rig.cache.shown_key(row().key());
        assert!(shown.to_string().starts_with("planted-name(#"), "{shown}");
        assert!(events.iter().any(|event| event.key.as_ref() == Some(&shown)), "{levels:?}");
        let value = rig.cache.shown_key(&value_key(&rig.cache)).to_string();
        assert!(
            value.starts_with('#') && events.iter().any(|event| event.name == value),
            "{value}"
        );
    }
}

#[test]
fn without_the_option_events_show_keys() {
    let rig = Levels::Near.rig(MemoryStore::new(), None);
    live(&rig.cache);
    let told = format!("{:?}", rig.recorder.events());
    assert!(told.contains(VARY) && told.contains(VALUE) && told.contains(ARGUMENT));
    assert_eq!(rig.cache.shown_key(row().key()), *row().key());
}

#[test]
fn an_annotated_page_shows_a_digest() {
    let rig =
        rig_with(|builder| builder.opaque_keys(SECRET).policy(Policy::default().annotations(true)));
    rig.cache.annotate(true).unwrap();
    let space = rig.cache.namespace(SPACE);
    let shown = space.shown_key(&fragment_key!(NAME, VARY));
    let args = [Scalar::Int(60), Scalar::Str(NAME), Scalar::Str(VARY)];
    let block = block(SOURCE, TEMPLATE, "");
    let rendered = match block.open(&space, OutputMode::HTML, &args) {
        crate::engine::Opened::Render(ticket) => {
            let closed = ticket.close(crate::engine::Body::from("<p>"));
            closed.instead.unwrap().as_str().to_owned()
        }
        crate::engine::Opened::Hit(_) => panic!("nothing is stored"),
    };
    let hit = block.print(&space, OutputMode::HTML, &args, || panic!("it is stored"));
    for page in [rendered, hit] {
        assert!(page.starts_with(&format!("<!-- fragcache planted-space/{shown}: ")), "{page}");
        assert!(!page.contains(PLANTED_VALUE), "{page}");
    }
}

#[test]
fn entries_are_listed_redacted_with_their_statistics() {
    let rig = Levels::Both.opaque(&MemoryStore::new());
    let space = rig.cache.namespace(SPACE);
    make(&space);
    let stats_by_name = rig.cache.stats_by_name().unwrap();
    let entries = held(&rig.cache);
    assert!(entries.len() >= 5);
    for entry in &entries {
        let shown = format!("{entry:?} {} {}", entry.key, entry.key.to_hex());
        assert!(!shown.contains(PLANTED_VALUE), "{shown}");
        assert!(!String::from_utf8_lossy(entry.key.as_bytes()).contains(PLANTED_VALUE));
        assert_eq!(entry.namespaces, [SPACE]);
        let account =
            |key: &FragmentKey| stats_by_name.names.iter().any(|a| a.key.as_ref() == Some(key));
        assert!(account(&entry.key.bare()), "{} has no account", entry.key);
    }
    let kinds: Vec<_> = keys(&space).iter().map(FragmentKey::kind).collect();
    let all_kinds = kinds.iter().all(|kind| entries.iter().any(|entry| entry.key.kind() == *kind));
    assert!(all_kinds, "{kinds:?}");
}

#[test]
fn an_administrator_sees_digests_reasons_and_namespaces() {
    let store = MemoryStore::new();
    let rig = Levels::Far.opaque(&store);
    let space = rig.cache.namespace(SPACE);
    make(&rig.cache);
    make(&space);
    let all = Admin::new(&rig.cache).unwrap().entries(None).unwrap();
    assert!(all.unreadable.is_empty() && !format!("{all:?}").contains(PLANTED));
    assert!(all.entries.iter().all(|entry| entry.key.is_redacted() && entry.template.is_none()));

    let inside = Admin::new(&space).unwrap();
    let count = |admin: &Admin| admin.entries(None).unwrap().entries.len();
    assert_eq!(count(&inside) * 2, all.entries.len());
    assert_eq!(count(&Admin::new(&rig.cache.namespace("other")).unwrap()), 0);

    // By a known key, with the reason.
    let key = fragment_key!(NAME, VARY);
    let miss = |act: &dyn Fn()| {
        act();
        let variants = inside.variants(&key).unwrap().entries;
        assert!(variants.iter().all(|entry| entry.key == key && entry.namespaces == [SPACE]));
        variants.iter().map(|entry| entry.miss).collect::<Vec<_>>()
    };
    let (deleted, named) =
        (Some(crate::events::MissReason::Deleted), Some(crate::events::MissReason::NameDeleted));
    let found = miss(&|| {});
    assert!(found.len() >= 3 && found.iter().all(Option::is_none), "{found:?}");
    assert!(
        miss(&|| {
            space.delete_name(NAME).eventually();
        })
        .iter()
        .all(|miss| *miss == named)
    );
    make(&space);
    assert!(
        miss(&|| {
            space.delete(&key).eventually();
        })
        .iter()
        .all(|miss| *miss == deleted)
    );
    assert!(inside.variants(&fragment_key!(NAME, "another")).unwrap().entries.is_empty());
}

#[test]
fn errors_and_faults_hold_no_key() {
    let store = FaultyStore::new(MemoryStore::new());
    let rig = Levels::Both.rig(store.clone(), Some(SECRET));
    make(&rig.cache);
    store.fail(Fault::Refused);
    let missing = fragment_key!(NAME, "plantedvalue-missing");
    let error = rig.cache.get(&missing).unwrap_err();
    let redacted = Fragment::new(rig.cache.shown_key(row().key()));
    let refused = rig.cache.render(&redacted, || "x").unwrap_err();
    rig.cache.render(Fragment::new(missing), || "x").unwrap();
    let told = format!("{error} {error:?} {refused} {refused:?} {:?}", rig.cache.health());
    assert!(rig.cache.health().last_fault.is_some() && !told.contains(PLANTED_VALUE), "{told}");
}
