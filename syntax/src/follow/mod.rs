//! Follows what a cache block's markup is made of besides its own source: included templates,
//! macros, Tera's components, a parent's block. Their sources are part of the block's digest, so
//! that an edit to one of them changes the block. This happens when a template loads; a hit uses
//! only the digest.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::delimiters::Syntax;
use super::outline::{By, Span};

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

/// Provides the sources of other templates, for [`rewrite_with`](super::rewrite_with).
///
/// It is implemented for closures from a template's name to its source. They know no components.
///
/// ```
/// use std::sync::Arc;
/// use fragcache_syntax::Sources;
///
/// let sources = |name: &str| (name == "nav.html").then(|| Arc::from("<nav/>"));
/// assert_eq!(sources.templates("nav.html"), [Arc::from("<nav/>")]);
/// assert!(sources.templates("other.html").is_empty());
/// assert!(sources.component("card").is_empty());
/// ```
pub trait Sources {
    /// Returns the author's source of the template `name`: nothing if there is no such template,
    /// and every candidate if it is uncertain.
    ///
    /// An example is at [`Sources`].
    fn templates(&self, name: &str) -> Vec<Arc<str>>;

    /// Returns the names of the templates that define the Tera component `name`.
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

/// The result of following the cache blocks of a template.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// For each block, a hash of each part of other sources that it uses, sorted. Empty if no block
    /// uses any.
    pub(super) parts: Vec<Vec<u128>>,
    /// For each block, what it takes from other templates that its own source does not show.
    pub(super) from_others: Vec<FromOthers>,
    /// The names of the templates that were looked up.
    pub(super) templates: Vec<String>,
    /// The names of the components that were looked up.
    pub(super) components: Vec<String>,
}

/// What a cache block takes, or may take, from other templates.
#[derive(Debug, Default)]
pub(super) struct FromOthers {
    /// Text for a message: content that it renders and a child template may fill.
    pub(super) fills: Option<String>,
    /// A `break` or `continue` in it that leaves a section of its own template.
    pub(super) unended: Option<SourcePlace>,
    /// A cache block inside the value of another template's variable that a macro of that template
    /// prints.
    pub(super) captured: Option<SourcePlace>,
    /// The names that the templates rendered in its own scope use, each with those templates.
    pub(super) names: HashMap<String, Vec<Arc<str>>>,
}

/// A cache block of another template, or of this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourcePlace {
    pub(super) template: Arc<str>,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl SourcePlace {
    /// For a message about the template `page`.
    pub(super) fn place(&self, page: &str) -> String {
        let Self { template, line, column } = self;
        match &**template == page {
            true => format!("line {line}, column {column}"),
            false => format!("{template}:{line}:{column}"),
        }
    }
}

/// The other templates that one template refers to. They are read on first use.
pub(super) struct Others<'a> {
    template: &'a str,
    source: &'a str,
    syntax: &'a Syntax,
    sources: &'a dyn Sources,
    readings: Option<Readings<'a>>,
    /// The last tag that passes a value on, with everything that it renders.
    rendered_by: Option<(Span, Rc<Closure>)>,
    /// The first cache block in the output of a span.
    fragments: HashMap<(Span, Called), Option<Fragment>>,
    /// Whether the value that another template binds to a name may hold a fragment, by the name and
    /// whether it is imported.
    inherited: HashMap<(String, bool), bool>,
    /// The outside names that macros of other templates use.
    closed_over: Option<Rc<BTreeSet<String>>>,
}

