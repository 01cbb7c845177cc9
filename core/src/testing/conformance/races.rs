//! Conformance under concurrent calls.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::trial::{Case, Checked, Complaint, LONG, RaisedAtEnd, Trial, ensure, get_from, shown};
use crate::store::Store;

pub(super) const CASES: [Case; 9] = [
    Case::new("of several concurrent adds one succeeds", adds),
    Case::new("of several concurrent deletes one finds the value", deletes),
    Case::new("of several concurrent compare_and_deletes one succeeds", compare_and_deletes),
    Case::new("nothing happens between the comparison and the deletion", changed_value),
    Case::new("a set wins over a concurrent add", set_beside_add),
    Case::new("of several concurrent compare_and_sets one succeeds", compare_and_sets),
    Case::new("add and compare_and_delete make a lock with one holder at a time", lock),
    Case::new("values are whole, and of their own key, while threads write them", whole),
    Case::new("a store never returns to a value that was overwritten or deleted", never_returns),
];

const THREADS: usize = 4;

/// Runs `act` in several threads that start together. Returns how many of them return `true`.
fn together(
    trial: &Trial,
    act: impl Fn(usize, &dyn Store) -> Result<bool, Complaint> + Sync,
) -> Result<usize, Complaint> {
    let (start, act) = (Barrier::new(THREADS), &act);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let (start, store) = (&start, trial.handle(n));
                scope.spawn(move || {
                    start.wait();
                    act(n, store)
                })
            })
            .collect();
        let mut done = 0;
        for thread in threads {
            let result = thread.join().map_err(|_| Complaint("a call panicked".to_owned()))?;
            done += usize::from(result?);
        }
        Ok(done)
    })
}

fn one_of(method: &str, done: usize) -> Checked {
    ensure(done == 1, || {
        format!(
            "{method} was called by {THREADS} threads at the same time and returned true to {done} of \
             them; it must to one"
        )
    })
}

fn adds(trial: &Trial) -> Checked {
    for round in 0..trial.rounds {
        let key = trial.key(&format!("adds:{round}"));
        let winner = AtomicUsize::new(usize::MAX);
        let done = together(trial, |n, store| {
            let added = store.add(&key, n.to_string().as_bytes(), LONG)?;
            if added {
                winner.store(n, Ordering::SeqCst);
            }
            Ok(added)
        })?;
        one_of("add", done)?;
        trial.expect(&key, Some(winner.into_inner().to_string().as_bytes()))?;
    }
    Ok(())
}

fn deletes(trial: &Trial) -> Checked {
    let key = trial.key("deletes");
    for _ in 0..trial.rounds {
        trial.set(&key, b"value")?;
        one_of("delete", together(trial, |_, store| Ok(store.delete(&key)?))?)?;
        trial.expect(&key, None)?;
    }
    Ok(())
}

fn compare_and_deletes(trial: &Trial) -> Checked {
    let key = trial.key("compares");
    for _ in 0..trial.rounds {
        trial.set(&key, b"value")?;
        let done = together(trial, |_, store| Ok(store.compare_and_delete(&key, b"value")?))?;
        one_of("compare_and_delete", done)?;
        trial.expect(&key, None)?;
    }
    Ok(())
}

fn compare_and_sets(trial: &Trial) -> Checked {
    let key = trial.key("swaps");
    for _ in 0..trial.rounds {
        trial.set(&key, b"value")?;
        let winner = AtomicUsize::new(usize::MAX);
        let done = together(trial, |n, store| {
            let set = store.compare_and_set(&key, b"value", n.to_string().as_bytes(), LONG)?;
            if set {
                winner.store(n, Ordering::SeqCst);
            }
            Ok(set)
        })?;
        one_of("compare_and_set", done)?;
        trial.expect(&key, Some(winner.into_inner().to_string().as_bytes()))?;
    }
    Ok(())
}

fn changed_value(trial: &Trial) -> Checked {
    let key = trial.key("changed");
    for _ in 0..trial.rounds {
        trial.set(&key, b"old")?;
        together(trial, |n, store| {
            if n == 0 {
                store.set(&key, b"new", LONG)?;
                return Ok(true);
            }
            Ok(store.compare_and_delete(&key, b"old")?)
        })?;
        // The deletion ran before or after it: the new value remains either way.
        trial.expect(&key, Some(b"new"))?;
    }
    Ok(())
}

