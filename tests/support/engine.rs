//! The interface of the tests to an engine.

use std::collections::BTreeMap;
use std::fmt;

use fragcache::syntax::{CacheBlock, Syntax};
use fragcache::{Caches, FragmentCache};
use serde::Deserialize;
use serde_json::Value as Json;

use super::counts::Counts;
use super::settings::Settings;

/// The engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    MiniJinja,
    Tera,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::MiniJinja, Self::Tera];

    /// An engine with caches, or a plain one for templates with native tags.
    pub(crate) fn engine(self, settings: &Settings, caches: Option<Caches>) -> Box<dyn Engine> {
        match self {
            Self::MiniJinja => Box::new(super::minijinja::MiniJinja::new(settings, caches)),
            Self::Tera => Box::new(super::tera::TeraEngine::new(settings, caches)),
        }
    }

    /// An engine with a cache and no settings.
    pub(crate) fn with_cache(self, cache: &FragmentCache) -> Box<dyn Engine> {
        self.engine(&Settings::default(), Some(cache.clone().into()))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MiniJinja => "minijinja",
            Self::Tera => "tera",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Load,
    Render,
}

/// An engine's error.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    /// The engine's text.
    pub(crate) message: String,
    /// Our own error, if it is among the sources.
    pub(crate) ours: Option<fragcache::Error>,
    /// The error shown against the author's source.
    pub(crate) explained: String,
    /// The error and its sources in every form.
    pub(crate) forms: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error and its sources, in every form that a program may print.
pub(crate) fn forms(error: &(dyn std::error::Error + 'static)) -> String {
    let mut forms = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        forms.push_str(&format!("{error}\n{error:#}\n{error:?}\n{error:#?}\n"));
        next = error.source();
    }
    forms
}

/// Our error among the sources of an engine's.
pub(crate) fn ours(error: &(dyn std::error::Error + 'static)) -> Option<fragcache::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<fragcache::Error>() {
            return Some(ours.clone());
        }
        next = error.source();
    }
    None
}

/// An engine with the functions `tick`, `fail`, `nan`, `infinity` and `repeat`; with
/// `load`, `ends` and `form_token`, which call the cache themselves; and with
/// `page`, which renders another template with `n` in its context.
pub(crate) trait Engine: Send + Sync {
    /// Adds templates that may refer to each other.
    fn load(&mut self, templates: &BTreeMap<String, String>) -> Result<(), Failure>;

    fn render(&self, name: &str, context: &Json) -> Result<String, Failure>;

    fn render_str(&self, source: &str, context: &Json) -> Result<String, Failure>;

    /// The lexical rules of the sources.
    fn syntax(&self) -> Syntax;

    /// All loaded cache blocks.
    fn blocks(&self) -> Vec<CacheBlock>;

    fn counts(&self) -> &Counts;

    /// Adds one template.
    fn add(&mut self, name: &str, source: &str) -> Result<(), Failure> {
        self.load(&BTreeMap::from([(name.to_owned(), source.to_owned())]))
    }
}
