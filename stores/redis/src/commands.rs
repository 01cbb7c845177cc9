//! Encodes operations as commands and decodes the replies. Each batch is one pipeline: one round
//! trip.

use std::time::Duration;

use fragcache::store::{Fault, Operation, Reply, StoreError};
use redis::{Pipeline, ServerError, Value};

use super::address::Place;
use super::call::Failure;
use super::fault;
use super::sizes::{DOUBTFUL, LARGE, Sizes};
use super::topology::slots;

/// Most keys of one MGET. The server runs one command at a time, so longer ones would delay others.
const MAX_KEYS_OF_ONE_READ: usize = 256;

/// Number of keys that one SCAN examines.
const KEYS_OF_ONE_SCAN: u32 = 500;

/// MGET treats a key of another type as absent, where GET fails. The script text is sent each time:
/// it is short, the server compiles it once, and a batch cannot fail half-way with "unknown
/// script".
const COMPARE_AND_DELETE: &str = "if redis.call('MGET',KEYS[1])[1]==ARGV[1] \
                                  then return redis.call('DEL',KEYS[1]) end return 0";

const COMPARE_AND_SET: &str = "if redis.call('MGET',KEYS[1])[1]==ARGV[1] then \
                               redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1 end return 0";

/// Bytes that one part of a batch exchanges, as far as they are known beforehand. Answers of other
/// callers come between parts.
const BYTES_OF_ONE_PART: u64 = 1 << 20;

/// How a node is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// One command may read any keys.
    Server,
    /// A node of a cluster: one command may read keys of one slot.
    Slots,
    /// A node of a cluster that could not run a command for several keys: one command for each.
    Alone,
    /// A node of a cluster that takes the slot over: each command asks for it.
    Asking,
}

/// The outcome of one operation that a server has answered.
pub(super) type Outcome = Result<Reply, ServerError>;

/// Operations that are sent together, and the commands for them.
pub(super) struct Part<'a> {
    operations: &'a [Operation<'a>],
    mode: Mode,
    steps: Vec<Step>,
    max_value: u64,
    pub(super) only_reads: bool,
}

/// One command, for one operation or several adjacent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// MGET of this many keys.
    Read(usize),
    /// GETRANGE of a key whose value may be so large that even its length would arrive late.
    Bounded,
    /// STRLEN of a key whose value was too large to read.
    Measure,
    /// Any operation other than a read.
    Write,
}

