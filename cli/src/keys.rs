//! Parses keys, namespaces and patterns as an administrator writes them.

use std::fmt;

use fragcache::admin::{Admin, StoredEntry, UnreadableEntry};
use fragcache::engine::view_key;
use fragcache::key::{KeyEncoder, KeyKind};
use fragcache::{FragmentCache, FragmentKey, KeyPart, fragment_key_at};
use globset::{GlobBuilder, GlobMatcher};
use serde_json::Value;

use crate::options::{Key, Kind};
use crate::say::{Stop, shown};

/// Refuses options that need a name or a template when neither is given. Otherwise a command would
/// cover more than intended.
pub(crate) fn refuse_before(written: &Key) -> Result<(), Stop> {
    let why = match written {
        Key { parts: Some(_), fragment: None, .. } => {
            "--parts belongs to a key; write the NAME before it"
        }
        Key { line: Some(_), template: None, .. } => "--line needs a template; write --template",
        Key { nth: Some(_), line: None, .. } => "--nth needs a line; write --line",
        _ => return Ok(()),
    };
    Err(Stop::Usage(why.to_owned()))
}

/// The entries that the arguments of `get` and `delete` select.
pub(crate) enum Meant {
    /// One fragment or one value.
    Key(FragmentKey),
    /// The fragments of a template.
    Template(String),
    /// Everything of this kind and name: results of a function, responses of a view.
    Named(Kind, String),
    /// The responses of a view for a path.
    Path(String, String),
}

impl Meant {
    pub(crate) fn new(
        written: &Key,
        kind: Option<Kind>,
        cache: &FragmentCache,
    ) -> Result<Self, Stop> {
        let kind = kind.unwrap_or(Kind::Fragment);
        if kind == Kind::Fragment {
            return Self::fragment(written);
        }
        let usage = |why: &str| Err(Stop::Usage(why.to_owned()));
        let (Some(name), None) = (&written.fragment, &written.parts) else {
            return usage("--parts is for fragments; write NAME and PART");
        };
        match (kind, &written.vary_on[..]) {
            (Kind::Value, parts) => Ok(Self::Key(value(name, parts, cache))),
            (Kind::View, [path]) => Ok(Self::Path(name.clone(), path.clone())),
            (kind, []) => Ok(Self::Named(kind, name.clone())),
            (Kind::Function, _) => usage(
                "the arguments of a function have types, which cannot be written here; leave them out \
                 for all its results, or write a pattern: scan PATTERN, delete --matching PATTERN",
            ),
            _ => usage(
                "a view has a name and a path; write a pattern for other parts: scan PATTERN, \
                 delete --matching PATTERN",
            ),
        }
    }

    fn fragment(written: &Key) -> Result<Self, Stop> {
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
            return Ok(Self::Key(key));
        }
        let template = written.template.clone().unwrap_or_default();
        Ok(match written.line {
            Some(line) => Self::Key(fragment_key_at(&template, line).nth(written.nth.unwrap_or(1))),
            None => Self::Template(template),
        })
    }

    /// Whether this selects an entry. The entry's key is known, but under opaque
    /// keys its text is not.
    pub(crate) fn includes(&self, entry: &StoredEntry) -> bool {
        let is_named = |kind, name: &str| {
            entry.key.kind() == kind && entry.key.name().is_some_and(|known| *known == *name)
        };
        match self {
            Self::Key(key) => entry.key == *key,
            Self::Template(template) => entry.template.as_deref() == Some(template),
            Self::Named(kind, name) => is_named((*kind).into(), name),
            Self::Path(view, path) => {
                // Distinct keys have distinct texts, and the path comes before the
                // other parts of a key.
                let (shown, all) = (entry.key.to_string(), view_key(view, path).to_string());
                let rest = all.strip_suffix(')').and_then(|all| shown.strip_prefix(all));
                is_named(KeyKind::View, view)
                    && rest.is_some_and(|rest| rest.starts_with([')', ',']))
            }
        }
    }
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) if key.kind() == KeyKind::Fragment => key.fmt(f),
            Self::Key(key) => write!(f, "{} {key}", key.kind().as_str()),
            Self::Template(template) => write!(f, "template {}", shown(template)),
            Self::Named(kind, name) => {
                write!(f, "{} {}", KeyKind::from(*kind).as_str(), shown(name))
            }
            Self::Path(view, path) => write!(f, "view {} {}", shown(view), shown(path)),
        }
    }
}

/// The key of a value.
fn value(name: &String, parts: &[String], cache: &FragmentCache) -> FragmentKey {
    match parts {
        [] => cache.values().key(name),
        _ => cache.values().key([std::slice::from_ref(name), parts].concat()),
    }
}

