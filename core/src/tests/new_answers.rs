//! A new result ends the old one, whether it is stored or not. Stale windows are for the duration
//! of a render, and for renders that fail.

use std::time::Duration;

use super::far::{FRONTS, Front, elsewhere, store};
use super::{Rig, fragment, rig_with};
use crate::events::MissReason;
use crate::protection::Protection;
use crate::{Error, ErrorKind, Fragment, FragmentCache, current, fragment_key};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn row() -> Fragment {
    fragment("row").expires_after(s(10)).stale(s(30))
}

fn down() -> Error {
    Error::new(ErrorKind::Config, "no database")
}

/// A result with a TTL of 10 s and a stale window of 30 s.
struct Kept {
    what: &'static str,
    /// Stores it.
    store: fn(&FragmentCache),
    /// Refreshes it with a result that is not stored, and calls a function meanwhile.
    answer: fn(&FragmentCache, &dyn Fn()),
    /// Whether it is served to a caller whose render fails.
    is_served: fn(&FragmentCache) -> bool,
}

fn store_row(cache: &FragmentCache) {
    cache.render(row(), || "old").unwrap();
}

fn serves_row(cache: &FragmentCache) -> bool {
    cache.try_render(row(), || Err::<String, _>(down())).is_ok()
}

const FRAGMENTS: [Kept; 4] = [
    Kept {
        what: "a veto",
        store: store_row,
        answer: |cache, meanwhile| {
            let body = || {
                meanwhile();
                current::veto();
                "new"
            };
            assert_eq!(&*cache.render(row(), body).unwrap(), "new");
        },
        is_served: serves_row,
    },
    Kept {
        what: "a body that is too large",
        store: store_row,
        answer: |cache, meanwhile| {
            let body = || {
                meanwhile();
                "x".repeat(2_000)
            };
            cache.render(row(), body).unwrap();
        },
        is_served: serves_row,
    },
    Kept {
        what: "a fragment inside that asks for no cache",
        store: store_row,
        answer: |cache, meanwhile| {
            let body = || {
                meanwhile();
                cache.render(fragment("draft").unless(true), || "draft").unwrap()
            };
            cache.render(row(), body).unwrap();
        },
        is_served: serves_row,
    },
    Kept {
        what: "a fragment of another cache",
        store: store_row,
        answer: |cache, meanwhile| {
            let body = || {
                meanwhile();
                FragmentCache::in_memory().render(fragment("theirs"), || "theirs").unwrap()
            };
            cache.render(row(), body).unwrap();
        },
        is_served: serves_row,
    },
];

#[cfg(feature = "values")]
fn load() -> crate::memoize::Call {
    crate::memoize::Function::new("tests::load").call().expires_after(s(10)).stale(s(30))
}

#[cfg(feature = "values")]
const FUNCTIONS: [Kept; 2] = [
    Kept {
        what: "a result that is filtered out",
        store: |cache| assert_eq!(cache.memoize(&load(), || Some(1)), Some(1)),
        answer: |cache, meanwhile| {
            let none = cache.memoize(&load(), || {
                meanwhile();
                current::veto_here();
                None::<i32>
            });
            assert_eq!(none, None);
        },
        is_served: |cache| cache.try_memoize(&load(), || Err::<Option<i32>, _>(down())).is_ok(),
    },
    Kept {
        what: "a result that cannot be serialized",
        store: |cache| assert_eq!(cache.memoize(&load(), || Some(Some(1))), Some(Some(1))),
        answer: |cache, meanwhile| {
            let none = cache.memoize(&load(), || {
                meanwhile();
                Some(None::<i32>)
            });
            assert_eq!(none, Some(None));
        },
        is_served: |cache| {
            cache.try_memoize(&load(), || Err::<Option<Option<i32>>, _>(down())).is_ok()
        },
    },
];

#[cfg(feature = "async")]
mod views {
    use super::{Kept, s};
    use crate::engine::{Body, OpenView, ViewOpened, ViewRequest, view_key};
    use crate::{FragmentCache, Timeout};

    fn view(cache: &FragmentCache) -> ViewRequest {
        let text = |bytes: Vec<u8>| Some(Body::opaque(bytes.into_boxed_slice()));
        ViewRequest::new(cache, &view_key("view", "/a"), "test/1", text)
            .timeout(Timeout::After(s(10)))
            .stale(Some(s(30)))
    }

    fn open(cache: &FragmentCache) -> Option<OpenView> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        match runtime.block_on(view(cache).open(cache.read_point())) {
            ViewOpened::Render(open) => Some(open),
            _ => None,
        }
    }

    pub(super) const VIEWS: [Kept; 1] = [Kept {
        what: "a response that is not kept",
        // The second process reads what the first has stored.
        store: |cache| {
            open(cache).map(|open| open.close(Body::opaque(Box::from(*b"old"))));
        },
        answer: |cache, meanwhile| {
            let mut open = open(cache).unwrap();
            meanwhile();
            open.veto();
            open.close(Body::from(""));
        },
        is_served: |cache| view(cache).stale_if_error().is_some(),
    }];
}

