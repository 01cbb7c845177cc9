//! The test kit's assertions fail when they should.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{fragment, rig};
use crate::testing::Recorder;

fn fails(recorder: &Recorder, assertion: impl FnOnce(&Recorder)) -> bool {
    catch_unwind(AssertUnwindSafe(|| assertion(recorder))).is_err()
}

#[test]
fn assertions_distinguish_hits_and_renders() {
    let rig = rig();
    rig.say("row", "one");
    let seen = &rig.recorder;
    seen.assert_missed("row");
    seen.assert_rendered_once("row");
    assert!(fails(seen, |seen| seen.assert_hit("row")));
    assert!(fails(seen, |seen| seen.assert_no_body_evaluated()));
    rig.say("row", "two");
    seen.assert_hit("row");
    assert!(fails(seen, |seen| seen.assert_missed("row")));
    rig.cache.render(fragment("row").unless(true), || "three").unwrap();
    assert!(fails(seen, |seen| seen.assert_rendered_once("row")));
    seen.reset();
    assert!(seen.events().is_empty());
    seen.assert_no_body_evaluated();
    assert!(fails(seen, |seen| seen.assert_missed("row")));
}
