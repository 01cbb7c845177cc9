//! Each render of a story alone, on a fresh cache: a miss, a hit, and the same template
//! with native tags have equal bytes, and the hit evaluates no more than necessary.

use fragcache::Caches;

use super::story::{Step, Story};
use crate::support::{Engine, Failure, Kind, cache};

pub(super) fn check(story: &Story, kind: Kind) {
    let mut templates = story.templates.clone();
    for step in &story.steps {
        match step {
            Step::Render { render, with, .. } => {
                compare(story, kind, &templates, &|engine| engine.render(render, with));
            }
            Step::String { string, with } => {
                compare(story, kind, &templates, &|engine| engine.render_str(string, with));
            }
            Step::Edit { edit, source } => {
                templates.insert(edit.clone(), source.clone());
            }
            _ => {}
        }
    }
}

fn compare(
    story: &Story,
    kind: Kind,
    templates: &std::collections::BTreeMap<String, String>,
    render: &dyn Fn(&dyn Engine) -> Result<String, Failure>,
) {
    let caches = story
        .caches
        .keys()
        .fold(Caches::new(cache().0), |caches, name| caches.with(name, cache().0).unwrap());
    let flights = || -> u64 { caches.iter().map(|(_, cache)| cache.stats().flights).sum() };
    let mut cached = kind.engine(&story.settings, Some(caches.clone()));
    cached.load(templates).unwrap();
    let mut native = kind.engine(&story.settings, None);
    native.load(templates).unwrap();

    let missed = render(&*cached);
    let evaluated = cached.counts().take();
    assert_eq!(flights(), 0, "{kind}");
    let hit = render(&*cached);
    let again = cached.counts().take();
    assert_eq!(flights(), 0, "{kind}");
    match (&missed, &hit) {
        (Ok(missed), Ok(hit)) => assert_eq!(missed, hit, "{kind}: miss and hit"),
        (Err(_), Err(_)) => {}
        other => panic!("{kind}: miss and hit: {other:?}"),
    }
    let more = again.0.iter().any(|(name, times)| evaluated.0.get(name).is_none_or(|t| t < times));
    assert!(!more, "{kind}: a hit evaluated {again}, the miss {evaluated}");

    if story.differs.is_some() {
        return;
    }
    let expected = render(&*native);
    let natively = native.counts().take();
    match (&expected, &missed) {
        (Ok(expected), Ok(missed)) => {
            assert_eq!(missed, expected, "{kind}: cached and native");
            // A miss evaluates each body at most as often as the native form: a name
            // may appear twice on a page.
            let more =
                evaluated.0.iter().any(|(name, n)| natively.0.get(name).is_none_or(|t| t < n));
            assert!(!more, "{kind}: a miss evaluated {evaluated}, native tags {natively}");
        }
        (Err(_), Err(_)) => {}
        other => panic!("{kind}: native and cached: {other:?}"),
    }
}
