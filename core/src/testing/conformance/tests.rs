//! Each planted fault is found, by the sentence that it breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::yield_now;
use std::time::Duration;

use super::{Report, Suite};
use crate::store::{Capabilities, Fault, Operation, Page, Reply, Store, StoreError, Value};
use crate::sync::Mutex;
use crate::testing::{ManualClock, MemoryStore};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    ValuesReversed,
    LastValueMissing,
    EmptyIsNone,
    CutAtNul,
    CutAt64K,
    ErrorShowsValue,
    KeysCut,
    KeysFolded,
    SetKeepsOld,
    AddOverwrites,
    AddAlwaysTrue,
    AddInTwoSteps,
    DeleteAlwaysTrue,
    DeleteInTwoSteps,
    CompareByLength,
    CompareInTwoSteps,
    SwapAlways,
    SwapInTwoSteps,
    LifeIgnored,
    LifeOfAddIgnored,
    LifeOnlyShortens,
    LongLifeIsOver,
    TouchDoesNothing,
    TouchMakesRecords,
    ClaimsNoTouch,
    RunReadsFirst,
    RunLosesReply,
    RunTakes500,
    ScanByGlob,
    ScanLosesKeys,
    ScanNeverEnds,
    ScanListsDeleted,
    SetInTwoSteps,
    ReturnsToOld,
    SweepsAll,
}

/// A correct store with one planted fault.
#[derive(Debug, Clone)]
struct Planted {
    inner: MemoryStore,
    bug: Bug,
    /// The value before the last set of each key.
    old: Arc<Mutex<HashMap<String, Value>>>,
    calls: Arc<AtomicUsize>,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Planted {
    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn key(&self, key: &str) -> String {
        match self.bug {
            Bug::KeysCut => key.chars().take(190).collect(),
            Bug::KeysFolded => key.to_lowercase(),
            _ => key.to_owned(),
        }
    }

    fn value<'v>(&self, value: &'v [u8]) -> &'v [u8] {
        let cut = match self.bug {
            Bug::CutAtNul => value.iter().position(|&byte| byte == 0),
            Bug::CutAt64K => Some(65_535),
            _ => None,
        };
        &value[..cut.unwrap_or(value.len()).min(value.len())]
    }

    fn ttl(&self, key: &str, ttl: Duration) -> Duration {
        let left = self.inner.ttl(key).unwrap_or(ttl);
        match self.bug {
            Bug::LifeIgnored => HOUR,
            Bug::LifeOnlyShortens => ttl.min(left),
            Bug::LongLifeIsOver if ttl > 24 * 30 * HOUR => Duration::ZERO,
            _ => ttl,
        }
    }
}

/// Gives other threads a chance to run between two steps.
fn pause() {
    for _ in 0..20 {
        yield_now();
    }
}

impl Planted {
    fn read(&self, keys: &[&str]) -> Result<Vec<Option<Value>>, StoreError> {
        let own: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let mut values = self.inner.get_many(&own)?;
        match self.bug {
            Bug::ValuesReversed => values.reverse(),
            Bug::LastValueMissing if values.len() > 1 => drop(values.pop()),
            Bug::EmptyIsNone => values.iter_mut().for_each(|value| {
                value.take_if(|value| value.is_empty());
            }),
            Bug::ReturnsToOld if self.calls.fetch_add(1, Ordering::SeqCst) % 8 == 7 => {
                let old = self.old.lock();
                for (key, value) in own.iter().zip(&mut values) {
                    *value = old.get(*key).cloned().or(value.take());
                }
            }
            _ => {}
        }
        Ok(values)
    }

    fn put(&self, key: &str, value: &[u8], ttl: Duration) -> Result<(), StoreError> {
        let (key, whole) = (self.key(key), value);
        let (value, ttl) = (self.value(value), self.ttl(&key, ttl));
        if self.has(Bug::ErrorShowsValue) && whole.len() > 1 << 20 {
            let told = String::from_utf8_lossy(whole).into_owned();
            return Err(StoreError::new(Fault::Refused, told));
        }
        if self.has(Bug::SetKeepsOld) {
            return self.inner.add(&key, value, ttl).map(drop);
        }
        let old = self.inner.get_many(&[&key])?.pop().flatten();
        if let Some(old) = old.filter(|_| self.has(Bug::ReturnsToOld)) {
            self.old.lock().insert(key.clone(), old);
        }
        if self.has(Bug::SetInTwoSteps) {
            self.inner.set(&key, &value[..value.len() / 2], ttl)?;
            pause();
        }
        self.inner.set(&key, value, ttl)
    }

    fn insert(&self, key: &str, value: &[u8], ttl: Duration) -> Result<bool, StoreError> {
        let key = self.key(key);
        let (value, ttl) = (self.value(value), self.ttl(&key, ttl));
        match self.bug {
            Bug::AddOverwrites => {
                let is_free = self.inner.get_many(&[&key])? == [None];
                self.inner.set(&key, value, ttl).map(|()| is_free)
            }
            Bug::AddAlwaysTrue => self.inner.add(&key, value, ttl).map(|_| true),
            Bug::AddInTwoSteps => {
                if self.inner.get_many(&[&key])? != [None] {
                    return Ok(false);
                }
                pause();
                self.inner.set(&key, value, ttl).map(|()| true)
            }
            Bug::LifeOfAddIgnored => self.inner.add(&key, value, HOUR),
            _ => self.inner.add(&key, value, ttl),
        }
    }

