//! Collects everything that the markup of one cache block is made of, as far as it is known without
//! rendering: it follows references to definitions until there is nothing new. It is iterative and
//! visits each part once, so cycles end.

use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::FromOthers;
use super::mention::{Meaning, Mention};
use super::node::Node;
use super::reading::Reading;
use super::readings::Readings;

/// Everything that a part of the page is made of.
#[derive(Debug, Default)]
pub(super) struct Closure {
    pub(super) seen: HashSet<Node>,
    /// The values of variables that macros of other templates print.
    pub(super) captured: HashSet<Node>,
    /// The parts that are values of variables.
    pub(super) values: HashSet<Node>,
    pub(super) from_others: FromOthers,
}

impl Closure {
    /// Collects everything that `span` of the page is made of.
    pub(super) fn of_span(readings: &mut Readings<'_>, span: Range<usize>, called: Called) -> Self {
        Self::follow(readings, called, |walk| walk.range(0, span, None))
    }

    /// Collects everything that the value of `name` is made of, if a template other than the page
    /// binds it or the page imports it.
    pub(super) fn of_name(readings: &mut Readings<'_>, name: &str, is_import: bool) -> Self {
        Self::follow(readings, Called::No, |walk| {
            walk.scopes.retain(|scope| is_import || *scope != 0);
            walk.look_up_all(name, None);
        })
    }

    /// Collects everything that a part is made of.
    pub(super) fn of_node(readings: &mut Readings<'_>, node: Node) -> Self {
        Self::follow(readings, Called::Yes, |walk| walk.visit(node))
    }

    fn follow(
        readings: &mut Readings<'_>,
        called: Called,
        begin: impl FnOnce(&mut Walk<'_, '_>),
    ) -> Self {
        let scopes = readings.scopes();
        let mut walk = Walk {
            readings,
            scopes,
            names: Vec::new(),
            looked_up: HashSet::new(),
            queue: Vec::new(),
            above: HashSet::new(),
            called,
            closure: Self::default(),
        };
        begin(&mut walk);
        walk.called = Called::Yes;
        while let Some(node) = walk.queue.pop() {
            walk.node(&node);
        }
        walk.closure
    }
}

/// Whether the names in a span are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Called {
    /// They may be.
    Yes,
    /// The span is the name of a value. A macro of that name renders nothing; one called through a
    /// module may.
    No,
}

/// A name to look up: the reading, the name, and the attribute accessed on it.
type Lookup = (usize, String, Option<String>);

