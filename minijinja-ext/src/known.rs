//! The record of templates loaded through this crate: their original sources, their
//! blocks, and which templates must be rewritten when another changes. This module
//! does not access an environment; see `templates.rs` and `loader.rs`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fragcache::syntax::{CacheBlock, Rewritten, SourceMap, Warning, name_of_string};

use crate::templates::Rules;

/// Maximum number of recorded templates. Errors in further templates are not explained, and further
/// templates are not followed.
const MAX_KNOWN: usize = 10_000;

/// How a template reached the engine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// Added to the environment under these rules.
    Added(Arc<Rules>),
    /// Returned by one of our loaders.
    Loaded,
}

/// A template as its author wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) source: Arc<str>,
    pub(crate) map: SourceMap,
    pub(crate) blocks: Vec<CacheBlock>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) origin: Origin,
    follows: Vec<String>,
    /// Digest of the rewritten source. It distinguishes this template from another one that an
    /// environment may have under the same name.
    lowered: String,
}

impl Template {
    pub(crate) fn new(source: Arc<str>, rewritten: &Rewritten<'_>, origin: Origin) -> Self {
        Self {
            map: rewritten.map().clone(),
            blocks: rewritten.blocks().to_vec(),
            warnings: rewritten.warnings().to_vec(),
            follows: rewritten.follows().to_vec(),
            lowered: name_of_string(rewritten.source()),
            source,
            origin,
        }
    }

    /// Whether `lowered` is the rewritten source of this template.
    pub(crate) fn became(&self, lowered: &str) -> bool {
        self.lowered == name_of_string(lowered)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    templates: HashMap<String, Template>,
    /// By template name: the templates whose digests cover it, or would if it existed.
    followers: HashMap<String, BTreeSet<String>>,
}

impl Known {
    pub(crate) fn get(&self, name: &str) -> Option<&Template> {
        self.templates.get(name)
    }

    /// The templates with cache blocks, in no particular order.
    pub(crate) fn with_blocks(&self) -> impl Iterator<Item = (&String, &Template)> {
        self.templates.iter().filter(|(_, template)| !template.blocks.is_empty())
    }

    pub(crate) fn followers_of(&self, name: &str) -> Vec<String> {
        self.followers.get(name).into_iter().flatten().cloned().collect()
    }

    pub(crate) fn insert(&mut self, name: &str, template: Template) {
        self.remove(name);
        if self.templates.len() >= MAX_KNOWN {
            return;
        }
        for followed in &template.follows {
            self.followers.entry(followed.clone()).or_default().insert(name.to_owned());
        }
        self.templates.insert(name.to_owned(), template);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let Some(old) = self.templates.remove(name) else { return };
        for followed in &old.follows {
            if let Some(followers) = self.followers.get_mut(followed) {
                followers.remove(name);
                if followers.is_empty() {
                    self.followers.remove(followed);
                }
            }
        }
    }
}
