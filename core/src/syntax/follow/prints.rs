//! Whether a part of another template may print, in a cache block of its own, what is handed to it.

use super::closure::Node;
use super::reading::{Parameters, Reading};
use crate::syntax::outline::By;

/// Whether a cache block of `node` may print what is handed on `by`. What is handed on once more may
/// be printed by any cache block.
pub(super) fn may_print(reading: &Reading, node: &Node, by: &By) -> bool {
    let none = Parameters::default();
    let (range, parameters, is_whole) = match node {
        Node::Whole(_) => (0..reading.source.len(), &none, true),
        Node::OutsideMacros(_) => return false,
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
    };
    reading.mentions(range).any(|mention| {
        let is_meant = mention.name(reading).is_some_and(is_meant);
        is_meant && mention.at().is_some_and(|at| reading.may_be_cached(at))
    })
}
