//! Runs a batch on a cluster: in waves that keep its order, each to one node or, if it only reads, to
//! several at once. Follows the nodes' redirects.

use std::collections::BTreeMap;
use std::sync::Arc;

use fragcache::store::{Fault, Operation, Reply, StoreError};
use redis::Pipeline;

use super::address::Place;
use super::call::Failure;
use super::commands::{Mode, Outcome, Part};
use super::fault;
use super::link::{Begun, Link};
use super::pace::Limit;
use super::sizes::Sizes;
use super::topology::cluster::{Redirect, redirect};
use super::topology::{Nodes, View, slots};

/// Most waves of one batch in which a node redirects something.
const MAX_REDIRECTS: usize = 5;

/// A batch that is being run.
pub(super) struct Batch<'a> {
    nodes: &'a Nodes,
    sizes: &'a Sizes,
    max_value: u64,
    operations: &'a [Operation<'a>],
    replies: Vec<Option<Reply>>,
    /// Where redirected operations go, by index.
    detours: BTreeMap<usize, Detour>,
}

/// Where a node has sent an operation.
#[derive(Debug, Clone)]
enum Detour {
    /// To the node that owns its slot now.
    Owner(Place),
    /// To the node that takes over its slot.
    Asking(Place),
    /// To the same node, in a command of its own.
    Alone,
}

/// Where an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    node: usize,
    mode: Mode,
    /// Whether the node may redirect it while it runs other operations.
    is_moving: bool,
}

/// Operations for one node, by index.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    node: usize,
    mode: Mode,
    indexes: Vec<usize>,
}

