//! Sharing, deleting and invalidating with opaque keys: the same as without, and also by a redacted
//! key.

use super::*;
use crate::admin::Admin;
use crate::{ErrorKind, Invalidation};

type Way = fn(&FragmentCache);

/// Every way to delete a fragment, by what its author knows of it.
const WAYS: [Way; 6] = [
    |cache| {
        cache.delete(&fragment_key!(NAME, VARY)).eventually();
    },
    |cache| {
        cache.delete_name(NAME).eventually();
    },
    |cache| {
        cache.delete_name_of(&cache.shown_key(&fragment_key!(NAME, VARY))).eventually();
    },
    |cache| {
        cache.delete_template(TEMPLATE).eventually();
    },
    |cache| {
        cache.invalidate_tags([TAG]).unwrap().eventually();
    },
    |cache| {
        cache.clear().eventually();
    },
];

/// What two processes print for one block, with a word that identifies the renderer.
fn say(cache: &FragmentCache, word: &str) -> String {
    let args = [Scalar::Int(60), Scalar::Str(NAME), Scalar::Str(VARY)];
    block(SOURCE, TEMPLATE, "").print(cache, OutputMode::HTML, &args, || {
        crate::current::add_tags([TAG]).unwrap();
        word.to_owned()
    })
}

#[test]
fn i1_a_deletion_reaches_all_that_share_a_secret() {
    for levels in LEVELS {
        let store = MemoryStore::new();
        let (one, other) = (levels.opaque(&store), levels.opaque(&store));
        for way in WAYS {
            for inside in [false, true] {
                let place = |rig: &Rig| match inside {
                    true => rig.cache.namespace(SPACE),
                    false => rig.cache.clone(),
                };
                let (here, there) = (place(&one), place(&other));
                let first = say(&here, "first");
                assert_eq!(say(&here, "again"), first);
                if levels != Levels::Near {
                    assert_eq!(say(&there, "other"), first, "{levels:?}");
                }
                way(&here);
                assert_eq!(say(&here, "second"), "second", "{levels:?}");
                if levels != Levels::Near {
                    assert_eq!(say(&there, "other"), "second", "{levels:?}");
                }
                here.clear().eventually();
            }
        }
    }
}

#[test]
fn i1_a_key_of_an_annotated_page_can_be_deleted() {
    for levels in LEVELS {
        for inside in [false, true] {
            let rig = levels.opaque(&MemoryStore::new());
            let cache = if inside { rig.cache.namespace(SPACE) } else { rig.cache.clone() };
            for key in keys(&cache) {
                make(&cache);
                // A form carries its hex text, and names no namespace other than the key's.
                let shown = FragmentKey::from_hex(&cache.shown_key(&key).to_hex()).unwrap();
                assert!(shown.is_redacted(), "{shown}");
                assert!(cache.contains(&key).unwrap(), "{levels:?} {shown}");
                assert!(!cache.contains(&shown).unwrap(), "nothing is stored under it");
                assert_eq!(rig.cache.delete(&shown), Invalidation::Invalidated);
                assert!(!cache.contains(&key).unwrap(), "{levels:?} {shown}");
            }
            let error = cache.render(Fragment::new(cache.shown_key(row().key())), || "x");
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Key);
        }
    }
}

#[test]
fn i1_a_key_of_a_listing_can_be_deleted() {
    let store = MemoryStore::new();
    let (one, other) = (Levels::Both.opaque(&store), Levels::Both.opaque(&store));
    for cache in [&one.cache, &one.cache.namespace(SPACE)] {
        make(cache);
    }
    for rig in [&one, &other] {
        let admin = Admin::new(&rig.cache).unwrap();
        let mut entries = admin.entries(None).unwrap().entries;
        entries.retain(|entry| entry.miss.is_none());
        assert!(!entries.is_empty());
        admin.delete(&entries).eventually();
        let left = admin.entries(None).unwrap().entries;
        assert!(left.iter().all(|entry| entry.miss.is_some()), "{left:?}");
        for cache in [&one.cache, &one.cache.namespace(SPACE)] {
            for key in keys(cache) {
                assert!(!cache.contains(&key).unwrap());
            }
            make(cache);
        }
    }
}

#[test]
fn i1_a_value_is_deleted_by_the_name_that_a_page_shows() {
    let rig = Levels::Both.opaque(&MemoryStore::new());
    let space = rig.cache.namespace(SPACE);
    for cache in [&rig.cache, &space] {
        cache.values().set(VALUE, &3).unwrap();
    }
    let shown = space.shown_key(&value_key(&space));
    assert_eq!(shown.bare(), shown);
    // The place that a form names is ignored: a digest has its own.
    rig.cache.delete_name_of(&shown).eventually();
    assert!(
        !space.values().contains(VALUE).unwrap() && rig.cache.values().contains(VALUE).unwrap()
    );
}

#[test]
fn i4_others_find_nothing_and_reach_nothing() {
    for levels in [Levels::Far, Levels::Both] {
        for other in [None, Some(ANOTHER)] {
            let store = MemoryStore::new();
            let ours = levels.opaque(&store);
            let theirs = levels.rig(store.clone(), other);
            assert_eq!(say(&ours.cache, "ours"), "ours");
            assert_eq!(say(&theirs.cache, "theirs"), "theirs", "{levels:?}");
            assert_eq!(say(&ours.cache, "again"), "ours");
            assert_eq!(say(&theirs.cache, "again"), "theirs");
            for way in WAYS {
                way(&theirs.cache);
                assert_eq!(say(&ours.cache, "again"), "ours", "{levels:?}");
            }
            // Neither lists the other's entries as its own.
            for rig in [&ours, &theirs] {
                let page = Admin::new(&rig.cache).unwrap().entries(None).unwrap();
                assert_eq!(page.entries.len(), 1, "{levels:?} {page:?}");
                let reasons: Vec<_> = page.unreadable.iter().map(|entry| entry.reason).collect();
                assert!(reasons == ["opaque"], "{levels:?} {reasons:?}");
            }
        }
    }
}

#[test]
fn secrets_that_are_no_use_are_refused() {
    for short in [&b""[..], b"0123456789abcde"] {
        let error = FragmentCache::builder().opaque_keys(short).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("write a longer one"), "{error}");
        assert!(short.is_empty() || !error.to_string().contains("0123"), "{error}");
    }
    let builder = FragmentCache::builder().opaque_keys(SECRET);
    assert!(!format!("{builder:?}").contains("secret of"), "{builder:?}");
    assert!(builder.build().unwrap().has_opaque_keys());
    assert!(!FragmentCache::in_memory().has_opaque_keys());
}

#[test]
fn a_secret_and_a_mac_key_may_be_used_together() {
    let store = MemoryStore::new();
    let process = |mac: &str| {
        let level = FarLevel::new(store.clone()).mac_key(mac);
        rig_with(|builder| builder.far(level).opaque_keys(SECRET))
    };
    let (one, other) = (process("0123456789abcdef"), process("0123456789abcdef"));
    assert_eq!(say(&one.cache, "one"), "one");
    assert_eq!(say(&other.cache, "other"), "one");
    assert_eq!(say(&process("another key of 16").cache, "stranger"), "stranger");
}
