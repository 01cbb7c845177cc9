//! One key as a register: several processes on one store get, set, add, delete and refresh it. Each
//! store operation is separate, and some fail. The results must be those of a single register that
//! runs each call at one moment between its start and its end.
//!
//! A call that reports success has taken effect. One that ends in an error may have taken effect or
//! not, at any time since its start. A `get` may find nothing, because a cache may forget.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread::JoinHandle;

use super::far::Steps;
use super::{Model, World, finds, run_in};
use crate::memoize::{self, Function};
use crate::protection::Protection;
use crate::store::Fault;
use crate::testing::FaultyStore;
use crate::values::Values;
use crate::{ErrorKind, FarLevel, Invalidation};

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// A `get` found this value, or nothing.
    Got(Option<u64>),
    /// A write has set the register to this value, or emptied it.
    Set(Option<u64>),
    /// A write may have done so, or may have had no effect.
    MaySet(Option<u64>),
    /// A refresh has set the register to this value, or emptied it.
    Refreshed(u64),
    /// An `add` found the register empty and has set it.
    Added(u64),
    /// An `add` may have set the register, if it was empty.
    MayAdd(u64),
}

/// A call, with the moments of its start and its end.
#[derive(Debug, Clone, Copy)]
struct Call {
    began: u64,
    ended: u64,
    told: Told,
}

/// Whether one register could have returned all these results. `seen` has the states that are known
/// to lead nowhere, with the remaining calls.
fn is_explained(
    calls: &[Call],
    left: u32,
    state: Option<u64>,
    seen: &mut Vec<(u32, Option<u64>)>,
) -> bool {
    let of = |set: u32| (0..calls.len()).filter(move |at| set >> at & 1 == 1);
    let is_certain = |at: &usize| !matches!(calls[*at].told, Told::MaySet(_) | Told::MayAdd(_));
    if !of(left).any(|at| is_certain(&at)) {
        return true;
    }
    if seen.contains(&(left, state)) {
        return false;
    }
    seen.push((left, state));
    // The next call must have started before every remaining call ended. A failed call never ends.
    let end = of(left).filter(is_certain).map(|at| calls[at].ended).min().unwrap_or(u64::MAX);
    of(left).filter(|&at| calls[at].began < end).any(|at| {
        let rest = left & !(1 << at);
        let states: &[Option<u64>] = match calls[at].told {
            Told::Got(Some(value)) if state != Some(value) => &[],
            Told::Got(_) => &[state],
            Told::Set(value) => &[value],
            Told::Refreshed(value) => &[Some(value), None],
            Told::MaySet(value) => &[value, None],
            Told::Added(_) if state.is_some() => &[],
            Told::Added(value) => &[Some(value)],
            Told::MayAdd(_) if state.is_some() => &[],
            Told::MayAdd(value) => &[Some(value)],
        };
        states.iter().any(|&state| is_explained(calls, rest, state, seen))
    })
}

/// A process. All processes share the time.
#[derive(Clone)]
struct Process {
    values: Values,
    store: FaultyStore<Steps>,
    time: Arc<AtomicU64>,
}

type Calls = JoinHandle<Vec<Call>>;

impl Process {
    /// Creates `count` processes on one store.
    fn several(count: usize, without: Option<Protection>) -> Vec<Self> {
        let (steps, time) = (Steps::default(), Arc::new(AtomicU64::new(0)));
        let process = |_| {
            let store = FaultyStore::new(steps.clone());
            let level = FarLevel::new(store.clone()).near_ttl(Duration::ZERO);
            let cache = World::with(without, |builder| builder.far(level)).cache;
            // As in any store in use, the fences exist before the model starts.
            cache.read_point();
            Self { values: cache.values(), store, time: Arc::clone(&time) }
        };
        (0..count).map(process).collect()
    }

    fn call(&self, call: impl FnOnce(&Values) -> Told) -> Call {
        let began = self.time.fetch_add(1, Ordering::SeqCst);
        let told = call(&self.values);
        Call { began, ended: self.time.fetch_add(1, Ordering::SeqCst), told }
    }

    fn get(&self) -> Call {
        self.call(|values| Told::Got(values.get("k")))
    }

