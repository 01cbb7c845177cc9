//! Turns messages of serde and toml into helpful ones. They never show the value of a setting,
//! which may be a secret.

use fragcache::{Error, ErrorKind};

use super::environment;
use super::flask;
use super::places::{line_and_column, setting_at};
use super::sections::TABLES;
use super::several;

/// An error in a file. Toml's full text quotes the line, so only its message is used.
pub(super) fn of_file(name: &str, text: &str, cause: &toml::de::Error) -> Error {
    let (offset, place) = match cause.span() {
        Some(span) => (Some(span.start), line_and_column(text, span.start)),
        None => (None, (1, 1)),
    };
    let setting = offset.and_then(|offset| setting_at(text, offset));
    let message = match &setting {
        Some(setting) => of_setting(&Author::OfFile, setting, cause.message()),
        None if toml::de::DeTable::parse(text).is_ok() => one_line(cause.message()),
        None => format!("this is not valid TOML: {}", one_line(cause.message())),
    };
    Error::new(ErrorKind::Config, message).at(name, place.0, place.1)
}

/// An error in the settings of a user's own store. Toml gives its place as ``in `name` `` on a
/// separate line.
pub(super) fn of_own(text: &str, variables: Option<&str>) -> String {
    let (message, place) = text.trim_end().rsplit_once("\nin `").unwrap_or((text, ""));
    let setting = match place.trim_end_matches('`') {
        "" => "store".to_owned(),
        place => format!("store.{place}"),
    };
    of_setting(&variables.map_or(Author::OfFile, Author::OfVariables), &setting, message)
}

/// Where the settings were written, and how they are named there.
pub(super) enum Author<'p> {
    OfFile,
    /// In environment variables with this prefix.
    OfVariables(&'p str),
}

impl Author<'_> {
    fn name(&self, setting: &str) -> String {
        match self {
            Self::OfFile => setting.to_owned(),
            Self::OfVariables(prefix) => environment::variable(prefix, setting),
        }
    }

    /// Advises to use a setting of a table.
    fn advice(&self, table: &str, name: &str) -> String {
        match (self, table) {
            (Self::OfVariables(_), table) => format!("write {}", self.name(&joined(table, name))),
            (Self::OfFile, "") => format!("write {name} above all tables"),
            (Self::OfFile, table) => format!("write {name} in the table [{table}]"),
        }
    }
}

/// Rewrites serde's message about a setting.
pub(super) fn of_setting(author: &Author<'_>, setting: &str, message: &str) -> String {
    if let Some((name, known)) = unknown(message, "unknown field `") {
        return unknown_setting(author, setting, name, &known);
    }
    let shown = author.name(setting);
    if let Some((name, _)) = unknown(message, "missing field `") {
        let missing = author.name(&joined(setting, name));
        return match author {
            Author::OfFile => format!("{missing} is missing; {}", author.advice(setting, name)),
            Author::OfVariables(_) => format!("{missing} is missing; set this variable"),
        };
    }
    if let Some((given, known)) = unknown(message, "unknown variant `") {
        let known: Vec<String> = known.iter().map(|known| format!("{known:?}")).collect();
        return format!("{shown}: unknown value {given:?}; write {}", known.join(" or "));
    }
    let told = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = told.and_then(|told| told.split_once(", expected ")) {
        // The first word is the type. The value follows it and is not shown.
        let found = found.split([' ', ',']).next().unwrap_or_default();
        let found = match found {
            "floating" => "fraction",
            "map" => "table",
            "sequence" => "list",
            found => found,
        };
        let expected = match expected {
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => {
                "a whole number, 0 or more, without quotes"
            }
            "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number without quotes",
            "f32" | "f64" => "a number without quotes",
            "a boolean" => "true or false without quotes",
            expected => expected,
        };
        return format!("{shown}: this {found} is not accepted; write {expected}");
    }
    format!("{shown}: {}", one_line(message))
}

/// The unknown name in a message of serde, and the known ones.
fn unknown<'m>(message: &'m str, start: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let (name, rest) = message.strip_prefix(start)?.split_once('`')?;
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}

fn unknown_setting(author: &Author<'_>, setting: &str, name: &str, known: &[&str]) -> String {
    // The mistake is at the setting, inside it, or in the table around it.
    let path: Vec<&str> = setting.split('.').filter(|part| !part.is_empty()).collect();
    let table = match path.iter().rposition(|part| *part == name) {
        Some(position) => path.get(..position).unwrap_or_default().join("."),
        None => path.join("."),
    };
    let within = |name: &str| joined(&table, name);
    // For a named cache, only the table below its own counts, and `caches` is not a setting.
    let (cache, inner) = cache_and_table(&table);
    let known: Vec<&str> = known
        .iter()
        .copied()
        .filter(|known| cache.is_empty() || *known != several::TABLE)
        .collect();
    let told = format!("unknown setting {}", author.name(&within(name)));
    if let Author::OfVariables(_) = author {
        // One underscore instead of two.
        let mut all =
            TABLES.iter().flat_map(|(table, names)| names.iter().map(move |n| (table, n)));
        if let Some((table, within)) = all.find(|(table, n)| format!("{table}_{n}") == name) {
            let table = joined(cache, table);
            return format!("{told}; {}, with two underscores", author.advice(&table, within));
        }
    }
    if let Some(advice) = flask::advice(inner, name) {
        let advice = match cache {
            "" => advice.to_owned(),
            cache => advice
                .replace("above all tables", &format!("in the table [{cache}]"))
                .replace(" [", &format!(" [{cache}."))
                .replace(&format!("[{cache}.{cache}]"), &format!("[{cache}]")),
        };
        return format!("{told}; {advice}");
    }
    if let Some(near) = closest(name, known.iter().copied()) {
        let near = match author {
            Author::OfFile => near.to_owned(),
            Author::OfVariables(_) => author.name(&within(near)),
        };
        return format!("{told}; did you mean {near}?");
    }
    if let Some((other, _)) = TABLES.iter().find(|(_, names)| names.contains(&name)) {
        return format!("{told}; {}", author.advice(&joined(cache, other), name));
    }
    let is_table = |name: &str| inner.is_empty() && TABLES.iter().any(|(table, _)| *table == name);
    let known = known.iter().map(|&known| match author {
        Author::OfFile => known.to_owned(),
        Author::OfVariables(_) if is_table(known) || ["store", several::TABLE].contains(&known) => {
            author.name(&format!("{}.…", within(known)))
        }
        Author::OfVariables(_) => author.name(&within(known)),
    });
    let known: Vec<String> = known.collect();
    format!("{told}; write one of {}", known.join(", "))
}

/// The path of a name in a table.
fn joined(table: &str, name: &str) -> String {
    [table, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

/// Splits off the table of a named cache, empty for the default cache; the rest is the table inside
/// it.
fn cache_and_table(table: &str) -> (&str, &str) {
    let Some(named) = table.strip_prefix(several::TABLE).and_then(|rest| rest.strip_prefix('.'))
    else {
        return ("", table);
    };
    match named.find('.') {
        Some(end) => {
            let end = table.len() - named.len() + end;
            (&table[..end], &table[end + 1..])
        }
        None => (table, ""),
    }
}

/// The name that was most likely meant.
pub(super) fn closest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase().replace('-', "_");
    known
        .map(|known| (strsim::osa_distance(&lower, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
