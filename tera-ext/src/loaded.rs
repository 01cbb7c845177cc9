//! The record of templates loaded into a Tera through this crate: their original sources, and which
//! templates must be rewritten when another changes. This module does not access a Tera; see
//! `templates.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fragcache::syntax::{CacheBlock, Rewritten, Sources, Syntax, Warning, components};

/// A template as its author wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Authored {
    pub(crate) source: Arc<str>,
    pub(crate) blocks: Vec<CacheBlock>,
    pub(crate) warnings: Vec<Warning>,
    /// The templates and components that the blocks' digests cover, or would if they existed.
    follows: Vec<String>,
    calls: Vec<String>,
    /// The components that this template defines.
    defines: Vec<String>,
}

impl Authored {
    fn new(source: &str, syntax: &Syntax) -> Self {
        Self {
            source: source.into(),
            blocks: Vec::new(),
            warnings: Vec::new(),
            follows: Vec::new(),
            calls: Vec::new(),
            defines: components(source, syntax),
        }
    }
}

/// The templates loaded into one Tera, and the last loaded glob.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loaded {
    templates: BTreeMap<Arc<str>, Arc<Authored>>,
    #[cfg(feature = "glob_fs")]
    pub(crate) glob: Option<String>,
}

/// The names that a batch of templates changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    templates: BTreeSet<String>,
    components: BTreeSet<String>,
}

impl Changes {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.templates.contains(name)
    }

    fn reach(&self, authored: &Authored) -> bool {
        let follows =
            |name: &String| self.templates.iter().any(|changed| stands_for(changed, name));
        authored.follows.iter().any(follows)
            || authored.calls.iter().any(|name| self.components.contains(name))
    }
}

/// Whether Tera may resolve `asked` to the template `name`. It may prepend a
/// fallback prefix, and does not expose its prefixes.
fn stands_for(name: &str, asked: &str) -> bool {
    name.ends_with(asked)
}

impl Loaded {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Authored>> {
        self.templates.get(name)
    }

    /// In order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Authored>)> {
        self.templates.iter()
    }

    /// Removes the records of templates that no longer exist.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.templates.retain(|name, _| is_there(name));
    }

    /// Records a source. Its blocks are [recorded](Self::note) after it is rewritten.
    pub(crate) fn take(&mut self, name: &str, source: &str, syntax: &Syntax, to: &mut Changes) {
        let new = Authored::new(source, syntax);
        to.templates.insert(name.to_owned());
        to.components.extend(new.defines.iter().cloned());
        if let Some(old) = self.templates.insert(name.into(), Arc::new(new)) {
            to.components.extend(old.defines.iter().cloned());
        }
    }

    /// Records the results of rewriting a template. Returns whether its blocks changed.
    pub(crate) fn note(&mut self, name: &str, rewritten: &Rewritten<'_>) -> bool {
        let Some(authored) = self.templates.get_mut(name) else { return false };
        let authored = Arc::make_mut(authored);
        authored.follows = rewritten.follows().to_vec();
        authored.calls = rewritten.components().to_vec();
        let changed = authored.blocks != rewritten.blocks();
        authored.blocks = rewritten.blocks().to_vec();
        authored.warnings = rewritten.warnings().to_vec();
        changed
    }

    /// The templates that use changed ones, except those that changed themselves.
    pub(crate) fn reached_by(&self, changes: &Changes) -> Vec<(Arc<str>, Arc<str>)> {
        let reached =
            self.iter().filter(|(name, authored)| !changes.has(name) && changes.reach(authored));
        reached.map(|(name, authored)| (Arc::clone(name), Arc::clone(&authored.source))).collect()
    }

    /// The source of a template with cache blocks.
    pub(crate) fn author_of(&self, name: &str) -> Option<Arc<str>> {
        let authored = self.get(name).filter(|authored| !authored.blocks.is_empty())?;
        Some(Arc::clone(&authored.source))
    }
}

impl Sources for Loaded {
    fn templates(&self, name: &str) -> Vec<Arc<str>> {
        if let Some(authored) = self.get(name) {
            return vec![Arc::clone(&authored.source)];
        }
        let stand_in = self.iter().filter(|(other, _)| stands_for(other, name));
        stand_in.map(|(_, authored)| Arc::clone(&authored.source)).collect()
    }

    fn component(&self, name: &str) -> Vec<String> {
        let defining =
            self.iter().filter(|(_, authored)| authored.defines.iter().any(|other| other == name));
        defining.map(|(name, _)| name.to_string()).collect()
    }
}