/// The walk through all parts of one block.
struct Walk<'w, 'r> {
    readings: &'w mut Readings<'r>,
    /// The templates whose names may be bound where the block renders.
    scopes: Vec<usize>,
    /// The names seen so far, to be looked up in scopes that are added later: the reading, the
    /// name, and the attribute.
    names: Vec<(usize, Range<usize>, Option<Range<usize>>)>,
    looked_up: HashSet<Lookup>,
    queue: Vec<Node>,
    /// The parts that are rendered by `super()`.
    above: HashSet<Node>,
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
                if self.above.contains(node) || self.closure.values.contains(node) {
                    self.holds_blocks(&reading, range);
                }
                self.range(at, range.clone(), Some(node));
            }
        }
    }

    /// Records the blocks inside a parent's block, which child templates fill.
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
        self.closure.from_others.fills.get_or_insert_with(|| what.to_owned());
    }

    /// Records a name that is used where the page's own names are visible.
    fn uses(&mut self, node: &Node, reading: &Reading, name: &Range<usize>) {
        let holds = |part: &Range<usize>| part.start <= name.start && name.end <= part.end;
        let in_component = reading.components.values().flatten().any(holds);
        // A component sees only those of its caller's names that are written with an `@`.
        let before = reading.source[..name.start].trim_end();
        let is_seen = match node {
            _ if in_component => before.ends_with('@'),
            // Each macro has its own `caller`.
            Node::Whole(_) => {
                reading.source[name.clone()] != *"caller" || !reading.macros.iter().any(holds)
            }
            // A macro sees the names bound where it is defined.
            Node::Part(at, part) => {
                let macros = || reading.definitions.get(&part.start);
                let is_macro = *at != 0 && macros().is_some_and(|it| it.is_macro);
                (is_macro && reading.source[name.clone()] != *"caller") || self.above.contains(node)
            }
            Node::OutsideMacros(_) => false,
        };
        let text = &reading.source[name.clone()];
        if is_seen {
            let by = self.closure.from_others.names.entry(text.to_owned()).or_default();
            if by.last() != Some(&reading.name) {
                by.push(Arc::clone(&reading.name));
            }
        }
    }

    /// Follows the references in `range` of a reading. `node` is the part that it belongs to, or
    /// `None` for the page itself.
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
                    let is_of_value = node.is_some_and(|node| self.closure.values.contains(node));
                    let text = &reading.source[name.clone()];
                    let is_own = match node {
                        // A value that the parent binds around its block was rendered earlier.
                        Some(above @ Node::Part(_, part)) if self.above.contains(above) => {
                            reading.is_rebound(text, name.start, part.start)
                        }
                        _ => reading.is_variable(text, name.start),
                    };
                    if let Some(node) = node.filter(|_| !is_own) {
                        self.uses(node, &reading, name);
                    }
                    if let Some(Node::Part(_, part)) = node
                        && !is_of_value
                    {
                        self.record_captured(at, &reading, (text, name.start), part.start);
                    }
                    if is_own && !is_of_value {
                        continue;
                    }
                    self.names.push((at, name.clone(), attribute.clone()));
                    let attribute = attribute.clone().map(|range| &reading.source[range]);
                    self.look_up(at, text, attribute);
                    self.look_up_all(text, attribute);
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

    /// Records the values of a variable that a macro of another template uses: those of that
    /// template itself, and those it imports or gets from an include.
    fn record_captured(
        &mut self,
        at: usize,
        reading: &Reading,
        (name, used): (&str, usize),
        part: usize,
    ) {
        let is_macro = reading.macros.iter().any(|body| body.start == part);
        if at == 0 || !is_macro || reading.is_rebound(name, used, part) {
            return;
        }
        let (mut seen, mut queue) = (HashSet::new(), vec![(at, name.to_owned())]);
        while let Some((at, name)) = queue.pop() {
            if at == 0 || !seen.insert((at, name.clone())) {
                continue;
            }
            let reading = Rc::clone(&self.readings.list[at]);
            for meaning in reading.meanings.get(&name).into_iter().flatten() {
                match meaning {
                    Meaning::Value(range) => {
                        self.closure.captured.insert(Node::Part(at, range.clone()));
                    }
                    Meaning::Member(templates, member) => {
                        let found = self.readings.find_all(templates).into_iter();
                        queue.extend(found.map(|module| (module, member.clone())));
                    }
                    Meaning::Macro(_) | Meaning::Module(_) => {}
                }
            }
            if !reading.meanings.contains_key(&name) {
                for template in reading.templates() {
                    let found = self.readings.find(template).into_iter();
                    queue.extend(found.map(|found| (found, name.clone())));
                }
            }
        }
    }

    fn parts(&mut self, at: usize, ranges: &[Range<usize>]) {
        for range in ranges {
            self.visit(Node::Part(at, range.clone()));
        }
    }

    /// Handles `super()` of a parent that is known only when the page renders.
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

    /// Follows the block of the nearest ancestor that has it.
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

    /// Adds a template whose names may be bound, and looks up the names seen so far in it.
    fn scope(&mut self, at: usize) {
        if !self.readings.syntax.rules().macros || self.scopes.contains(&at) {
            return;
        }
        self.scopes.push(at);
        if self.readings.list[at].meanings.is_empty() {
            return;
        }
        for (said_in, name, attribute) in self.names.clone() {
            let source = Arc::clone(&self.readings.list[said_in].source);
            self.look_up(at, &source[name], attribute.map(|range| &source[range]));
        }
    }

    /// Follows what is bound in a module. In the value of a name, other parts of the module do not
    /// count.
    fn module(&mut self, module: usize) {
        if self.called == Called::Yes {
            self.visit(Node::OutsideMacros(module));
        }
    }

    /// Follows the meanings of `name` in all scopes.
    fn look_up_all(&mut self, name: &str, attribute: Option<&str>) {
        for scope in 0..self.scopes.len() {
            self.look_up(self.scopes[scope], name, attribute);
        }
    }

    /// Follows the meanings of `name` in a template.
    fn look_up(&mut self, at: usize, name: &str, attribute: Option<&str>) {
        if !self.readings.list[at].meanings.contains_key(name) {
            return;
        }
        let mut lookups: Vec<Lookup> = vec![(at, name.to_owned(), attribute.map(str::to_owned))];
        while let Some(lookup) = lookups.pop() {
            if !self.looked_up.insert(lookup.clone()) {
                continue;
            }
            let (at, name, attribute) = lookup;
            let reading = Rc::clone(&self.readings.list[at]);
            for meaning in reading.meanings.get(&name).into_iter().flatten() {
                match (meaning, &attribute) {
                    (Meaning::Macro(_), None) if self.called == Called::No => {}
                    (Meaning::Macro(range), _) => self.visit(Node::Part(at, range.clone())),
                    // The analysis of the page itself knows more about the page's own variables.
                    (Meaning::Value(_), _) if at == 0 => {}
                    (Meaning::Value(range), _) => {
                        let value = Node::Part(at, range.clone());
                        self.closure.values.insert(value.clone());
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
                            lookups.push((module, member.clone(), None));
                        }
                    }
                    (Meaning::Member(templates, member), attribute) => {
                        for module in self.readings.find_all(templates) {
                            self.module(module);
                            lookups.push((module, member.clone(), attribute.clone()));
                        }
                    }
                }
            }
        }
    }
}