/// A group that was sent.
struct Sent<'a> {
    link: &'a Arc<Link>,
    part: Part<'a>,
    indexes: &'a [usize],
    commands: Pipeline,
    begun: Result<Begun, Failure>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        nodes: &'a Nodes,
        sizes: &'a Sizes,
        max_value: u64,
        operations: &'a [Operation<'a>],
    ) -> Self {
        let replies = operations.iter().map(|_| None).collect();
        Self { nodes, sizes, max_value, operations, replies, detours: BTreeMap::new() }
    }

    /// Runs the operations and returns their replies.
    pub(super) fn run(
        mut self,
        mut view: Arc<View>,
        mut limit: Limit,
    ) -> Result<Vec<Reply>, StoreError> {
        let (mut first, mut redirects) = (0, 0);
        loop {
            while self.replies.get(first).is_some_and(Option::is_some) {
                first += 1;
            }
            if first == self.operations.len() {
                return Ok(self.replies.into_iter().flatten().collect());
            }
            if self.leads_nowhere(&view) {
                view = self.nodes.newer(view.generation, limit.base())?;
                self.detours.clear();
            }
            let groups = wave(self.operations, first, |index| {
                self.replies[index].is_none().then(|| self.target(&view, index))
            });
            let groups = groups.inspect_err(|_| self.nodes.doubt(view.generation))?;
            let (bytes, is_redirected) = self.send(&view, &groups, limit)?;
            redirects += usize::from(is_redirected);
            if redirects > MAX_REDIRECTS {
                return Err(StoreError::new(
                    Fault::Refused,
                    "the nodes of the cluster send an operation back and forth",
                ));
            }
            limit = limit.earned(bytes).renewed();
        }
    }

    /// Whether a node has sent an operation to one that is not connected. Then the topology has
    /// changed.
    fn leads_nowhere(&self, view: &View) -> bool {
        self.detours.values().any(|detour| match detour {
            Detour::Owner(place) | Detour::Asking(place) => {
                !view.node(place).is_some_and(|node| view.links[node].is_up())
            }
            Detour::Alone => false,
        })
    }

    fn target(&self, view: &View, index: usize) -> Result<Target, StoreError> {
        let slot = slots::of(self.operations[index].key());
        let detour = self.detours.get(&index);
        if let Some(Detour::Owner(place) | Detour::Asking(place)) = detour
            && let Some(node) = view.node(place)
        {
            let is_asking = matches!(detour, Some(Detour::Asking(_)));
            let mode = if is_asking { Mode::Asking } else { Mode::Alone };
            return Ok(Target { node, mode, is_moving: true });
        }
        let owner = view.slots.as_ref().and_then(|slots| slots.owner(slot)).ok_or_else(|| {
            StoreError::new(Fault::Unusable, format!("no node of the cluster has slot {slot}"))
        })?;
        let mode = if detour.is_some() { Mode::Alone } else { Mode::Slots };
        Ok(Target { node: owner.node, mode, is_moving: owner.is_moving })
    }

    /// Sends a wave and takes its replies. Returns the bytes of values, and whether a node has
    /// redirected something.
    fn send(
        &mut self,
        view: &View,
        groups: &[Group],
        limit: Limit,
    ) -> Result<(usize, bool), StoreError> {
        let operations: Vec<Vec<Operation<'_>>> = groups
            .iter()
            .map(|group| group.indexes.iter().map(|&index| self.operations[index]).collect())
            .collect();
        let mut all = Vec::with_capacity(groups.len());
        for (group, operations) in groups.iter().zip(&operations) {
            let link = &view.links[group.node];
            let part = Part::first(operations, group.mode, self.sizes, self.max_value);
            let commands = part.pipeline();
            let begun = link.begin(&commands, limit);
            all.push(Sent { link, part, indexes: &group.indexes, commands, begun });
        }
        // All answers are received even if one fails: others may wait for theirs behind them.
        let (mut bytes, mut is_redirected, mut failure) = (0, false, None);
        for Sent { link, part, indexes, commands, begun } in all {
            let decode = |answers| part.outcomes(answers, self.sizes, &link.place);
            let outcomes = begun.and_then(|begun| {
                let limit = limit.earned(bytes).attended();
                link.finish(begun, &commands, part.only_reads, limit, decode)
            });
            let taken = match outcomes {
                Ok(outcomes) => {
                    bytes += part
                        .operations()
                        .iter()
                        .filter_map(Operation::value)
                        .map(<[u8]>::len)
                        .sum::<usize>();
                    self.take(view, &link.place, indexes, outcomes, &mut bytes)
                }
                Err(failed) => part.learn(&failed, self.sizes).map_or(Ok(false), Err),
            };
            match taken {
                Ok(redirected) => is_redirected |= redirected,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok((bytes, is_redirected)), Err)
    }

    /// Takes the outcomes of a group. Returns whether one is a redirect.
    fn take(
        &mut self,
        view: &View,
        place: &Place,
        indexes: &[usize],
        outcomes: Vec<Outcome>,
        bytes: &mut usize,
    ) -> Result<bool, StoreError> {
        let only_reads = indexes.iter().all(|&index| self.operations[index].is_read());
        let (mut is_redirected, mut moved) = (false, Vec::new());
        for (&index, outcome) in indexes.iter().zip(outcomes) {
            let operation = &self.operations[index];
            let slot = slots::of(operation.key());
            let error = match outcome {
                // A read that ran before a write which it follows is repeated after it. So is one
                // that ran before a read of the same slot: a fence is read after its labels.
                Ok(_)
                    if is_redirected
                        && operation.is_read()
                        && (!only_reads || moved.contains(&slot)) =>
                {
                    continue;
                }
                Ok(_) if is_redirected && !only_reads => {
                    return Err(StoreError::new(
                        Fault::Refused,
                        format!("{place} gave a slot away in the middle of a batch of writes"),
                    ));
                }
                Ok(reply) => {
                    if let Reply::Value(Some(value)) = &reply {
                        *bytes += value.len();
                    }
                    self.replies[index] = Some(reply);
                    self.detours.remove(&index);
                    continue;
                }
                Err(error) => error,
            };
            let Some(redirect) = redirect(&error, place) else {
                if matches!(error.code(), "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY") {
                    self.nodes.doubt(view.generation);
                }
                return Err(fault::refusal(place, &error));
            };
            is_redirected = true;
            moved.push(slot);
            let detour = self.follow(view, redirect);
            self.detours.insert(index, detour);
        }
        Ok(is_redirected)
    }

    fn follow(&self, view: &View, redirect: Redirect) -> Detour {
        match redirect {
            Redirect::Moved { slot, place } => {
                if let (Some(slots), Some(node)) = (&view.slots, view.node(&place)) {
                    slots.moved(slot, node);
                }
                self.nodes.doubt(view.generation);
                Detour::Owner(place)
            }
            Redirect::Ask { slot, place } => {
                if let Some(slots) = &view.slots {
                    slots.is_moving(slot);
                }
                Detour::Asking(place)
            }
            Redirect::Again => Detour::Alone,
        }
    }
}