impl<'a> Part<'a> {
    /// The first part of a non-empty batch.
    pub(super) fn first(
        operations: &'a [Operation<'a>],
        mode: Mode,
        sizes: &Sizes,
        max_value: u64,
    ) -> Self {
        let (mut bytes, mut steps, mut only_reads, mut taken) = (0, Vec::new(), true, 0);
        let joins = |at: usize| match (mode, operations.get(at.wrapping_sub(1)..=at)) {
            (Mode::Server, _) => true,
            (Mode::Slots, Some([a, b])) => slots::of(a.key()) == slots::of(b.key()),
            _ => false,
        };
        for operation in operations {
            let (step, size) = match operation {
                Operation::Get { key } => match sizes.of(key) {
                    DOUBTFUL => (Step::Bounded, 0),
                    size if size > max_value => (Step::Measure, 0),
                    size => (Step::Read(1), size),
                },
                Operation::Set { value, .. }
                | Operation::Add { value, .. }
                | Operation::CompareAndSet { value, .. } => (Step::Write, value.len() as u64),
                _ => (Step::Write, 0),
            };
            if bytes > 0 && size > 0 && bytes + size > BYTES_OF_ONE_PART.min(4 * max_value) {
                break;
            }
            bytes += size;
            taken += 1;
            only_reads &= step != Step::Write;
            match (step, steps.last_mut()) {
                (Step::Read(1), Some(Step::Read(keys)))
                    if *keys < MAX_KEYS_OF_ONE_READ && joins(taken - 1) =>
                {
                    *keys += 1;
                }
                (step, _) => steps.push(step),
            }
        }
        Self { operations: &operations[..taken], mode, steps, max_value, only_reads }
    }

    pub(super) fn operations(&self) -> &'a [Operation<'a>] {
        self.operations
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        let mut commands = redis::pipe();
        for (step, operations) in self.steps() {
            if self.mode == Mode::Asking {
                commands.cmd("ASKING");
            }
            match (step, operations) {
                (Step::Read(_), operations) => {
                    commands.cmd("MGET");
                    for operation in operations {
                        commands.arg(operation.key());
                    }
                }
                (Step::Bounded, [operation, ..]) => {
                    commands.cmd("GETRANGE").arg(operation.key()).arg(0).arg(self.max_value);
                }
                (Step::Measure, [operation, ..]) => {
                    commands.cmd("STRLEN").arg(operation.key());
                }
                (Step::Write, [operation, ..]) => write(&mut commands, operation),
                (_, []) => {}
            }
        }
        commands
    }

    fn steps(&self) -> impl Iterator<Item = (Step, &'a [Operation<'a>])> {
        let mut rest = self.operations;
        self.steps.iter().map(move |&step| {
            let length = if let Step::Read(keys) = step { keys } else { 1 };
            let (now, later) = rest.split_at(length);
            rest = later;
            (step, now)
        })
    }

    /// The key whose value is this element of this answer.
    pub(super) fn key(&self, answer: usize, element: usize) -> Option<&'a str> {
        let answer = if self.mode == Mode::Asking { answer / 2 } else { answer };
        let (_, operations) = self.steps().nth(answer)?;
        operations.get(element).map(Operation::key)
    }

    /// Records what a failure says about the sizes of values. Returns its error, unless the next
    /// attempt can do better because it splits the batch or skips what is too large.
    pub(super) fn learn(&self, failure: &Failure, sizes: &Sizes) -> Option<StoreError> {
        if failure.error.fault() == Fault::Deadline {
            for operation in self.operations {
                if let Operation::Get { key } = operation {
                    sizes.doubt(key);
                }
            }
        }
        for large in &failure.large {
            if let Some(key) = self.key(large.answer, large.element) {
                sizes.note(key, large.bytes);
            }
        }
        let is_known = !failure.large.is_empty() && self.only_reads;
        (!is_known).then(|| failure.error.clone())
    }

    /// Decodes the answers to the pipeline into one reply per operation, and records sizes.
    pub(super) fn replies(
        &self,
        answers: Vec<Value>,
        sizes: &Sizes,
        place: &Place,
    ) -> Result<Vec<Reply>, StoreError> {
        let outcomes = self.outcomes(answers, sizes, place)?.into_iter();
        outcomes.collect::<Result<_, _>>().map_err(|error| fault::refusal(place, &error))
    }

    /// Decodes the answers to the pipeline into one outcome per operation, and records sizes.
    pub(super) fn outcomes(
        &self,
        mut answers: Vec<Value>,
        sizes: &Sizes,
        place: &Place,
    ) -> Result<Vec<Outcome>, StoreError> {
        let nonsense = || fault::nonsense(place);
        if self.mode == Mode::Asking {
            // Every other answer is to ASKING; a refusal of that is one of the command too.
            answers = answers.into_iter().skip(1).step_by(2).collect();
        }
        if answers.len() != self.steps.len() {
            return Err(nonsense());
        }
        let mut outcomes = Vec::with_capacity(self.operations.len());
        for ((step, operations), answer) in self.steps().zip(answers) {
            match (step, operations, answer) {
                // The value is not a string.
                (Step::Bounded | Step::Measure, _, Value::ServerError(error))
                    if error.code() == "WRONGTYPE" =>
                {
                    outcomes.push(Ok(Reply::Value(None)));
                }
                (_, operations, Value::ServerError(error)) => {
                    outcomes.extend(operations.iter().map(|_| Err(error.clone())));
                }
                (Step::Read(keys), _, Value::Array(values)) if values.len() == keys => {
                    for (operation, value) in operations.iter().zip(values) {
                        outcomes.push(Ok(Reply::Value(match value {
                            Value::Nil => None,
                            Value::BulkString(bytes) => {
                                if bytes.len() >= LARGE {
                                    sizes.note(operation.key(), bytes.len() as u64);
                                }
                                (bytes.len() as u64 <= self.max_value).then_some(bytes)
                            }
                            _ => return Err(nonsense()),
                        })));
                    }
                }
                // A bounded read returns at most one byte too many. An empty value counts as absent
                // too.
                (Step::Bounded, [operation, ..], Value::BulkString(bytes)) => {
                    sizes.note(operation.key(), bytes.len() as u64);
                    let fits = !bytes.is_empty() && bytes.len() as u64 <= self.max_value;
                    outcomes.push(Ok(Reply::Value(fits.then_some(bytes))));
                }
                // Absent for this process; the next read may find it.
                (Step::Measure, [operation, ..], Value::Int(length @ 0..)) => {
                    sizes.note(operation.key(), length.unsigned_abs());
                    outcomes.push(Ok(Reply::Value(None)));
                }
                (Step::Write, [operation, ..], answer) => {
                    let done = written(operation, &answer).ok_or_else(nonsense)?;
                    outcomes.push(Ok(Reply::Done(done)));
                    if let Operation::Set { key, value, .. }
                    | Operation::CompareAndSet { key, value, .. } = operation
                    {
                        sizes.note(key, value.len() as u64);
                    }
                }
                _ => return Err(nonsense()),
            }
        }
        Ok(outcomes)
    }
}

