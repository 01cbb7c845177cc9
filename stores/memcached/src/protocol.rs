//! The meta commands and their answers, as bytes.
//!
//! Each command carries a number that its answer repeats (`O`), and each batch ends with `mn`: so
//! an answer that belongs to another command is noticed, whatever came before it on the
//! connection.

use std::io::Write;

use super::fault::Broken;
use super::limit::Limit;
use super::wire::Wire;

/// Longest line of an answer.
const MAX_LINE: usize = 512;

/// What a record holds; stored in the client's flags of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The value itself.
    Plain = 0,
    /// A [`Head`](super::spread::Head).
    Head = 1,
    /// A part of a value.
    Part = 2,
}

/// How an item is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Set,
    Add,
    /// If the item is still the one with this number.
    Compare(u64),
}

/// Commands, as they are sent.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) bytes: Vec<u8>,
    /// Where values end in them; see [`Wire::send`].
    pub(super) cuts: Vec<usize>,
    /// The number of the next command.
    next: u64,
}

/// Writing to a `Vec` cannot fail.
macro_rules! put {
    ($commands:expr, $($text:tt)*) => {
        let _ = write!($commands.bytes, $($text)*);
    };
}

impl Commands {
    /// Commands from this number on.
    pub(super) fn from(next: u64) -> Self {
        Self { bytes: Vec::new(), cuts: Vec::new(), next }
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    fn end_line(&mut self) {
        put!(self, " O{}\r\n", self.next);
        self.next += 1;
    }

    pub(super) fn get(&mut self, key: &str) {
        put!(self, "mg {key} v f c");
        self.end_line();
    }

    pub(super) fn touch(&mut self, key: &str, ttl: u64) {
        put!(self, "mg {key} f T{ttl}");
        self.end_line();
    }

    pub(super) fn set(&mut self, key: &str, value: &[u8], kind: Kind, mode: Mode, ttl: u64) {
        put!(self, "ms {key} {} F{} T{ttl}", value.len(), kind as u32);
        match mode {
            Mode::Set => {}
            Mode::Add => self.bytes.extend_from_slice(b" ME"),
            Mode::Compare(cas) => {
                put!(self, " C{cas}");
            }
        }
        self.end_line();
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        self.cuts.push(self.bytes.len());
    }

    pub(super) fn delete(&mut self, key: &str, cas: Option<u64>) {
        put!(self, "md {key}");
        if let Some(cas) = cas {
            put!(self, " C{cas}");
        }
        self.end_line();
    }

    /// Ends the batch.
    pub(super) fn end(&mut self) {
        self.bytes.extend_from_slice(b"mn\r\n");
    }
}

/// An item as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// `None` if it is larger than any value of ours.
    pub(super) value: Option<Vec<u8>>,
    /// The client's flags.
    pub(super) flags: u32,
    pub(super) cas: u64,
}

impl Item {
    pub(super) fn is(&self, kind: Kind) -> bool {
        self.flags == kind as u32
    }
}

/// The answer to a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A value: `VA`.
    Item(Item),
    /// Done, with the client's flags of a touched item: `HD`.
    Done(u32),
    /// There is no such item: `EN`, `NF`.
    Absent,
    /// Not stored, since the item exists: `NS`.
    Exists,
    /// The item is another one by now: `EX`.
    Changed,
    /// The server's error, which ends neither the batch nor the connection.
    Error(String),
}

/// Reads the answer to the command with this number. Values larger than `most` are skipped.
pub(super) fn answer(
    wire: &mut Wire,
    number: u64,
    most: usize,
    limit: &mut Limit,
) -> Result<Answer, Broken> {
    let mut line = Vec::with_capacity(64);
    wire.line(&mut line, MAX_LINE, limit).map_err(|error| Broken::new(error, limit))?;
    let line = str::from_utf8(&line).map_err(|_| Broken::Nonsense)?;
    let (code, rest) = line.split_once(' ').unwrap_or((line, ""));
    match code {
        // The text belongs to no command by number, but the next answers do.
        "SERVER_ERROR" => return Ok(Answer::Error(rest.to_owned())),
        "CLIENT_ERROR" if rest.starts_with("unauthenticated") => {
            return Err(Broken::Unauthenticated);
        }
        _ => {}
    }
    let mut words = rest.split_ascii_whitespace();
    let size = match code {
        "VA" => {
            let size = words.next().and_then(|size| size.parse::<u32>().ok());
            Some(size.ok_or(Broken::Nonsense)? as usize)
        }
        _ => None,
    };
    let (mut found, mut flags, mut cas) = (None, 0, 0);
    for word in words {
        let number = word.get(1..).ok_or(Broken::Nonsense)?;
        match word.as_bytes().first() {
            Some(b'O') => found = number.parse().ok(),
            Some(b'f') => flags = number.parse().map_err(|_| Broken::Nonsense)?,
            Some(b'c') => cas = number.parse().map_err(|_| Broken::Nonsense)?,
            // Flags that another client has left on the item.
            _ => {}
        }
    }
    if found != Some(number) {
        return Err(Broken::Nonsense);
    }
    Ok(match (code, size) {
        (_, Some(size)) => {
            let value = value(wire, size, most, limit)?;
            Answer::Item(Item { value, flags, cas })
        }
        ("HD", None) => Answer::Done(flags),
        ("EN" | "NF", None) => Answer::Absent,
        ("NS", None) => Answer::Exists,
        ("EX", None) => Answer::Changed,
        _ => return Err(Broken::Nonsense),
    })
}

fn value(
    wire: &mut Wire,
    size: usize,
    most: usize,
    limit: &mut Limit,
) -> Result<Option<Vec<u8>>, Broken> {
    let mut value = (size <= most).then(|| Vec::with_capacity(size));
    let read = wire.bytes(size, limit, |bytes| {
        if let Some(value) = &mut value {
            value.extend_from_slice(bytes);
        }
    });
    read.map_err(|error| Broken::new(error, limit))?;
    let mut end = [0; 2];
    let mut at = 0;
    let read = wire.bytes(2, limit, |bytes| {
        end[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    });
    read.map_err(|error| Broken::new(error, limit))?;
    if end == *b"\r\n" { Ok(value) } else { Err(Broken::Nonsense) }
}

/// Reads the answer that ends a batch.
pub(super) fn end(wire: &mut Wire, limit: &mut Limit) -> Result<(), Broken> {
    let line = line(wire, limit)?;
    if line == "MN" { Ok(()) } else { Err(Broken::Nonsense) }
}

/// Reads a line of text.
pub(super) fn line(wire: &mut Wire, limit: &mut Limit) -> Result<String, Broken> {
    let mut line = Vec::new();
    wire.line(&mut line, MAX_LINE, limit).map_err(|error| Broken::new(error, limit))?;
    String::from_utf8(line).map_err(|_| Broken::Nonsense)
}