/// The operations to send next, from index `first` on: as many adjacent ones as keep the order.
/// `target` returns `None` for those that are done.
///
/// Adjacent reads may go to several nodes at once, since no write comes between them. Those of one
/// slot keep their order: while it moves, two nodes may have its keys, and a read waits for one
/// before it that goes to the other. Adjacent
/// operations for one node go to it together, up to one that the node may redirect: what follows
/// that must not be done before it.
fn wave(
    operations: &[Operation<'_>],
    first: usize,
    target: impl Fn(usize) -> Option<Result<Target, StoreError>>,
) -> Result<Vec<Group>, StoreError> {
    let (mut reads, mut same): (Vec<Group>, Option<Group>) = (Vec::new(), None);
    let (mut all_read, mut is_same) = (true, true);
    // Where the reads of each slot go; `None` once one has to wait.
    let mut begun: BTreeMap<u16, Option<(usize, Mode)>> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate().skip(first) {
        all_read &= operation.is_read();
        if !all_read && !is_same {
            break;
        }
        let Some(target) = target(index) else { continue };
        let Target { node, mode, is_moving } = target?;
        let new = || Group { node, mode, indexes: vec![index] };
        let goes = begun.entry(slots::of(operation.key())).or_insert(Some((node, mode)));
        *goes = goes.filter(|goes| *goes == (node, mode));
        if all_read && goes.is_some() {
            match reads.iter_mut().find(|group| (group.node, group.mode) == (node, mode)) {
                Some(group) => group.indexes.push(index),
                None => reads.push(new()),
            }
        }
        if is_same {
            match &mut same {
                Some(group) if (group.node, group.mode) != (node, mode) => is_same = false,
                Some(group) => group.indexes.push(index),
                None => same = Some(new()),
            }
            is_same &= !is_moving;
        }
    }
    let read: usize = reads.iter().map(|group| group.indexes.len()).sum();
    match same {
        Some(same) if same.indexes.len() > read => Ok(vec![same]),
        _ => {
            // All callers wait for several nodes in the same order.
            reads.sort_by_key(|group| (group.node, group.mode));
            Ok(reads)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TTL: Duration = Duration::from_secs(1);

    fn get(key: &str) -> Operation<'_> {
        Operation::Get { key }
    }

    fn set(key: &str) -> Operation<'_> {
        Operation::Set { key, value: b"", ttl: TTL }
    }

    /// All waves of these operations. The first letter of a key is its node, and a capital a slot
    /// that is moving.
    fn waves(operations: &[Operation<'_>]) -> Vec<Vec<(usize, Vec<usize>)>> {
        let mut done = vec![false; operations.len()];
        let mut all = Vec::new();
        while let Some(first) = done.iter().position(|done| !done) {
            let wave = wave(operations, first, |index| {
                let letter = operations[index].key().as_bytes()[0];
                let node = usize::from(letter.to_ascii_lowercase() - b'a');
                let is_moving = letter.is_ascii_uppercase();
                (!done[index]).then_some(Ok(Target { node, mode: Mode::Slots, is_moving }))
            });
            let wave = wave.unwrap();
            wave.iter().flat_map(|group| &group.indexes).for_each(|&index| done[index] = true);
            all.push(wave.into_iter().map(|group| (group.node, group.indexes)).collect());
        }
        all
    }

    #[test]
    fn reads_go_to_all_nodes_at_once() {
        let gets = ["b1", "a1", "b2", "C1", "a2"].map(get);
        assert_eq!(waves(&gets), [[(0, vec![1, 4]), (1, vec![0, 2]), (2, vec![3])]]);
    }

    #[test]
    fn i1_reads_of_one_slot_keep_their_order_while_two_nodes_have_its_keys() {
        let gets = ["a1{7}", "b2{7}", "a3{7}", "b4{8}"].map(get);
        let first = vec![(0, vec![0]), (1, vec![3])];
        assert_eq!(waves(&gets), [first, vec![(1, vec![1])], vec![(0, vec![2])]]);
    }

    #[test]
    fn writes_keep_their_order() {
        let sets = [set("a1"), set("a2"), set("b1"), get("b2"), set("a3")];
        assert_eq!(waves(&sets), [[(0, vec![0, 1])], [(1, vec![2, 3])], [(0, vec![4])]]);
        // What is longer comes first: the reads of all nodes, or all operations of one node.
        let mixed = [get("a1"), get("b1"), get("c1"), set("c1"), get("c2")];
        let reads = vec![(0, vec![0]), (1, vec![1]), (2, vec![2])];
        assert_eq!(waves(&mixed), [reads, vec![(2, vec![3, 4])]]);
        assert_eq!(waves(&[get("a1"), set("a1"), get("a2")]), [[(0, vec![0, 1, 2])]]);
    }

    #[test]
    fn what_may_be_redirected_ends_a_wave_of_writes() {
        let sets = [set("a1"), set("A2"), set("a3"), set("A4"), set("A5")];
        let each = [vec![0, 1], vec![2, 3], vec![4]].map(|indexes| vec![(0, indexes)]);
        assert_eq!(waves(&sets), each);
    }
}
