//! Operations as commands, and replies read back. Each batch is one pipeline: one round trip.

use std::time::Duration;

use redis::{Pipeline, Value};

use super::address::Place;
use super::fault;
use crate::store::{Fault, Operation, Page, Reply, StoreError};

/// Most keys of one MGET. The server does one command at a time, so that longer ones would keep
/// others waiting.
const MAX_KEYS_OF_ONE_READ: usize = 256;

/// How many keys one SCAN looks at.
const KEYS_OF_ONE_SCAN: u32 = 500;

/// MGET takes a key of another type for an absent one, where GET fails. The text is sent each time:
/// it is short, the server compiles it once, and there is no answer "unknown script" in the middle
/// of a batch.
const COMPARE_AND_DELETE: &str = "if redis.call('MGET',KEYS[1])[1]==ARGV[1] \
                                  then return redis.call('DEL',KEYS[1]) end return 0";

const COMPARE_AND_SET: &str = "if redis.call('MGET',KEYS[1])[1]==ARGV[1] then \
                               redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1 end return 0";

/// The pipeline for a batch.
pub(super) fn pipeline(operations: &[Operation<'_>]) -> Pipeline {
    let mut commands = redis::pipe();
    let mut rest = operations;
    while let Some((first, others)) = rest.split_first() {
        match *first {
            Operation::Get { .. } => {
                let (keys, others) = rest.split_at(reads(rest));
                commands.cmd("MGET");
                for operation in keys {
                    if let Operation::Get { key } = operation {
                        commands.arg(*key);
                    }
                }
                rest = others;
                continue;
            }
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
        }
        rest = others;
    }
    commands
}

/// How many operations at the beginning are one MGET.
fn reads(operations: &[Operation<'_>]) -> usize {
    let gets = operations.iter().take_while(|one| matches!(one, Operation::Get { .. }));
    gets.take(MAX_KEYS_OF_ONE_READ).count()
}

/// A life as servers take it: whole milliseconds, at least one, at most a century.
fn millis(ttl: Duration) -> u64 {
    const CENTURY: u64 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(ttl.as_millis()).unwrap_or(CENTURY).clamp(1, CENTURY)
}

/// The replies to [`pipeline`]'s commands, one for each operation.
pub(super) fn replies(
    operations: &[Operation<'_>],
    answers: Vec<Value>,
    place: &Place,
) -> Result<Vec<Reply>, StoreError> {
    let nonsense = || fault::nonsense(place);
    let mut replies = Vec::with_capacity(operations.len());
    let mut rest = operations;
    let mut answers = answers.into_iter();
    while let Some((first, others)) = rest.split_first() {
        let answer = answers.next().ok_or_else(nonsense)?;
        if let Value::ServerError(error) = &answer {
            return Err(fault::refusal(place, error));
        }
        let done = match (first, answer) {
            (Operation::Get { .. }, Value::Array(values)) => {
                let (keys, others) = rest.split_at(reads(rest));
                if values.len() != keys.len() {
                    return Err(nonsense());
                }
                for value in values {
                    replies.push(Reply::Value(match value {
                        Value::Nil => None,
                        Value::BulkString(bytes) => Some(bytes),
                        _ => return Err(nonsense()),
                    }));
                }
                rest = others;
                continue;
            }
            (Operation::Set { .. } | Operation::Add { .. }, Value::Okay) => true,
            (Operation::Add { .. }, Value::Nil) => false,
            (
                Operation::Delete { .. }
                | Operation::CompareAndDelete { .. }
                | Operation::CompareAndSet { .. }
                | Operation::Touch { .. },
                Value::Int(count @ 0..=1),
            ) => count == 1,
            _ => return Err(nonsense()),
        };
        replies.push(Reply::Done(done));
        rest = others;
    }
    match answers.next() {
        None => Ok(replies),
        Some(_) => Err(nonsense()),
    }
}

/// A page of the keys that begin with `prefix`.
pub(super) fn scan(prefix: &str, cursor: Option<&str>) -> Result<Pipeline, StoreError> {
    let cursor: u64 = cursor.unwrap_or("0").parse().map_err(|_| {
        StoreError::new(
            Fault::Refused,
            "the cursor is none of this store's; begin without one, then give the page's next",
        )
    })?;
    let mut commands = redis::pipe();
    commands.cmd("SCAN").arg(cursor).arg("MATCH").arg(glob(prefix));
    commands.arg("COUNT").arg(KEYS_OF_ONE_SCAN);
    Ok(commands)
}

/// The pattern that matches what begins with `prefix`.
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

/// The answer to [`scan`]. Keys that are no text are another application's.
pub(super) fn page(answers: Vec<Value>, place: &Place) -> Result<Page, StoreError> {
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
    let cursor = text(cursor).ok_or_else(nonsense)?;
    let keys = keys.into_iter().filter_map(text).collect();
    Ok(Page { keys, next: (cursor != "0").then_some(cursor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::Tcp { host: "localhost".into(), port: 1 }
    }

    #[test]
    fn neighbouring_reads_are_one_command_and_long_ones_are_split() {
        let get = Operation::Get { key: "k" };
        let delete = Operation::Delete { key: "k" };
        assert_eq!(pipeline(&[get, get, delete, get]).len(), 3);
        assert_eq!(pipeline(&[get; MAX_KEYS_OF_ONE_READ]).len(), 1);
        assert_eq!(pipeline(&[get; MAX_KEYS_OF_ONE_READ + 1]).len(), 2);
        assert!(pipeline(&[]).is_empty());
    }

    #[test]
    fn answers_that_do_not_fit_are_faults() {
        let get = Operation::Get { key: "k" };
        let delete = Operation::Delete { key: "k" };
        let wrong = [
            (vec![get], vec![]),
            (vec![get], vec![Value::Okay]),
            (vec![get], vec![Value::Array(vec![])]),
            (vec![get], vec![Value::Array(vec![Value::Int(1)])]),
            (vec![get, get], vec![Value::Array(vec![Value::Nil])]),
            (vec![delete], vec![Value::Int(2)]),
            (vec![delete], vec![Value::Int(1), Value::Int(1)]),
        ];
        for (operations, answers) in wrong {
            let error = replies(&operations, answers, &place()).unwrap_err();
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
