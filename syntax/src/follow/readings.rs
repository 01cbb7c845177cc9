//! Reads the templates that one page refers to, each once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::closure::{Called, Closure};
use super::node::Node;
use super::prints::{self, Printed};
use super::reading::Reading;
use super::{FromOthers, SourcePlace, Sources};
use crate::delimiters::Syntax;
use crate::outline::By;
use crate::refusal::Places;

/// The most templates that are read for one page. Beyond them, nothing is followed.
pub(super) const MOST_TEMPLATES: usize = 1_000;

/// The templates read for the blocks of one template, which is the first of them.
pub(super) struct Readings<'r> {
    pub(super) syntax: &'r Syntax,
    pub(super) sources: &'r dyn Sources,
    pub(super) list: Vec<Rc<Reading>>,
    by_name: HashMap<String, Vec<usize>>,
    /// The components that were looked up.
    pub(super) components: BTreeSet<String>,
    hashes: HashMap<Node, u128>,
    /// The templates whose names may be bound in the page, once computed.
    scopes: Option<Vec<usize>>,
}

impl<'r> Readings<'r> {
    pub(super) fn new(
        template: &str,
        source: &str,
        syntax: &'r Syntax,
        sources: &'r dyn Sources,
    ) -> Self {
        let page = Reading::new(template, &Arc::from(source), syntax);
        Self {
            syntax,
            sources,
            list: vec![Rc::new(page)],
            by_name: HashMap::from([(template.to_owned(), vec![0])]),
            components: BTreeSet::new(),
            hashes: HashMap::new(),
            scopes: None,
        }
    }

    /// The names of the templates that were looked up, except the template's own.
    pub(super) fn names(self) -> impl Iterator<Item = String> {
        let own = Arc::clone(&self.list[0].name);
        self.by_name.into_keys().filter(move |name| **name != *own)
    }

    /// The readings of the template `name`.
    pub(super) fn find(&mut self, name: &str) -> Vec<usize> {
        if let Some(found) = self.by_name.get(name) {
            return found.clone();
        }
        if self.by_name.len() >= MOST_TEMPLATES {
            return Vec::new();
        }
        let mut found = Vec::new();
        for source in self.sources.templates(name) {
            found.push(self.list.len());
            self.list.push(Rc::new(Reading::new(name, &source, self.syntax)));
        }
        self.by_name.insert(name.to_owned(), found.clone());
        found
    }

    pub(super) fn find_all(&mut self, names: &[String]) -> Vec<usize> {
        names.iter().flat_map(|name| self.find(name)).collect()
    }