/// Names other kinds that NAME and PART may refer to, if nothing of the given kind is stored. It
/// looks up a fragment and a value; for results and responses it would have to read every entry.
pub(crate) fn other_kinds(
    written: &Key,
    kind: Option<Kind>,
    cache: &FragmentCache,
) -> Result<Option<&'static str>, Stop> {
    let (Some(name), None) = (&written.fragment, &written.parts) else { return Ok(None) };
    let key = match kind {
        None | Some(Kind::Fragment) => value(name, &written.vary_on, cache),
        Some(_) => written.vary_on.iter().fold(FragmentKey::new(name), FragmentKey::vary_on),
    };
    let stored = Admin::new(cache)?.variants(&key)?.entries;
    let is_there = stored.iter().any(|entry| entry.miss.is_none());
    Ok(match (key.kind(), is_there, kind) {
        (KeyKind::Value, true, _) => Some("there is a value with this key: write --kind value"),
        (_, true, _) => Some("there is a fragment with this key: leave out --kind"),
        (_, false, None) => {
            Some("for anything but a fragment write --kind value, function or view")
        }
        (_, false, Some(_)) => None,
    })
}

fn parts(text: &str) -> Result<Vec<Value>, Stop> {
    let refuse =
        |why: &str| Stop::Usage(format!("--parts {why}; write a list such as '[42, null]'"));
    match serde_json::from_str(text) {
        Ok(Value::Array(parts)) if parts.iter().all(is_part) => Ok(parts),
        Ok(Value::Array(_)) => Err(refuse("contains an object, which cannot be part of a key")),
        Ok(_) => Err(refuse("is not a list")),
        Err(error) => Err(refuse(&format!("is not JSON: {error}"))),
    }
}

fn is_part(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(parts) => parts.iter().all(is_part),
        _ => true,
    }
}

/// A JSON value as a part of a key.
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

/// Splits `a/b` into names. A backslash escapes a slash or a backslash.
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
                Stop::Usage(
                    "--namespace contains a single backslash; write \\\\ for one".to_owned(),
                )
            })?,
            other => other,
        };
        if let Some(name) = names.last_mut() {
            name.push(next);
        }
    }
    Ok(names)
}

/// The inverse of [`namespaces`].
pub(crate) fn joined(namespaces: &[String]) -> String {
    let escaped = |name: &String| name.replace('\\', "\\\\").replace('/', "\\/");
    namespaces.iter().map(escaped).collect::<Vec<_>>().join("/")
}

/// A pattern that entries are matched against.
pub(crate) struct Pattern {
    glob: Option<GlobMatcher>,
    kind: Option<KeyKind>,
}

impl Pattern {
    pub(crate) fn new(text: Option<&str>, kind: Option<Kind>) -> Result<Self, Stop> {
        let build = |text: &str| {
            GlobBuilder::new(text).literal_separator(false).backslash_escape(true).build()
        };
        match text.map(build).transpose() {
            Ok(glob) => Ok(Self {
                glob: glob.map(|glob| glob.compile_matcher()),
                kind: kind.map(KeyKind::from),
            }),
            Err(error) => Err(Stop::Usage(format!(
                "the pattern is not valid: {}; write * for any text, \\[ for a bracket",
                error.kind()
            ))),
        }
    }

    /// Refuses a pattern over names if the store has none.
    pub(crate) fn refuse_names(&self, cache: &FragmentCache) -> Result<(), Stop> {
        match &self.glob {
            Some(glob) if cache.has_opaque_keys() && !glob.glob().glob().starts_with('#') => {
                Err(Stop::Usage(
                    "the keys of this cache are opaque, so entries do not show their name or \
                     template; write delete NAME PART..., delete --name, delete --template or \
                     invalidate TAG, which need no pattern, or a pattern of digests such as \
                     '#3f9a*'"
                        .to_owned(),
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn matches(&self, entry: &StoredEntry) -> bool {
        if self.kind.is_some_and(|kind| kind != entry.key.kind()) {
            return false;
        }
        let Some(glob) = &self.glob else { return true };
        // The key as printed, and without quotes.
        glob.is_match(entry.key.to_string())
            || glob.is_match(format!("{:#}", entry.key))
            || entry.key.name().is_some_and(|name| glob.is_match(&*name))
            || entry.template.as_deref().is_some_and(|template| glob.is_match(template))
    }

    /// For an unreadable entry, only the name of its record is known.
    pub(crate) fn matches_unreadable(&self, entry: &UnreadableEntry) -> bool {
        self.kind.is_none() && self.glob.as_ref().is_none_or(|glob| glob.is_match(&entry.record))
    }
}
