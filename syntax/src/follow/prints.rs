//! Finds where a part of another template may print, in a cache block, a value that is passed to
//! it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::mention::Parameters;
use super::node::Node;
use super::reading::Reading;
use crate::outline::By;

/// A cache block.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) tag: Range<usize>,
    pub(super) end: usize,
    /// The variables that are vary parts by themselves.
    pub(super) varies_on: Vec<String>,
}

impl Reading {
    /// The start of the first cache block that includes another template and does not vary on
    /// `name`.
    fn includes_cached(&self, name: &str) -> Option<usize> {
        let found = self.caches.iter().find(|cached| {
            let is_named = cached.varies_on.iter().any(|it| it == name);
            !is_named && self.includes(cached.tag.end..cached.end)
        });
        found.map(|cached| cached.tag.start)
    }

    /// The start of the first cache block in `ranges`.
    pub(super) fn cached_in(&self, ranges: &[Range<usize>]) -> Option<usize> {
        let starts = self.caches.iter().map(|cached| cached.tag.start);
        { starts }.find(|start| ranges.iter().any(|range| range.contains(start)))
    }

    /// Where the value of the name used at `at` may be printed by a cache block: by one around it
    /// whose arguments do not name it, or by code that it is passed on to.
    fn printed(&self, at: usize) -> Option<Printed> {
        let name = self.mentions(at..at + 1).next().and_then(|it| it.name(self));
        let mut around = self.caches.iter().filter(|it| it.tag.end <= at && at < it.end);
        let is_named = |cached: &Cached| cached.varies_on.iter().any(|it| Some(&**it) == name);
        match around.find(|cached| !is_named(cached)) {
            Some(cached) => Some(Printed::In(cached.tag.start)),
            None => self.passed_on.contains(&at).then_some(Printed::Elsewhere),
        }
    }

    /// Whether `at` is inside a macro.
    fn is_in_macro(&self, at: usize) -> bool {
        let before = self.macros.partition_point(|body| body.start <= at);
        self.macros[..before].last().is_some_and(|body| at < body.end)
    }
}

/// Where a cache block may print a value that is passed to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// In the cache block that starts here.
    In(usize),
    /// In code that the value is passed on to.
    Elsewhere,
}

/// A part of a template that receives a value.
struct Receiver<'r> {
    /// The range that may use the value.
    body: Range<usize>,
    /// The parameters of a macro or a component.
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

    /// Whether the value passed in the way `by` has this name here.
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

/// Where a cache block in `node` may print the value passed in the way `by`. `used` has the names
/// that the templates it includes use.
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
            None if reading.captures_includes => return Some(Printed::Elsewhere),
            None => {}
        }
    }
    let since = receiver.body.start;
    reading.mentions(receiver.body.clone()).find_map(|mention| {
        let name = mention.name(reading).filter(|name| receiver.has(by, name))?;
        let at = mention.at().filter(|at| !reading.is_rebound(name, *at, since))?;
        // The output of a macro of the same template is the value of its calls.
        let is_value = || receiver.parameters.is_none() && reading.is_in_macro(at);
        reading.printed(at).or_else(|| is_value().then_some(Printed::Elsewhere))
    })
}

/// The offset at which `node` changes the namespace passed in the way `by`.
pub(super) fn changes(reading: &Reading, node: &Node, by: &By) -> Option<usize> {
    let receiver = Receiver::new(reading, node)?;
    let since = receiver.body.start;
    let first = reading.changes.partition_point(|(at, _)| *at < since);
    let inside = reading.changes[first..].iter().take_while(|(at, _)| *at < receiver.body.end);
    let mut changed =
        inside.filter(|(at, name)| receiver.has(by, name) && !reading.is_rebound(name, *at, since));
    changed.next().map(|(at, _)| *at)
}
