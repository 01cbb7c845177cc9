//! The recorded behaviour of Flask-Caching with a set of templates, compared with fragcache. If a
//! case is `same`, bytes and evaluation counts are equal; otherwise the case states the difference.

mod case;
mod run;

use std::collections::BTreeSet;

use case::{Case, Recordings, Status};

use crate::support::{Kind, fixtures};

/// Cases that cannot be run, and why.
const CANNOT_RUN: [(&str, &str); 1] =
    [("store_error_renders_twice", "needs a store that can fail, and the near level cannot")];

fn recordings() -> Recordings {
    let text = std::fs::read_to_string(fixtures("flask/recordings.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn fragcache_does_what_every_case_says() {
    let mut wrong = Vec::new();
    let mut ran = 0;
    for case in &recordings().cases {
        if CANNOT_RUN.iter().any(|(name, _)| *name == case.name) {
            continue;
        }
        for engine in &case.engines {
            ran += 1;
            if let Err(why) = run::run(case, *engine) {
                wrong.push(format!("{} in {engine}: {why}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {ran} runs:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran > 150, "only {ran} runs");
}

#[test]
fn cases_that_cannot_run_exist_and_are_not_the_same() {
    let recordings = recordings();
    for (name, why) in CANNOT_RUN {
        let case = recordings.cases.iter().find(|case| case.name == name);
        let status = case.unwrap_or_else(|| panic!("there is no case {name}")).status;
        assert!(!why.is_empty() && status != Status::Same, "{name}");
    }
}

#[test]
fn a_same_case_expects_nothing_of_its_own() {
    for case in &recordings().cases {
        let own = case.renders().any(|render| render.fragcache.is_some());
        assert_eq!(own, case.status != Status::Same, "{}", case.name);
        assert_eq!(case.instead.is_some(), case.status != Status::Same, "{}", case.name);
    }
}

#[test]
fn the_compatibility_page_names_every_case_under_its_status() {
    let page = std::fs::read_to_string(fixtures("../COMPATIBILITY.md")).unwrap();
    let cases = recordings().cases;
    let mut named = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, status, .., last, _] = cells.as_slice() else { continue };
        let names = last.split('`').skip(1).step_by(2);
        let held: Vec<&Case> =
            names.filter_map(|name| cases.iter().find(|case| case.name == name)).collect();
        named.extend(held.iter().map(|case| &*case.name));
        // A row may also name cases that work in both.
        let fits = |case: &&Case| case.status.word() == *status;
        match *status {
            "same" => assert!(held.iter().all(fits), "{line}"),
            _ => assert!(held.is_empty() || held.iter().any(fits), "{line}"),
        }
    }
    let missing: Vec<&str> =
        cases.iter().map(|case| &*case.name).filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "COMPATIBILITY.md does not name {missing:?}");
}

#[test]
fn both_engines_run_cases_of_every_status() {
    for status in [Status::Same, Status::Fixed, Status::Different] {
        for engine in Kind::BOTH {
            let cases: &[Case] = &recordings().cases;
            let some = cases.iter().any(|c| c.status == status && c.engines.contains(&engine));
            assert!(some, "{status:?} {engine}");
        }
    }
}
