//! What a cache block's markup is made of beside its own source: included templates, macros, Tera's
//! components, a parent's block. Their sources are part of the block's digest, so that an edit to
//! one of them is an edit to the block. All of it happens when a template loads; a hit knows only
//! the digest.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::outline::{By, Span};
use super::rules::{Dialect, Syntax};

mod closure;
mod leaves;
mod mention;
mod names;
mod node;
mod prints;
mod reading;
mod readings;

#[cfg(test)]
mod tests;

pub(super) use closure::Called;
use closure::Closure;
use readings::Readings;

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
}

/// What a cache block takes from other templates, or may.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What it renders that a child template may fill, in words.
    pub(super) fills: Option<String>,
    /// A `break` or `continue` in it that leaves a section of its own.
    pub(super) loses: Option<Printer>,
    /// A cache block in what a variable of another template holds, which a macro of that prints.
    pub(super) keeps: Option<Printer>,
    /// The names that templates use which it renders in its own scope, with those templates.
    pub(super) names: HashMap<String, Vec<Arc<str>>>,
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

/// What one template has to do with others. They are read once somebody asks.
pub(super) struct Others<'a> {
    template: &'a str,
    source: &'a str,
    syntax: &'a Syntax,
    sources: &'a dyn Sources,
    readings: Option<Readings<'a>>,
    /// The tag that hands something on, with what it renders.
    handing: Option<(Span, Rc<Closure>)>,
    /// The first cache block in what is rendered.
    fragments: HashMap<(Span, Called), Option<Fragment>>,
    /// Whether the value that another template binds to a name may hold a fragment, by the name and
    /// whether it is imported.
    inherited: HashMap<(String, bool), bool>,
    /// The names that macros of other templates have from outside.
    closed_over: Option<Rc<BTreeSet<String>>>,
}

/// A fragment that what is rendered may hold.
#[derive(Debug, Clone)]
pub(super) enum Fragment {
    Of(Printer),
    /// Whatever a child template fills in.
    Filled,
}

impl<'a> Others<'a> {
    pub(super) fn new(
        template: &'a str,
        source: &'a str,
        syntax: &'a Syntax,
        sources: &'a dyn Sources,
    ) -> Self {
        Self {
            template,
            source,
            syntax,
            sources,
            readings: None,
            handing: None,
            fragments: HashMap::new(),
            inherited: HashMap::new(),
            closed_over: None,
        }
    }

    /// Whether anything was asked.
    pub(super) fn were_read(&self) -> bool {
        self.readings.is_some()
    }

    fn readings(&mut self) -> &mut Readings<'a> {
        let Self { template, source, syntax, sources, readings, .. } = self;
        readings.get_or_insert_with(|| Readings::new(template, source, syntax, *sources))
    }

    /// What the tag at `tag` renders, which is asked about each thing that it hands on.
    fn handing(&mut self, tag: Span) -> Rc<Closure> {
        if let Some((_, closure)) = self.handing.as_ref().filter(|(last, _)| *last == tag) {
            return Rc::clone(closure);
        }
        let closure = Rc::new(self.readings().closure(tag.range(), Called::Yes));
        self.handing = Some((tag, Rc::clone(&closure)));
        closure
    }

    /// The names that templates use which the tag at `tag` renders in its own scope, with one such
    /// template, in order.
    pub(super) fn names(&mut self, tag: Span) -> Vec<(String, Arc<str>)> {
        let closure = self.handing(tag);
        let names = closure.taken.names.iter();
        let names = names.filter_map(|(name, by)| Some((name.clone(), Arc::clone(by.first()?))));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    /// A fragment that may be in what the tag at `tag` renders, or in the value of the name there if
    /// it is not `called`.
    pub(super) fn fragment(&mut self, tag: Span, called: Called) -> Option<Fragment> {
        if let Some(known) = self.fragments.get(&(tag, called)) {
            return known.clone();
        }
        let readings = self.readings();
        let closure = match called {
            Called::Yes => readings.closure(tag.range(), called),
            Called::No => readings.value(tag.range()),
        };
        let block = readings.cached_in(&closure);
        let filled = || closure.taken.fills.as_ref().map(|_| Fragment::Filled);
        let found = block.map(Fragment::Of).or_else(filled);
        self.fragments.insert((tag, called), found.clone());
        found
    }

    /// MiniJinja: the names that macros of other templates have from outside.
    pub(super) fn closed_over(&mut self) -> Rc<BTreeSet<String>> {
        if let Some(names) = &self.closed_over {
            return Rc::clone(names);
        }
        let names = Rc::new(self.readings().closed_over());
        self.closed_over = Some(Rc::clone(&names));
        names
    }

    /// The names that the templates bind which the tag at `tag` includes.
    pub(super) fn binds(&mut self, tag: Span) -> Vec<String> {
        let closure = self.handing(tag);
        self.readings().binds(&closure)
    }

    /// Whether what another template binds to `name` may hold a fragment: a parent, one that is
    /// included, or perhaps one that is imported.
    pub(super) fn inherited(&mut self, name: &str, is_import: bool) -> bool {
        let question = (name.to_owned(), is_import);
        if let Some(known) = self.inherited.get(&question) {
            return *known;
        }
        let readings = self.readings();
        let closure = readings.bound(name, is_import);
        let found = closure.taken.fills.is_some() || readings.cached_in(&closure).is_some();
        self.inherited.insert(question, found);
        found
    }

    /// The cache block that may print what the tag at `tag` hands on `by`.
    pub(super) fn printer(&mut self, tag: Span, by: &By) -> Option<Printer> {
        let closure = self.handing(tag);
        self.readings().printer(&closure, by)
    }

    /// Where the namespace is changed that the tag at `tag` hands on `by`.
    pub(super) fn changer(&mut self, tag: Span, by: &By) -> Option<Printer> {
        let closure = self.handing(tag);
        self.readings().changer(&closure, by)
    }

    /// Follows what the cache blocks at `spans` refer to, if a tag `refers` to anything.
    pub(super) fn follow(mut self, spans: &[Range<usize>], refers: bool) -> Followed {
        if !refers && !self.were_read() {
            return Followed::default();
        }
        let readings = self.readings();
        let (parts, taken) = spans.iter().map(|span| readings.parts(span.clone())).unzip();
        let components = std::mem::take(&mut readings.components).into_iter().collect();
        let names = self.readings.into_iter().flat_map(Readings::names);
        let templates = names.collect::<BTreeSet<_>>().into_iter().collect();
        Followed { parts, taken, templates, components }
    }
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
