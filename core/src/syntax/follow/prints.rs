//! Where a part of another template may print what is handed to it from a cache.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::mention::Parameters;
use super::node::Node;
use super::reading::Reading;
use crate::syntax::outline::By;

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
            By::Name(own) => own == name && parameters.implicit.contains(own),
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
        && let Some(block) = reading.includes_cached(name)
    {
        return Some(Printed::In(block));
    }
    let since = receiver.body.start;
    reading.mentions(receiver.body.clone()).find_map(|mention| {
        let name = mention.name(reading).filter(|name| receiver.has(by, name))?;
        let at = mention.at().filter(|at| !reading.is_rebound(name, *at, since))?;
        reading.printed(at)
    })
}
