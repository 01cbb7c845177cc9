//! MiniJinja's namespaces, as far as it matters what was put into them. A value that may be a namespace
//! is marked so, whatever it is called by; one that is used as a whole may also be what a value is of
//! which nothing is known.

use std::collections::HashSet;

use super::mark::{Holds, Mark, add};

/// A namespace, by where it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Space(usize);

/// The marks of what went into namespaces.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// What went into each.
    own: Vec<Vec<Mark>>,
    /// Those that were used as a whole.
    whole: HashSet<Space>,
    /// What went into these, and into what may be any.
    shared: Vec<Mark>,
}

/// The namespaces that a value may be.
fn spaces(marks: &[Mark]) -> impl Iterator<Item = Space> {
    marks.iter().filter_map(|mark| match mark.holds {
        Holds::Space(space) => Some(space),
        _ => None,
    })
}

impl Spaces {
    /// A namespace is made.
    pub(super) fn make(&mut self) -> Space {
        self.own.push(Vec::new());
        Space(self.own.len() - 1)
    }

    /// Whether there are no namespaces, nor anything that was put into one.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// A value goes into the namespace that `target` says, or into what may be any.
    pub(super) fn put(&mut self, target: &[Mark], marks: &[Mark]) {
        let mut is_shared = true;
        for space in spaces(target) {
            is_shared &= self.whole.contains(&space);
            marks.iter().for_each(|mark| add(&mut self.own[space.0], *mark));
        }
        if is_shared {
            marks.iter().for_each(|mark| add(&mut self.shared, *mark));
        }
    }

    /// A value is used as a whole.
    pub(super) fn share(&mut self, value: &[Mark]) {
        for space in spaces(value) {
            if self.whole.insert(space) {
                self.own[space.0].iter().for_each(|mark| add(&mut self.shared, *mark));
            }
        }
    }

    /// What an attribute of anything may hold.
    pub(super) fn shared(&self) -> &[Mark] {
        &self.shared
    }

    /// Adds what the namespaces hold that a value may be.
    pub(super) fn add_contents(&self, marks: &mut Vec<Mark>) {
        let mut queue: Vec<Space> = spaces(marks).collect();
        if queue.is_empty() {
            return;
        }
        queue.extend(spaces(&self.shared));
        self.shared.iter().for_each(|mark| add(marks, *mark));
        let mut seen = HashSet::new();
        while let Some(space) = queue.pop() {
            if seen.insert(space) {
                let own = &self.own[space.0];
                queue.extend(spaces(own));
                own.iter().for_each(|mark| add(marks, *mark));
            }
        }
    }

    /// Drops the marks of which `is` does not hold.
    pub(super) fn retain(&mut self, is: impl Fn(&Mark) -> bool) {
        self.own.iter_mut().chain([&mut self.shared]).for_each(|marks| marks.retain(&is));
    }
}
