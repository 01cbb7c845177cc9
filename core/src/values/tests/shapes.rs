//! Two releases of a program on one store: one reads what the other has stored only if it is of the
//! same type.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::memoize::{Call, Function};
use crate::protection::Protection;
use crate::testing::MemoryStore;
use crate::values::{SetOptions, SetReport};
use crate::{FarLevel, FragmentCache, Invalidation};

mod old {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) enum Page {
        Empty,
        Full { title: String },
    }
}

mod new {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) enum Page {
        Empty,
        Full {
            title: String,
            #[serde(default)]
            is_draft: bool,
        },
    }
}

fn process(store: &MemoryStore) -> FragmentCache {
    FragmentCache::builder().far(FarLevel::new(store.clone())).build().unwrap()
}

#[test]
fn a_release_does_not_read_an_enum_that_changed_in_a_later_variant() {
    let store = MemoryStore::new();
    let (before, after) = (process(&store).values(), process(&store).values());
    let (draft, page) = ("a".to_owned(), "b".to_owned());
    let page = old::Page::Full { title: page };
    let draft = new::Page::Full { title: draft, is_draft: true };

    before.set("page", &page).unwrap();
    assert_eq!(after.get::<new::Page>("page"), None);
    assert_eq!(before.get("page"), Some(page.clone()));
    after.set("draft", &draft).unwrap();
    assert_eq!(before.get::<old::Page>("draft"), None);
    assert_eq!(after.get("draft"), Some(draft));

    before.set("error", &Err::<u8, _>(page)).unwrap();
    assert_eq!(after.get::<Result<u8, new::Page>>("error"), None);
    before.set("number", &7_u32).unwrap();
    assert_eq!(after.get::<f64>("number"), None);
    before.set("numbers", &vec![Ok::<u8, u32>(7)]).unwrap();
    assert_eq!(after.get::<Vec<Result<u8, f64>>>("numbers"), None);

    let call = Function::new("tests::page").call();
    let made = old::Page::Full { title: String::new() };
    process(&store).memoize(&call, || made);
    let made = new::Page::Full { title: String::new(), is_draft: true };
    assert_eq!(process(&store).memoize(&call, || made.clone()), made);
}

#[test]
fn i1_what_one_release_sets_ends_what_the_other_has_set() {
    let store = MemoryStore::new();
    let processes = [(); 4].map(|()| process(&store).values());
    let [before, after, counterpart, idle] = &processes;
    let page = old::Page::Full { title: "old".to_owned() };
    let draft = new::Page::Full { title: "new".to_owned(), is_draft: true };
    for _ in 0..2 {
        assert!(before.set("page", &page).unwrap());
        assert_eq!(after.get::<new::Page>("page"), None);
        for old in [before, counterpart] {
            assert_eq!(old.get("page"), Some(page.clone()));
        }
        assert!(after.set("page", &draft).unwrap());
        // Processes that have the value in memory, and one that does not.
        for old in [before, counterpart, idle] {
            assert_eq!(old.get::<old::Page>("page"), None);
        }
        assert_eq!(after.get("page"), Some(draft.clone()));
    }
    before.set("page", &page).unwrap();
    let level = FarLevel::new(store);
    let naive = FragmentCache::builder().far(level).without(Protection::Rewrite).build().unwrap();
    naive.values().set("page", &draft).unwrap();
    assert_eq!(before.get("page"), Some(page), "without a version of what is written");

    let [first, second] = [1, 2].map(|version| before.clone().type_version(version));
    let other_build = after.clone().type_version(2);
    first.set("json", &json!(1)).unwrap();
    assert_eq!(first.get("json"), Some(json!(1)));
    other_build.set_many([("json", &json!(2))], &SetOptions::new()).unwrap();
    assert_eq!(first.get::<Value>("json"), None);
    assert_eq!(second.get("json"), Some(json!(2)));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u32),
    Name(String),
}

#[test]
fn processes_of_one_build_share_what_cannot_be_seen() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store), process(&store));
    let id = Id::Name("a".to_owned());
    one.values().set("id", &id).unwrap();
    one.values().set("json", &json!({ "a": [1, "2"] })).unwrap();
    assert_eq!(other.values().get("id"), Some(id.clone()));
    assert_eq!(other.values().get("json"), Some(json!({ "a": [1, "2"] })));
    assert_eq!(other.values().get::<Value>("id"), None);
    assert_eq!(other.values().delete("id"), Invalidation::Removed);

    let call = Function::new("tests::id").call();
    one.memoize(&call, || id.clone());
    assert_eq!(other.memoize(&call, || Id::Number(7)), id);
}

#[test]
fn a_value_of_another_type_version_is_a_miss() {
    let store = MemoryStore::new();
    let (one, other) = (process(&store).values(), process(&store).values());
    let [first, second] = [1, 2].map(|version| other.clone().type_version(version));
    one.type_version(1).set("json", &json!("a")).unwrap();
    assert_eq!(first.get("json"), Some(json!("a")));
    assert_eq!(second.get::<Value>("json"), None);
    assert_eq!(other.get::<Value>("json"), None);
    assert_eq!(first.get::<Id>("json"), None);
    assert_eq!(
        second.set_many([("json", &json!("b"))], &SetOptions::new()).unwrap(),
        [SetReport::Stored]
    );
    assert_eq!(first.get::<Value>("json"), None);
    assert_eq!(second.get_many::<Value, _>(["json"]), [Some(json!("b"))]);
    assert_eq!(second.delete("json"), Invalidation::Removed);
    assert!(!first.contains("json").unwrap());

    let call = |version| Function::new("tests::json").call().type_version(version);
    let path = |version| call(version).path("tests::json");
    let kept = |call: &Call, made: &str| process(&store).memoize(call, || json!(made));
    assert_eq!(kept(&call(1), "first"), "first");
    assert_eq!(kept(&call(1), "again"), "first");
    assert_eq!(kept(&call(2), "second"), "second");
    assert_eq!(kept(&path(1), "of a path"), "of a path");
    assert_eq!(kept(&path(1), "again"), "of a path");
    assert_eq!(kept(&path(2), "second of a path"), "second of a path");
    assert_eq!(kept(&path(2), "again"), "second of a path");
}

#[test]
fn results_of_a_type_that_cannot_be_seen_are_kept_in_the_store() {
    let store = MemoryStore::new();
    let call = Function::new("tests::json").call().path("tests::json").source(u64::MAX);
    for call in [call.clone(), call.type_version(u32::MAX)] {
        let kept = |made: &str| process(&store).memoize(&call, || json!(made));
        assert_eq!(kept("first"), "first");
        assert_eq!(kept("again"), "first");
    }
}
