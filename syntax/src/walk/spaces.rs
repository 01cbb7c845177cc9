//! Tracks what is put into MiniJinja's namespaces. A value that may be a namespace carries a mark,
//! under any name. Once a namespace is used as a whole, for example as an argument, a value about
//! which nothing is known may also be this namespace.

use std::collections::HashSet;

use super::mark::{Holds, Mark, add};

/// A namespace, identified by the expression that creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Space(usize);

/// The marks of the values that were put into namespaces.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    /// The marks of each namespace.
    own: Vec<Vec<Mark>>,
    /// The namespaces that were used as a whole.
    whole: HashSet<Space>,
    /// The marks of the namespaces that were used as a whole, and of values that may be any of
    /// them.
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
    /// Registers a new namespace.
    pub(super) fn make(&mut self) -> Space {
        self.own.push(Vec::new());
        Space(self.own.len() - 1)
    }

    /// Whether there are no namespaces and nothing was put into an unknown one.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }

    /// Puts the marks of a value into the namespaces that `target` may be. They are shared if
    /// `target` is not known, or if all of these namespaces were used as a whole.
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

    /// Records that a value is used as a whole.
    pub(super) fn share(&mut self, value: &[Mark]) {
        for space in spaces(value) {
            if self.whole.insert(space) {
                self.own[space.0].iter().for_each(|mark| add(&mut self.shared, *mark));
            }
        }
    }

    /// The marks that an attribute of an unknown value may have.
    pub(super) fn shared(&self) -> &[Mark] {
        &self.shared
    }

    /// Adds the contents of the namespaces that a value may be.
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

    /// Keeps only the marks for which `is` returns `true`.
    pub(super) fn retain(&mut self, is: impl Fn(&Mark) -> bool) {
        self.own.iter_mut().chain([&mut self.shared]).for_each(|marks| marks.retain(&is));
    }
}
