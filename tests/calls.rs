//! The recorded behaviour of Flask-Caching with views, functions, values and their deletion,
//! compared with fragcache. Each recorded case has one verdict; a replay must confirm it.

mod case;
mod deletions;
mod documents;
mod functions;
mod manual;
mod responses;
mod results;
mod run;
mod said;
mod site;
mod stage;
mod stores;
mod tutorial;
mod values;
mod verbs;
mod verdict;
mod view_keys;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use case::Case;
use verdict::{Status, Verdict};

use crate::support::fixtures;

fn verdicts() -> impl Iterator<Item = &'static Verdict> {
    [values::CASES, functions::CASES, results::CASES, deletions::CASES, stores::CASES]
        .into_iter()
        .chain([
            documents::CASES,
            manual::CASES,
            tutorial::CASES,
            views::CASES,
            view_keys::CASES,
            responses::CASES,
        ])
        .flatten()
}

fn cases() -> BTreeMap<String, Case> {
    case::cases().into_iter().map(|case| (case.id.clone(), case)).collect()
}

#[test]
fn every_recorded_case_has_one_verdict() {
    let mut said = BTreeMap::<&str, usize>::new();
    for id in verdicts().map(|verdict| verdict.id) {
        *said.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = said.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "said twice: {twice:?}");
    let cases = cases();
    let missing: Vec<_> = cases.keys().filter(|id| !said.contains_key(id.as_str())).collect();
    assert!(missing.is_empty(), "{} without a verdict: {missing:?}", missing.len());
    let unknown: Vec<_> = said.keys().filter(|id| !cases.contains_key(**id)).collect();
    assert!(unknown.is_empty(), "no such case: {unknown:?}");
    assert!(cases.len() >= 250, "only {} cases", cases.len());
}

#[test]
fn fragcache_does_what_every_verdict_says() {
    let (cases, mut wrong, mut played) = (cases(), Vec::new(), 0);
    for verdict in verdicts() {
        let Some(case) = cases.get(verdict.id) else { continue };
        let done = verdict.check(case).and_then(|()| {
            let play = || run::run(case, verdict);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(play))
                .unwrap_or_else(|_| Err("a panic".to_owned()))
        });
        played += usize::from(verdict.scene.is_some());
        if let Err(why) = done {
            wrong.push(format!("{}: {why}", verdict.id));
        }
    }
    assert!(wrong.is_empty(), "{} of {played}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played > 200, "only {played} were played");
}

#[test]
fn the_compatibility_page_names_every_case_under_its_status() {
    let page = std::fs::read_to_string(fixtures("../COMPATIBILITY.md")).unwrap();
    let mut named = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, status, .., last, _] = cells.as_slice() else { continue };
        named.extend(last.split('`').skip(1).step_by(2).map(|name| (*status, name)));
    }
    let is_named = |verdict: &&Verdict| {
        let mut words = vec![verdict.status.word()];
        if verdict.status == Status::Absent {
            words.push(Status::Different.word());
        }
        !words.into_iter().any(|word| named.contains(&(word, verdict.id)))
    };
    let missing: Vec<_> = verdicts().filter(is_named).map(|v| (v.id, v.status.word())).collect();
    assert!(missing.is_empty(), "COMPATIBILITY.md does not name {missing:?}");
}
