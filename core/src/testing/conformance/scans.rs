//! Conformance of scans.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::trial::{Case, Checked, Complaint, LONG, Needs, RaisedAtEnd, Trial, ensure};
use crate::store::Store;

pub(super) const CASES: [Case; 4] = [
    Case::new("scan lists the keys that begin with the prefix, and its pages end", lists)
        .needs(Needs::Scans),
    Case::new("a prefix is literal", literal).needs(Needs::Scans),
    Case::new("scan lists no key that is gone", gone).needs(Needs::Scans),
    Case::new("keys that exist throughout are listed at least once", throughout)
        .needs(Needs::Scans),
];

/// More pages than the keys of a suite can need, unless the cursors go in circles.
const MOST_PAGES: usize = 100_000;

fn scan(store: &dyn Store, prefix: &str) -> Result<BTreeSet<String>, Complaint> {
    let (mut keys, mut cursor) = (BTreeSet::new(), None);
    for _ in 0..MOST_PAGES {
        let page = store.scan(prefix, cursor.as_deref())?;
        keys.extend(page.keys);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(keys);
        }
    }
    Err(Complaint(format!("no end after {MOST_PAGES} pages")))
}

fn expect(trial: &Trial, prefix: &str, wanted: &[String]) -> Checked {
    let found = scan(trial.store.as_ref(), prefix)?;
    let wanted: BTreeSet<String> = wanted.iter().cloned().collect();
    let missing = wanted.difference(&found).next();
    ensure(missing.is_none(), || {
        format!("{:?} is not among the keys of {prefix:?}", missing.cloned().unwrap_or_default())
    })?;
    let foreign = found.difference(&wanted).next();
    ensure(foreign.is_none(), || {
        format!("{:?} is among the keys of {prefix:?}", foreign.cloned().unwrap_or_default())
    })
}

fn lists(trial: &Trial) -> Checked {
    let keys: Vec<String> = (0..300).map(|n| trial.key(&format!("scan:{n}"))).collect();
    let (prefix, whole) = (trial.key("scan:"), trial.key("scan"));
    for key in keys.iter().chain([&trial.key("scap:1"), &whole]) {
        trial.set(key, b"value")?;
    }
    expect(trial, &prefix, &keys)?;
    // A key is a prefix of itself.
    expect(trial, &whole, &[keys.as_slice(), std::slice::from_ref(&whole)].concat())?;
    expect(trial, &trial.key("scanned"), &[])?;
    let all = scan(trial.store.as_ref(), "")?;
    ensure(keys.iter().all(|key| all.contains(key)), || {
        "an empty prefix does not list all keys".to_owned()
    })
}

fn literal(trial: &Trial) -> Checked {
    let keys = ["glob:a.c", "glob:abc", "glob:a_c", "glob:{abc}", "glob:a-c", "glob:aBc"];
    let keys = keys.map(|name| trial.key(name));
    for key in &keys {
        trial.set(key, b"value")?;
    }
    // Globs, regular expressions, SQL's LIKE, and their escapes.
    let patterns = [
        "*", "?", "[a-z]", "a*", "a?c", "a[b]c", "[^x]", "a\\", "\\*", "%", ".*", "a+", "a|", "^a",
    ];
    for pattern in patterns {
        expect(trial, &trial.key(&format!("glob:{pattern}")), &[])?;
    }
    expect(trial, &trial.key("glob:a."), &keys[0..1])?;
    expect(trial, &trial.key("glob:a_"), &keys[2..3])?;
    expect(trial, &trial.key("glob:{"), &keys[3..4])?;
    expect(trial, &trial.key("glob:a-"), &keys[4..5])?;
    expect(trial, &trial.key("glob:ab"), &keys[1..2])
}

fn gone(trial: &Trial) -> Checked {
    let keys = ["gone:1", "gone:2", "gone:3"].map(|name| trial.key(name));
    for key in &keys {
        trial.set(key, b"value")?;
    }
    trial.store.delete(&keys[0])?;
    trial.store.compare_and_delete(&keys[1], b"value")?;
    expect(trial, &trial.key("gone:"), &keys[2..])
}

fn throughout(trial: &Trial) -> Checked {
    let keys: Vec<String> = (0..200).map(|n| trial.key(&format!("stay:{n}"))).collect();
    for key in &keys {
        trial.set(key, b"value")?;
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| -> Checked {
            let store = trial.handle(1);
            // A fixed set of keys comes and goes: a scan of a growing set might never end.
            let passing: Vec<String> = (0..64).map(|n| trial.key(&format!("stay:x{n}"))).collect();
            let mut n = 0_usize;
            while !is_over.load(Ordering::SeqCst) {
                store.set(&passing[n % passing.len()], b"value", LONG)?;
                store.delete(&passing[(n + passing.len() / 2) % passing.len()])?;
                // The permanent keys are overwritten too.
                store.set(&keys[n % keys.len()], b"again", LONG)?;
                n += 1;
            }
            Ok(())
        });
        let over = RaisedAtEnd(&is_over);
        let scanned = (0..trial.rounds.div_ceil(5)).try_for_each(|_| {
            let found = scan(trial.store.as_ref(), &trial.key("stay:"))?;
            let missing = keys.iter().find(|key| !found.contains(*key));
            ensure(missing.is_none(), || {
                format!("{:?} was not listed", missing.cloned().unwrap_or_default())
            })
        });
        drop(over);
        let changed = changing.join().map_err(|_| Complaint("a call panicked".to_owned()))?;
        scanned.and(changed)
    })
}