fn set_beside_add(trial: &Trial) -> Checked {
    for round in 0..trial.rounds {
        let key = trial.key(&format!("beside:{round}"));
        together(trial, |n, store| {
            if n == 0 {
                store.set(&key, b"set", LONG)?;
                return Ok(true);
            }
            Ok(store.add(&key, b"added", LONG)?)
        })?;
        trial.expect(&key, Some(b"set"))?;
    }
    Ok(())
}

fn lock(trial: &Trial) -> Checked {
    let (key, inside) = (trial.key("lock"), AtomicUsize::new(0));
    together(trial, |n, store| {
        let token = format!("held by {n}");
        for _ in 0..trial.rounds {
            if !store.add(&key, token.as_bytes(), LONG)? {
                continue;
            }
            let others = inside.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            ensure(others == 0, || "two callers held it at the same time".to_owned())?;
            let released = store.compare_and_delete(&key, token.as_bytes())?;
            ensure(released, || "the holder could not release it".to_owned())?;
        }
        Ok(true)
    })?;
    trial.expect(&key, None)
}

/// A value that encodes its key and length. Its head is followed by a fill byte that depends on
/// both.
fn marked(key: usize, length: usize) -> Vec<u8> {
    let mut value = format!("{key} {length} ").into_bytes();
    let fill = u8::try_from((key * 31 + length) % 251).unwrap_or_default();
    value.resize(value.len() + length, fill);
    value
}

/// Whether this is a complete value of that key.
fn is_marked(key: usize, value: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&value[..value.len().min(20)]).into_owned();
    let length = head.split(' ').nth(1).and_then(|length| length.parse().ok());
    length.is_some_and(|length| marked(key, length) == value)
}

fn whole(trial: &Trial) -> Checked {
    const KEYS: usize = 3;
    let keys: Vec<String> = (0..KEYS).map(|n| trial.key(&format!("whole:{n}"))).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let lengths = [0, 10, 1000, 5000, 40_000];
    together(trial, |n, store| {
        for round in 0..trial.rounds as usize {
            let own = (n + round) % KEYS;
            let length = lengths[(n * 7 + round) % lengths.len()];
            store.set(names[own], &marked(own, length), LONG)?;
            for (key, value) in store.get_many(&names)?.into_iter().enumerate() {
                let value = value.unwrap_or_else(|| marked(key, 0));
                ensure(is_marked(key, &value), || {
                    format!("{:?} holds {}", names[key], shown(Some(&value)))
                })?;
            }
        }
        Ok(true)
    })?;
    Ok(())
}

fn number_at(store: &dyn Store, key: &str) -> Result<Option<u64>, Complaint> {
    let value = get_from(store, key)?;
    value
        .map(|value| {
            let text = String::from_utf8_lossy(&value).into_owned();
            text.parse().map_err(|_| Complaint(format!("{} is foreign", shown(Some(&value)))))
        })
        .transpose()
}

fn never_returns(trial: &Trial) -> Checked {
    let (key, is_over) = (trial.key("returns"), AtomicBool::new(false));
    // The last reported change. Numbers are set, and sometimes one is deleted.
    let reported = AtomicU64::new(0);
    let writing = |store: &dyn Store| {
        for n in 1..=u64::from(trial.rounds) * 10 {
            if n % 5 == 0 {
                store.delete(&key)?;
            } else {
                store.set(&key, n.to_string().as_bytes(), LONG)?;
            }
            reported.store(n, Ordering::SeqCst);
        }
        Ok(true)
    };
    together(trial, |n, store| {
        if n == 0 {
            let _over = RaisedAtEnd(&is_over);
            return writing(store);
        }
        let mut seen = 0;
        while !is_over.load(Ordering::SeqCst) {
            let least = reported.load(Ordering::SeqCst).max(seen);
            if let Some(found) = number_at(store, &key)? {
                ensure(found >= least, || format!("{found} was returned after {least} was done"))?;
                seen = found;
            }
        }
        Ok(true)
    })?;
    Ok(())
}
