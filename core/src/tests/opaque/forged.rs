//! Records that an attacker has put in the place of an entry.

use super::*;
use crate::entry::record::Codec;

/// The name and bytes of the only entry.
fn entry_of(store: &MemoryStore) -> (String, Vec<u8>) {
    let name = store.keys().into_iter().find(|name| name.contains(":e:")).unwrap();
    let bytes = store.get_many(&[&name]).unwrap().remove(0).unwrap();
    (name, bytes)
}

const LIFE: Duration = Duration::from_secs(60);

fn codec() -> Codec {
    Codec::new(Some(2048), 1 << 20)
}

/// Renders the fragment with this vary part in a separate process.
fn say(store: &MemoryStore, vary: &str, body: &str) -> Arc<str> {
    let fragment = Fragment::new(fragment_key!(NAME, vary));
    Levels::Both.opaque(store).cache.render(&fragment, || body).unwrap()
}

#[test]
fn i4_another_keys_record_under_the_right_name_is_a_miss() {
    let (store, other) = (MemoryStore::new(), MemoryStore::new());
    say(&store, "ann", "ann's");
    say(&other, "bob", "bob's");
    let (name, bytes) = entry_of(&store);
    assert_eq!(&*say(&store, "ann", "again"), "ann's");

    let mut record = codec().decode(&bytes).unwrap();
    let theirs = codec().decode(&entry_of(&other).1).unwrap();
    record.key = theirs.key;
    record.body = b"bob's".to_vec();
    store.set(&name, &codec().encode(&record.as_record()).unwrap(), LIFE).unwrap();
    assert_eq!(&*say(&store, "ann", "rendered"), "rendered");
}

#[test]
fn i4_a_record_that_says_less_or_something_else_is_a_miss() {
    let store = MemoryStore::new();
    say(&store, "ann", "ann's");
    let (name, bytes) = entry_of(&store);
    let record = codec().decode(&bytes).unwrap();
    assert_eq!(record.key.len(), 32);
    type Change = fn(&mut crate::entry::record::Decoded);
    let changes: [Change; 5] = [
        |record| record.own = None,
        |record| record.key = fragment_key!(NAME, "ann").as_bytes().into(),
        |record| record.key = [0; 32].into(),
        |record| record.digest = "rust".into(),
        |record| record.mode = 1,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut forged = record.clone();
        change(&mut forged);
        store.set(&name, &codec().encode(&forged.as_record()).unwrap(), LIFE).unwrap();
        let body = format!("rendered {at}");
        assert_eq!(&*say(&store, "ann", &body), &*body, "{at}");
    }
}

#[test]
fn i8_own_labels_that_make_no_sense_are_listed_as_unreadable() {
    let store = MemoryStore::new();
    say(&store, "ann", "ann's");
    let (name, bytes) = entry_of(&store);
    let rig = Levels::Far.opaque(&store);
    let admin = crate::admin::Admin::new(&rig.cache).unwrap();
    for own in [&b""[..], b"e", &[0; 24], &[0; 26]] {
        let mut record = codec().decode(&bytes).unwrap();
        record.own = Some(own.into());
        store.set(&name, &codec().encode(&record.as_record()).unwrap(), LIFE).unwrap();
        let page = admin.entries(None).unwrap();
        assert_eq!((page.entries.len(), page.unreadable[0].reason), (0, "opaque"), "{own:?}");
    }
}
