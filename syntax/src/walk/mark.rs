//! Marks on values: a value is marked if it may hold content that others fill in, or output that
//! was rendered earlier.

use std::collections::HashSet;

use crate::outline::Span;

/// What a marked value may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The output of a cache block.
    Output,
    /// The body that a Tera component is used with.
    Body,
    /// What a `call` block fills in.
    Caller,
    /// What a child template fills in.
    Filled,
    /// The output of this tag, rendered before the value was bound. It may hold a fragment. `None`
    /// if the tag is not known.
    Rendered(Option<Span>),
    /// The value that another template binds to the name at this span.
    Foreign(Span),
    /// In code that is rendered later: the value that the name at this span has then, looked up in
    /// this number of frames.
    Outside(Span, usize),
    /// The `loop` variable of the `for` statement at the origin.
    Loop,
    /// The value may be this namespace.
    Space(Space),
    /// The value may be the macro or module with this number, or an attribute of it.
    Macro(usize),
}

impl Holds {
    /// Whether the mark is for an object, which does not print as content.
    pub(super) fn is_object(self) -> bool {
        matches!(self, Self::Space(_) | Self::Macro(_))
    }
}

/// A mark on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) holds: Holds,
    /// Cache blocks that open at or after this offset have the value from outside.
    pub(super) origin: usize,
    /// Where the value was bound.
    pub(super) at: usize,
}

/// The most known sources that are tracked in one value. Beyond them, the value counts as unknown
/// output.
const MOST_RENDERINGS: usize = 32;

/// Adds a mark to the marks of a value. There is one mark of each kind: of two, the one with the
/// earlier origin is stricter and wins.
pub(super) fn add(marks: &mut Vec<Mark>, mut mark: Mark) {
    let is_known = |mark: &Mark| {
        matches!(mark.holds, Holds::Rendered(Some(_)) | Holds::Foreign(_) | Holds::Outside(..))
            || mark.holds.is_object()
    };
    if is_known(&mark) && marks.len() >= MOST_RENDERINGS {
        let known = marks.iter().filter(|mark| is_known(mark)).map(|mark| mark.origin);
        mark.origin = known.min().map_or(mark.origin, |least| least.min(mark.origin));
        mark.holds = Holds::Rendered(None);
        marks.retain(|mark| !is_known(mark));
    }
    match marks.iter_mut().find(|known| known.holds == mark.holds) {
        Some(known) => {
            *known = Mark { origin: known.origin.min(mark.origin), ..mark };
        }
        None => marks.push(mark),
    }
}

/// A namespace, identified by the expression that creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Space(usize);

/// The marks of the values that were put into MiniJinja's namespaces. A value that may be a
/// namespace carries a mark, under any name. Once a namespace is used as a whole, for example as an
/// argument, a value about which nothing is known may also be this namespace.
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
