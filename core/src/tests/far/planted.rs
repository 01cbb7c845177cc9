//! Records planted in the store by an attacker without the secret: of every kind, in every manner.
//! Nothing planted is served, nothing deleted returns, no process is switched off, and the planted
//! records are overwritten. The last test shows what the attacker can still do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::random::Random;
use super::super::{Rig, rig_with};
use super::elsewhere;
use super::outages::until;
use crate::admin::Admin;
use crate::events::EventKind;
use crate::mac::SIGNATURE_BYTES;
use crate::store::{Fault, Store};
use crate::testing::MemoryStore;
use crate::{CacheMode, FarLevel, Fragment, FragmentKey, Invalidation, current, fragment_key};

const SECRET: &str = "the secret of these tests, 32 by";
const ANOTHER: &str = "another secret of these tests, 3";
const LIFE: Duration = Duration::from_secs(3600);

/// The bytes of records by their names.
type Records = BTreeMap<String, Vec<u8>>;

fn records(store: &MemoryStore) -> Records {
    let bytes = |name: &String| store.get_many(&[name]).unwrap().remove(0);
    store.keys().into_iter().filter_map(|name| bytes(&name).map(|bytes| (name, bytes))).collect()
}

fn put<'a>(store: &MemoryStore, records: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>) {
    records.into_iter().for_each(|(name, bytes)| store.set(name, bytes, LIFE).unwrap());
}

fn restore(store: &MemoryStore, records: &Records) {
    store.clear();
    put(store, records);
}

/// A record as a cache without a secret writes it.
fn unsigned(record: &[u8]) -> Vec<u8> {
    record[..record.len() - SIGNATURE_BYTES].to_vec()
}

fn level(store: &MemoryStore, prefix: &str, secret: Option<&str>) -> FarLevel {
    let level = FarLevel::new(store.clone()).prefix(prefix);
    match secret {
        Some(secret) => level.mac_key(secret),
        None => level,
    }
}

/// A process with this prefix and secret.
fn stranger(store: &MemoryStore, prefix: &str, secret: Option<&str>) -> Rig {
    let level = level(store, prefix, secret);
    rig_with(|builder| builder.jitter(0.0).wait_limit(Duration::from_millis(100)).far(level))
}

fn process(store: &MemoryStore) -> Rig {
    stranger(store, "shop", Some(SECRET))
}

fn row(id: u32) -> Fragment {
    Fragment::new(fragment_key!("row", id)).tags(["early"])
}

impl Rig {
    /// The row of a page: cached, or rendered with `body`. It adds a tag late.
    fn row(&self, id: u32, body: &str) -> String {
        let say = || {
            current::add_tags(["late"]).unwrap();
            body
        };
        self.cache.render(row(id), say).unwrap().to_string()
    }

    fn untrusted(&self) -> u64 {
        let gauges = self.cache.health().gauges;
        gauges.iter().find(|(name, _)| *name == "untrusted_records").map_or(0, |(_, count)| *count)
    }
}

const ROWS: [u32; 2] = [1, 2];

/// The records of a separate store after a cache with this prefix and secret has rendered each row
/// with `word`; and all records it ever had, such as a lease and a mode.
fn lived(prefix: &str, secret: Option<&str>, word: &str) -> [Records; 2] {
    let store = MemoryStore::new();
    let rig = stranger(&store, prefix, secret);
    let mut seen = Records::new();
    for id in ROWS {
        let say = || {
            seen.extend(records(&store));
            current::add_tags(["late"]).unwrap();
            format!("{word} {id}")
        };
        rig.cache.render(row(id), say).unwrap();
    }
    let kept = records(&store);
    Admin::new(&rig.cache).unwrap().set_fleet_mode(CacheMode::Bypass, LIFE).unwrap();
    seen.extend(records(&store));
    [kept, seen]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entry,
    Version,
    Lease,
    List,
    Mode,
}

const KINDS: [Kind; 5] = [Kind::Entry, Kind::Version, Kind::Lease, Kind::List, Kind::Mode];

