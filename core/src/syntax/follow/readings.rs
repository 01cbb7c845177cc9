//! The templates that are read for one page, once each.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::closure::{Called, Closure};
use super::node::Node;
use super::prints::{self, Printed};
use super::reading::Reading;
use super::{Printer, Sources, Taken};
use crate::syntax::outline::By;
use crate::syntax::place::Places;
use crate::syntax::rules::{Dialect, Syntax};

/// Most templates that are read for one: beyond them, nothing is followed.
pub(super) const MOST_TEMPLATES: usize = 1_000;

/// The templates read for the blocks of one template, which is the first of them.
pub(super) struct Readings<'r> {
    pub(super) syntax: &'r Syntax,
    pub(super) sources: &'r dyn Sources,
    pub(super) list: Vec<Rc<Reading>>,
    by_name: HashMap<String, Vec<usize>>,
    /// The components that were looked for.
    pub(super) components: BTreeSet<String>,
    hashes: HashMap<Node, u128>,
    /// The templates whose names may be bound in the page, once that is known.
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

    /// The names that were looked for, but for the template's own.
    pub(super) fn names(self) -> impl Iterator<Item = String> {
        let own = Arc::clone(&self.list[0].name);
        self.by_name.into_keys().filter(move |name| **name != *own)
    }

    /// What stands for the template `name`.
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

    /// What a template extends, nearest first.
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

    /// What the page says in `span` takes in: a hash for each part, in no order that matters.
    pub(super) fn parts(&mut self, span: Range<usize>) -> (Vec<u128>, Taken) {
        let Closure { seen, kept, mut taken, .. } = self.closure(span, Called::Yes);
        for value in kept {
            let closure = Closure::of_node(self, value);
            taken.keeps = taken.keeps.or_else(|| self.cached_in(&closure));
        }
        taken.loses = self.first(&seen, |reading, node| {
            let ranges = node.ranges(reading);
            let mut leaves = reading.leaves.iter().copied();
            leaves.find(|at| ranges.iter().any(|range| range.contains(at)))
        });
        let mut hashes: Vec<u128> = seen.into_iter().map(|node| self.hash(node)).collect();
        hashes.sort_unstable();
        (hashes, taken)
    }

    /// The first cache block in a closure.
    pub(super) fn cached_in(&self, closure: &Closure) -> Option<Printer> {
        self.first(&closure.seen, |reading, node| reading.cached_in(&node.ranges(reading)))
    }

    /// The cache block of a closure that may print what is handed to it `by`.
    pub(super) fn printer(&self, closure: &Closure, by: &By) -> Option<Printer> {
        let mut is_handed_on = false;
        let printer = self.first(&closure.seen, |reading, node| {
            // What a variable is made of was rendered before.
            if closure.values.contains(node) {
                return None;
            }
            match prints::find(reading, node, by, &closure.taken.names)? {
                Printed::In(block) => Some(block),
                Printed::Elsewhere => {
                    is_handed_on = true;
                    None
                }
            }
        });
        // What is handed on once more may be printed by any.
        printer.or_else(|| self.cached_in(closure).filter(|_| is_handed_on))
    }

    /// Where a closure changes the namespace that is handed to it `by`.
    pub(super) fn changer(&self, closure: &Closure, by: &By) -> Option<Printer> {
        self.first(&closure.seen, |reading, node| prints::changes(reading, node, by))
    }

    /// All that `span` of the page is made of.
    pub(super) fn closure(&mut self, span: Range<usize>, called: Called) -> Closure {
        Closure::of_span(self, span, called)
    }

    /// All that the value of the name at `span` of the page is made of, if another template binds it.
    pub(super) fn value(&mut self, span: Range<usize>) -> Closure {
        let page = Rc::clone(&self.list[0]);
        let name = &page.source[span.clone()];
        match page.is_variable(name, span.start) {
            true => self.bound(name, false),
            // It is imported, or not bound here.
            false => self.closure(span, Called::No),
        }
    }

    /// All that the value is made of which another template binds to `name`, or that the page imports by
    /// it.
    pub(super) fn bound(&mut self, name: &str, is_import: bool) -> Closure {
        Closure::of_name(self, name, is_import)
    }

    /// Names are bound when the page renders: a block sees what its parents bind, a partial what its
    /// page does, and in MiniJinja a page what its partials do.
    pub(super) fn scopes(&mut self) -> Vec<usize> {
        if let Some(scopes) = &self.scopes {
            return scopes.clone();
        }
        let mut scopes = vec![0];
        scopes.extend(self.ancestors(0));
        if self.syntax.dialect() == Dialect::MiniJinja {
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

    /// MiniJinja: the names that macros of other templates have from outside.
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

    /// The names that the templates of a closure bind which are rendered as a whole.
    pub(super) fn binds(&self, closure: &Closure) -> Vec<String> {
        let is_whole = |node: &&Node| matches!(node, Node::Whole(_));
        let whole = closure.seen.iter().filter(is_whole).map(|node| &self.list[node.reading()]);
        let mut names: Vec<_> = whole.flat_map(|it| it.meanings.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The first cache block, by template and place, that `find` finds.
    fn first(
        &self,
        seen: &HashSet<Node>,
        mut find: impl FnMut(&Reading, &Node) -> Option<usize>,
    ) -> Option<Printer> {
        let found = seen.iter().filter_map(|node| {
            let reading = &self.list[node.reading()];
            let (line, column) = Places::new(&reading.source).of(find(reading, node)?);
            Some(Printer { template: Arc::clone(&reading.name), line, column })
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
