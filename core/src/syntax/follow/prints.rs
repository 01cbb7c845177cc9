//! Where a part of another template may print what is handed to it from a cache.

use super::closure::Node;
use super::reading::{Parameters, Reading};
use crate::syntax::outline::By;

/// Where what is handed to a part may be printed from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// In the cache block that begins here.
    In(usize),
    /// By something that it is handed on to.
    Elsewhere,
}

/// The parameters of `node` that hold what is handed on `by`, if it shows them to a template that it
/// includes.
pub(super) fn shown<'r>(reading: &'r Reading, node: &Node, by: &By) -> Vec<&'r str> {
    let Node::Part(_, range) = node else { return Vec::new() };
    let parameters =
        reading.definitions.get(&range.start).filter(|_| reading.includes(range.clone()));
    let names = parameters.map_or(&[][..], |parameters| &parameters.names).iter().enumerate();
    let meant = names.filter(|(place, name)| match by {
        By::Keyword(own) | By::Name(own) => own == *name,
        By::Position(at) => at == place,
        By::Spread => true,
        By::Caller | By::Value => false,
    });
    meant.map(|(_, name)| &**name).collect()
}

/// Where `node` may print what is handed on `by` from a cache.
pub(super) fn find(reading: &Reading, node: &Node, by: &By) -> Option<Printed> {
    let none = Parameters::default();
    let (range, parameters, is_whole) = match node {
        Node::Whole(_) => (0..reading.source.len(), &none, true),
        Node::OutsideMacros(_) => return None,
        Node::Part(_, range) => {
            let parameters = reading.definitions.get(&range.start).unwrap_or(&none);
            (parameters.body..range.end, parameters, false)
        }
    };
    let names = &parameters.names;
    let is_meant = |name: &str| match by {
        By::Name(own) if is_whole => own == name,
        By::Name(own) => own == name && parameters.implicit.contains(own),
        By::Keyword(own) if names.contains(own) => own == name,
        By::Keyword(_) => parameters.takes_rest && names.last().is_some_and(|rest| rest == name),
        By::Position(at) => names.get(*at).is_some_and(|own| own == name),
        By::Spread => names.iter().any(|own| own == name),
        By::Caller => !is_whole && name == "caller",
        By::Value => false,
    };
    let since = range.start;
    let uses = reading.mentions(range).filter(|mention| {
        let name = mention.name(reading).filter(|name| is_meant(name));
        let at = mention.at().unwrap_or_default();
        name.is_some_and(|name| !reading.is_rebound(name, at, since))
    });
    uses.filter_map(|mention| reading.printed(mention.at()?)).next()
}
