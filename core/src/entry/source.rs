//! The source of an entry: its cache block and its output mode, which identify the variant of a
//! key. Entries share their sources.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use fragcache_syntax::BlockId;
use xxhash_rust::xxh3::xxh3_64;

use crate::hash::KeyHasher;
use crate::label::Label;
use crate::stats::NameCounters;
use crate::sync::{Mutex, RwLock};

/// The escaping under which a body was rendered. Each mode is a separate variant of a key, so
/// markup from a `.txt` page never reaches an `.html` page unescaped.
///
/// ```
/// use fragcache::engine::OutputMode;
///
/// assert_ne!(OutputMode::HTML, OutputMode::RAW);
/// assert_eq!(OutputMode::custom("latex"), OutputMode::custom("latex"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputMode(u64);

impl OutputMode {
    /// No escaping.
    pub const RAW: Self = Self(0);
    /// HTML escaping, or that of an engine's only escape function.
    pub const HTML: Self = Self(1);
    /// JSON serialization of printed values.
    pub const JSON: Self = Self(2);

    /// Not markup: a typed value.
    pub(crate) const VALUE: Self = Self(3);

    /// Not markup: a response to a request.
    #[cfg(feature = "async")]
    pub(crate) const RESPONSE: Self = Self(4);

    /// Creates a custom mode with this name.
    pub fn custom(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()) & !ANNOTATED | CUSTOM)
    }

    /// The mode as a number that is the same in every process.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The same number, without the name of a custom mode.
    pub(crate) fn to_nameless_bits(self) -> u64 {
        if self.0 & CUSTOM == 0 { self.0 } else { self.0 & (CUSTOM | ANNOTATED) }
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The same mode, with comments around fragments.
    pub(crate) fn annotated(self) -> Self {
        Self(self.0 | ANNOTATED)
    }

    /// Whether bodies of this mode may contain such comments.
    pub(crate) fn is_annotated(self) -> bool {
        self.0 & ANNOTATED != 0
    }
}

/// Set in the modes of annotated bodies, and in no other.
const ANNOTATED: u64 = 1 << 62;

/// Set in custom modes.
const CUSTOM: u64 = 1 << 63;

/// The digest of fragments without a source. Not empty: an empty string has a dangling pointer, and
/// on some processors comparing zero bytes there costs more than the rest of a hit.
const RUST: &str = "rust";

/// The cache block that rendered an entry, and the mode it was rendered in.
#[derive(Debug)]
pub(crate) struct EntrySource {
    /// The block's source digest; [`RUST`] for fragments rendered from Rust.
    digest: Box<str>,
    mode: OutputMode,
    pub(crate) template: Option<Box<str>>,
    pub(crate) template_label: Option<Label>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// The statistics by name that count the hits of this source's entries, so that a hit needs no
    /// search. Only sources of entries have it.
    pub(crate) counters: Option<Arc<NameCounters>>,
}

impl EntrySource {
    /// The source of fragments that Rust code renders.
    fn rust(mode: OutputMode) -> Self {
        Self {
            digest: RUST.into(),
            mode,
            template: None,
            template_label: None,
            line: 0,
            column: 0,
            counters: None,
        }
    }

    /// Whether these are the same cache block in the same mode.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.same_variant(&other.digest, other.mode)
            && self.template == other.template
            && (self.line, self.column) == (other.line, other.column)
    }

    /// This source, for entries whose hits count in `row`.
    fn counted_in(&self, counters: Arc<NameCounters>) -> Self {
        Self {
            digest: self.digest.clone(),
            template: self.template.clone(),
            counters: Some(counters),
            ..*self
        }
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn mode(&self) -> OutputMode {
        self.mode
    }

    /// The template and the line of the cache block, if there is one.
    pub(crate) fn place(&self) -> Option<(&str, u32)> {
        self.template.as_deref().map(|template| (template, self.line))
    }

    pub(crate) fn same_variant(&self, digest: &str, mode: OutputMode) -> bool {
        self.mode == mode && *self.digest == *digest
    }
}