fn write(commands: &mut Pipeline, operation: &Operation<'_>) {
    match *operation {
        Operation::Set { key, value, ttl } => {
            commands.cmd("SET").arg(key).arg(value).arg("PX").arg(millis(ttl));
        }
        Operation::Add { key, value, ttl } => {
            commands.cmd("SET").arg(key).arg(value).arg("NX").arg("PX").arg(millis(ttl));
        }
        Operation::Delete { key } => {
            commands.cmd("DEL").arg(key);
        }
        Operation::CompareAndDelete { key, expected } => {
            commands.cmd("EVAL").arg(COMPARE_AND_DELETE).arg(1).arg(key).arg(expected);
        }
        Operation::CompareAndSet { key, expected, value, ttl } => {
            commands.cmd("EVAL").arg(COMPARE_AND_SET).arg(1).arg(key);
            commands.arg(expected).arg(value).arg(millis(ttl));
        }
        Operation::Touch { key, ttl } => {
            commands.cmd("PEXPIRE").arg(key).arg(millis(ttl));
        }
        // A read, or an operation that `RedisStore::check` has refused.
        _ => {}
    }
}

/// Whether the operation was done; `None` if the answer does not fit it.
fn written(operation: &Operation<'_>, answer: &Value) -> Option<bool> {
    match (operation, answer) {
        (Operation::Set { .. } | Operation::Add { .. }, Value::Okay) => Some(true),
        (Operation::Add { .. }, Value::Nil) => Some(false),
        (
            Operation::Delete { .. }
            | Operation::CompareAndDelete { .. }
            | Operation::CompareAndSet { .. }
            | Operation::Touch { .. },
            Value::Int(count @ 0..=1),
        ) => Some(*count == 1),
        _ => None,
    }
}

/// A TTL for the server: whole milliseconds, at least one, at most a century.
fn millis(ttl: Duration) -> u64 {
    const CENTURY: u64 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(ttl.as_millis()).unwrap_or(CENTURY).clamp(1, CENTURY)
}

/// The command for one page of the keys that begin with `prefix`.
pub(super) fn scan(prefix: &str, cursor: u64) -> Pipeline {
    let mut commands = redis::pipe();
    commands.cmd("SCAN").arg(cursor).arg("MATCH").arg(glob(prefix));
    commands.arg("COUNT").arg(KEYS_OF_ONE_SCAN);
    commands
}

