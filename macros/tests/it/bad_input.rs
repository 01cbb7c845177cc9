//! Keys and results that cannot be cached: the function runs, and the failure is counted.

use std::cell::Cell;

use fragcache::events::{EventKind, RefusalReason};
use fragcache::testing::Recorder;
use fragcache::{ErrorKind, FragmentCache, memoize};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

#[derive(Debug, PartialEq, Deserialize)]
struct Torn(u32);

impl Serialize for Torn {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("torn"))
    }
}

#[test]
fn arguments_and_results_that_are_unusable_go_by_the_cache_and_are_counted() {
    #[memoize(cache = cache, ignore(ran))]
    fn of_torn(cache: &FragmentCache, ran: &Cell<u32>, torn: &Torn) -> u32 {
        ran.set(ran.get() + torn.0);
        ran.get()
    }
    #[memoize(cache = cache, ignore(ran))]
    fn of_text(cache: &FragmentCache, ran: &Cell<u32>, text: &str) -> usize {
        ran.set(ran.get() + 1);
        text.len()
    }
    #[memoize(cache = cache, ignore(ran))]
    fn torn(cache: &FragmentCache, ran: &Cell<u32>) -> Torn {
        ran.set(ran.get() + 1);
        Torn(ran.get())
    }
    #[memoize(cache = cache, ignore(ran))]
    fn giant(cache: &FragmentCache, ran: &Cell<u32>) -> String {
        ran.set(ran.get() + 1);
        "x".repeat(2 << 20)
    }
    #[memoize(cache = cache, ignore(ran, tag), tags = [tag])]
    fn tagged(cache: &FragmentCache, ran: &Cell<u32>, tag: &str) -> u32 {
        ran.set(ran.get() + 1);
        ran.get()
    }
    let recorder = Recorder::new();
    let cache = FragmentCache::builder().observer(recorder.clone()).build().unwrap();
    let ran = Cell::new(0);
    let refused = |call: &dyn Fn(), reason| {
        recorder.reset();
        let before = ran.get();
        call();
        call();
        assert_eq!(ran.get(), before + 2, "{reason:?}");
        let told =
            recorder.events().into_iter().filter(|event| event.kind == EventKind::Refused(reason));
        assert_eq!(told.count(), 2, "{reason:?}");
    };
    refused(&|| _ = of_torn(&cache, &ran, &Torn(1)), RefusalReason::Key);
    refused(&|| _ = of_text(&cache, &ran, &"x".repeat(100_000)), RefusalReason::KeyTooLong);
    refused(&|| _ = torn(&cache, &ran), RefusalReason::Value);
    refused(&|| _ = giant(&cache, &ran), RefusalReason::BodyTooLarge);
    refused(&|| _ = tagged(&cache, &ran, ""), RefusalReason::Tag);

    let error = cache.delete_memoized(of_torn_memo(&Torn(1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
}
