//! One case in one engine.

use std::sync::Barrier;
use std::time::Duration;

use fragcache::{FragmentCache, fragment_key_at, make_template_fragment_key};

use super::case::{Case, Outcome, Render, Step};
use crate::support::{Engine, Evaluated, Failure, Kind, Stage, cache};

/// Runs the steps. Returns an error for the first one with an unexpected result.
pub(super) fn run(case: &Case, kind: Kind) -> Result<(), String> {
    let (cache, clock) = cache();
    let mut engine = kind.engine(&case.syntax, Some(cache.clone().into()));
    let loaded = engine.load(&case.templates);
    for (index, step) in case.steps.iter().enumerate() {
        let done = match step {
            Step::Render { template, during, render } => {
                if let Some(during) = during.as_deref().cloned() {
                    let cache = cache.clone();
                    engine.counts().during(move || invalidate(&cache, &during).unwrap());
                }
                once(&*engine, &loaded, render, |engine| engine.render(template, &render.context))
            }
            Step::RenderStr { source, render } => {
                once(&*engine, &loaded, render, |engine| engine.render_str(source, &render.context))
            }
            Step::RenderConcurrently { template, callers, render } => {
                together(&*engine, template, *callers, render)
            }
            Step::Advance { seconds } => {
                clock.advance(Duration::from_secs_f64(*seconds));
                Ok(())
            }
            Step::Edit { template, source } => {
                engine.add(template, source).map_err(|failure| failure.to_string())
            }
            other => invalidate(&cache, other),
        };
        done.map_err(|why| format!("step {}: {why}", index + 1))?;
        if cache.stats().flights != 0 {
            return Err(format!("step {}: a flight is open", index + 1));
        }
    }
    Ok(())
}

fn invalidate(cache: &FragmentCache, step: &Step) -> Result<(), String> {
    match step {
        Step::Delete { name, vary_on } => {
            cache.delete(&make_template_fragment_key(name, vary_on)).eventually();
        }
        Step::DeleteAt { template, line } => {
            cache.delete(&fragment_key_at(template, *line)).eventually();
        }
        Step::Clear => {
            cache.clear().eventually();
        }
        other => return Err(format!("cannot do {other:?}")),
    }
    Ok(())
}

fn once(
    engine: &dyn Engine,
    loaded: &Result<(), Failure>,
    render: &Render,
    run: impl Fn(&dyn Engine) -> Result<String, Failure>,
) -> Result<(), String> {
    let result = loaded.clone().and_then(|()| run(engine));
    compare(render.expected(), &result, &engine.counts().take())
}

fn together(
    engine: &dyn Engine,
    template: &str,
    callers: usize,
    render: &Render,
) -> Result<(), String> {
    let barrier = Barrier::new(callers);
    let results: Vec<_> = std::thread::scope(|scope| {
        let call = || {
            barrier.wait();
            engine.render(template, &render.context)
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let evaluated = engine.counts().take();
    results.iter().try_for_each(|result| compare(render.expected(), result, &evaluated))
}

fn compare(
    expected: &Outcome,
    result: &Result<String, Failure>,
    evaluated: &Evaluated,
) -> Result<(), String> {
    match (result, &expected.output, &expected.error) {
        (Ok(output), Some(expected), None) if output == expected => {}
        (Err(failure), None, Some(stage)) => {
            let found = match failure.stage {
                Stage::Load => "load",
                Stage::Render => "render",
            };
            if found != stage {
                return Err(format!("failed on {found}, expected on {stage}: {failure}"));
            }
        }
        _ => return Err(format!("found {result:?}, expected {expected:?}")),
    }
    let Some(wanted) = &expected.evaluated else { return Ok(()) };
    let names = wanted.keys().chain(evaluated.0.keys());
    for name in names {
        let count = |counts: &std::collections::BTreeMap<String, u64>| {
            counts.get(name).copied().unwrap_or_default()
        };
        if count(wanted) != count(&evaluated.0) {
            return Err(format!("evaluated {evaluated}, expected {wanted:?}"));
        }
    }
    Ok(())
}
