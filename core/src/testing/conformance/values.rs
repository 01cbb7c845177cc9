//! Conformance of values and keys: stored and returned unchanged.

use super::trial::{Case, Checked, LONG, Needs, Trial, ensure, expect_in, shown};
use crate::store::{MAX_STORE_KEY_BYTES, StoreError};

pub(super) const CASES: [Case; 12] = [
    Case::new("capabilities never change", capabilities),
    Case::new("values are returned in the order of the keys, one for each key", order),
    Case::new("a key without a value has none", absent),
    Case::new("an empty value is a value", empty),
    Case::new("values are any bytes", any_bytes),
    Case::new("values are up to max_value_bytes", longest),
    Case::new("errors contain no values", errors),
    Case::new("keys are up to 200 bytes", long_keys),
    Case::new("keys are of A-Z a-z 0-9 : _ . { } -, and each is a key of its own", key_characters),
    Case::new("set replaces any value", overwrite),
    Case::new("a change that is reported as done is visible through every handle", other_handle)
        .needs(Needs::Another),
    Case::new("records outlive the handle that wrote them", outlive)
        .needs(Needs::AnotherThatPersists),
];

/// The largest value that is tested, even if a store accepts more.
const LARGEST_TRIED: usize = 16 << 20;

fn capabilities(trial: &Trial) -> Checked {
    let now = trial.store.capabilities();
    ensure(now == trial.capabilities, || format!("{:?} became {now:?}", trial.capabilities))?;
    ensure(now.max_value_bytes >= 1024, || {
        format!("values of at most {} bytes are too small for any fragment", now.max_value_bytes)
    })
}

fn order(trial: &Trial) -> Checked {
    let keys: Vec<String> = (0..40).map(|n| trial.key(&format!("order:{n}"))).collect();
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
        trial.set(key, format!("value {n}").as_bytes())?;
    }
    // In a different order, with one key twice.
    let mut asked: Vec<usize> = (0..40).map(|n| (n * 7 + 3) % 40).collect();
    asked.push(asked[0]);
    let names: Vec<&str> = asked.iter().map(|&n| keys[n].as_str()).collect();
    let values = trial.store.get_many(&names)?;
    ensure(values.len() == names.len(), || {
        format!("{} values were returned for {} keys", values.len(), names.len())
    })?;
    for (&n, value) in asked.iter().zip(&values) {
        let wanted = (n % 3 != 0).then(|| format!("value {n}").into_bytes());
        ensure(*value == wanted, || {
            let (found, wanted) = (shown(value.as_deref()), shown(wanted.as_deref()));
            format!("{found} was returned for key {n} instead of {wanted}")
        })?;
    }
    let none = trial.store.get_many(&[])?;
    ensure(none.is_empty(), || format!("{} values were returned for no keys", none.len()))
}

fn absent(trial: &Trial) -> Checked {
    trial.expect(&trial.key("absent"), None)
}

fn empty(trial: &Trial) -> Checked {
    let key = trial.key("empty");
    trial.set(&key, b"")?;
    trial.expect(&key, Some(b""))?;
    let added = trial.store.add(&key, b"more", LONG)?;
    ensure(!added, || "add took an empty value for none".to_owned())?;
    let deleted = trial.store.compare_and_delete(&key, b"")?;
    ensure(deleted, || "compare_and_delete did not find an empty value".to_owned())?;
    trial.expect(&key, None)
}

fn any_bytes(trial: &Trial) -> Checked {
    let all: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 9] = [
        &all,
        b"\0",
        b"\r\n",
        b"\nEND\r\n",
        b"$-1\r\n",
        b"\xff\xfe\xc3\x28",
        b" spaced ",
        "sneaky \u{202e} text".as_bytes(),
        b"12345",
    ];
    let key = trial.key("bytes");
    for value in values {
        trial.set(&key, value)?;
        trial.expect(&key, Some(value))?;
    }
    Ok(())
}

/// Bytes whose period does not match any block size.
fn long_value(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect()
}

fn longest(trial: &Trial) -> Checked {
    let most = trial.capabilities.max_value_bytes.min(LARGEST_TRIED);
    let sizes = [1, 511, 4095, 4096, 4097, 65_535, 65_536, 1 << 20, most - 1, most];
    for size in sizes.into_iter().filter(|&size| size <= most) {
        let (key, value) = (trial.key("long"), long_value(size));
        trial.set(&key, &value)?;
        trial.expect(&key, Some(&value))?;
        trial.store.delete(&key)?;
        let added = trial.store.add(&key, &value, LONG)?;
        ensure(added, || format!("a value of {size} bytes was not added"))?;
        trial.expect(&key, Some(&value))?;
    }
    let _ = trial.store.delete(&trial.key("long"))?;
    Ok(())
}

