//! Parses the server's answers as they arrive. Frames are read here, because a page may be hundreds
//! of strings, and because every length must be checked before it is trusted. What fits in one line
//! is left to the client's parser.

use std::io::{self, Read};

use redis::{Value, parse_redis_value};

use super::sizes::LARGE;

/// Bytes to read at a time.
const CHUNK: usize = 64 << 10;

/// Longest line, such as an error with its message.
const MAX_LINE: usize = 64 << 10;

/// Deepest nesting of arrays.
const MAX_DEPTH: usize = 8;

/// Most elements to reserve for an array before they arrive.
const MAX_ROOM: usize = 4096;

/// Most elements of one array. The keys of a read limit those of its answer; the server limits
/// those of a scan.
const MAX_VALUES: usize = 1 << 16;

/// Why an answer was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The deadline has passed.
    Late,
    /// The connection ended.
    HungUp,
    /// The bytes are not valid protocol, or do not answer the request.
    Nonsense,
    /// The answer is too large; see [`Room::large`].
    TooLarge,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::InvalidData => Self::Nonsense,
            _ => Self::HungUp,
        }
    }
}

/// A large string in the answers of a batch, or one that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Large {
    /// Index of its answer; `element` is its index within the answer.
    pub(super) answer: usize,
    pub(super) element: usize,
    pub(super) bytes: u64,
}

/// Size limits for the answers of one batch, in bytes.
#[derive(Debug)]
pub(super) struct Room {
    /// Longest string.
    pub(super) of_value: u64,
    /// Bytes left for all answers.
    pub(super) left: u64,
    pub(super) answer: usize,
    pub(super) large: Vec<Large>,
}

impl Room {
    pub(super) fn new(max_value_bytes: usize) -> Self {
        let of_value = max_value_bytes as u64;
        Self { of_value, left: of_value.saturating_mul(8), answer: 0, large: Vec::new() }
    }

    /// Reserves space for a string, if it fits.
    fn take(&mut self, element: usize, length: u64) -> Result<usize, Unread> {
        if length >= LARGE as u64 || length > self.of_value {
            self.large.push(Large { answer: self.answer, element, bytes: length });
        }
        if length > self.of_value || length > self.left {
            return Err(Unread::TooLarge);
        }
        self.left -= length;
        usize::try_from(length).map_err(|_| Unread::TooLarge)
    }
}

/// Bytes that have arrived and are not parsed yet.
pub(super) struct Answers {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; CHUNK + MAX_LINE].into(), start: 0, end: 0 }
    }

    /// Parses the next answer, and reads from `reader` until it is complete.
    pub(super) fn next(
        &mut self,
        reader: &mut impl Read,
        room: &mut Room,
    ) -> Result<Value, Unread> {
        self.value(reader, room, 0, MAX_DEPTH)
    }

    /// Whether more bytes have arrived than were requested.
    pub(super) fn has_more(&self) -> bool {
        self.start < self.end
    }

    fn value(
        &mut self,
        reader: &mut impl Read,
        room: &mut Room,
        element: usize,
        depth: usize,
    ) -> Result<Value, Unread> {
        let line = self.line(reader)?;
        match line {
            b"$-1\r\n" | b"*-1\r\n" => Ok(Value::Nil),
            [b'$', length @ .., b'\r', b'\n'] => {
                let length = room.take(element, number(length)?)?;
                self.string(reader, length)
            }
            [b'*', length @ .., b'\r', b'\n'] => {
                let length = usize::try_from(number(length)?).unwrap_or(usize::MAX);
                if length > MAX_VALUES {
                    return Err(Unread::TooLarge);
                }
                let depth = depth.checked_sub(1).ok_or(Unread::Nonsense)?;
                let mut values = Vec::with_capacity(length.min(MAX_ROOM));
                for element in 0..length {
                    values.push(self.value(reader, room, element, depth)?);
                }
                Ok(Value::Array(values))
            }
            // A server sends no other type unless a later protocol was requested.
            line @ [b'+' | b'-' | b':', ..] => {
                parse_redis_value(line).map_err(|_| Unread::Nonsense)
            }
            _ => Err(Unread::Nonsense),
        }
    }

    /// The next line, with its line end.
    fn line(&mut self, reader: &mut impl Read) -> io::Result<&[u8]> {
        let mut seen = 0;
        loop {
            let come = &self.buffer[self.start..self.end];
            if let Some(at) = come[seen..].iter().position(|&byte| byte == b'\n') {
                let from = self.start;
                self.start += seen + at + 1;
                return Ok(&self.buffer[from..self.start]);
            }
            seen = come.len();
            if seen > MAX_LINE {
                return Err(nonsense());
            }
            self.fill(reader)?;
        }
    }

    /// A string of `length` bytes, and its line end.
    fn string(&mut self, reader: &mut impl Read, length: usize) -> Result<Value, Unread> {
        let come = self.end - self.start;
        let mut bytes = Vec::with_capacity(length.min(come.max(CHUNK)));
        bytes.extend_from_slice(&self.buffer[self.start..self.start + length.min(come)]);
        self.start += bytes.len();
        let rest = length - bytes.len();
        if rest > 0 && reader.take(rest as u64).read_to_end(&mut bytes)? < rest {
            return Err(Unread::HungUp);
        }
        match self.line(reader)? {
            b"\r\n" => Ok(Value::BulkString(bytes)),
            _ => Err(Unread::Nonsense),
        }
    }

    fn fill(&mut self, reader: &mut impl Read) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        match reader.read(&mut self.buffer[self.end..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }
}

