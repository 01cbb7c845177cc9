//! A story, told: each step, and what came of it.

use std::fmt;
use std::time::Duration;

use fragcache::testing::Recorder;
use fragcache::{FragmentKey, Mode, fragment_key_at, make_template_fragment_key};

use super::story::{Step, Story};
use crate::support::{Evaluated, Failure, Kind, cache_with, said};

/// What came of one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    step: String,
    evaluated: Option<Evaluated>,
    result: String,
    events: Vec<String>,
}

/// All steps of a story.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Telling(Vec<Told>);

impl Telling {
    pub(super) fn without_events(&self) -> Self {
        let quiet = |told: &Told| Told { events: Vec::new(), ..told.clone() };
        Self(self.0.iter().map(quiet).collect())
    }
}

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for told in &self.0 {
            writeln!(f, "# {}", told.step)?;
            for event in &told.events {
                writeln!(f, "- {event}")?;
            }
            if let Some(evaluated) = &told.evaluated {
                writeln!(f, "evaluated: {evaluated}")?;
            }
            if !told.result.is_empty() {
                writeln!(f, "{}", visible(&told.result))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A page as it can be read in a snapshot: every character that an editor may change is spelled.
fn visible(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\t' => out.push('→'),
            '\r' => out.push('␍'),
            '\n' => out.push_str("⏎\n"),
            '\u{feff}' => out.push_str("[BOM]"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.replace(" ⏎", "·⏎")
}

pub(super) fn key_of(parts: &[String]) -> FragmentKey {
    let (name, vary) = parts.split_first().expect("a key has a name");
    make_template_fragment_key(name, vary)
}

pub(super) fn tell(story: &Story, kind: Kind, observed: bool) -> Telling {
    let recorder = Recorder::new();
    let (cache, clock) = cache_with(|builder| match observed {
        true => builder.observer(recorder.clone()),
        false => builder,
    });
    let mut engine = kind.engine(&story.settings, Some(&cache));
    engine.load(&story.templates).unwrap_or_else(|failure| panic!("{kind}: {failure}"));
    let mut told = Vec::new();
    for step in &story.steps {
        let mut evaluated = None;
        let mut page = |result: Result<String, Failure>| {
            evaluated = Some(engine.counts().take());
            result.unwrap_or_else(|failure| format!("failed: {}", failure.explained))
        };
        let (title, result) = match step {
            Step::Render { render, with } => {
                (format!("render {render} {with}"), page(engine.render(render, with)))
            }
            Step::String { string, with } => {
                (format!("render {string:?} {with}"), page(engine.render_str(string, with)))
            }
            Step::Advance { advance } => {
                clock.advance(Duration::from_secs_f64(*advance));
                (format!("advance {advance} s"), String::new())
            }
            Step::Delete { delete } => {
                let key = key_of(delete);
                (format!("delete {key}"), format!("{:?}", cache.delete(&key).unwrap()))
            }
            Step::DeleteAt { delete_at: (template, line, ordinal) } => {
                let key = fragment_key_at(template, *line).nth(*ordinal);
                (format!("delete {key}"), format!("{:?}", cache.delete(&key).unwrap()))
            }
            Step::DeleteName { delete_name } => {
                cache.delete_name(delete_name).unwrap();
                (format!("delete all called {delete_name}"), String::new())
            }
            Step::DeleteTemplate { delete_template } => {
                cache.delete_template(delete_template).unwrap();
                (format!("delete all of {delete_template}"), String::new())
            }
            Step::Clear { clear } => {
                assert!(clear);
                cache.clear().unwrap();
                ("clear".to_owned(), String::new())
            }
            Step::Mode { mode } => {
                cache.set_mode(match mode.as_str() {
                    "normal" => Mode::Normal,
                    "read-only" => Mode::ReadOnly,
                    "bypass" => Mode::Bypass,
                    other => panic!("no such mode: {other}"),
                });
                (format!("mode {mode}"), String::new())
            }
            Step::Edit { edit, source } => {
                engine.add(edit, source).unwrap_or_else(|failure| panic!("{kind}: {failure}"));
                (format!("edit {edit}"), String::new())
            }
            Step::Get { get } => {
                let key = key_of(get);
                let markup = cache.get(&key).unwrap();
                assert_eq!(cache.contains(&key).unwrap(), markup.is_some());
                (
                    format!("get {key}"),
                    markup.map_or("not there".into(), |markup| markup.to_string()),
                )
            }
        };
        assert_eq!(cache.stats().flights, 0, "{kind}: a flight is open after {title}");
        told.push(Told { step: title, evaluated, result, events: said(&recorder) });
        recorder.reset();
    }
    Telling(told)
}