fn errors(trial: &Trial) -> Checked {
    let most = trial.capabilities.max_value_bytes;
    if most > LARGEST_TRIED {
        // No value in this range is large enough to be refused.
        return Ok(());
    }
    let marker = "conformance-secret";
    let value = marker.repeat(most / marker.len() + 1);
    let key = trial.key("too-long");
    let quiet = |error: &StoreError| {
        let told = format!("{error} {error:?}");
        ensure(!told.contains(marker), || "the error of a set shows the value".to_owned())?;
        ensure(error.to_string().lines().count() == 1, || format!("{error:?} is not one line"))
    };
    match trial.store.set(&key, value.as_bytes(), LONG) {
        Err(error) => {
            quiet(&error)?;
            // No part of it may remain.
            trial.expect(&key, None)
        }
        Ok(()) => trial.expect(&key, Some(value.as_bytes())),
    }
}

fn long_keys(trial: &Trial) -> Checked {
    let stem = trial.key("k");
    let keys = ["a", "b"].map(|last| {
        let middle = "x".repeat(MAX_STORE_KEY_BYTES - stem.len() - last.len());
        format!("{stem}{middle}{last}")
    });
    for key in &keys {
        trial.set(key, key.as_bytes())?;
    }
    for key in &keys {
        trial.expect(key, Some(key.as_bytes()))?;
    }
    Ok(())
}

fn key_characters(trial: &Trial) -> Checked {
    let upper = ('A'..='Z').map(String::from);
    let lower = ('a'..='z').map(String::from);
    let others = "0123456789:_.{}-".chars().map(String::from);
    let tricky = ["..", ".:.", "{}", "{a}", "{a", "a}", "a.b", "a:b", "a-b", "a_b", "ab", "aB"];
    let names: Vec<String> =
        upper.chain(lower).chain(others).chain(tricky.map(String::from)).collect();
    let mut keys: Vec<String> = names.iter().map(|name| trial.key(name)).collect();
    // Without the prefix, which would hide the special meaning of these from a store.
    keys.extend([".", "..", "-", "-n", "_", "{", "{}", ":", "CON"].map(String::from));
    for key in &keys {
        trial.set(key, key.as_bytes())?;
    }
    for key in &keys {
        trial.expect(key, Some(key.as_bytes()))?;
    }
    for key in &keys {
        let had = trial.store.delete(key)?;
        ensure(had, || format!("{key:?} was gone with another key"))?;
    }
    Ok(())
}

fn overwrite(trial: &Trial) -> Checked {
    let key = trial.key("overwrite");
    for value in ["first", "a longer second", "3rd", "", "fifth"] {
        trial.set(&key, value.as_bytes())?;
        trial.expect(&key, Some(value.as_bytes()))?;
    }
    Ok(())
}

fn other_handle(trial: &Trial) -> Checked {
    let (here, there) = (trial.handle(0), trial.handle(1));
    let key = trial.key("other");
    here.set(&key, b"one", LONG)?;
    expect_in(there, &key, Some(b"one"))?;
    there.set(&key, b"two", LONG)?;
    expect_in(here, &key, Some(b"two"))?;
    let added = here.add(&key, b"three", LONG)?;
    ensure(!added, || "add did not see another handle's value".to_owned())?;
    let deleted = here.compare_and_delete(&key, b"two")?;
    ensure(deleted, || "compare_and_delete did not see another handle's value".to_owned())?;
    expect_in(there, &key, None)?;
    let added = there.add(&key, b"four", LONG)?;
    ensure(added, || "add did not see another handle's deletion".to_owned())?;
    let deleted = here.delete(&key)?;
    ensure(deleted, || "delete did not see another handle's value".to_owned())?;
    expect_in(there, &key, None)
}

fn outlive(trial: &Trial) -> Checked {
    let Some(open) = &trial.another else { return Ok(()) };
    let key = trial.key("outlive");
    let first = open();
    first.set(&key, b"kept", LONG)?;
    drop(first);
    expect_in(open().as_ref(), &key, Some(b"kept"))
}
