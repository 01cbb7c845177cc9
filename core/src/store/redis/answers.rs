//! What a server says, piece by piece. The frame of an answer is read here, since a page may be
//! hundreds of strings; what fits in one line is left to the client's parser.

use std::io::{self, Read};

use redis::{RedisResult, Value, parse_redis_value};

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// Longest line: an error with all that it says.
const MAX_LINE: usize = 64 << 10;

/// How deep arrays may be in arrays.
const MAX_DEPTH: usize = 8;

/// Most room that is made for an array before its values have come.
const MAX_ROOM: usize = 4096;

/// What has come of answers and was not taken yet.
pub(super) struct Answers {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; CHUNK + MAX_LINE].into(), start: 0, end: 0 }
    }

    /// The next answer, for which `reader` is asked as long as it has not come.
    pub(super) fn next(&mut self, reader: &mut impl Read) -> RedisResult<Value> {
        self.value(reader, MAX_DEPTH)
    }

    fn value(&mut self, reader: &mut impl Read, depth: usize) -> RedisResult<Value> {
        let line = self.line(reader)?;
        match line {
            [b'$', length @ .., b'\r', b'\n'] if length != b"-1" => {
                let length = number(length).ok_or_else(nonsense)?;
                self.string(reader, length)
            }
            [b'*', length @ .., b'\r', b'\n'] if length != b"-1" => {
                let length = number(length).ok_or_else(nonsense)?;
                let depth = depth.checked_sub(1).ok_or_else(nonsense)?;
                let mut values = Vec::with_capacity(length.min(MAX_ROOM));
                for _ in 0..length {
                    values.push(self.value(reader, depth)?);
                }
                Ok(Value::Array(values))
            }
            line => parse_redis_value(line),
        }
    }

    /// The next line, with its end.
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

    /// A string of so many bytes, and the end of its line.
    fn string(&mut self, reader: &mut impl Read, length: usize) -> RedisResult<Value> {
        let come = self.end - self.start;
        let mut bytes = Vec::with_capacity(length.min(come.max(CHUNK)));
        bytes.extend_from_slice(&self.buffer[self.start..self.start + length.min(come)]);
        self.start += bytes.len();
        let rest = length - bytes.len();
        if rest > 0 && reader.take(rest as u64).read_to_end(&mut bytes)? < rest {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match self.line(reader)? {
            b"\r\n" => Ok(Value::BulkString(bytes)),
            _ => Err(nonsense().into()),
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

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is none of the protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
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
            for value in &expected {
                assert_eq!(answers.next(&mut reader).unwrap(), *value, "{pace} at a time");
            }
            assert!(answers.next(&mut reader).unwrap_err().is_connection_dropped());
        }
    }

    #[test]
    fn strings_may_be_longer_than_what_is_read_at_once() {
        let body = vec![b'\n'; 3 * CHUNK];
        let said = [format!("${}\r\n", body.len()).as_bytes(), &body, b"\r\n+OK\r\n"].concat();
        for pace in [1000, CHUNK, usize::MAX] {
            let (mut answers, mut reader) = (Answers::new(), Slow(&said, pace));
            assert_eq!(answers.next(&mut reader).unwrap(), Value::BulkString(body.clone()));
            assert_eq!(answers.next(&mut reader).unwrap(), Value::Okay);
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
            &long,
            &deep,
        ];
        for said in nonsense {
            let answer = Answers::new().next(&mut Slow(said, usize::MAX));
            assert!(answer.is_err(), "{:?}: {answer:?}", said.get(..20));
        }
    }
}
