//! The reference model: every piece of output with its labels and the step of its read point, and
//! for every label the step of its last invalidation. It does not use the cache.

use std::fmt;

/// The dimensions of a history: two namespaces, two names of two parts, blocks of two templates,
/// three tags.
pub(super) const NAMES: usize = 2;
pub(super) const PARTS: usize = 2;
pub(super) const TEMPLATES: usize = 2;
pub(super) const TAGS: usize = 3;
pub(super) const VERSIONS: usize = 3;

/// Number of labels of one namespace in a [`LabelSet`].
const PER_NAMESPACE: usize = 16;

/// Labels that a history can invalidate, as bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LabelSet(u64);

impl LabelSet {
    /// Not a real label: marks what must never be served.
    pub(super) const NEVER: Self = Self(1 << 63);

    fn bit(namespace: usize, offset: usize) -> Self {
        Self(1 << (namespace * PER_NAMESPACE + offset))
    }

    /// The label that clearing a namespace invalidates.
    pub(super) fn all(namespace: usize) -> Self {
        Self::bit(namespace, 0)
    }

    pub(super) fn key(namespace: usize, name: usize, part: usize) -> Self {
        Self::bit(namespace, 1 + name * PARTS + part)
    }

    pub(super) fn name(namespace: usize, name: usize) -> Self {
        Self::bit(namespace, 1 + NAMES * PARTS + name)
    }

    pub(super) fn template(namespace: usize, template: usize) -> Self {
        Self::bit(namespace, 1 + NAMES * PARTS + NAMES + template)
    }

    pub(super) fn tag(namespace: usize, tag: usize) -> Self {
        Self::bit(namespace, 1 + NAMES * PARTS + NAMES + TEMPLATES + tag)
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn indices(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |bit| self.0 >> bit & 1 == 1)
    }
}

/// The place of a fragment and the variant that its block renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) namespace: usize,
    pub(super) name: usize,
    pub(super) part: usize,
    pub(super) template: usize,
    /// The source that the template had.
    pub(super) generation: usize,
    /// The version of the displayed record.
    pub(super) version: usize,
    pub(super) html: bool,
    /// Whether Rust code renders it. It then has no block, no template and no output mode.
    pub(super) rust: bool,
}

impl Place {
    pub(super) fn labels(self) -> LabelSet {
        let labels = LabelSet::key(self.namespace, self.name, self.part)
            .with(LabelSet::name(self.namespace, self.name))
            .with(LabelSet::all(self.namespace));
        if self.rust {
            return labels;
        }
        labels.with(LabelSet::template(self.namespace, self.template))
    }

    /// The same fragment, rendered by Rust code.
    pub(super) fn by_rust(self) -> Self {
        Self { template: 0, generation: 0, html: false, rust: true, ..self }
    }

    /// Whether an entry of the other place has the same key.
    fn same_key(self, other: Self) -> bool {
        (self.namespace, self.name, self.part) == (other.namespace, other.name, other.part)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, part, template, generation, version, html, rust } = self;
        let mode = if *html { "html" } else { "raw" };
        write!(f, "{namespace}:name{name}/{part}@{version} ")?;
        if *rust {
            return f.write_str("of Rust");
        }
        write!(f, "of template{template}v{generation} {mode}")
    }
}

/// The output of one render. Not older than its read point, regardless of the data it loaded.
#[derive(Debug)]
struct Piece {
    place: Place,
    labels: LabelSet,
    /// The step in which its read point was taken.
    read: u32,
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.indices()).finish()
    }
}

/// All pieces and invalidations of a history. A markup is a list of piece numbers, starting with
/// its own.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) step: u32,
    pieces: Vec<Piece>,
    invalidated: [u32; 64],
    /// Invalidations to repeat, and the second at which each is due.
    repeats: Vec<(u64, LabelSet)>,
}

impl Truth {
    pub(super) fn new() -> Self {
        let mut invalidated = [0; 64];
        for never in LabelSet::NEVER.indices() {
            invalidated[never] = u32::MAX;
        }
        Self { step: 0, pieces: Vec::new(), invalidated, repeats: Vec::new() }
    }

    /// A render starts. Returns the number of its piece.
    pub(super) fn piece(&mut self, place: Place, labels: LabelSet, read: u32) -> usize {
        self.pieces.push(Piece { place, labels: place.labels().with(labels), read });
        self.pieces.len() - 1
    }

    /// A render adds labels late. They apply to its piece all the same.
    pub(super) fn learn(&mut self, piece: usize, labels: LabelSet) {
        self.pieces[piece].labels = self.pieces[piece].labels.with(labels);
    }

    /// An invalidation has returned in this step.
    pub(super) fn invalidate(&mut self, labels: LabelSet) {
        for label in labels.indices() {
            self.invalidated[label] = self.invalidated[label].max(self.step);
        }
    }

    /// The current invalidation will be repeated at `due`.
    pub(super) fn repeat(&mut self, due: u64, labels: LabelSet) {
        self.repeats.push((due, labels));
    }

    /// The clock shows `now`.
    pub(super) fn pass_time(&mut self, now: u64) {
        let due: Vec<_> = self.repeats.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, labels) in due {
            self.invalidate(labels);
        }
    }

    /// Checks that this markup may be served to a read that starts now: no part of it was read
    /// before an invalidation that has returned, and it is the requested fragment.
    pub(super) fn check(
        &self,
        markup: &str,
        asked: Place,
        any_variant: bool,
    ) -> Result<(), String> {
        let numbers = numbers(markup);
        let own = numbers.first().map(|&own| self.pieces[own].place);
        let expected = own.is_some_and(|own| own == asked || any_variant && own.same_key(asked));
        if !expected {
            return Err(format!("asked for {asked} and got {own:?}"));
        }
        for number in numbers {
            let piece = &self.pieces[number];
            let later = |label: &usize| self.invalidated[*label] > piece.read;
            if let Some(label) = piece.labels.indices().find(later) {
                return Err(format!(
                    "{asked} served with piece {number} ({}), read in step {}, though label {label} \
                     was invalidated in step {}",
                    piece.place, piece.read, self.invalidated[label]
                ));
            }
        }
        Ok(())
    }
}

/// Builds a markup from pieces.
pub(super) fn markup(own: usize, inside: &[usize], padding: usize) -> String {
    let mut markup = own.to_string();
    for number in inside {
        markup.push(',');
        markup.push_str(&number.to_string());
    }
    markup.extend(std::iter::repeat_n(' ', padding));
    markup
}

/// The pieces of a markup.
pub(super) fn numbers(markup: &str) -> Vec<usize> {
    markup.trim_end().split(',').map(|number| number.parse().unwrap()).collect()
}