    fn set(&self, value: u64) -> Call {
        self.call(|values| match values.set("k", &value) {
            Ok(true) => Told::Set(Some(value)),
            Ok(false) => Told::MaySet(Some(value)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Store);
                Told::MaySet(Some(value))
            }
        })
    }

    fn add(&self, value: u64) -> Call {
        self.call(|values| match values.add("k", &value) {
            Ok(true) => Told::Added(value),
            Ok(false) => Told::Got(None),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Store);
                Told::MayAdd(value)
            }
        })
    }

    fn delete(&self) -> Call {
        self.call(|values| match values.delete("k") {
            Invalidation::Pending => Told::MaySet(None),
            _ => Told::Set(None),
        })
    }

    /// The result of a memoized function, and whether this call ran it.
    fn load(&self, value: u64, anew: bool) -> (u64, bool) {
        let mut ran = false;
        let call = Function::new("k").call().refresh(anew);
        let Ok(got) = memoize::try_memoize(&self.values.cache, &call, || {
            ran = true;
            Ok::<_, Infallible>(value)
        });
        (got, ran)
    }

    /// The cached result of a function, or a new one, which is then cached.
    fn fill(&self, value: u64) -> Call {
        self.call(|_| match self.load(value, false) {
            (got, false) => Told::Got(Some(got)),
            (_, true) => Told::MayAdd(value),
        })
    }

    /// A refresh: a new result of the function replaces the cached one.
    fn refresh(&self, value: u64) -> Call {
        self.call(|_| {
            self.load(value, true);
            Told::Refreshed(value)
        })
    }

    fn spawn(&self, calls: impl FnOnce(&Self) -> Vec<Call> + Send + 'static) -> Calls {
        let process = self.clone();
        shuttle::thread::spawn(move || calls(&process))
    }
}

/// Joins the callers and checks that one register could have returned all their results. At the
/// end, a process without faults reads.
fn judge(first: Vec<Call>, callers: impl IntoIterator<Item = Calls>, last: impl Fn() -> Call) {
    let mut calls = first;
    for caller in callers {
        calls.extend(caller.join().unwrap());
    }
    calls.extend([last(), last()]);
    let all = (1 << calls.len()) - 1;
    assert!(is_explained(&calls, all, None, &mut Vec::new()), "no register tells this: {calls:?}");
}

/// Gets, sets and a deletion.
fn set_against_delete(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let first = vec![one.set(1), other.get()];
    let setter = one.spawn(|process| vec![process.set(2), process.get()]);
    let deleter = other.spawn(|process| vec![process.get(), process.delete(), process.get()]);
    judge(first, [setter, deleter], || other.get());
}

/// One process sets; another one, which has the old value, reads.
fn set_against_get(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let first = vec![one.set(1), other.get()];
    let setter = one.spawn(|process| vec![process.set(2), process.get()]);
    let getter = other.spawn(|process| vec![process.get()]);
    judge(first, [setter, getter], || other.get());
}

/// One process sets while another adds.
fn set_against_add(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let setter = one.spawn(|process| vec![process.set(1)]);
    let adder = other.spawn(|process| vec![process.add(2), process.add(3)]);
    judge(Vec::new(), [setter, adder], || one.get());
}

/// Two processes set at the same time. Both then read one of the two values.
fn set_against_set(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let setters = [(one, 1), (other, 2)]
        .map(|(process, value)| process.spawn(move |process| vec![process.set(value)]));
    let last = || one.get();
    let calls = setters.map(|setter| setter.join().unwrap()[0]);
    let all_set = calls.iter().all(|call| matches!(call.told, Told::Set(_)));
    let read = [one.get(), other.get()].map(|call| call.told);
    assert!(!all_set || read[0] != Told::Got(None), "lost: {calls:?}");
    assert_eq!(read[0], read[1], "they read different values after {calls:?}");
    judge(calls.to_vec(), [], last);
}

/// Two processes add at the same time, and a third call deletes.
fn add_against_add(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let adder = one.spawn(|process| vec![process.add(1), process.get()]);
    let both = other.spawn(|process| vec![process.add(2), process.delete(), process.add(3)]);
    judge(Vec::new(), [adder, both], || one.get());
}

/// Two processes add, and their leases end at any time.
fn add_without_leases(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let adders = [(one, 1), (other, 2)]
        .map(|(process, value)| process.spawn(move |process| vec![process.add(value)]));
    let store = one.store.clone();
    let ends = shuttle::thread::spawn(move || {
        for _ in 0..2 {
            store.inner().end_leases();
            shuttle::thread::yield_now();
        }
        Vec::new()
    });
    let [first, second] = adders;
    judge(Vec::new(), [first, second, ends], || one.get());
}

/// A function is refreshed while others look it up.
fn refresh_against_fill(without: Option<Protection>) {
    let processes = Process::several(2, without);
    let [one, other] = &processes[..] else { unreachable!() };
    let filler = one.spawn(|process| vec![process.fill(1), process.fill(2)]);
    let refresher = other.spawn(|process| vec![process.fill(3), process.refresh(4)]);
    judge(Vec::new(), [filler, refresher], || one.fill(5));
}

/// The same calls while the store of one process fails, in one of several ways.
fn faults(without: Option<Protection>, fail: fn(&FaultyStore<Steps>)) {
    let processes = Process::several(3, without);
    let [one, other, last] = &processes[..] else { unreachable!() };
    let first = vec![other.set(1), one.get()];
    let unlucky = one.spawn(|process| vec![process.set(2), process.get(), process.set(3)]);
    let store = one.store.clone();
    let fault = shuttle::thread::spawn(move || {
        fail(&store);
        shuttle::thread::yield_now();
        store.heal();
        Vec::new()
    });
    let lucky = other.spawn(|process| vec![process.get(), process.delete(), process.get()]);
    judge(first, [unlucky, fault, lucky], || last.get());
}

