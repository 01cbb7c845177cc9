//! Conformance of each change and its result, one caller at a time.

use super::trial::{Case, Checked, LONG, Trial, ensure};
use crate::store::Fault;

pub(super) const CASES: [Case; 6] = [
    Case::new("add sets if the key has no value, and reports whether it had none", add),
    Case::new("delete reports whether the key had a value", delete),
    Case::new("compare_and_delete deletes the expected value and no other", compare_and_delete),
    Case::new("compare_and_set replaces the expected value and no other", compare_and_set),
    Case::new("a store reports what it does not support", cannot),
    Case::new("sweep removes only expired records", sweep),
];

fn add(trial: &Trial) -> Checked {
    let key = trial.key("add");
    let added = trial.store.add(&key, b"first", LONG)?;
    ensure(added, || "a key without a value was not added".to_owned())?;
    trial.expect(&key, Some(b"first"))?;
    let added = trial.store.add(&key, b"second", LONG)?;
    ensure(!added, || "a key with a value was reported as added".to_owned())?;
    trial.expect(&key, Some(b"first"))?;
    trial.store.delete(&key)?;
    let added = trial.store.add(&key, b"third", LONG)?;
    ensure(added, || "a deleted key was not added".to_owned())?;
    trial.expect(&key, Some(b"third"))
}

fn delete(trial: &Trial) -> Checked {
    let (key, beside) = (trial.key("delete"), trial.key("delete:beside"));
    let had = trial.store.delete(&key)?;
    ensure(!had, || "a key without a value was reported as deleted".to_owned())?;
    trial.set(&key, b"value")?;
    trial.set(&beside, b"stays")?;
    let had = trial.store.delete(&key)?;
    ensure(had, || "a key with a value was reported as not there".to_owned())?;
    trial.expect(&key, None)?;
    trial.expect(&beside, Some(b"stays"))?;
    let had = trial.store.delete(&key)?;
    ensure(!had, || "a deleted key was reported as deleted again".to_owned())
}

fn compare_and_delete(trial: &Trial) -> Checked {
    let key = trial.key("compare");
    let deleted = trial.store.compare_and_delete(&key, b"value")?;
    ensure(!deleted, || "a key without a value was reported as deleted".to_owned())?;
    let deleted = trial.store.compare_and_delete(&key, b"")?;
    ensure(!deleted, || "a missing value was taken for an empty one".to_owned())?;
    trial.set(&key, b"value")?;
    let others: [&[u8]; 6] = [b"", b"valu", b"values", b"Value", b"value\0", b"eulav"];
    for other in others {
        let deleted = trial.store.compare_and_delete(&key, other)?;
        ensure(!deleted, || format!("\"value\" was taken for {:?}", other.escape_ascii()))?;
        trial.expect(&key, Some(b"value"))?;
    }
    let deleted = trial.store.compare_and_delete(&key, b"value")?;
    ensure(deleted, || "the expected value was not found".to_owned())?;
    trial.expect(&key, None)
}

fn compare_and_set(trial: &Trial) -> Checked {
    let key = trial.key("swap");
    let set = trial.store.compare_and_set(&key, b"", b"other", LONG)?;
    ensure(!set, || "a missing value was taken for an empty one".to_owned())?;
    trial.expect(&key, None)?;
    trial.set(&key, b"value")?;
    for other in [&b""[..], b"valu", b"values", b"Value"] {
        let set = trial.store.compare_and_set(&key, other, b"other", LONG)?;
        ensure(!set, || format!("\"value\" was taken for {:?}", other.escape_ascii()))?;
        trial.expect(&key, Some(b"value"))?;
    }
    let set = trial.store.compare_and_set(&key, b"value", b"other", LONG)?;
    ensure(set, || "the expected value was not found".to_owned())?;
    trial.expect(&key, Some(b"other"))
}

fn cannot(trial: &Trial) -> Checked {
    if !trial.capabilities.touches {
        let key = trial.key("cannot");
        trial.set(&key, b"value")?;
        let touched = trial.store.touch(&key, LONG)?;
        ensure(!touched, || "touch returns true in a store that lacks it".to_owned())?;
    }
    if !trial.capabilities.scans {
        let told = trial.store.scan(&trial.prefix, None);
        let is_refused = told.is_err_and(|error| error.fault() == Fault::Unsupported);
        ensure(is_refused, || "scan is not refused in a store that lacks it".to_owned())?;
    }
    Ok(())
}

fn sweep(trial: &Trial) -> Checked {
    let key = trial.key("sweep");
    trial.set(&key, b"stays")?;
    trial.store.sweep()?;
    trial.expect(&key, Some(b"stays"))
}