fn all() -> Vec<Kept> {
    let mut all = Vec::from(FRAGMENTS);
    #[cfg(feature = "values")]
    all.extend(FUNCTIONS);
    #[cfg(feature = "async")]
    all.extend(views::VIEWS);
    all
}

/// One process, or two on a store.
fn processes(front: Option<Front>, without: Option<Protection>) -> Vec<Rig> {
    let store = store();
    let one = || {
        rig_with(|builder| {
            let builder = builder.wait_limit(s(1)).jitter(0.0).max_entry_bytes(1_000);
            let builder = match without {
                Some(protection) => builder.without(protection),
                None => builder,
            };
            match front {
                Some(front) => builder.far(front.level(&store)),
                None => builder,
            }
        })
    };
    (0..if front.is_some() { 2 } else { 1 }).map(|_| one()).collect()
}

/// The old result is stored and read everywhere. Within its window the first process gets a new
/// one, which is not stored. Returns which processes still serve the old one.
fn served_after(kept: &Kept, rigs: &[Rig]) -> Vec<bool> {
    for rig in rigs {
        (kept.store)(&rig.cache);
    }
    rigs.iter().for_each(|rig| rig.clock.advance(s(10)));
    (kept.answer)(&rigs[0].cache, &|| {});
    rigs.iter().map(|rig| (kept.is_served)(&rig.cache)).collect()
}

#[test]
fn i1_an_answer_that_is_not_stored_ends_the_older_one() {
    for kept in all() {
        let fronts = FRONTS.iter().filter(|&&front| front != Front::Bounded).copied().map(Some);
        for front in fronts.chain([None]) {
            let served = served_after(&kept, &processes(front, None));
            assert!(served.iter().all(|served| !served), "{}, {front:?}: {served:?}", kept.what);
        }
    }
}

#[test]
fn i1_without_that_the_older_one_would_be_served_to_the_end_of_its_window() {
    let without = Some(Protection::NewAnswer);
    for kept in all() {
        for front in [None, Some(Front::Strict)] {
            let served = served_after(&kept, &processes(front, without));
            assert!(served.iter().all(|&served| served), "{}, {front:?}: {served:?}", kept.what);
        }
    }
}

#[test]
fn i1_fragments_around_the_older_one_end_with_it() {
    let page = || fragment("page").expires_after(s(60)).stale(s(30));
    let print = |rig: &Rig| {
        rig.cache.render(page(), || rig.cache.render(row(), || "newer").unwrap()).unwrap()
    };
    for front in [None, Some(Front::Strict)] {
        let rigs = processes(front, None);
        let other = rigs.last().unwrap();
        store_row(&rigs[0].cache);
        assert_eq!(&*print(other), "old");
        rigs.iter().for_each(|rig| rig.clock.advance(s(10)));
        let [kept, ..] = &FRAGMENTS;
        // An outer fragment, rendered around the old one while that may be served.
        (kept.answer)(&rigs[0].cache, &|| {
            elsewhere(|| assert_eq!(&*print(other), "old"));
        });
        assert_eq!(&*print(other), "newer", "{front:?}");
    }
}

#[test]
fn a_refresh_with_an_unstorable_body_ends_the_entry() {
    for front in [None, Some(Front::Strict)] {
        let rigs = processes(front, None);
        rigs.iter().for_each(|rig| store_row(&rig.cache));
        let body = || {
            current::veto();
            "new"
        };
        rigs[0].cache.render(row().refresh(true), body).unwrap();
        for rig in &rigs {
            assert_eq!(rig.get("row"), None);
        }
        rigs[0].recorder.reset();
        store_row(&rigs[0].cache);
        let told = rigs[0].recorder.events()[0].kind;
        assert_eq!(told, crate::events::EventKind::Miss(MissReason::Vetoed));
        assert_eq!(rigs[0].cache.contains(&fragment_key!("row")).unwrap(), front.is_none());
    }
}

#[test]
fn a_veto_without_an_entry_writes_nothing_to_the_store() {
    let store = store();
    let rig = Front::Strict.process(&store);
    let veto = || {
        current::veto();
        "new"
    };
    rig.cache.render(row(), veto).unwrap();
    let written = |key: &String| key.contains(":v:");
    let before = store.inner().keys().into_iter().filter(written).count();
    rig.clock.advance(s(6));
    rig.cache.render(row(), veto).unwrap();
    assert_eq!(store.inner().keys().into_iter().filter(written).count(), before);
}
