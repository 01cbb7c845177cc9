//! Bad input, with one file per mistake in `fixtures/errors`. Each message is a snapshot. After any
//! mistake, no flight stays open and other fragments are still served.

mod hostile;
mod policy;
mod released;
mod shown;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::support::{Engine, Failure, Kind, Settings, Stage, cache, fixtures};

/// The file format.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mistake {
    engines: Option<Vec<Kind>>,
    #[serde(default)]
    settings: Settings,
    /// What `template` refers to.
    #[serde(default)]
    templates: BTreeMap<String, String>,
    /// The source of `page.html`, which cannot be loaded or rendered.
    template: String,
    #[serde(default)]
    with: Option<Json>,
    /// The template with the mistake, if it is another one.
    #[serde(rename = "where")]
    place: Option<String>,
    /// Whether the engine reports it, and not this workspace.
    #[serde(default)]
    native: bool,
    /// Fragments of the page that are stored before it fails.
    #[serde(default)]
    stored: u64,
}

#[test]
fn every_mistake_matches_its_record() {
    insta::glob!("../fixtures/errors", "*.toml", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let mistake: Mistake = toml::from_str(&text).unwrap();
        let mut told = String::new();
        for kind in mistake.engines.clone().unwrap_or_else(|| Kind::BOTH.to_vec()) {
            let failure = make(&mistake, kind);
            check(kind, &mistake, &failure);
            write!(told, "{}", shown(kind, &failure)).unwrap();
        }
        insta::with_settings!({ description => mistake.template.trim_end(), omit_expression => true,
            prepend_module_to_snapshot => false, snapshot_path => fixtures("errors/snapshots") }, {
            insta::assert_snapshot!("error", told);
        });
    });
}

/// A page with a fragment that is stored before the mistake.
pub(super) struct Witness(String);

impl Witness {
    pub(super) fn load(engine: &mut dyn Engine, syntax: &fragcache::syntax::Syntax) -> Self {
        let (start, end) = syntax.block_delimiters();
        let (open, close) = syntax.variable_delimiters();
        let source = format!(
            "{start} cache 300, \"witness\" {end}{open} tick(name=\"witness\") {close}{open} n \
             {close}{start} endcache {end}"
        );
        engine.add("witness.html", &source).unwrap();
        let page = engine.render("witness.html", &json!({ "n": 1 })).unwrap();
        engine.counts().take();
        Self(page)
    }

    /// Checks that the fragment is served unchanged.
    pub(super) fn check(&self, engine: &dyn Engine) {
        engine.counts().take();
        assert_eq!(engine.render("witness.html", &json!({ "n": 2 })).unwrap(), self.0);
        assert!(engine.counts().take().is_none(), "the witness was rendered again");
    }
}

fn make(mistake: &Mistake, kind: Kind) -> Failure {
    let (cache, _clock) = cache();
    let mut engine = kind.engine(&mistake.settings, Some(cache.clone().into()));
    let syntax = engine.syntax();
    engine.load(&mistake.templates).unwrap();
    let witness = Witness::load(&mut *engine, &syntax);

    let context = mistake.with.clone().unwrap_or_else(|| json!({}));
    let made = engine.add("page.html", &mistake.template);
    let made = made.and_then(|()| engine.render("page.html", &context));
    let failure = made.expect_err(&mistake.template);

    let stats = cache.stats();
    assert_eq!(
        (stats.flights, stats.entries, stats.stores),
        (0, 1 + mistake.stored, 1 + mistake.stored),
        "{kind}"
    );
    witness.check(&*engine);
    failure
}

/// Our own errors name the place in the author's file, fit on one line, and say what to write.
fn check(kind: Kind, mistake: &Mistake, failure: &Failure) {
    assert!(!failure.explained.contains("__fragcache"), "{}", failure.explained);
    // MiniJinja creates its render errors itself, and adds its debug info.
    if kind == Kind::Tera || failure.stage == Stage::Load {
        assert!(!failure.forms.contains("__fragcache"), "{}", failure.forms);
    }
    if mistake.native {
        assert!(failure.ours.is_none(), "{failure}");
        return;
    }
    let place = mistake.place.as_deref().unwrap_or("page.html");
    let text = match &failure.ours {
        Some(ours) => {
            let location = ours.location().unwrap();
            assert!(location.column > 0 && *location.template == *place, "{ours}");
            assert!(!ours.message().ends_with('.'), "{ours}");
            ours.to_string()
        }
        // Tera keeps only the text of a filter's error.
        None => {
            assert!(kind == Kind::Tera && failure.stage == Stage::Render, "not ours: {failure}");
            let first = failure.message.lines().next().unwrap();
            first.strip_prefix("error: ").unwrap().to_owned()
        }
    };
    assert!(text.contains(&format!("(in {place}:")) && text.ends_with(')'), "{text}");
    assert!(!text.starts_with(char::is_uppercase), "{text}");
    assert!(!text.contains(char::is_control), "{text}");
    let advice = [
        "write ",
        "leave ",
        "remove ",
        "keep ",
        "add ",
        "move ",
        "make ",
        "close ",
        "put ",
        "repeat ",
        "delete ",
        "give ",
        "the options are ",
    ];
    assert!(advice.iter().any(|word| text.contains(word)), "no advice in: {text}");
}

fn shown(kind: Kind, failure: &Failure) -> String {
    let stage = match failure.stage {
        Stage::Load => "load",
        Stage::Render => "render",
    };
    let ours =
        failure.ours.as_ref().map(|ours| format!(" ({:?})", ours.kind())).unwrap_or_default();
    format!("# {kind}, on {stage}{ours}\n{}\n\n", failure.explained)
}