    fn remove(&self, key: &str) -> Result<bool, StoreError> {
        let key = self.key(key);
        match self.bug {
            Bug::DeleteAlwaysTrue => self.inner.delete(&key).map(|_| true),
            Bug::DeleteInTwoSteps => {
                let had = self.inner.get_many(&[&key])? != [None];
                pause();
                self.inner.delete(&key).map(|_| had)
            }
            _ => self.inner.delete(&key),
        }
    }

    fn remove_if(&self, key: &str, expected: &[u8]) -> Result<bool, StoreError> {
        let key = self.key(key);
        let (expected, found) = (self.value(expected), self.inner.get_many(&[&key])?.pop());
        let found = found.flatten();
        match self.bug {
            Bug::CompareByLength if found.as_ref().map(Vec::len) == Some(expected.len()) => {
                self.inner.delete(&key)
            }
            Bug::CompareInTwoSteps => {
                pause();
                Ok(found.is_some_and(|found| found == expected) && self.inner.delete(&key)?)
            }
            _ => self.inner.compare_and_delete(&key, expected),
        }
    }

    fn swap(
        &self,
        key: &str,
        expected: &[u8],
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        match self.bug {
            Bug::SwapAlways => self.inner.set(key, value, ttl).map(|()| true),
            Bug::SwapInTwoSteps => {
                let found = self.inner.get_many(&[key])?.pop().flatten();
                pause();
                if found.is_none_or(|found| found != expected) {
                    return Ok(false);
                }
                self.inner.set(key, value, ttl).map(|()| true)
            }
            _ => {
                let key = self.key(key);
                let ttl = self.ttl(&key, ttl);
                let (expected, value) = (self.value(expected), self.value(value));
                self.inner.compare_and_set(&key, expected, value, ttl)
            }
        }
    }

    fn extend(&self, key: &str, ttl: Duration) -> Result<bool, StoreError> {
        match self.bug {
            Bug::TouchDoesNothing => Ok(self.inner.get_many(&[key])? != [None]),
            Bug::TouchMakesRecords => {
                self.inner.add(key, b"", ttl)?;
                self.inner.touch(key, ttl).map(|_| true)
            }
            _ => self.inner.touch(&self.key(key), ttl),
        }
    }

    /// Adjacent reads are one call of the inner store.
    fn one_by_one(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let mut replies = Vec::new();
        for alike in operations.chunk_by(|one, next| one.is_read() && next.is_read()) {
            let done = match alike[0] {
                Operation::Get { .. } => {
                    let keys: Vec<&str> = alike.iter().map(Operation::key).collect();
                    replies.extend(self.read(&keys)?.into_iter().map(Reply::Value));
                    continue;
                }
                Operation::Set { key, value, ttl } => self.put(key, value, ttl).map(|()| true),
                Operation::Add { key, value, ttl } => self.insert(key, value, ttl),
                Operation::Delete { key } => self.remove(key),
                Operation::CompareAndDelete { key, expected } => self.remove_if(key, expected),
                Operation::CompareAndSet { key, expected, value, ttl } => {
                    self.swap(key, expected, value, ttl)
                }
                Operation::Touch { key, ttl } => self.extend(key, ttl),
            };
            replies.push(Reply::Done(done?));
        }
        Ok(replies)
    }
}

impl Store for Planted {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities().touches(!self.has(Bug::ClaimsNoTouch))
    }

    fn run(&self, operations: &[Operation<'_>]) -> Result<Vec<Reply>, StoreError> {
        let operations = match self.bug {
            Bug::RunTakes500 => &operations[..operations.len().min(500)],
            _ => operations,
        };
        let mut replies = self.one_by_one(operations)?;
        match self.bug {
            Bug::RunReadsFirst => {
                let (reads, changes): (Vec<_>, Vec<_>) =
                    replies.drain(..).partition(|reply| matches!(reply, Reply::Value(_)));
                replies = [reads, changes].concat();
            }
            Bug::RunLosesReply => replies.truncate(10),
            _ => {}
        }
        Ok(replies)
    }

    fn scan(&self, prefix: &str, cursor: Option<&str>) -> Result<Page, StoreError> {
        match self.bug {
            Bug::ScanByGlob => {
                let stem = prefix.trim_end_matches('*');
                self.inner.scan(stem, cursor)
            }
            Bug::ScanLosesKeys => {
                let mut page = self.inner.scan(prefix, cursor)?;
                if page.next.is_some() {
                    page.keys.pop();
                }
                Ok(page)
            }
            Bug::ScanNeverEnds => Ok(Page { keys: Vec::new(), next: Some("again".to_owned()) }),
            Bug::ScanListsDeleted => {
                let mut page = self.inner.scan(prefix, cursor)?;
                if prefix.ends_with("gone:") {
                    page.keys.push(format!("{prefix}1"));
                }
                Ok(page)
            }
            _ => self.inner.scan(prefix, cursor),
        }
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        if self.has(Bug::SweepsAll) {
            self.inner.clear();
        }
        self.inner.sweep()
    }
}