/// A length. Servers write no sign and no leading zeros.
fn number(digits: &[u8]) -> Result<u64, Unread> {
    let is_plain = digits.first() != Some(&b'0') || digits.len() == 1;
    let is_number = is_plain && digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(digits).ok().filter(|_| is_number).ok_or(Unread::Nonsense)?;
    text.parse().map_err(|_| Unread::Nonsense)
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer does not follow the protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(bytes.len());
            let (now, later) = self.0.split_at(count);
            bytes[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    const SAID: &[u8] = b"+OK\r\n*3\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n:7\r\n$0\r\n\r\n-ERR no\r\n*0\r\n*-1\r\n+x y\r\n";

    #[test]
    fn answers_are_those_of_the_clients_parser_however_they_come() {
        let mut expected = Vec::new();
        let mut parser = redis::Parser::new();
        let mut said = SAID;
        while let Ok(value) = parser.parse_value(&mut said) {
            expected.push(value);
        }
        assert_eq!(expected.len(), 6);
        for pace in 1..SAID.len() {
            let (mut answers, mut reader) = (Answers::new(), Slow(SAID, pace));
            let mut room = Room::new(100);
            for value in &expected {
                let answer = answers.next(&mut reader, &mut room).unwrap();
                assert_eq!(answer, *value, "{pace} at a time");
            }
            let end = answers.next(&mut reader, &mut room);
            assert!(matches!(end, Err(Unread::HungUp)), "{end:?}");
        }
    }

    #[test]
    fn strings_may_be_longer_than_what_is_read_at_once() {
        let body = vec![b'\n'; 3 * CHUNK];
        let said = [format!("${}\r\n", body.len()).as_bytes(), &body, b"\r\n+OK\r\n"].concat();
        for pace in [1000, CHUNK, usize::MAX] {
            let (mut answers, mut reader) = (Answers::new(), Slow(&said, pace));
            let room = &mut Room::new(body.len());
            let answer = answers.next(&mut reader, room).unwrap();
            assert_eq!(answer, Value::BulkString(body.clone()));
            assert_eq!(answers.next(&mut reader, room).unwrap(), Value::Okay);
        }
    }

    #[test]
    fn nonsense_ends_it() {
        let long = [b"+".as_slice(), &[b'x'; 2 * (CHUNK + MAX_LINE)]].concat();
        let deep = b"*1\r\n".repeat(100);
        let nonsense = [
            b"$x\r\n".as_slice(),
            b"*x\r\n",
            b"$-2\r\n",
            b"*-2\r\n",
            b"$18446744073709551616\r\n",
            b"$3\r\nabcd\r\n",
            b"*1\r\nx\r\n",
            b"\r\n",
            b"\n",
            b"HTTP/1.1 400\r\n",
            b"$9223372036854775807\r\nabc",
            b"*9223372036854775807\r\n:1\r\n",
            b"$5\r\nab",
            b"$+1\r\na\r\n",
            b"$01\r\na\r\n",
            b"%1\r\n+a\r\n+b\r\n",
            b"~1000000000\r\n",
            b"_\r\n",
            &long,
            &deep,
        ];
        for said in nonsense {
            let answer = Answers::new().next(&mut Slow(said, usize::MAX), &mut Room::new(1 << 20));
            assert!(answer.is_err(), "{:?}: {answer:?}", said.get(..20));
        }
    }

    /// Returns these bytes, and records whether it was read past them.
    struct Announced<'a>(&'a [u8], bool);

    impl Read for Announced<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(bytes)?;
            self.1 |= count == 0;
            Ok(count)
        }
    }

    #[test]
    fn lengths_are_checked_before_anything_is_read_of_it() {
        let of_value = 1000;
        let one = b"$1000\r\n".to_vec();
        for (said, expected) in [
            (b"$1001\r\n".to_vec(), 1001),
            (b"$400000000\r\n".to_vec(), 400_000_000),
            (b"$9223372036854775807\r\n".to_vec(), i64::MAX as u64),
            (b"*2\r\n$1\r\na\r\n$4097\r\n".to_vec(), 4097),
        ] {
            let (mut reader, mut room) = (Announced(&said, false), Room::new(of_value));
            let answer = Answers::new().next(&mut reader, &mut room);
            assert!(matches!(answer, Err(Unread::TooLarge)), "{answer:?}");
            assert!(!reader.1, "nothing is waited for after {expected}");
            let large = room.large.last().map(|large| (large.element, large.bytes));
            let element = usize::from(said[0] == b'*');
            assert_eq!(large, Some((element, expected)));
        }
        // Each fits, but not all together.
        let many =
            [b"*9\r\n".as_slice(), &[one, vec![b'x'; 1000], b"\r\n".to_vec()].concat().repeat(9)]
                .concat();
        let answer = Answers::new().next(&mut Slow(&many, 4096), &mut Room::new(of_value));
        assert!(matches!(answer, Err(Unread::TooLarge)), "{answer:?}");
        let answer = Answers::new().next(&mut Slow(b"*65537\r\n", 64), &mut Room::new(of_value));
        assert!(matches!(answer, Err(Unread::TooLarge)), "{answer:?}");
    }
}
