//! Reads and writes what an address or a form of this page refers to: a cache, a key
//! and its namespaces.

use fragcache::{FragmentCache, FragmentKey};

use crate::serve::{Fields, Visit};

impl Visit {
    /// The cache that the fields name, or the first one; `None` if no cache has that name.
    pub(crate) fn cache(&self, fields: &Fields) -> Option<(&str, &FragmentCache)> {
        let mut caches = self.shared.caches.iter().map(|(name, cache)| (&**name, cache));
        match fields.get("cache") {
            Some(wanted) => caches.find(|(name, _)| *name == wanted),
            None => caches.next(),
        }
    }

    /// A path below the router with its query: the cache, if there are several, and more fields.
    pub(crate) fn path(&self, path: &str, cache: &str, more: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.shared.caches.len() > 1 {
            query.append_pair("cache", cache);
        }
        query.extend_pairs(more);
        match query.finish() {
            none if none.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// Like [`path`](Self::path), for a link.
    pub(crate) fn link(&self, path: &str, cache: &str, more: &[(&str, &str)]) -> String {
        let below = self.path(path, cache, more);
        // A router mounted below a path has no trailing slash.
        let below = match below.strip_prefix('/') {
            Some(rest) if path == "/" && !self.base.is_empty() => rest,
            _ => &below,
        };
        format!("{}{below}", self.base)
    }
}

impl Fields {
    /// The key that the fields name.
    pub(crate) fn key(&self) -> Option<FragmentKey> {
        FragmentKey::from_hex(self.get("key")?)
    }

    /// The handle for the namespaces that the fields name within the cache's.
    pub(crate) fn place(&self, cache: &FragmentCache) -> Option<FragmentCache> {
        let names: Vec<String> = serde_json::from_str(self.get("place").unwrap_or("[]")).ok()?;
        Some(names.iter().fold(cache.clone(), |cache, name| cache.namespace(name)))
    }
}

/// Namespaces encoded for a form.
pub(crate) fn place(namespaces: &[String]) -> String {
    serde_json::Value::from(namespaces).to_string()
}

/// Namespaces for display.
pub(crate) fn place_label(namespaces: &[String]) -> String {
    namespaces.join(" / ")
}
