//! The contents of a store reveal no planted word and no hash that an attacker could compute.

use std::collections::HashSet;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::*;
use crate::admin::{Admin, FLEET_MODE_TTL};
use crate::entry::OutputMode as CacheMode;
use crate::hash::KeyHasher;
use crate::key;
use crate::label::Label;

/// Everything that can be computed from the planted words without the secret.
#[derive(Default)]
struct Guesses {
    narrow: HashSet<u64>,
    wide: HashSet<u128>,
}

impl Guesses {
    fn new(cache: &FragmentCache) -> Self {
        let mut guesses = Self::default();
        let mut spaces = vec![Vec::new()];
        for _ in 0..2 {
            let mut inner = spaces.last().unwrap().clone();
            key::push_namespace(&mut inner, SPACE);
            spaces.push(inner);
        }
        let words = [NAME, TEMPLATE, TAG, SPACE, MODE, FUNCTION, VARY, VERSION, VALUE, ARGUMENT];
        let mut texts: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).into();
        texts.extend(words.map(|word| FragmentKey::new(word).as_bytes().to_vec()));
        texts.push(format!("{SOURCE:-<22}").into_bytes());
        texts.push(b"rust".to_vec());
        let modes = [CacheMode::HTML, CacheMode::RAW, CacheMode::VALUE, CacheMode::custom(MODE)];
        for digest in [format!("{SOURCE:-<22}").as_bytes(), b"rust"] {
            for mode in modes {
                let mode = mode.to_bits().to_le_bytes();
                texts.push([digest, &mode].concat());
                texts.push([digest, &mode, &[1]].concat());
            }
        }
        guesses.narrow.insert(CacheMode::custom(MODE).to_bits());
        for key in keys(cache)
            .iter()
            .chain([&fragment_key!("planted-outer", VARY), &crate::fragment_key_at(TEMPLATE, 1)])
        {
            for space in &spaces {
                let encoded = [space, key.as_bytes()].concat();
                texts.extend(key::name_bytes(&encoded).map(<[u8]>::to_vec));
                texts.extend(key::group_bytes(&encoded).map(<[u8]>::to_vec));
                texts.push(encoded);
            }
        }
        texts.extend(spaces);
        let hasher = KeyHasher::of_fleet();
        for text in &texts {
            guesses.guess(&hasher, text);
        }
        guesses.narrow.insert(hasher.root().to_bits());
        guesses.narrow.extend((0..=u8::MAX).map(|number| hasher.fence(number).to_bits()));
        guesses
    }

    fn guess(&mut self, hasher: &KeyHasher, text: &[u8]) {
        let mut space = Vec::new();
        key::push_namespace(&mut space, SPACE);
        let spaces = [None, Some(hasher.namespace(&space))];
        let spelt = str::from_utf8(text).unwrap_or_default();
        let labels = [hasher.template(spelt), hasher.tag(spelt)];
        let within = labels.into_iter().flat_map(|label| spaces.map(|space| label.within(space)));
        let others = [
            hasher.key_label(text),
            hasher.name(text),
            hasher.group(text),
            hasher.namespace(text),
            Label::from_hash(hasher.version(text).to_bits()),
            Label::from_hash(xxh3_64(text)),
        ];
        self.narrow.extend(within.chain(others).map(Label::to_bits));
        self.wide.extend([hasher.wide(text), xxh3_128(text)]);
    }

    /// The guesses that a record confirms.
    fn told_by(&self, (name, bytes): &Given) -> Vec<String> {
        let narrow =
            self.narrow.iter().map(|&hash| (hash.to_le_bytes().to_vec(), format!("{hash:016x}")));
        let wide =
            self.wide.iter().map(|&hash| (hash.to_le_bytes().to_vec(), format!("{hash:032x}")));
        let mut told = Vec::new();
        for (little, hex) in narrow.chain(wide) {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            let has =
                |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            if name.contains(&hex)
                || [&little[..], &big, hex.as_bytes()].iter().any(|part| has(bytes, part))
            {
                told.push(hex);
            }
        }
        told
    }
}

/// The distinct records that a store was given.
fn records(spy: &Spy) -> Vec<Given> {
    let mut seen = spy.seen();
    seen.sort();
    seen.dedup();
    seen
}

fn words_in((name, bytes): &Given) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    name.to_lowercase().contains(PLANTED) || text.contains(PLANTED)
}

/// Everything that a cache writes or queries.
fn all_of(secret: Option<&[u8]>) -> (Vec<Given>, FragmentCache) {
    let spy = Spy::default();
    let rig = Levels::Both.rig(spy.clone(), secret);
    live(&rig.cache);
    let admin = Admin::new(&rig.cache).unwrap();
    admin.set_fleet_mode(crate::CacheMode::ReadOnly, FLEET_MODE_TTL).unwrap();
    admin.set_fleet_mode(crate::CacheMode::Normal, FLEET_MODE_TTL).unwrap();
    admin.probe().unwrap();
    (records(&spy), rig.cache)
}

#[test]
fn i4_no_record_has_a_word_in_it_nor_a_hash_that_anybody_can_make() {
    let (seen, cache) = all_of(Some(SECRET));
    let guesses = Guesses::new(&cache);
    for sort in [":e:", ":v:", ":l:", ":n:", ":m", ":p:"] {
        assert!(seen.iter().any(|(name, _)| name.contains(sort)), "nothing is a {sort}");
    }
    for record in &seen {
        assert!(!words_in(record), "{record:?}");
        assert_eq!(guesses.told_by(record), [""; 0], "{record:?}");
    }
}

#[test]
fn without_the_option_both_can_be_found() {
    // Without a secret the guesses must succeed, or the test above would prove nothing.
    let (seen, cache) = all_of(None);
    let guesses = Guesses::new(&cache);
    assert!(seen.iter().any(words_in));
    for sort in [":e:", ":v:", ":l:", ":n:"] {
        let of_sort = seen.iter().filter(|(name, _)| name.contains(sort));
        // More than half of them: some fragments' records cannot be derived from the words.
        let told = of_sort.clone().filter(|record| !guesses.told_by(record).is_empty()).count();
        assert!(told * 2 > of_sort.count(), "{sort}: {told}");
    }
}

#[test]
fn a_lease_that_is_held_says_nothing() {
    let store = MemoryStore::new();
    let rig = Levels::Both.opaque(&store);
    rig.cache
        .render(row(), || {
            let leases: Vec<String> =
                store.keys().into_iter().filter(|name| name.contains(":l:")).collect();
            assert!(leases.len() == 1 && !leases[0].contains(PLANTED), "{leases:?}");
            "body"
        })
        .unwrap();
}

#[test]
fn bodies_stay_as_they_are() {
    let store = MemoryStore::new();
    let rig = Levels::Both.opaque(&store);
    rig.cache.render(row(), || "what a body says").unwrap();
    let values = store.keys().into_iter().map(|name| store.get_many(&[&name]).unwrap().remove(0));
    let mut bytes = values.flatten();
    assert!(bytes.any(|value| String::from_utf8_lossy(&value).contains("what a body says")));
}
