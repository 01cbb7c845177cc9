//! Keys, namespaces and patterns as an administrator writes them.

use fragcache::admin::{StoredEntry, UnreadableEntry};
use fragcache::{FragmentCache, FragmentKey, KeyEncoder, KeyPart, fragment_key_at};
use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use crate::options::Key;
use crate::say::Stop;

/// Refuses what belongs to a name or a template that is not there: without it, a command would be
/// about more than was meant.
pub(crate) fn refuse_before(written: &Key) -> Result<(), Stop> {
    let why = match written {
        Key { parts: Some(_), fragment: None, .. } => {
            "--parts is of a key; write its NAME before it"
        }
        Key { line: Some(_), template: None, .. } => "--line is of a template; write --template",
        Key { nth: Some(_), line: None, .. } => "--nth is of a line; write --line",
        _ => return Ok(()),
    };
    Err(Stop::Usage(why.to_owned()))
}

/// The key that is written; `None` if only a template is.
pub(crate) fn key(written: &Key) -> Result<Option<FragmentKey>, Stop> {
    if let Some(name) = &written.fragment {
        let mut key = FragmentKey::new(name);
        for part in &written.vary_on {
            key = key.vary_on(part);
        }
        if let Some(text) = &written.parts {
            for part in parts(text)? {
                key = key.vary_on(Part(&part));
            }
        }
        return Ok(Some(key));
    }
    let (Some(template), Some(line)) = (&written.template, written.line) else { return Ok(None) };
    Ok(Some(fragment_key_at(template, line).nth(written.nth.unwrap_or(1))))
}

fn parts(text: &str) -> Result<Vec<Value>, Stop> {
    let refuse = |why: &str| Stop::Usage(format!("--parts {why}; write such as '[42, null]'"));
    match serde_json::from_str(text) {
        Ok(Value::Array(parts)) if parts.iter().all(is_part) => Ok(parts),
        Ok(Value::Array(_)) => Err(refuse("holds an object, which is no part of a key")),
        Ok(_) => Err(refuse("is no list")),
        Err(error) => Err(refuse(&format!("is no JSON: {error}"))),
    }
}

fn is_part(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(parts) => parts.iter().all(is_part),
        _ => true,
    }
}

/// A value of JSON as a part of a key.
struct Part<'v>(&'v Value);

impl KeyPart for Part<'_> {
    fn encode(&self, key: &mut KeyEncoder<'_>) {
        match self.0 {
            Value::Bool(value) => value.encode(key),
            Value::String(text) => text.encode(key),
            Value::Array(parts) => {
                parts.iter().map(Part).collect::<Vec<_>>().encode(key);
            }
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), _, _) => number.encode(key),
                (_, Some(number), _) => number.encode(key),
                (_, _, Some(number)) => number.encode(key),
                _ => number.to_string().encode(key),
            },
            Value::Null | Value::Object(_) => None::<&str>.encode(key),
        }
    }
}

/// The names in `a/b`; a backslash takes the next slash or backslash as it is.
pub(crate) fn namespaces(text: &str) -> Result<Vec<String>, Stop> {
    if text.is_empty() {
        return Err(Stop::Usage(
            "--namespace is empty; write a name, or leave it out for the whole cache".to_owned(),
        ));
    }
    let mut names = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = match c {
            '/' => {
                names.push(String::new());
                continue;
            }
            '\\' => rest.next().filter(|c| matches!(c, '/' | '\\')).ok_or_else(|| {
                Stop::Usage("--namespace holds a single backslash; write \\\\ for one".to_owned())
            })?,
            other => other,
        };
        if let Some(name) = names.last_mut() {
            name.push(next);
        }
    }
    Ok(names)
}

/// Namespaces as [`namespaces`] reads them.
pub(crate) fn joined(namespaces: &[String]) -> String {
    let escaped = |name: &String| name.replace('\\', "\\\\").replace('/', "\\/");
    namespaces.iter().map(escaped).collect::<Vec<_>>().join("/")
}

/// What entries are to match.
pub(crate) struct Pattern(Option<GlobMatcher>);

impl Pattern {
    pub(crate) fn new(text: Option<&str>) -> Result<Self, Stop> {
        let build = |text: &str| {
            GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build()
        };
        match text.map(build).transpose() {
            Ok(glob) => Ok(Self(glob.map(|glob| glob.compile_matcher()))),
            Err(error) => Err(Stop::Usage(format!(
                "the pattern is none: {}; write * for any text, \\[ for a bracket",
                error.kind()
            ))),
        }
    }

    /// Refuses a pattern over names where the store has none.
    pub(crate) fn refuse_names(&self, cache: &FragmentCache) -> Result<(), Stop> {
        match &self.0 {
            Some(glob) if cache.has_opaque_keys() && !glob.glob().glob().starts_with('#') => {
                Err(Stop::Usage(
                    "the keys of this cache are opaque, so that no entry tells its name or template; \
                     write delete NAME PART..., delete --name, delete --template or invalidate TAG, \
                     which need no pattern, or a pattern of digests such as '#3f9a*'"
                        .to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn matches(&self, entry: &StoredEntry) -> bool {
        let Some(glob) = &self.0 else { return true };
        let shown = entry.key.to_string();
        glob.is_match(&shown)
            // Whoever copies a key out of a page need not write the quotes around its texts.
            || glob.is_match(shown.replace('"', ""))
            || entry.key.name().is_some_and(|name| glob.is_match(&*name))
            || entry.template.as_deref().is_some_and(|template| glob.is_match(template))
    }

    /// All that is known of it is the name of its record.
    pub(crate) fn matches_unreadable(&self, entry: &UnreadableEntry) -> bool {
        self.0.as_ref().is_none_or(|glob| glob.is_match(&entry.record))
    }
}
