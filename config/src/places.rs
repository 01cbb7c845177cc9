//! Where each setting was read, for error messages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fragcache::{Error, ErrorKind};
use toml::de::{DeTable, DeValue};

/// Where a setting was read.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    File { name: Arc<str>, line: u32, column: u32 },
    Variable(String),
}

/// The places of settings, by names such as `redis.url`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Places(BTreeMap<String, Place>);

impl Places {
    /// The places of the settings in a file.
    pub(super) fn of_file(name: &str, text: &str) -> Self {
        let mut places = BTreeMap::new();
        let name: Arc<str> = name.into();
        visit(text, &mut |setting, key, _| {
            let (line, column) = line_and_column(text, key.start);
            places
                .insert(setting.to_owned(), Place::File { name: Arc::clone(&name), line, column });
        });
        Self(places)
    }

    /// Records that a variable sets the setting.
    pub(super) fn note_variable(&mut self, setting: String, variable: &str) {
        self.0.insert(setting, Place::Variable(variable.to_owned()));
    }

    /// Adds the places in `over`, which replace existing ones.
    pub(super) fn merge(&mut self, over: Self) {
        self.0.extend(over.0);
    }

    /// The places of the settings in a table, by their names in it. The table itself has no place.
    pub(super) fn within(&self, table: &str) -> Self {
        let inner = self.0.iter().filter_map(|(setting, place)| {
            let rest = setting.strip_prefix(table)?;
            let name = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
            Some((name.to_owned(), place.clone()))
        });
        Self(inner.collect())
    }

    /// An error about a setting, with its place.
    pub(super) fn refuse(&self, setting: &str, message: impl Into<String>) -> Error {
        self.about(setting, Error::new(ErrorKind::Config, message))
    }

    /// The place of a setting, or of the first one in a table.
    fn get(&self, setting: &str) -> Option<&Place> {
        let within = || {
            self.0.iter().find(|(other, _)| {
                other.strip_prefix(setting).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        self.0.get(setting).or_else(|| within().map(|(_, place)| place))
    }

    /// The setting of the table that the error mentions first; otherwise the table.
    #[cfg(any(
        feature = "redis",
        feature = "memcached",
        all(any(feature = "file", feature = "sqlite"), unix)
    ))]
    pub(super) fn in_table<'s>(&'s self, table: &'s str, error: &Error) -> &'s str {
        let names = self.0.keys().filter_map(|setting| {
            let name = setting.strip_prefix(table)?.strip_prefix('.')?;
            Some((error.message().find(name)?, &**setting))
        });
        names.min().map_or(table, |(_, setting)| setting)
    }

    /// Adds to an error of the builder the place of the setting that its message mentions first.
    pub(super) fn locate(&self, error: Error) -> Error {
        let named = |setting: &str| {
            let name = setting.rsplit('.').next().unwrap_or(setting);
            let message = error.message();
            message.find(name).or_else(|| message.find(&name.replace('_', " ")))
        };
        let settings = self.0.keys().filter(|setting| !setting.is_empty());
        let settings = settings.filter_map(|setting| Some((named(setting)?, setting)));
        match settings.min_by_key(|(position, _)| *position) {
            Some((_, setting)) if error.location().is_none() => self.about(setting, error),
            _ => error,
        }
    }

    /// The prefix of the variables, if the type was set by one and nothing in `table` was read from
    /// a file.
    pub(super) fn variables_of(&self, table: &str) -> Option<&str> {
        let is_of_file = self.0.iter().any(|(setting, place)| {
            let rest =
                setting.strip_prefix(table).filter(|rest| rest.is_empty() || rest.starts_with('.'));
            rest.is_some() && matches!(place, Place::File { .. })
        });
        match self.0.get("type") {
            Some(Place::Variable(variable)) if !is_of_file => variable.strip_suffix("TYPE"),
            _ => None,
        }
    }

    /// The setting whose full name the error contains.
    pub(super) fn named_in(&self, error: &Error) -> Option<&str> {
        let named = self.0.keys().filter(|setting| error.message().contains(&***setting));
        named.filter(|setting| setting.contains('.')).max_by_key(|s| s.len()).map(String::as_str)
    }

    /// Adds the place of a setting to an error.
    pub(super) fn about(&self, setting: &str, error: Error) -> Error {
        match self.get(setting) {
            Some(Place::File { name, line, column }) => error.at(name, *line, *column),
            Some(Place::Variable(variable)) => {
                let message = format!("{} (set by {variable})", error.message());
                Error::new(error.kind(), message)
            }
            None => error,
        }
    }
}

/// The setting whose name or value is at `offset`.
pub(super) fn setting_at(text: &str, offset: usize) -> Option<String> {
    let mut found = None;
    visit(text, &mut |setting, key, value| {
        if key.contains(&offset) || value.contains(&offset) {
            found = Some(setting.to_owned());
        }
    });
    found
}

/// Called for a setting: its name, the span of the name, and the span of the value.
type Visit<'v> = dyn FnMut(&str, Range<usize>, Range<usize>) + 'v;

/// Calls `each` for every setting, outer ones first.
fn visit(text: &str, each: &mut Visit<'_>) {
    if let Ok(table) = DeTable::parse(text) {
        visit_table("", table.get_ref(), each);
    }
}

fn visit_table(above: &str, table: &DeTable<'_>, each: &mut Visit<'_>) {
    for (key, value) in table {
        let setting = match above {
            "" => key.get_ref().to_string(),
            above => format!("{above}.{}", key.get_ref()),
        };
        each(&setting, key.span(), value.span());
        if let DeValue::Table(inner) = value.get_ref() {
            visit_table(&setting, inner, each);
        }
    }
}

/// One-based line and column of a byte, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
    (number(line), number(column))
}
