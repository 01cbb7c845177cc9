//! What a cache block's markup is made of beside its own source: included templates, macros, Tera's
//! components, a parent's block. Their sources are part of the block's digest, so that an edit to
//! one of them is an edit to the block. All of it happens when a template loads; a hit knows only
//! the digest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::outline::By;
use super::rules::{Dialect, Syntax};

mod closure;
mod leaves;
mod names;
mod prints;
mod reading;

#[cfg(test)]
mod tests;

/// Where the sources of other templates are to be had, for [`rewrite_with`](super::rewrite_with).
///
/// A closure from a template's name to its source is one that knows no components.
///
/// ```
/// use std::sync::Arc;
/// use fragcache::syntax::Sources;
///
/// let sources = |name: &str| (name == "nav.html").then(|| Arc::from("<nav/>"));
/// assert_eq!(sources.templates("nav.html"), [Arc::from("<nav/>")]);
/// assert!(sources.templates("other.html").is_empty());
/// assert!(sources.component("card").is_empty());
/// ```
pub trait Sources {
    /// What the author wrote for the template `name`: nothing for one that is not known, and all
    /// that it may be where that is not certain.
    ///
    /// An example is at [`Sources`].
    fn templates(&self, name: &str) -> Vec<Arc<str>>;

    /// The names of the templates that define the Tera component `name`.
    ///
    /// An example is at [`Sources`].
    fn component(&self, name: &str) -> Vec<String> {
        let _ = name;
        Vec::new()
    }
}

impl<F: Fn(&str) -> Option<Arc<str>>> Sources for F {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        self(name).into_iter().collect()
    }
}

/// What was found for the cache blocks of a template.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// For each block, a hash for each part of other sources that it uses, sorted; empty where no
    /// block uses any.
    pub(super) parts: Vec<Vec<u128>>,
    /// For each block, what it takes from others that its own source does not show.
    pub(super) taken: Vec<Taken>,
    /// The names of the templates that were looked for.
    pub(super) templates: Vec<String>,
    /// The names of the components that were looked for.
    pub(super) components: Vec<String>,
    answers: BTreeMap<(usize, usize, Option<By>), Taken>,
}

impl Followed {
    /// What the tag at `tag` takes, and whether what it renders prints what is handed on `by`.
    pub(super) fn answer(&self, tag: &Range<usize>, by: Option<&By>) -> Option<&Taken> {
        self.answers.get(&(tag.start, tag.end, by.cloned()))
    }
}

/// What is asked about a tag of the template.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) tag: Range<usize>,
    /// How it hands on what was rendered before.
    pub(super) by: Option<By>,
}

/// What a cache block takes from other templates, or may.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What it renders that a child template may fill, in words.
    pub(super) fills: Option<String>,
    /// A `break` or `continue` in it that leaves a section of its own.
    pub(super) loses: Option<Printer>,
    /// The names that templates use which it renders in its own scope, with one such template.
    pub(super) names: HashMap<String, Arc<str>>,
    /// The first cache block that it renders.
    pub(super) caches: Option<Printer>,
    /// A cache block that may print what was asked for.
    pub(super) prints: Option<Printer>,
}

/// A cache block of another template, or of this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Printer {
    pub(super) template: Arc<str>,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Printer {
    /// For a message about the template `page`.
    pub(super) fn place(&self, page: &str) -> String {
        let Self { template, line, column } = self;
        match &**template == page {
            true => format!("line {line}, column {column}"),
            false => format!("{template}:{line}:{column}"),
        }
    }
}

impl Taken {
    /// Whether a fragment may be in what is rendered.
    pub(super) fn may_hold_fragments(&self) -> bool {
        self.caches.is_some() || self.fills.is_some()
    }
}

/// Follows what the cache blocks at `spans` refer to. `components` says whether one of them may
/// call a Tera component; `questions` are answered beside.
pub(super) fn follow(
    template: &str,
    source: &str,
    syntax: &Syntax,
    spans: &[Range<usize>],
    components: bool,
    questions: Vec<Question>,
    sources: &dyn Sources,
) -> Followed {
    let words: &[&str] = match syntax.dialect() {
        // `extends`, because a block sees what its parents import.
        Dialect::MiniJinja => &["include", "import", "macro", "super", "self", "extends"],
        Dialect::Tera => &["include", "super"],
    };
    let holds = |word: &&str| memchr::memmem::find(source.as_bytes(), word.as_bytes()).is_some();
    if !components && questions.is_empty() && !words.iter().any(holds) {
        return Followed::default();
    }
    let mut readings = closure::Readings::new(template, source, syntax, sources);
    let all = spans.iter().map(|span| readings.closure(span.clone(), None));
    let (parts, taken) = all.unzip();
    let mut answers = BTreeMap::new();
    for Question { tag, by } in questions {
        let answer = answers.entry((tag.start, tag.end, by.clone()));
        answer.or_insert_with(|| readings.closure(tag, by.as_ref()).1);
    }
    let components = std::mem::take(&mut readings.components).into_iter().collect();
    let templates = readings.names().collect::<BTreeSet<_>>().into_iter().collect();
    Followed { parts, taken, templates, components, answers }
}

/// The Tera components that a source defines, by name.
///
/// ```
/// use fragcache::syntax::{Syntax, components};
///
/// let source = "{% component shop.card(title) %}<b>{{ title }}</b>{% endcomponent %}";
/// assert_eq!(components(source, &Syntax::tera()), ["shop.card"]);
/// ```
pub fn components(source: &str, syntax: &Syntax) -> Vec<String> {
    let none = memchr::memmem::find(source.as_bytes(), b"component").is_none();
    if none || syntax.dialect() != Dialect::Tera || syntax.validate().is_err() {
        return Vec::new();
    }
    let reading = reading::Reading::new("", &Arc::from(source), syntax);
    reading.components.into_keys().collect::<BTreeSet<_>>().into_iter().collect()
}