/// A fragment that rendered output may hold.
#[derive(Debug, Clone)]
pub(super) enum Fragment {
    Of(SourcePlace),
    /// Unknown content that a child template fills in.
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
            rendered_by: None,
            fragments: HashMap::new(),
            inherited: HashMap::new(),
            closed_over: None,
        }
    }

    /// Whether other templates were read.
    pub(super) fn were_read(&self) -> bool {
        self.readings.is_some()
    }

    fn readings(&mut self) -> &mut Readings<'a> {
        let Self { template, source, syntax, sources, readings, .. } = self;
        readings.get_or_insert_with(|| Readings::new(template, source, syntax, *sources))
    }

    /// Everything that the tag at `tag` renders. The last result is cached, because it is needed
    /// for each value that the tag passes on.
    fn rendered_by(&mut self, tag: Span) -> Rc<Closure> {
        if let Some((_, closure)) = self.rendered_by.as_ref().filter(|(last, _)| *last == tag) {
            return Rc::clone(closure);
        }
        let closure = Rc::new(self.readings().closure(tag.range(), Called::Yes));
        self.rendered_by = Some((tag, Rc::clone(&closure)));
        closure
    }

    /// The names used by templates that the tag at `tag` renders in its own scope, each with one
    /// such template, sorted.
    pub(super) fn names(&mut self, tag: Span) -> Vec<(String, Arc<str>)> {
        let closure = self.rendered_by(tag);
        let names = closure.from_others.names.iter();
        let names = names.filter_map(|(name, by)| Some((name.clone(), Arc::clone(by.first()?))));
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    /// A fragment that may be in the output of the tag at `tag`, or, if it is not `called`, in the
    /// value of the name there.
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
        let filled = || closure.from_others.fills.as_ref().map(|_| Fragment::Filled);
        let found = block.map(Fragment::Of).or_else(filled);
        self.fragments.insert((tag, called), found.clone());
        found
    }

    /// MiniJinja: the outside names that macros of other templates use.
    pub(super) fn closed_over(&mut self) -> Rc<BTreeSet<String>> {
        if let Some(names) = &self.closed_over {
            return Rc::clone(names);
        }
        let names = Rc::new(self.readings().closed_over());
        self.closed_over = Some(Rc::clone(&names));
        names
    }

    /// The names bound by the templates that the tag at `tag` includes.
    pub(super) fn binds(&mut self, tag: Span) -> Vec<String> {
        let closure = self.rendered_by(tag);
        self.readings().binds(&closure)
    }

    /// Whether the value of `name` may hold a fragment if another template binds it: a parent, an
    /// included one, or, if `is_import`, an imported one.
    pub(super) fn inherited(&mut self, name: &str, is_import: bool) -> bool {
        let key = (name.to_owned(), is_import);
        if let Some(known) = self.inherited.get(&key) {
            return *known;
        }
        let readings = self.readings();
        let closure = readings.bound(name, is_import);
        let found = closure.from_others.fills.is_some() || readings.cached_in(&closure).is_some();
        self.inherited.insert(key, found);
        found
    }

    /// The cache block that may print what the tag at `tag` passes on in the way `by`.
    pub(super) fn printer(&mut self, tag: Span, by: &By) -> Option<SourcePlace> {
        let closure = self.rendered_by(tag);
        self.readings().printer(&closure, by)
    }

    /// The place that changes the namespace which the tag at `tag` passes on in the way `by`.
    pub(super) fn changer(&mut self, tag: Span, by: &By) -> Option<SourcePlace> {
        let closure = self.rendered_by(tag);
        self.readings().changer(&closure, by)
    }

    /// Follows the references of the cache blocks at `spans`, if any tag `refers` to other
    /// templates.
    pub(super) fn follow(mut self, spans: &[Range<usize>], refers: bool) -> Followed {
        if !refers && !self.were_read() {
            return Followed::default();
        }
        let readings = self.readings();
        let (parts, from_others) = spans.iter().map(|span| readings.parts(span.clone())).unzip();
        let components = std::mem::take(&mut readings.components).into_iter().collect();
        let names = self.readings.into_iter().flat_map(Readings::names);
        let templates = names.collect::<BTreeSet<_>>().into_iter().collect();
        Followed { parts, from_others, templates, components }
    }
}

/// The Tera components that a source defines, by name.
///
/// ```
/// use fragcache_syntax::{Syntax, components};
///
/// let source = "{% component shop.card(title) %}<b>{{ title }}</b>{% endcomponent %}";
/// assert_eq!(components(source, &Syntax::tera()), ["shop.card"]);
/// ```
pub fn components(source: &str, syntax: &Syntax) -> Vec<String> {
    let none = memchr::memmem::find(source.as_bytes(), b"component").is_none();
    if none || !syntax.rules().components || syntax.validate().is_err() {
        return Vec::new();
    }
    let reading = reading::Reading::new("", &Arc::from(source), syntax);
    reading.components.into_keys().collect::<BTreeSet<_>>().into_iter().collect()
}