/// Most sources (block and mode) that are shared. Beyond that, each entry has its own.
const MAX_SHARED: usize = 65_536;

/// Most sources that the entries of a name share. Beyond it, each entry has its own.
const MAX_COUNTED: usize = 64;

/// An encoded block id and a mode.
type SourceId = (Box<str>, OutputMode);

/// The sources in use, by block and mode.
#[derive(Debug)]
pub(crate) struct EntrySources {
    shared: RwLock<HashMap<SourceId, Arc<EntrySource>>>,
    rust: Arc<EntrySource>,
    rust_annotated: Arc<EntrySource>,
    /// The sources whose hits count under a name, by the address of the name's counters.
    counted: Mutex<HashMap<usize, Vec<Weak<EntrySource>>>>,
}

impl Default for EntrySources {
    fn default() -> Self {
        Self {
            shared: RwLock::new(HashMap::new()),
            rust: Arc::new(EntrySource::rust(OutputMode::RAW)),
            rust_annotated: Arc::new(EntrySource::rust(OutputMode::RAW.annotated())),
            counted: Mutex::new(HashMap::new()),
        }
    }
}

impl EntrySources {
    pub(crate) fn rust(&self) -> &Arc<EntrySource> {
        &self.rust
    }

    /// As [`rust`](Self::rust), for bodies whose inner cache blocks may be annotated.
    pub(crate) fn rust_annotated(&self) -> &Arc<EntrySource> {
        &self.rust_annotated
    }

    /// The source of content other than markup, by a digest of its form.
    #[cfg(feature = "values")]
    pub(crate) fn of_form(&self, digest: &str, mode: OutputMode) -> Arc<EntrySource> {
        let id = (Box::from(digest), mode);
        if let Some(source) = self.shared.read().get(&id) {
            return Arc::clone(source);
        }
        let source = Arc::new(EntrySource { digest: digest.into(), ..EntrySource::rust(mode) });
        let mut shared = self.shared.write();
        if shared.len() < MAX_SHARED {
            return Arc::clone(shared.entry(id).or_insert(source));
        }
        source
    }

    /// The source of a block in a mode. `encoded` and `site` are its block id, encoded and parsed.
    pub(crate) fn get(
        &self,
        encoded: &str,
        site: &BlockId<'_>,
        mode: OutputMode,
        hasher: &KeyHasher,
    ) -> Arc<EntrySource> {
        let id = (Box::from(encoded), mode);
        if let Some(source) = self.shared.read().get(&id) {
            return Arc::clone(source);
        }
        let source = Arc::new(EntrySource {
            digest: site.digest().into(),
            mode,
            template: Some(site.template().into()),
            template_label: Some(hasher.template(site.template())),
            line: site.line(),
            column: site.column(),
            counters: None,
        });
        let mut shared = self.shared.write();
        if shared.len() < MAX_SHARED {
            return Arc::clone(shared.entry(id).or_insert(source));
        }
        source
    }

    /// Returns the shared copy of this source for entries whose hits count in `counters`.
    pub(crate) fn counted(
        &self,
        source: &EntrySource,
        counters: &Arc<NameCounters>,
    ) -> Arc<EntrySource> {
        let mut counted = self.counted.lock();
        // The registry never drops counters, so their address names them.
        let sources = counted.entry(Arc::as_ptr(counters).addr()).or_default();
        let found = sources.iter().filter_map(Weak::upgrade).find(|known| known.is_same(source));
        if let Some(found) = found {
            return found;
        }
        sources.retain(|known| known.strong_count() > 0);
        let counted = Arc::new(source.counted_in(Arc::clone(counters)));
        if sources.len() < MAX_COUNTED {
            sources.push(Arc::downgrade(&counted));
        }
        counted
    }
}