impl Kind {
    fn of(name: &str) -> Self {
        match name.split(':').nth(1) {
            Some("e") => Self::Entry,
            Some("v") => Self::Version,
            Some("l") => Self::Lease,
            Some("n") => Self::List,
            Some("m") => Self::Mode,
            _ => panic!("a record of no kind: {name}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Altered,
    OfAnotherName,
    OfAnotherKind,
    OfAnotherPrefix,
    OfAnotherSecret,
    Unsigned,
    WithoutItsSignature,
    Empty,
}

const MANNERS: [Manner; 8] = [
    Manner::Altered,
    Manner::OfAnotherName,
    Manner::OfAnotherKind,
    Manner::OfAnotherPrefix,
    Manner::OfAnotherSecret,
    Manner::Unsigned,
    Manner::WithoutItsSignature,
    Manner::Empty,
];

/// What an attacker can copy.
struct Seen {
    /// The records of this cache before a deletion.
    ours: Records,
    of_another_prefix: Records,
    of_another_secret: Records,
    unsigned: Records,
}

impl Seen {
    fn forge(&self, manner: Manner, name: &str) -> Option<Vec<u8>> {
        let ours = &self.ours[name];
        let kind = Kind::of(name);
        let other = |wanted: Kind| {
            let is_other =
                |(other, _): &(&String, &Vec<u8>)| *other != name && Kind::of(other) == wanted;
            self.ours.iter().find(is_other).map(|(_, bytes)| bytes.clone())
        };
        match manner {
            Manner::Altered => {
                let mut altered = ours.clone();
                altered[0] ^= 1;
                Some(altered)
            }
            Manner::OfAnotherName => other(kind),
            Manner::OfAnotherKind => {
                let at = KINDS.iter().position(|&one| one == kind).unwrap();
                other(KINDS[(at + 1) % KINDS.len()])
            }
            Manner::OfAnotherPrefix => {
                self.of_another_prefix.get(&name.replacen("shop", "blog", 1)).cloned()
            }
            Manner::OfAnotherSecret => self.of_another_secret.get(name).cloned(),
            Manner::Unsigned => self.unsigned.get(name).cloned(),
            Manner::WithoutItsSignature => Some(unsigned(ours)),
            Manner::Empty => Some(Vec::new()),
        }
    }
}

/// Each kind alone, all but one, all, and the two that a hit needs.
fn sets() -> Vec<Vec<Kind>> {
    let mut sets: Vec<Vec<Kind>> = KINDS.iter().map(|&one| vec![one]).collect();
    let but = |one: Kind| KINDS.into_iter().filter(|&kind| kind != one).collect();
    sets.extend(KINDS.map(but));
    sets.extend([KINDS.to_vec(), vec![Kind::Entry, Kind::Version]]);
    sets
}

#[test]
fn i1_i4_nothing_that_is_planted_is_believed() {
    let [then, ours] = lived("shop", Some(SECRET), "old");
    let seen = Seen {
        ours,
        of_another_prefix: lived("blog", Some(SECRET), "theirs")[1].clone(),
        of_another_secret: lived("shop", Some(ANOTHER), "theirs")[1].clone(),
        unsigned: lived("shop", None, "theirs")[1].clone(),
    };
    let store = MemoryStore::new();
    restore(&store, &then);
    process(&store).cache.delete(row(1).key()).eventually();
    let now = records(&store);

    let (mut wrong, mut planted) = (Vec::new(), BTreeMap::new());
    for manner in MANNERS {
        for kinds in sets() {
            let names = seen.ours.keys().filter(|name| kinds.contains(&Kind::of(name)));
            let forged = |name: &String| Some((name.clone(), seen.forge(manner, name)?));
            let forged: Records = names.filter_map(forged).collect();
            for name in forged.keys() {
                *planted.entry(format!("{manner:?} {:?}", Kind::of(name))).or_insert(0) += 1;
            }
            let mut check = |what: &str, got: &str, wanted: &str| {
                if got != wanted {
                    wrong.push(format!("{manner:?} {kinds:?}, {what}: {got}, not {wanted}"));
                }
            };
            restore(&store, &then);
            let warm = process(&store);
            for id in ROWS {
                check("warm", &warm.row(id, "rendered"), &format!("old {id}"));
            }
            restore(&store, &now);
            put(&store, &forged);
            let (cold, late) = (process(&store), process(&store));
            for (rig, what) in [(&warm, "warm"), (&cold, "cold")] {
                check(what, &rig.row(1, "new 1"), "new 1");
                check(what, &rig.row(2, "old 2"), "old 2");
            }
            check("stored again", &late.row(1, "rendered"), "new 1");
            let mode = Admin::new(&late.cache).unwrap().fleet_mode().unwrap();
            check("mode", mode.as_str(), CacheMode::Normal.as_str());
            let told = cold.cache.delete(row(2).key());
            check("told", &(told != Invalidation::Pending).to_string(), "true");
            put(&store, &forged);
            for (rig, what) in [(&warm, "warm"), (&cold, "cold"), (&late, "late")] {
                check(&format!("{what} after a deletion"), &rig.row(2, "new 2"), "new 2");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // There is only one mode, so it cannot be planted in the place of another.
    assert_eq!(planted.len(), MANNERS.len() * KINDS.len() - 1, "{planted:#?}");
}

#[test]
fn i1_fences_that_are_put_back_while_a_body_renders_vouch_for_nothing() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    one.row(1, "so that all labels have a version");
    let read_before = || {
        let then = records(&store);
        elsewhere(|| other.cache.invalidate_tags(["late"]).unwrap()).eventually();
        let versions = then.iter().filter(|(name, _)| Kind::of(name) == Kind::Version);
        versions.for_each(|(name, bytes)| store.set(name, &unsigned(bytes), LIFE).unwrap());
        "read before"
    };
    let say = || {
        let said = read_before();
        current::add_tags(["late"]).unwrap();
        said
    };
    let fragment = Fragment::new(fragment_key!("page"));
    assert_eq!(&*one.cache.render(&fragment, say).unwrap(), "read before");
    assert_eq!(&*other.cache.render(&fragment, || "new").unwrap(), "new");
}

#[test]
fn a_value_is_added_set_and_deleted_over_what_is_planted() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store).cache.values(), process(&store).cache.values());
    assert!(one.add("lock", &0_u32).unwrap());
    let name = store.keys().into_iter().find(|name| Kind::of(name) == Kind::Entry).unwrap();
    let entry = store.get_many(&[&name]).unwrap().remove(0).unwrap();
    for planted in [Vec::new(), b"planted".to_vec(), unsigned(&entry), vec![0; entry.len()]] {
        let plant = || store.set(&name, &planted, LIFE).unwrap();
        one.delete("lock").eventually();
        plant();
        assert_eq!(other.get::<u32>("lock"), None);
        assert!(one.add("lock", &1_u32).unwrap());
        assert!(!other.add("lock", &2_u32).unwrap());
        assert_eq!(other.get::<u32>("lock"), Some(1));
        plant();
        assert!(other.set("lock", &3_u32).unwrap());
        assert_eq!(one.get::<u32>("lock"), Some(3));
        plant();
        one.delete("lock").eventually();
        store.set(&name, &entry, LIFE).unwrap();
        assert_eq!(other.get::<u32>("lock"), None);
    }
}

#[test]
fn a_mode_that_is_planted_is_not_followed_and_told_of() {
    let store = MemoryStore::new();
    store.set("shop:m", b"bypass", LIFE).unwrap();
    let one = process(&store);
    until("the mode is asked for twice", || one.untrusted() >= 2);
    let health = one.cache.health();
    assert_eq!(health.fleet_mode, CacheMode::Normal);
    let fault = health.last_fault.unwrap();
    assert!(fault.contains("the mode in the store is ignored"), "{fault}");
    let kinds = || one.recorder.events().iter().map(|event| event.kind).collect::<Vec<_>>();
    let told = EventKind::Fault(Fault::Protocol);
    assert_eq!(kinds(), [told], "once, however often it is asked for");
    assert_eq!(one.cache.stats().faults, 1);
    let admin = Admin::new(&one.cache).unwrap();
    assert_eq!(admin.fleet_mode().unwrap(), CacheMode::Normal);
    assert_eq!(admin.fleet_mode_fault().unwrap(), Some(fault));
    admin.set_fleet_mode(CacheMode::ReadOnly, LIFE).unwrap();
    until("it is followed", || one.cache.health().fleet_mode == CacheMode::ReadOnly);
    // The earlier fault is not attributed to this mode.
    assert!(one.cache.health().last_fault.is_some());
    assert_eq!(admin.fleet_mode_fault().unwrap(), None);
    store.set("shop:m", b"bypass", LIFE).unwrap();
    until("it is told of anew", || kinds() == [told, told]);
}

#[test]
fn an_administrator_knows_whether_he_has_the_secret() {
    let store = MemoryStore::new();
    let admin = |secret| Admin::new(&stranger(&store, "shop", secret).cache).unwrap();
    for secret in [Some(SECRET), None] {
        assert!(!admin(secret).is_in_use().unwrap() && admin(secret).signs_alike().unwrap());
    }
    process(&store).row(1, "row");
    let known = |secret| (admin(secret).is_in_use().unwrap(), admin(secret).signs_alike().unwrap());
    assert_eq!(known(Some(SECRET)), (true, true));
    assert_eq!(known(Some(ANOTHER)), (false, false));
    assert_eq!(known(None), (false, false));
    let page = admin(Some(ANOTHER)).entries(None).unwrap();
    assert_eq!((page.entries.len(), page.unreadable[0].reason), (0, "mac"));
    let page = admin(Some(SECRET)).entries(None).unwrap();
    let bytes = store.get_many(&[&page.entries[0].record]).unwrap().remove(0).unwrap().len();
    assert_eq!(page.entries[0].bytes, bytes);
    // Overwritten one by one: the secret is recognised as long as one intact record is left.
    let versions = store.keys().into_iter().filter(|name| Kind::of(name) == Kind::Version);
    for name in versions {
        assert_eq!(known(Some(SECRET)), (true, true));
        store.set(&name, b"planted", LIFE).unwrap();
    }
    assert_eq!(known(Some(SECRET)), (false, false));
}

/// While a fleet is given a secret, only some of its processes have it.
#[test]
fn i1_processes_with_and_without_a_secret_serve_nothing_stale() {
    let mut hits = 0;
    for seed in 0..12 {
        let store = MemoryStore::new();
        let secrets = [Some(SECRET), Some(SECRET), None, Some(ANOTHER)];
        let rigs = secrets.map(|secret| stranger(&store, "shop", secret));
        let mut random = Random::new(seed);
        let (mut rows, mut value) = ([0_u32; 4], 0);
        for step in 0..300 {
            // The same process for a while, so that there are hits.
            let rig = &rigs[step / 8 % rigs.len()];
            let other = &rigs[random.below(rigs.len())];
            let id = random.below(rows.len());
            let key: FragmentKey = row(id as u32).key().clone();
            match random.below(12) {
                0 => {
                    rows[id] += 1;
                    other.cache.delete(&key).eventually();
                }
                1 => {
                    rows = rows.map(|row| row + 1);
                    other.cache.invalidate_tags(["early", "late"]).unwrap().eventually();
                }
                2 => {
                    value += 1;
                    other.cache.values().set("value", &value).unwrap();
                }
                3 => {
                    let got = rig.cache.values().get::<u32>("value");
                    assert!(got.is_none_or(|got| got == value), "seed {seed}, step {step}");
                }
                _ => {
                    let truth = format!("{id} {}", rows[id]);
                    assert_eq!(rig.row(id as u32, &truth), truth, "seed {seed}, step {step}");
                }
            }
        }
        hits += rigs.iter().map(|rig| rig.cache.stats().hits).sum::<u64>();
    }
    assert!(hits > 100, "{hits} hits");
}

/// As documented in docs/stores.md.
#[test]
fn what_was_signed_for_its_place_can_be_put_back() {
    let [then, seen] = lived("shop", Some(SECRET), "old");
    let store = MemoryStore::new();
    restore(&store, &then);
    let one = process(&store);
    one.cache.delete(row(1).key()).eventually();
    assert_eq!(one.row(1, "new"), "new");
    put(&store, &then);
    assert_eq!(process(&store).row(1, "rendered"), "old 1");
    put(&store, seen.iter().filter(|(name, _)| Kind::of(name) == Kind::Mode));
    let mode = Admin::new(&one.cache).unwrap().fleet_mode().unwrap();
    assert_eq!(mode, CacheMode::Bypass);
}