fn refused(without: Option<Protection>) {
    faults(without, |store| store.fail_writes(Fault::Refused));
}

fn lost(without: Option<Protection>) {
    faults(without, |store| store.fail_after_effect(Fault::Refused));
}

fn away(without: Option<Protection>) {
    faults(without, |store| store.fail(Fault::Unreachable));
}

/// Two processes add while the store of one fails.
fn add_with_faults(without: Option<Protection>) {
    let processes = Process::several(3, without);
    let [one, other, last] = &processes[..] else { unreachable!() };
    let unlucky = one.spawn(|process| vec![process.add(1), process.add(2)]);
    let store = one.store.clone();
    let fault = shuttle::thread::spawn(move || {
        store.fail_after_effect(Fault::Refused);
        shuttle::thread::yield_now();
        store.fail(Fault::Unreachable);
        Vec::new()
    });
    let lucky = other.spawn(|process| vec![process.add(3)]);
    // A lease whose reply was lost lasts until its end, because a model has no background worker.
    let store = one.store.clone();
    let unlucky = shuttle::thread::spawn(move || {
        let calls = unlucky.join().unwrap();
        store.inner().end_leases();
        calls
    });
    judge(Vec::new(), [unlucky, fault, lucky], || last.get());
}

fn holds(model: Model) {
    run_in(150, model, None);
}

#[test]
fn the_judge_tells_registers_from_others() {
    let call = |began, ended, told| Call { began, ended, told };
    let judge = |calls: &[Call]| is_explained(calls, (1 << calls.len()) - 1, None, &mut Vec::new());
    let set = call(0, 1, Told::Set(Some(1)));
    assert!(judge(&[set, call(2, 3, Told::Got(Some(1)))]));
    assert!(!judge(&[set, call(2, 3, Told::Set(Some(2))), call(4, 5, Told::Got(Some(1)))]));
    assert!(judge(&[set, call(2, 9, Told::Set(Some(2))), call(4, 5, Told::Got(Some(1)))]));
    assert!(judge(&[set, call(2, 3, Told::MaySet(Some(2))), call(8, 9, Told::Got(Some(1)))]));
    // Took effect late, and was not undone.
    let late = [call(2, 3, Told::MaySet(Some(2))), call(4, 5, Told::Got(Some(1)))];
    assert!(judge(&[&[set], &late[..], &[call(6, 7, Told::Got(Some(2)))]].concat()));
    let back = [call(4, 5, Told::Got(Some(2))), call(6, 7, Told::Got(Some(1)))];
    assert!(!judge(&[&[set, late[0]], &back[..]].concat()));
    assert!(!judge(&[call(0, 1, Told::Added(1)), call(2, 3, Told::Added(2))]));
    let deleted = call(1, 4, Told::Set(None));
    assert!(judge(&[call(0, 1, Told::Added(1)), deleted, call(2, 3, Told::Added(2))]));
}

#[test]
fn model_a_register_is_set_and_deleted() {
    holds(set_against_delete);
}

#[test]
fn model_finds_the_old_value_in_another_process_when_a_write_changes_no_version() {
    finds(set_against_get, Protection::Rewrite, "no register tells this");
}

#[test]
fn model_a_register_is_read_by_one_that_held_what_was_there() {
    holds(set_against_get);
}

#[test]
fn model_a_register_is_not_added_to_while_it_is_set() {
    holds(set_against_add);
}

#[test]
fn model_of_two_that_set_one_is_read_by_all() {
    holds(set_against_set);
}

#[test]
fn model_a_register_is_added_once() {
    holds(add_against_add);
}

#[test]
fn model_a_register_is_added_once_though_leases_end() {
    holds(add_without_leases);
}

#[test]
fn model_finds_the_second_add_when_it_is_written_over_the_first() {
    finds(add_without_leases, Protection::AddOnce, "no register tells this");
}

#[test]
fn model_a_refresh_is_what_is_served_afterwards() {
    holds(refresh_against_fill);
}

#[test]
fn model_finds_the_old_result_in_another_process_when_a_refresh_changes_no_version() {
    finds(refresh_against_fill, Protection::Rewrite, "no register tells this");
}

#[test]
fn model_a_register_on_a_store_that_refuses_writes() {
    holds(refused);
}

#[test]
fn model_a_register_on_a_store_whose_answers_are_lost() {
    holds(lost);
}

#[test]
fn model_a_register_on_a_store_that_goes_away() {
    holds(away);
}

#[test]
fn model_a_register_is_added_once_on_a_store_that_fails() {
    holds(add_with_faults);
}
