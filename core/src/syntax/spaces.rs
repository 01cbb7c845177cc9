//! MiniJinja's namespaces, as far as it matters what was put into them. A namespace that is used as a
//! whole may get another name, by which its attributes are what was put into it by this one.

use std::collections::{BTreeMap, BTreeSet};

use super::mark::{Mark, add};

/// A namespace that has the one name to which it was bound when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Space(usize);

/// The marks of what went into namespaces.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    made: usize,
    /// Those that were used as a whole since.
    whole: BTreeSet<Space>,
    /// What went into the others.
    own: BTreeMap<Space, Vec<Mark>>,
    /// What went into all that may have another name.
    shared: Vec<Mark>,
}

impl Spaces {
    /// A namespace is made, and bound to a name.
    pub(super) fn make(&mut self) -> Space {
        self.made += 1;
        Space(self.made)
    }

    /// Whether there are no namespaces, nor anything that was put into one.
    pub(super) fn is_empty(&self) -> bool {
        self.made == 0 && self.shared.is_empty()
    }

    /// A value goes into a namespace, or into something that may be any.
    pub(super) fn put(&mut self, space: Option<Space>, marks: impl Iterator<Item = Mark>) {
        let known = match space.filter(|space| !self.whole.contains(space)) {
            Some(space) => self.own.entry(space).or_default(),
            None => &mut self.shared,
        };
        marks.for_each(|mark| add(known, mark));
    }

    /// A namespace is used as a whole.
    pub(super) fn share(&mut self, space: Space) {
        if self.whole.insert(space) {
            let marks = self.own.remove(&space).unwrap_or_default();
            marks.into_iter().for_each(|mark| add(&mut self.shared, mark));
        }
    }

    /// What an attribute of anything may hold.
    pub(super) fn shared(&self) -> &[Mark] {
        &self.shared
    }

    /// Drops the marks of which `is` does not hold.
    pub(super) fn retain(&mut self, is: impl Fn(&Mark) -> bool) {
        self.own.values_mut().chain([&mut self.shared]).for_each(|marks| marks.retain(&is));
    }
}
