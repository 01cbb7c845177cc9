//! All output: reports, lines, progress, and how the program ends.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fragcache::Error;
use serde_json::{Map, Value};

/// Why the program does not end by code 0.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Code 1.
    Failed(String),
    /// Code 2.
    Usage(String),
    /// Code 3: the store could not be told.
    Pending(String),
    /// Nobody reads the output any more.
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
    /// Says why, and gives the code to end by.
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

/// The standard output, as text or JSON.
pub(crate) struct Say {
    json: bool,
}

/// A line of a report: its name, and what is said.
pub(crate) type Row = (&'static str, Value);

impl Say {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Names and values: one a line, or one object.
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
            let _ = writeln!(text, "{name:<18} {value}");
        }
        self.raw(&text)
    }

    /// One line of text, or one object on a line.
    pub(crate) fn line(&self, text: &str, rows: Vec<Row>) -> Result<(), Stop> {
        match self.json {
            true => self.object(rows),
            false => self.raw(&format!("{text}\n")),
        }
    }

    /// Text exactly as it is, or one object on a line.
    pub(crate) fn exactly(&self, text: &str, rows: Vec<Row>) -> Result<(), Stop> {
        match self.json {
            true => self.object(rows),
            false => self.raw(text),
        }
    }

    /// Only where objects are wanted.
    pub(crate) fn only_json(&self, rows: Vec<Row>) -> Result<(), Stop> {
        if self.json { self.object(rows) } else { Ok(()) }
    }

    fn object(&self, rows: Vec<Row>) -> Result<(), Stop> {
        let object: Map<String, Value> =
            rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.raw(&format!("{}\n", printable(&Value::Object(object).to_string())))
    }

    fn raw(&self, text: &str) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

/// JSON in which whatever a terminal would obey or hide is escaped: controls, directions, what has no
/// width. Outside of its strings JSON has none of it.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        // Rust's own rule of what can be shown.
        if c.is_ascii_graphic() || c == ' ' || c.escape_debug().count() == 1 {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The present, for how long a store takes.
#[allow(clippy::disallowed_methods, reason = "a store is as slow as it is in real time")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A line on the standard error. There is nobody to tell that it cannot be written.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Text on one line: bare where that is unmistakable, quoted and escaped where not.
pub(crate) fn shown(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.:@/\\".contains(c);
    match !text.is_empty() && text != "-" && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("{text:?}"),
    }
}

/// A time in whole seconds.
pub(crate) fn time(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