fn report_on(bug: Bug) -> Report {
    let clock = ManualClock::new();
    let inner = MemoryStore::with_clock(clock.clone());
    let store = Planted { inner, bug, old: Arc::default(), calls: Arc::default() };
    Suite::new(store.clone())
        .another(move || store.clone())
        .advance(move |by| clock.advance(by))
        .run()
}

#[track_caller]
fn finds(bug: Bug, sentence: &str) {
    let report = report_on(bug);
    assert!(report.broken().any(|(broken, _)| broken == sentence), "{bug:?}: {report}");
}

#[test]
fn wrong_reads_are_found() {
    let order = "values are returned in the order of the keys, one for each key";
    finds(Bug::ValuesReversed, order);
    finds(Bug::LastValueMissing, order);
    finds(Bug::EmptyIsNone, "an empty value is a value");
    finds(Bug::CutAtNul, "values are any bytes");
    finds(Bug::CutAt64K, "values are up to max_value_bytes");
    finds(Bug::ErrorShowsValue, "errors contain no values");
    finds(Bug::KeysCut, "keys are up to 200 bytes");
    let characters = "keys are of A-Z a-z 0-9 : _ . { } -, and each is a key of its own";
    finds(Bug::KeysFolded, characters);
}

#[test]
fn wrong_changes_are_found() {
    finds(Bug::SetKeepsOld, "set replaces any value");
    let add = "add sets if the key has no value, and reports whether it had none";
    finds(Bug::AddOverwrites, add);
    finds(Bug::AddAlwaysTrue, add);
    finds(Bug::DeleteAlwaysTrue, "delete reports whether the key had a value");
    let compare = "compare_and_delete deletes the expected value and no other";
    finds(Bug::CompareByLength, compare);
    let swap = "compare_and_set replaces the expected value and no other";
    finds(Bug::SwapAlways, swap);
    finds(Bug::ClaimsNoTouch, "a store reports what it does not support");
    finds(Bug::SweepsAll, "sweep removes only expired records");
}

#[test]
fn wrong_lifetimes_are_found() {
    finds(Bug::LifeIgnored, "a record is gone once its TTL has passed");
    finds(Bug::LifeOfAddIgnored, "a record is gone once its TTL has passed");
    finds(Bug::LifeOnlyShortens, "the last set decides the TTL");
    finds(Bug::LongLifeIsOver, "a TTL of a century is accepted");
    let touch = "touch sets a TTL from now on, and reports whether the record was there";
    finds(Bug::TouchDoesNothing, touch);
    finds(Bug::TouchMakesRecords, touch);
}

#[test]
fn batches_and_scans_that_go_wrong_are_found() {
    finds(Bug::RunReadsFirst, "run executes the operations one after another, in order");
    finds(Bug::RunLosesReply, "run returns a reply for each operation, in the same order");
    finds(Bug::RunTakes500, "run accepts a thousand operations");
    finds(Bug::ScanByGlob, "a prefix is literal");
    let lists = "scan lists the keys that begin with the prefix, and its pages end";
    finds(Bug::ScanLosesKeys, lists);
    finds(Bug::ScanNeverEnds, lists);
    finds(Bug::ScanListsDeleted, "scan lists no key that is gone");
}

#[test]
fn wrong_answers_to_threads_are_found() {
    finds(Bug::AddInTwoSteps, "of several concurrent adds one succeeds");
    finds(Bug::AddInTwoSteps, "add and compare_and_delete make a lock with one holder at a time");
    finds(Bug::DeleteInTwoSteps, "of several concurrent deletes one finds the value");
    finds(Bug::CompareInTwoSteps, "nothing happens between the comparison and the deletion");
    finds(Bug::SwapInTwoSteps, "of several concurrent compare_and_sets one succeeds");
    finds(Bug::SetInTwoSteps, "values are whole, and of their own key, while threads write them");
    finds(Bug::ReturnsToOld, "set replaces any value");
}

#[test]
fn handles_to_different_records_are_found() {
    let report = Suite::new(MemoryStore::new()).another(MemoryStore::new).run();
    let sentence = "a change that is reported as done is visible through every handle";
    assert!(report.broken().any(|(broken, _)| broken == sentence), "{report}");
}

#[test]
fn skipped_trials_are_listed() {
    let report = super::check(MemoryStore::new());
    let handle = "a second handle, which the suite did not get";
    let shared = "a change that is reported as done is visible through every handle";
    let outlive = "records outlive the handle that wrote them";
    assert_eq!(
        report.absent().collect::<Vec<_>>(),
        [(shared, handle), (outlive, "persists")],
        "{report}"
    );
    assert_eq!(report.unseen().count(), 2);
    assert_eq!(report.cases().count(), report.passed().count() + 4);
}

#[test]
#[should_panic(expected = "\n  set replaces any value: ")]
fn a_broken_store_is_named() {
    report_on(Bug::SetKeepsOld).assert_passed();
}