    /// The ancestors of a template, nearest first.
    pub(super) fn ancestors(&mut self, of: usize) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut at = of;
        let mut next = 0;
        loop {
            let extends = Rc::clone(&self.list[at]);
            for parent in self.find_all(&extends.extends) {
                if parent != of && !found.contains(&parent) {
                    found.push(parent);
                }
            }
            let Some(&parent) = found.get(next) else { return found };
            at = parent;
            next += 1;
        }
    }

    /// A hash of each part that `span` of the page uses, sorted, and what it takes from other
    /// templates.
    pub(super) fn parts(&mut self, span: Range<usize>) -> (Vec<u128>, FromOthers) {
        let Closure { seen, captured, mut from_others, .. } = self.closure(span, Called::Yes);
        for value in captured {
            let closure = Closure::of_node(self, value);
            from_others.captured = from_others.captured.or_else(|| self.cached_in(&closure));
        }
        from_others.unended = self.first(&seen, |reading, node| {
            let ranges = node.ranges(reading);
            let mut leaves = reading.leaves.iter().copied();
            leaves.find(|at| ranges.iter().any(|range| range.contains(at)))
        });
        let mut hashes: Vec<u128> = seen.into_iter().map(|node| self.hash(node)).collect();
        hashes.sort_unstable();
        (hashes, from_others)
    }

    /// The first cache block in a closure.
    pub(super) fn cached_in(&self, closure: &Closure) -> Option<SourcePlace> {
        self.first(&closure.seen, |reading, node| reading.cached_in(&node.ranges(reading)))
    }

    /// The cache block of a closure that may print a value passed to it in the way `by`.
    pub(super) fn printer(&self, closure: &Closure, by: &By) -> Option<SourcePlace> {
        let mut is_passed_on = false;
        let printer = self.first(&closure.seen, |reading, node| {
            // The value of a variable was rendered earlier.
            if closure.values.contains(node) {
                return None;
            }
            match prints::find(reading, node, by, &closure.from_others.names)? {
                Printed::In(block) => Some(block),
                Printed::Elsewhere => {
                    is_passed_on = true;
                    None
                }
            }
        });
        // A value that is passed on again may be printed by any cache block.
        printer.or_else(|| self.cached_in(closure).filter(|_| is_passed_on))
    }

    /// The place where a closure changes the namespace passed to it in the way `by`.
    pub(super) fn changer(&self, closure: &Closure, by: &By) -> Option<SourcePlace> {
        self.first(&closure.seen, |reading, node| prints::changes(reading, node, by))
    }

    /// Everything that `span` of the page is made of.
    pub(super) fn closure(&mut self, span: Range<usize>, called: Called) -> Closure {
        Closure::of_span(self, span, called)
    }

    /// Everything that the value of the name at `span` of the page is made of, if another template
    /// binds it.
    pub(super) fn value(&mut self, span: Range<usize>) -> Closure {
        let page = Rc::clone(&self.list[0]);
        let name = &page.source[span.clone()];
        match page.is_variable(name, span.start) {
            true => self.bound(name, false),
            // The name is imported, or not bound here.
            false => self.closure(span, Called::No),
        }
    }

    /// Everything that the value of `name` is made of, if another template binds it or the page
    /// imports it.
    pub(super) fn bound(&mut self, name: &str, is_import: bool) -> Closure {
        Closure::of_name(self, name, is_import)
    }

    /// The templates whose names may be bound in the page. Names are bound while the page renders:
    /// a block sees the names of its parents, a partial those of its page, and in MiniJinja a page
    /// those of its partials.
    pub(super) fn scopes(&mut self) -> Vec<usize> {
        if let Some(scopes) = &self.scopes {
            return scopes.clone();
        }
        let mut scopes = vec![0];
        scopes.extend(self.ancestors(0));
        if self.syntax.rules().includes_bind {
            let mut seen: HashSet<usize> = scopes.iter().copied().collect();
            let mut queue = scopes.clone();
            while let Some(at) = queue.pop() {
                let reading = Rc::clone(&self.list[at]);
                let names = reading.templates();
                let found: Vec<usize> = names.flat_map(|name| self.find(name)).collect();
                for found in found {
                    if seen.insert(found) {
                        queue.push(found);
                        if !self.list[found].meanings.is_empty() {
                            scopes.push(found);
                        }
                    }
                }
            }
        }
        self.scopes = Some(scopes.clone());
        scopes
    }

    /// MiniJinja: the outside names that macros of other templates use.
    pub(super) fn closed_over(&mut self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let (mut seen, mut queue) = (HashSet::from([0]), vec![0]);
        while let Some(at) = queue.pop() {
            let reading = Rc::clone(&self.list[at]);
            if at != 0 {
                names.extend(reading.closed_over().map(str::to_owned));
            }
            for template in reading.refers_to() {
                let found = self.find(template);
                queue.extend(found.into_iter().filter(|found| seen.insert(*found)));
            }
        }
        names
    }

    /// The names bound by the templates of a closure that are rendered as a whole.
    pub(super) fn binds(&self, closure: &Closure) -> Vec<String> {
        let is_whole = |node: &&Node| matches!(node, Node::Whole(_));
        let whole = closure.seen.iter().filter(is_whole).map(|node| &self.list[node.reading()]);
        let mut names: Vec<_> = whole.flat_map(|it| it.meanings.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The first place that `find` returns, by template and position.
    fn first(
        &self,
        seen: &HashSet<Node>,
        mut find: impl FnMut(&Reading, &Node) -> Option<usize>,
    ) -> Option<SourcePlace> {
        let found = seen.iter().filter_map(|node| {
            let reading = &self.list[node.reading()];
            let (line, column) = Places::new(&reading.source).of(find(reading, node)?);
            Some(SourcePlace { template: Arc::clone(&reading.name), line, column })
        });
        found.min()
    }

    fn hash(&mut self, node: Node) -> u128 {
        if let Some(hash) = self.hashes.get(&node) {
            return *hash;
        }
        let reading = &self.list[node.reading()];
        let mut hasher = Xxh3::new();
        hasher.update(reading.name.as_bytes());
        for range in node.ranges(reading) {
            hasher.update(&(range.len() as u64).to_le_bytes());
            hasher.update(&reading.source.as_bytes()[range]);
        }
        let hash = hasher.digest128();
        self.hashes.insert(node, hash);
        hash
    }
}
