//! All that the markup of one cache block is made of, as far as it can be told without rendering:
//! from reference to definition until nothing new comes. Iterative; each part is visited once, so
//! that cycles end.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use super::node::Node;
use super::prints::{self, Printed};
use super::reading::{Meaning, Mention, Reading};
use super::{Printer, Sources, Taken};
use crate::syntax::outline::By;
use crate::syntax::place::Places;
use crate::syntax::rules::{Dialect, Syntax};

/// Most templates that are read for one: beyond them, nothing is followed.
pub(super) const MOST_TEMPLATES: usize = 1_000;

/// What a part of the page is made of.
#[derive(Debug, Default)]
pub(super) struct Closure {
    seen: HashSet<Node>,
    pub(super) taken: Taken,
}

/// Whether the names that a span says are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::syntax) enum Called {
    /// They may be.
    Yes,
    /// The span is the name of a value: a macro of that name renders nothing.
    No,
}

/// The templates read for the blocks of one template, which is the first of them.
pub(super) struct Readings<'r> {
    syntax: &'r Syntax,
    sources: &'r dyn Sources,
    list: Vec<Rc<Reading>>,
    by_name: HashMap<String, Vec<usize>>,
    /// The components that were looked for.
    pub(super) components: BTreeSet<String>,
    hashes: HashMap<Node, u128>,
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
        }
    }

    /// The names that were looked for, but for the template's own.
    pub(super) fn names(self) -> impl Iterator<Item = String> {
        let own = Arc::clone(&self.list[0].name);
        self.by_name.into_keys().filter(move |name| **name != *own)
    }

    /// What stands for the template `name`.
    fn find(&mut self, name: &str) -> Vec<usize> {
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

    fn find_all(&mut self, names: &[String]) -> Vec<usize> {
        names.iter().flat_map(|name| self.find(name)).collect()
    }

    /// What a template extends, nearest first.
    fn ancestors(&mut self, of: usize) -> Vec<usize> {
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
        let Closure { seen, mut taken } = self.closure(span, Called::Yes);
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

    /// All that `span` of the page is made of.
    pub(super) fn closure(&mut self, span: Range<usize>, called: Called) -> Closure {
        self.follow(called, |walk| walk.range(0, span, None))
    }

    /// All that the value is made of which the page or a parent of it binds to `name`.
    pub(super) fn bound(&mut self, name: &str) -> Closure {
        self.follow(Called::No, |walk| walk.ask_all(name, None))
    }

    fn follow(&mut self, called: Called, begin: impl FnOnce(&mut Walk<'_, 'r>)) -> Closure {
        // Names are bound when the page renders: a block sees what its parents bind, and a partial
        // what its page does.
        let mut scopes = vec![0];
        scopes.extend(self.ancestors(0));
        let mut walk = Walk {
            readings: self,
            scopes,
            names: Vec::new(),
            asked: HashSet::new(),
            queue: Vec::new(),
            above: HashSet::new(),
            values: HashSet::new(),
            called,
            closure: Closure::default(),
        };
        begin(&mut walk);
        walk.called = Called::Yes;
        while let Some(node) = walk.queue.pop() {
            walk.node(&node);
        }
        walk.closure
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

/// A name to look up: the reading, the name, and the attribute taken of it.
type Lookup = (usize, String, Option<String>);

/// The way through all parts of one block.
struct Walk<'w, 'r> {
    readings: &'w mut Readings<'r>,
    /// Templates whose names may be bound where the block renders.
    scopes: Vec<usize>,
    /// The names seen so far, for scopes that come later: the reading, and where it says them.
    names: Vec<(usize, Range<usize>, Option<Range<usize>>)>,
    asked: HashSet<Lookup>,
    queue: Vec<Node>,
    /// The parts that are rendered by `super()`.
    above: HashSet<Node>,
    /// The parts that variables are made of.
    values: HashSet<Node>,
    called: Called,
    closure: Closure,
}

impl Walk<'_, '_> {
    fn visit(&mut self, node: Node) {
        if self.closure.seen.insert(node.clone()) {
            self.queue.push(node);
        }
    }

    fn node(&mut self, node: &Node) {
        let at = node.reading();
        let reading = Rc::clone(&self.readings.list[at]);
        match node {
            Node::Whole(_) => {
                self.scope(at);
                self.range(at, 0..reading.source.len(), Some(node));
                for parent in self.readings.find_all(&reading.extends) {
                    self.visit(Node::Whole(parent));
                }
            }
            Node::OutsideMacros(_) => {
                for range in reading.outside_macros() {
                    self.range(at, range, Some(node));
                }
            }
            Node::Part(_, range) => {
                if self.above.contains(node) || self.values.contains(node) {
                    self.holds_blocks(&reading, range);
                }
                self.range(at, range.clone(), Some(node));
            }
        }
    }

    /// Notes the blocks in a parent's block, which children of it fill.
    fn holds_blocks(&mut self, reading: &Reading, part: &Range<usize>) {
        let inside = |block: &Range<usize>| block.start > part.start && block.end <= part.end;
        let mut names: Vec<&String> = reading
            .blocks
            .iter()
            .filter(|(_, ranges)| ranges.iter().any(inside))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        if let Some(name) = names.first() {
            self.fills(&format!(
                "renders the block `{name}` of `{}`, which each child template fills",
                reading.name
            ));
        }
    }

    fn fills(&mut self, what: &str) {
        self.closure.taken.fills.get_or_insert_with(|| what.to_owned());
    }

    /// Notes a name that is used where the page's own names are seen.
    fn uses(&mut self, node: &Node, reading: &Reading, name: &Range<usize>) {
        let holds = |part: &Range<usize>| part.start <= name.start && name.end <= part.end;
        let in_component = reading.components.values().flatten().any(holds);
        // A component has from its caller what is written with an `@`, and nothing else.
        let before = reading.source[..name.start].trim_end();
        let is_seen = match node {
            _ if in_component => before.ends_with('@'),
            Node::Whole(_) => !reading.macros.iter().any(holds),
            Node::Part(..) => self.above.contains(node),
            Node::OutsideMacros(_) => false,
        };
        let text = &reading.source[name.clone()];
        if is_seen && !self.closure.taken.names.contains_key(text) {
            self.closure.taken.names.insert(text.to_owned(), Arc::clone(&reading.name));
        }
    }

    /// Follows what `range` of a reading mentions; as a part of `node`, if it is not the page's own.
    fn range(&mut self, at: usize, range: Range<usize>, node: Option<&Node>) {
        let reading = Rc::clone(&self.readings.list[at]);
        for mention in reading.mentions(range) {
            match mention {
                Mention::Template(name) => {
                    for found in self.readings.find(name) {
                        self.visit(Node::Whole(found));
                    }
                }
                Mention::Name(name, attribute) => {
                    let is_of_value = node.is_some_and(|node| self.values.contains(node));
                    let text = &reading.source[name.clone()];
                    let is_own = match node {
                        // What the parent binds around its block was rendered before.
                        Some(above @ Node::Part(_, part)) if self.above.contains(above) => {
                            reading.is_rebound(text, name.start, part.start)
                        }
                        _ => reading.is_variable(text, name.start),
                    };
                    if let Some(node) = node.filter(|_| !is_own) {
                        self.uses(node, &reading, name);
                    }
                    if is_own && !is_of_value {
                        continue;
                    }
                    self.names.push((at, name.clone(), attribute.clone()));
                    let attribute = attribute.clone().map(|range| &reading.source[range]);
                    self.ask(at, text, attribute);
                    self.ask_all(text, attribute);
                }
                Mention::Component(name) => self.component(at, name),
                Mention::Above(block) => {
                    self.dynamic_parent(at);
                    self.above(at, block);
                }
                Mention::Block(block) => {
                    if matches!(node, Some(Node::Part(..))) {
                        self.fills(&format!(
                            "renders `self.{block}()` in `{}`, which each child template fills",
                            reading.name
                        ));
                    }
                    match reading.blocks.get(block) {
                        Some(ranges) => self.parts(at, ranges),
                        None => self.above(at, block),
                    }
                }
            }
        }
    }

    fn parts(&mut self, at: usize, ranges: &[Range<usize>]) {
        for range in ranges {
            self.visit(Node::Part(at, range.clone()));
        }
    }

    /// `super()` of a parent that is known only when the page renders.
    fn dynamic_parent(&mut self, at: usize) {
        let mut all = vec![at];
        all.extend(self.readings.ancestors(at));
        for at in all {
            let reading = Rc::clone(&self.readings.list[at]);
            if reading.extends_any {
                self.fills(&format!(
                    "renders `super()` of `{}`, whose parent is known only when it renders",
                    reading.name
                ));
            }
        }
    }

    /// What the nearest ancestor with this block says there.
    fn above(&mut self, at: usize, block: &str) {
        for ancestor in self.readings.ancestors(at) {
            let reading = Rc::clone(&self.readings.list[ancestor]);
            if let Some(ranges) = reading.blocks.get(block) {
                let nodes = ranges.iter().map(|range| Node::Part(ancestor, range.clone()));
                self.above.extend(nodes);
                return self.parts(ancestor, ranges);
            }
        }
    }

    fn component(&mut self, at: usize, name: &str) {
        self.readings.components.insert(name.to_owned());
        let mut found = vec![0, at];
        for template in self.readings.sources.component(name) {
            found.extend(self.readings.find(&template));
        }
        for at in found {
            let reading = Rc::clone(&self.readings.list[at]);
            if let Some(ranges) = reading.components.get(name) {
                self.parts(at, ranges);
            }
        }
    }

    /// Adds a template whose names may be bound, and asks it for those seen so far.
    fn scope(&mut self, at: usize) {
        if self.readings.syntax.dialect() == Dialect::Tera || self.scopes.contains(&at) {
            return;
        }
        self.scopes.push(at);
        if self.readings.list[at].meanings.is_empty() {
            return;
        }
        for (said_in, name, attribute) in self.names.clone() {
            let source = Arc::clone(&self.readings.list[said_in].source);
            self.ask(at, &source[name], attribute.map(|range| &source[range]));
        }
    }

    /// What is bound in a module. What else it is made of counts for nothing in a value of it.
    fn module(&mut self, module: usize) {
        if self.called == Called::Yes {
            self.visit(Node::OutsideMacros(module));
        }
    }

    /// Follows what `name` means wherever it may be bound.
    fn ask_all(&mut self, name: &str, attribute: Option<&str>) {
        for scope in 0..self.scopes.len() {
            self.ask(self.scopes[scope], name, attribute);
        }
    }

    /// Follows what `name` means in a template.
    fn ask(&mut self, at: usize, name: &str, attribute: Option<&str>) {
        if !self.readings.list[at].meanings.contains_key(name) {
            return;
        }
        let mut questions: Vec<Lookup> = vec![(at, name.to_owned(), attribute.map(str::to_owned))];
        while let Some(question) = questions.pop() {
            if !self.asked.insert(question.clone()) {
                continue;
            }
            let (at, name, attribute) = question;
            let reading = Rc::clone(&self.readings.list[at]);
            for meaning in reading.meanings.get(&name).into_iter().flatten() {
                match (meaning, &attribute) {
                    (Meaning::Macro(_) | Meaning::Module(_), None) if self.called == Called::No => {
                    }
                    (Meaning::Macro(range), _) => self.visit(Node::Part(at, range.clone())),
                    // Of the page's own variables, the analysis of the page knows more.
                    (Meaning::Value(_), _) if at == 0 => {}
                    (Meaning::Value(range), _) => {
                        let value = Node::Part(at, range.clone());
                        self.values.insert(value.clone());
                        self.visit(value);
                    }
                    (Meaning::Module(templates), None) => {
                        for module in self.readings.find_all(templates) {
                            self.visit(Node::Whole(module));
                        }
                    }
                    (Meaning::Module(templates), Some(member)) => {
                        for module in self.readings.find_all(templates) {
                            self.module(module);
                            questions.push((module, member.clone(), None));
                        }
                    }
                    (Meaning::Member(templates, member), attribute) => {
                        for module in self.readings.find_all(templates) {
                            self.module(module);
                            questions.push((module, member.clone(), attribute.clone()));
                        }
                    }
                }
            }
        }
    }
}