/// The pattern that matches all keys that begin with `prefix`.
fn glob(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('*');
    pattern
}

/// Decodes the answer to [`scan`] into keys and the next cursor, 0 after the last page. Skips keys that are not text, since they belong to other
/// applications.
pub(super) fn page(answers: Vec<Value>, place: &Place) -> Result<(Vec<String>, u64), StoreError> {
    let nonsense = || fault::nonsense(place);
    let text = |value: Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    let mut parts = match answers.into_iter().next() {
        Some(Value::Array(parts)) => parts.into_iter(),
        Some(Value::ServerError(error)) => return Err(fault::refusal(place, &error)),
        _ => return Err(nonsense()),
    };
    let (Some(cursor), Some(Value::Array(keys))) = (parts.next(), parts.next()) else {
        return Err(nonsense());
    };
    let cursor = text(cursor).and_then(|text| text.parse().ok()).ok_or_else(nonsense)?;
    Ok((keys.into_iter().filter_map(text).collect(), cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::Tcp { host: "localhost".into(), port: 1 }
    }

    const MOST: u64 = 8 << 20;

    fn part<'a>(operations: &'a [Operation<'a>], sizes: &Sizes) -> Part<'a> {
        Part::first(operations, Mode::Server, sizes, MOST)
    }

    #[test]
    fn neighbouring_reads_are_one_command_and_long_ones_are_split() {
        let get = Operation::Get { key: "k" };
        let delete = Operation::Delete { key: "k" };
        let commands = |operations: &[Operation<'_>]| {
            let sizes = Sizes::new();
            let part = part(operations, &sizes);
            assert_eq!(part.operations().len(), operations.len());
            part.pipeline().len()
        };
        assert_eq!(commands(&[get, get, delete, get]), 3);
        assert_eq!(commands(&[get; MAX_KEYS_OF_ONE_READ]), 1);
        assert_eq!(commands(&[get; MAX_KEYS_OF_ONE_READ + 1]), 2);
        assert_eq!(commands(&[]), 0);
    }

    #[test]
    fn a_node_of_a_cluster_reads_keys_of_one_slot_in_one_command() {
        let sizes = Sizes::new();
        let keys = ["{a}1", "{a}2", "b", "{a}3"];
        let gets = keys.map(|key| Operation::Get { key });
        let sent = |mode| {
            let part = Part::first(&gets, mode, &sizes, MOST);
            (part.pipeline().len(), part.key(2, 0))
        };
        assert_eq!(sent(Mode::Server), (1, None));
        assert_eq!(sent(Mode::Slots), (3, Some("{a}3")));
        assert_eq!(sent(Mode::Alone), (4, Some("b")));
        assert_eq!(sent(Mode::Asking), (8, Some("{a}2")));

        let asking = Part::first(&gets[..1], Mode::Asking, &sizes, MOST);
        let read = Value::Array(vec![Value::BulkString(b"x".to_vec())]);
        let replies = asking.replies(vec![Value::Okay, read.clone()], &sizes, &place());
        assert_eq!(replies.unwrap(), [Reply::Value(Some(b"x".to_vec()))]);
        let short = asking.outcomes(vec![read], &sizes, &place()).unwrap_err();
        assert_eq!(short.fault(), Fault::Protocol);
    }

    #[test]
    fn parts_hold_as_many_bytes_as_are_known_to_fit() {
        let sizes = Sizes::new();
        let keys: Vec<String> = (0..513).map(|n| format!("key:{n}")).collect();
        keys.iter().for_each(|key| sizes.note(key, 16 << 10));
        let gets: Vec<_> = keys.iter().map(|key| Operation::Get { key }).collect();
        let mut rest = gets.as_slice();
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            let part = part(rest, &sizes);
            lengths.push(part.operations().len());
            rest = &rest[part.operations().len()..];
        }
        assert_eq!(lengths, [64, 64, 64, 64, 64, 64, 64, 64, 1]);

        // An operation larger than a part gets its own part, and small ones join it.
        let large = vec![0; 3 << 20];
        let set = Operation::Set { key: "a", value: &large, ttl: Duration::from_secs(1) };
        let small = Operation::Get { key: "b" };
        assert_eq!(part(&[small, set, small, set], &sizes).operations().len(), 3);
    }

    #[test]
    fn what_was_too_large_is_measured() {
        let sizes = Sizes::new();
        sizes.note("b", MOST + 1);
        let gets = [Operation::Get { key: "a" }, Operation::Get { key: "b" }];
        let part = part(&gets, &sizes);
        assert!(part.only_reads);
        assert_eq!(part.pipeline().len(), 2);
        assert_eq!(part.key(1, 0), Some("b"));
        let read = Value::Array(vec![Value::BulkString(b"x".to_vec())]);
        let still = part.replies(vec![read.clone(), Value::Int(9 << 20)], &sizes, &place());
        assert_eq!(still.unwrap(), [Reply::Value(Some(b"x".to_vec())), Reply::Value(None)]);
        assert_eq!(sizes.of("b"), 9 << 20);
        part.replies(vec![read, Value::Int(5)], &sizes, &place()).unwrap();
        assert_eq!(sizes.of("b"), 0);
    }

    #[test]
    fn what_had_no_answer_in_time_is_read_up_to_a_bound() {
        let sizes = Sizes::new();
        for (answer, reply, size) in [
            (vec![b'x'; 5000], Some(vec![b'x'; 5000]), 5000),
            (b"x".to_vec(), Some(b"x".to_vec()), 0),
            (Vec::new(), None, 0),
            (vec![b'x'; (MOST + 1) as usize], None, MOST + 1),
        ] {
            sizes.note("a", 0);
            sizes.doubt("a");
            let gets = [Operation::Get { key: "a" }];
            let part = part(&gets, &sizes);
            let sent = part.pipeline().get_packed_pipeline();
            assert!(sent.windows(8).any(|word| word == b"GETRANGE"));
            let replies = part.replies(vec![Value::BulkString(answer)], &sizes, &place());
            assert!(replies.unwrap() == [Reply::Value(reply)]);
            assert_eq!(sizes.of("a"), size);
        }
    }

    #[test]
    fn answers_that_do_not_fit_are_faults() {
        let get = Operation::Get { key: "k" };
        let delete = Operation::Delete { key: "k" };
        let set = Operation::Set { key: "k", value: b"", ttl: Duration::from_secs(1) };
        let wrong = [
            (vec![get], vec![]),
            (vec![get], vec![Value::Okay]),
            (vec![get], vec![Value::Array(vec![])]),
            (vec![get], vec![Value::Array(vec![Value::Int(1)])]),
            (vec![get, get], vec![Value::Array(vec![Value::Nil])]),
            (vec![delete], vec![Value::Int(2)]),
            (vec![delete], vec![Value::Int(1), Value::Int(1)]),
            (vec![set], vec![Value::Nil]),
            (vec![set], vec![Value::Int(1)]),
        ];
        for (operations, answers) in wrong {
            let sizes = Sizes::new();
            let part = part(&operations, &sizes);
            let error = part.replies(answers, &sizes, &place()).unwrap_err();
            assert_eq!(error.fault(), Fault::Protocol, "{error}");
        }
    }

    #[test]
    fn a_prefix_with_the_characters_of_patterns_is_taken_literally() {
        assert_eq!(glob(r"a*[b-c]?\^"), r"a\*\[b\-c\]\?\\\^*");
    }

    #[test]
    fn lives_are_whole_milliseconds_within_what_servers_take() {
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(1500)), 1500);
        assert_eq!(millis(Duration::MAX), 3_153_600_000_000);
    }
}
