//! What an address or a form of this page is about: a cache, a key, and the namespaces that it lies in.

use fragcache::{FragmentCache, FragmentKey};

use crate::serve::{Fields, Visit};

impl Visit {
    /// The cache that the fields name, or the first; `None` if there is none of that name.
    pub(crate) fn cache(&self, fields: &Fields) -> Option<(&str, &FragmentCache)> {
        let mut caches = self.shared.caches.iter().map(|(name, cache)| (&**name, cache));
        match fields.get("cache") {
            Some(wanted) => caches.find(|(name, _)| *name == wanted),
            None => caches.next(),
        }
    }

    /// A path below the router with its query: the cache, if there are several, and more.
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

    /// As [`path`](Self::path), for a link.
    pub(crate) fn link(&self, path: &str, cache: &str, more: &[(&str, &str)]) -> String {
        let below = self.path(path, cache, more);
        // A router that is mounted below a path has no slash at its own end.
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

/// Namespaces as a form carries them.
pub(crate) fn place(namespaces: &[String]) -> String {
    serde_json::Value::from(namespaces).to_string()
}

/// Namespaces as people read them.
pub(crate) fn place_label(namespaces: &[String]) -> String {
    namespaces.join(" / ")
}
