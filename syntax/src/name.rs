//! The names of a template's variables, as map keys. Reading a source must take linear time: tests
//! count how often a name is looked up or compared.

use std::hash::{Hash, Hasher};

/// A variable's name.
#[derive(Debug, Clone, Copy, Eq)]
pub(super) struct Name<'s>(pub(super) &'s str);

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(test)]
        probes::count();
        self.0 == other.0
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        #[cfg(test)]
        probes::count();
        state.write(self.0.as_bytes());
    }
}

/// Counts how often this thread has looked up or compared a name.
#[cfg(test)]
pub(super) mod probes {
    use std::cell::Cell;

    std::thread_local! {
        static PROBES: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        PROBES.set(PROBES.get() + 1);
    }

    /// Returns the number of probes that `work` makes.
    pub(crate) fn during(work: impl FnOnce()) -> usize {
        let before = PROBES.get();
        work();
        PROBES.get() - before
    }
}
