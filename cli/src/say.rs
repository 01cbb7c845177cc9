//! All output: reports, lines, progress, and exit codes.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fragcache::Error;
use serde_json::{Map, Value};

/// Why the program does not exit with code 0.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Code 1.
    Failed(String),
    /// Code 2.
    Usage(String),
    /// Code 3: the invalidation could not be published to the store.
    Pending(String),
    /// The reader of the output has closed it.
    Deaf,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Deaf,
            kind => Self::Failed(format!("the output could not be written: {kind}")),
        }
    }
}

impl Stop {
    /// Prints the reason and returns the exit code.
    pub(crate) fn tell(self) -> ExitCode {
        let (word, why, code) = match self {
            Self::Failed(why) => ("error", why, 1),
            Self::Usage(why) => ("error", why, 2),
            Self::Pending(why) => ("pending", why, 3),
            Self::Deaf => return ExitCode::from(1),
        };
        complain(&format!("{word}: {why}"));
        ExitCode::from(code)
    }
}

/// Standard output, as text or JSON.
pub(crate) struct Say {
    json: bool,
}

/// A line of a report: its name and value.
pub(crate) type Row = (&'static str, Value);

impl Say {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints names and values: one per line, or one JSON object.
    pub(crate) fn report(&self, rows: Vec<Row>) -> Result<(), Stop> {
        if self.json {
            return self.object(rows);
        }
        let mut text = String::new();
        for (name, value) in rows {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<18} {}", visible(&value));
        }
        self.raw(&text)
    }

    /// Prints one line of text, or one object on a line.
    pub(crate) fn line(&self, text: &str, rows: Vec<Row>) -> Result<(), Stop> {
        match self.json {
            true => self.object(rows),
            false => self.raw(&format!("{}\n", visible(text))),
        }
    }

    /// Prints text unchanged, or one object on a line.
    pub(crate) fn exactly(&self, text: &str, rows: Vec<Row>) -> Result<(), Stop> {
        match self.json {
            true => self.object(rows),
            false => self.raw(text),
        }
    }

    /// Prints an object if the output is JSON, otherwise nothing.
    pub(crate) fn only_json(&self, rows: Vec<Row>) -> Result<(), Stop> {
        if self.json { self.object(rows) } else { Ok(()) }
    }

    fn object(&self, rows: Vec<Row>) -> Result<(), Stop> {
        let object: Map<String, Value> =
            rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.raw(&format!("{}\n", json_text(&Value::Object(object))))
    }

    fn raw(&self, text: &str) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// The current time, to measure the store.
#[allow(clippy::disallowed_methods, reason = "a store is as slow as it is in real time")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Prints a line on standard error. A failure to write it cannot be reported anywhere.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(text));
}

/// A value as JSON. The characters that `escaped` replaces occur only inside JSON strings.
fn json_text(value: &Value) -> String {
    escaped(&value.to_string(), |c, out| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

/// Replaces characters that a terminal would interpret. Tabs separate fields and stay.
fn visible(text: &str) -> String {
    escaped(text, |c, out| match c {
        '\t' => out.push(c),
        c => out.extend(c.escape_default()),
    })
}

/// The text with control and direction characters replaced by `escape`.
fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || is_format(c) {
            true => escape(c, &mut out),
            false => out.push(c),
        }
    }
    out
}

/// Whether a character is invisible and changes how others are displayed: direction marks, joiners,
/// line and paragraph separators, tags.
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Text on one line: bare if that is unambiguous, otherwise quoted and escaped.
pub(crate) fn shown(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.:@/\\".contains(c);
    match !text.is_empty() && text != "-" && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("{text:?}"),
    }
}

/// A duration in whole seconds.
pub(crate) fn time(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[31m\u{202e}b\u{7f}\u{85}\u{2066}\u{e0041}é";

    #[test]
    fn nothing_that_is_shown_commands_the_terminal() {
        let shown = visible(&format!("x\ty{HOSTILE}"));
        assert!(shown.starts_with("x\tya\\u{1b}[31m\\u{202e}b") && shown.ends_with('é'), "{shown}");
        assert!(!shown.chars().any(|c| (c.is_control() && c != '\t') || is_format(c)), "{shown}");
    }

    #[test]
    fn json_is_escaped_and_says_the_same() {
        let json = json_text(&Value::from(HOSTILE));
        assert!(!json.chars().any(|c| c.is_control() || is_format(c)), "{json}");
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), Value::from(HOSTILE));
    }
}
