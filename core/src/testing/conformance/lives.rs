//! Conformance of TTLs.

use std::time::Duration;

use super::trial::{Case, Checked, LONG, Needs, Trial, ensure};
use crate::store::Operation;

pub(super) const CASES: [Case; 4] = [
    Case::new("a record is gone once its TTL has passed", ends),
    Case::new("the last set decides the TTL", last_set),
    Case::new("a TTL of a century is accepted", century),
    Case::new("touch sets a TTL from now on, and reports whether the record was there", touch)
        .needs(Needs::Touches),
];

/// The shortest TTL that stands out from the second that a store may be late.
const SHORT: Duration = Duration::from_secs(1);

fn ends(trial: &Trial) -> Checked {
    let names = ["set", "add", "run-set", "run-add", "moment"];
    let keys = names.map(|name| trial.key(&format!("ends:{name}")));
    let [set, add, run_set, run_add, moment] = keys.each_ref().map(String::as_str);
    trial.store.set(set, b"value", SHORT)?;
    trial.store.add(add, b"value", SHORT)?;
    trial.store.run(&[
        Operation::Set { key: run_set, value: b"value", ttl: SHORT },
        Operation::Add { key: run_add, value: b"value", ttl: SHORT },
    ])?;
    trial.store.set(moment, b"value", Duration::from_millis(1))?;
    trial.await_end(&[set, add, run_set, run_add, moment], SHORT)?;

    let had = trial.store.delete(set)?;
    ensure(!had, || "delete found an expired record".to_owned())?;
    let deleted = trial.store.compare_and_delete(run_set, b"value")?;
    ensure(!deleted, || "compare_and_delete found an expired record".to_owned())?;
    let added = trial.store.add(add, b"new", LONG)?;
    ensure(added, || "add did not replace an expired record".to_owned())?;
    trial.expect(add, Some(b"new"))?;
    let touched = trial.store.touch(run_add, LONG)?;
    ensure(!touched, || "touch found an expired record".to_owned())?;
    trial.expect(run_add, None)
}

fn last_set(trial: &Trial) -> Checked {
    let keys = ["longer", "shorter", "failed-add"].map(|name| trial.key(&format!("last:{name}")));
    let [longer, shorter, failed_add] = keys.each_ref().map(String::as_str);
    trial.store.set(longer, b"value", SHORT)?;
    trial.store.set(longer, b"value", LONG)?;
    trial.store.set(failed_add, b"value", LONG)?;
    trial.store.add(failed_add, b"value", SHORT)?;
    trial.store.set(shorter, b"value", LONG)?;
    trial.store.set(shorter, b"value", SHORT)?;
    // `shorter` was set last: when it has ended, a key that wrongly shares its TTL has ended too.
    trial.await_end(&[shorter], SHORT)?;
    trial.expect(longer, Some(b"value"))?;
    trial.expect(failed_add, Some(b"value"))
}

fn century(trial: &Trial) -> Checked {
    for days in [29, 30, 31, 365, 36_500] {
        let key = trial.key(&format!("century:{days}"));
        trial.store.set(&key, b"value", Duration::from_secs(days * 24 * 3600))?;
        trial.expect(&key, Some(b"value"))?;
        trial.store.delete(&key)?;
    }
    Ok(())
}

fn touch(trial: &Trial) -> Checked {
    let keys = ["longer", "shorter"].map(|name| trial.key(&format!("touch:{name}")));
    let [longer, shorter] = keys.each_ref().map(String::as_str);
    let touched = trial.store.touch(longer, LONG)?;
    ensure(!touched, || "touch found a record that is not there".to_owned())?;
    trial.expect(longer, None)?;
    trial.store.set(longer, b"value", SHORT)?;
    trial.store.set(shorter, b"value", LONG)?;
    let touched = trial.store.touch(longer, LONG)? && trial.store.touch(shorter, SHORT)?;
    ensure(touched, || "touch did not find a record that is there".to_owned())?;
    trial.await_end(&[shorter], SHORT)?;
    trial.expect(longer, Some(b"value"))
}
