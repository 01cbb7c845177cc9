//! Conformance of batches of operations.

use super::trial::{Case, Checked, LONG, Trial, ensure};
use crate::store::{Operation, Reply};

pub(super) const CASES: [Case; 3] = [
    Case::new("run executes the operations one after another, in order", in_order),
    Case::new("run returns a reply for each operation, in the same order", replies),
    Case::new("run accepts a thousand operations", thousand),
];

fn expect(found: &[Reply], wanted: &[Reply]) -> Checked {
    ensure(found.len() == wanted.len(), || {
        format!("{} replies were returned for {} operations", found.len(), wanted.len())
    })?;
    for (n, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        ensure(found == wanted, || format!("operation {n} returned {found:?}, not {wanted:?}"))?;
    }
    Ok(())
}

fn value(value: &[u8]) -> Reply {
    Reply::Value(Some(value.to_vec()))
}

fn in_order(trial: &Trial) -> Checked {
    let key = &trial.key("run");
    let replies = trial.store.run(&[
        Operation::Get { key },
        Operation::Set { key, value: b"1", ttl: LONG },
        Operation::Get { key },
        Operation::Set { key, value: b"2", ttl: LONG },
        Operation::Get { key },
        Operation::Delete { key },
        Operation::Get { key },
        Operation::Add { key, value: b"3", ttl: LONG },
        Operation::Add { key, value: b"4", ttl: LONG },
        Operation::Get { key },
        Operation::CompareAndDelete { key, expected: b"4" },
        Operation::Get { key },
        Operation::CompareAndDelete { key, expected: b"3" },
        Operation::Get { key },
    ])?;
    expect(
        &replies,
        &[
            Reply::Value(None),
            Reply::Done(true),
            value(b"1"),
            Reply::Done(true),
            value(b"2"),
            Reply::Done(true),
            Reply::Value(None),
            Reply::Done(true),
            Reply::Done(false),
            value(b"3"),
            Reply::Done(false),
            value(b"3"),
            Reply::Done(true),
            Reply::Value(None),
        ],
    )
}

fn replies(trial: &Trial) -> Checked {
    let keys = ["there", "none", "new"].map(|name| trial.key(&format!("replies:{name}")));
    let [there, none, new] = keys.each_ref().map(String::as_str);
    trial.set(there, b"")?;
    let replies = trial.store.run(&[
        Operation::Get { key: none },
        Operation::Get { key: there },
        Operation::Get { key: none },
        Operation::Add { key: there, value: b"x", ttl: LONG },
        Operation::Delete { key: none },
        Operation::CompareAndDelete { key: none, expected: b"" },
        Operation::Touch { key: none, ttl: LONG },
        Operation::Touch { key: there, ttl: LONG },
        Operation::Set { key: new, value: b"y", ttl: LONG },
        Operation::Get { key: new },
        Operation::Get { key: there },
        Operation::Delete { key: there },
    ])?;
    expect(
        &replies,
        &[
            Reply::Value(None),
            value(b""),
            Reply::Value(None),
            Reply::Done(false),
            Reply::Done(false),
            Reply::Done(false),
            Reply::Done(false),
            Reply::Done(trial.capabilities.touches),
            Reply::Done(true),
            value(b"y"),
            value(b""),
            Reply::Done(true),
        ],
    )?;
    expect(&trial.store.run(&[])?, &[])
}

fn thousand(trial: &Trial) -> Checked {
    let keys: Vec<String> = (0..1000).map(|n| trial.key(&format!("thousand:{n}"))).collect();
    let sets: Vec<_> =
        keys.iter().map(|key| Operation::Set { key, value: key.as_bytes(), ttl: LONG }).collect();
    expect(&trial.store.run(&sets)?, &vec![Reply::Done(true); 1000])?;
    let gets: Vec<_> = keys.iter().rev().map(|key| Operation::Get { key }).collect();
    let wanted: Vec<_> = keys.iter().rev().map(|key| value(key.as_bytes())).collect();
    expect(&trial.store.run(&gets)?, &wanted)?;
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let values = trial.store.get_many(&names)?.into_iter().map(Reply::Value);
    let wanted: Vec<_> = keys.iter().map(|key| value(key.as_bytes())).collect();
    expect(&values.collect::<Vec<_>>(), &wanted)?;
    let deletes: Vec<_> = keys.iter().map(|key| Operation::Delete { key }).collect();
    expect(&trial.store.run(&deletes)?, &vec![Reply::Done(true); 1000])
}
