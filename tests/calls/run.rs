//! Runs one case, step by step.

use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::case::{Asked, Case, Step};
use super::stage::{Answered, Stage, Told};
use super::verdict::Verdict;

/// Runs a case. Returns an error for the first step with an unexpected result.
pub(super) fn run(case: &Case, verdict: &Verdict) -> Result<(), String> {
    let Some(scene) = verdict.scene else { return Ok(()) };
    let stage = scene();
    stage.counts().take();
    for (index, step) in case.steps.iter().enumerate() {
        let number = index + 1;
        let found = play(&stage, step);
        let Some(found) = found else { continue };
        let Some(expected) = verdict.expected(case, number, step) else { continue };
        compare(&expected, &found).map_err(|field| {
            let found = Json::from(found.clone());
            format!("step {number}: {field} of {found}, expected {}", Json::from(expected.clone()))
        })?;
    }
    Ok(())
}

fn play(stage: &Stage, step: &Step) -> Option<Map<String, Json>> {
    let mut found = match step {
        Step::Call { call, .. } => fields(stage.perform(call)),
        Step::Request { asked, .. } => answered(&stage.ask(asked)),
        Step::Concurrently { asked, callers, .. } => together(stage, asked, *callers),
        Step::Advance { seconds } => {
            stage.clock.advance(Duration::from_secs_f64(*seconds));
            return None;
        }
        Step::Act { what } => {
            stage.act(what);
            return None;
        }
    };
    found.insert("computed".to_owned(), json!(stage.counts().take()));
    Some(found)
}

fn fields(told: Told) -> Map<String, Json> {
    let (field, value) = match told {
        Ok(value) => ("returned", value),
        Err(error) => ("raised", error.into()),
    };
    Map::from_iter([(field.to_owned(), value)])
}

fn answered(answer: &Answered) -> Map<String, Json> {
    let fields = [
        ("status", json!(answer.status)),
        ("headers", json!(answer.headers)),
        ("body", json!(answer.body)),
    ];
    fields.map(|(field, value)| (field.to_owned(), value)).into_iter().collect()
}

fn together(stage: &Stage, asked: &Asked, callers: usize) -> Map<String, Json> {
    let barrier = Barrier::new(callers);
    let ask = || {
        barrier.wait();
        stage.ask(asked).status
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    Map::from_iter([("statuses".to_owned(), json!(statuses))])
}

/// The first field that differs from the expected one.
fn compare<'e>(expected: &'e Map<String, Json>, found: &Map<String, Json>) -> Result<(), &'e str> {
    for (field, value) in expected {
        let is_met = match (field.as_str(), value, found.get(field)) {
            // Any error matches the name of a Python exception; a text matches an
            // error that contains it.
            ("raised", Json::String(text), Some(Json::String(error))) => {
                is_exception(text) || error.contains(text.as_str())
            }
            // A response may have additional headers, but none whose expected value is null.
            ("headers", Json::Object(wanted), Some(found)) => {
                wanted.iter().all(|(name, value)| found.get(name).unwrap_or(&Json::Null) == value)
            }
            (_, value, Some(found)) => value == found,
            (_, _, None) => false,
        };
        if !is_met {
            return Err(field);
        }
    }
    Ok(())
}

fn is_exception(text: &str) -> bool {
    text.starts_with(char::is_uppercase) && !text.contains(' ')
}
