//! Where a part of another template may print what is handed to it from a cache.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::mention::Parameters;
use super::node::Node;
use super::reading::Reading;
use crate::syntax::outline::By;

/// A cache block.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) tag: Range<usize>,
    pub(super) end: usize,
    /// The variables that it varies on as they are.
    pub(super) varies_on: Vec<String>,
}

impl Reading {
    /// Where the first cache block begins that includes another template and does not vary on `name`.
    fn includes_cached(&self, name: &str) -> Option<usize> {
        let found = self.caches.iter().find(|cached| {
            let is_named = cached.varies_on.iter().any(|it| it == name);
            !is_named && self.includes(cached.tag.end..cached.end)
        });
        found.map(|cached| cached.tag.start)
    }

    /// Where the first cache block in `ranges` begins.
    pub(super) fn cached_in(&self, ranges: &[Range<usize>]) -> Option<usize> {
        let starts = self.caches.iter().map(|cached| cached.tag.start);
        { starts }.find(|start| ranges.iter().any(|range| range.contains(start)))
    }

    /// Where the value of the name that is used at `at` may be printed from a cache: in a block
    /// around it whose arguments do not name it, or by what it is handed to.
    fn printed(&self, at: usize) -> Option<Printed> {
        let name = self.mentions(at..at + 1).next().and_then(|it| it.name(self));
        let mut around = self.caches.iter().filter(|it| it.tag.end <= at && at < it.end);
        let is_named = |cached: &Cached| cached.varies_on.iter().any(|it| Some(&**it) == name);
        match around.find(|cached| !is_named(cached)) {
            Some(cached) => Some(Printed::In(cached.tag.start)),
            None => self.handed_on.contains(&at).then_some(Printed::Elsewhere),
        }
    }

    /// Whether a macro holds what stands at `at`.
    fn is_in_macro(&self, at: usize) -> bool {
        let before = self.macros.partition_point(|body| body.start <= at);
        self.macros[..before].last().is_some_and(|body| at < body.end)
    }
}

/// Where what is handed to a part may be printed from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// In the cache block that begins here.
    In(usize),
    /// By something that it is handed on to.
    Elsewhere,
}

/// A part of a template that something is handed to.
struct Receiver<'r> {
    /// What may use it.
    body: Range<usize>,
    /// Of a macro or a component.
    parameters: Option<&'r Parameters>,
}

impl<'r> Receiver<'r> {
    fn new(reading: &'r Reading, node: &Node) -> Option<Self> {
        Some(match node {
            Node::Whole(_) => Self { body: 0..reading.source.len(), parameters: None },
            Node::OutsideMacros(_) => return None,
            Node::Part(_, range) => {
                let parameters = reading.definitions.get(&range.start);
                let start = parameters.map_or(range.start, |parameters| parameters.body);
                Self { body: start..range.end, parameters }
            }
        })
    }

    /// Whether it has what is handed on `by` under this name.
    fn has(&self, by: &By, name: &str) -> bool {
        let Some(parameters) = self.parameters else {
            return matches!(by, By::Name(own) if own == name);
        };
        let names = &parameters.names;
        match by {
            By::Name(own) => {
                let is_outside = parameters.is_macro && !names.contains(own);
                own == name && (is_outside || parameters.implicit.contains(own))
            }
            By::Keyword(own) if names.contains(own) => own == name,
            By::Keyword(_) => {
                parameters.takes_rest && names.last().is_some_and(|rest| rest == name)
            }
            By::Position(at) => names.get(*at).is_some_and(|own| own == name),
            By::Spread => names.iter().any(|own| own == name),
            By::Caller => name == "caller",
            By::Value => false,
        }
    }
}

/// Where `node` may print what is handed on `by` from a cache. `used` are the names that the templates
/// use which it includes.
pub(super) fn find(
    reading: &Reading,
    node: &Node,
    by: &By,
    used: &HashMap<String, Vec<Arc<str>>>,
) -> Option<Printed> {
    let receiver = Receiver::new(reading, node)?;
    let is_shown = |name: &String| receiver.has(by, name) && used.contains_key(name);
    let parameters = receiver.parameters.map_or(&[][..], |parameters| &parameters.names);
    if parameters.iter().any(is_shown) && reading.includes(receiver.body.clone()) {
        return Some(Printed::Elsewhere);
    }
    if let (By::Name(name), None) = (by, receiver.parameters)
        && used.get(name).is_some_and(|by| by.iter().any(|other| *other != reading.name))
    {
        match reading.includes_cached(name) {
            Some(block) => return Some(Printed::In(block)),
            None if reading.keeps_included => return Some(Printed::Elsewhere),
            None => {}
        }
    }
    let since = receiver.body.start;
    reading.mentions(receiver.body.clone()).find_map(|mention| {
        let name = mention.name(reading).filter(|name| receiver.has(by, name))?;
        let at = mention.at().filter(|at| !reading.is_rebound(name, *at, since))?;
        // What a macro of the same template prints is the value of its calls.
        let is_value = || receiver.parameters.is_none() && reading.is_in_macro(at);
        reading.printed(at).or_else(|| is_value().then_some(Printed::Elsewhere))
    })
}

/// Where `node` changes the namespace that is handed on `by`.
pub(super) fn changes(reading: &Reading, node: &Node, by: &By) -> Option<usize> {
    let receiver = Receiver::new(reading, node)?;
    let since = receiver.body.start;
    let first = reading.changes.partition_point(|(at, _)| *at < since);
    let inside = reading.changes[first..].iter().take_while(|(at, _)| *at < receiver.body.end);
    let mut changed =
        inside.filter(|(at, name)| receiver.has(by, name) && !reading.is_rebound(name, *at, since));
    changed.next().map(|(at, _)| *at)
}
