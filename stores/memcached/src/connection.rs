//! One connection: runs operations in order, in as few round trips as they allow.
//!
//! A comparison is a read of the value with its CAS number and a change under the condition that
//! the number is unchanged. Both happen on this connection, so the number is never compared by
//! another server process: a server that was restarted counts from the beginning, and a number of
//! its predecessor could fit another value.

use std::time::Instant;

use fragcache::store::{Operation, Reply, StoreError};

use super::address::Place;
use super::clock::instant;
use super::fault::{Broken, refusal};
use super::limit::Limit;
use super::protocol::{self, Answer, Commands, Item, Kind, Mode};
use super::spread::Head;
use super::wire::Wire;

/// Bytes of commands that may follow a read in one batch. While a client only sends, the server may
/// wait for it to receive: so much fits into the buffers between them.
const BYTES_BEHIND_A_READ: usize = 32 << 10;

/// Most bytes of commands in one batch, unless a single one has more.
const BYTES_OF_A_BATCH: usize = 8 << 20;

/// Most commands of one batch, for the same reason as [`BYTES_BEHIND_A_READ`].
const COMMANDS_OF_A_BATCH: usize = 2048;

/// Longest relative TTL, in seconds; what is longer is taken as a Unix time.
const LONGEST_RELATIVE_TTL: u64 = 30 * 24 * 3600;

/// Last Unix time that servers take.
const LAST_TIME: u64 = i32::MAX as u64;

/// The limits of values on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Largest value of a record.
    pub(super) value: usize,
    /// Largest value of an item; what is larger becomes several items.
    pub(super) item: usize,
}

/// The server's clock, by which it ends records.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerClock {
    /// What it showed, in seconds of Unix time.
    pub(super) time: u64,
    /// When it showed it.
    pub(super) at: Instant,
}

/// A connection to a server that was verified.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) sizes: Sizes,
    pub(super) clock: ServerClock,
    /// The number of the next command.
    pub(super) next: u64,
    /// Of which time of the pool it is; see there.
    pub(super) generation: u64,
}

/// Operations for one server, on their way.
pub(super) struct Batch<'a> {
    operations: &'a [Operation<'a>],
    /// How many of them are sent.
    sent: usize,
    /// The commands whose answers are awaited.
    awaited: Vec<Awaited>,
    /// The number of the first of them.
    first: u64,
    /// The change of a comparison that held: the operation, and the number of the item.
    decided: Option<(usize, u64)>,
    replies: Vec<Reply>,
    refused: Option<StoreError>,
}

/// A command whose answer is awaited, with the index of its operation.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    Get(usize),
    Compare(usize),
    Write(usize),
    Touch(usize),
    /// A part of a value.
    Part,
}

/// A head that was read, with the index of its operation.
struct Found {
    index: usize,
    head: Option<Head>,
    cas: u64,
}

impl<'a> Batch<'a> {
    pub(super) fn new(operations: &'a [Operation<'a>]) -> Self {
        let replies = vec![Reply::Done(false); operations.len()];
        let awaited = Vec::with_capacity(operations.len().min(COMMANDS_OF_A_BATCH));
        let (decided, refused) = (None, None);
        Self { operations, sent: 0, awaited, first: 0, decided, replies, refused }
    }

    /// Whether everything was sent and answered.
    pub(super) fn is_done(&self) -> bool {
        self.sent == self.operations.len() && self.decided.is_none() && self.awaited.is_empty()
    }

    /// Whether answers are awaited.
    pub(super) fn is_sent(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// The replies, or the first refusal.
    pub(super) fn into_replies(self) -> Result<Vec<Reply>, StoreError> {
        self.refused.map_or(Ok(self.replies), Err)
    }

    fn done(&mut self, index: usize, done: bool) {
        self.replies[index] = Reply::Done(done);
    }
}

impl ServerClock {
    /// A TTL as the server takes it. It counts whole seconds of a clock that advances once a
    /// second: a record with a TTL of `n` seconds there ends up to a second earlier. One more makes
    /// it end at most a second late.
    fn ttl(self, ttl: std::time::Duration) -> u64 {
        let seconds = ttl.as_secs().saturating_add(1);
        if seconds <= LONGEST_RELATIVE_TTL {
            return seconds;
        }
        // By the server's own clock: the clocks of the hosts may differ.
        let now = self.time + instant().saturating_duration_since(self.at).as_secs();
        let end = now.saturating_add(seconds).min(LAST_TIME);
        if end <= now + LONGEST_RELATIVE_TTL { LONGEST_RELATIVE_TTL } else { end }
    }
}

impl Connection {
    /// Sends the next operations of a batch.
    pub(super) fn send(&mut self, batch: &mut Batch<'_>, limit: &mut Limit) -> Result<(), Broken> {
        let mut commands = Commands::from(self.next);
        batch.first = self.next;
        if let Some((index, cas)) = batch.decided.take() {
            match batch.operations[index] {
                Operation::CompareAndSet { key, value, ttl, .. } => {
                    self.store(&mut commands, batch, index, (key, value, Mode::Compare(cas), ttl));
                }
                operation => {
                    commands.delete(operation.key(), Some(cas));
                    batch.awaited.push(Awaited::Write(index));
                }
            }
        }
        let mut last_read = None;
        while let Some(operation) = batch.operations.get(batch.sent) {
            let behind = last_read.is_some_and(|at| {
                let more = operation.value().map_or(0, <[u8]>::len);
                commands.bytes.len() + more - at > BYTES_BEHIND_A_READ
            });
            if behind
                || commands.bytes.len() > BYTES_OF_A_BATCH
                || batch.awaited.len() >= COMMANDS_OF_A_BATCH
            {
                break;
            }
            let index = batch.sent;
            batch.sent += 1;
            match *operation {
                Operation::Get { key } => {
                    last_read = last_read.or(Some(commands.bytes.len()));
                    commands.get(key);
                    batch.awaited.push(Awaited::Get(index));
                }
                Operation::Set { key, value, ttl } => {
                    self.store(&mut commands, batch, index, (key, value, Mode::Set, ttl));
                }
                Operation::Add { key, value, ttl } => {
                    self.store(&mut commands, batch, index, (key, value, Mode::Add, ttl));
                }
                Operation::Delete { key } => {
                    commands.delete(key, None);
                    batch.awaited.push(Awaited::Write(index));
                }
                Operation::Touch { key, ttl } => {
                    commands.touch(key, self.clock.ttl(ttl));
                    batch.awaited.push(Awaited::Touch(index));
                }
                // What follows a comparison must wait for its change.
                Operation::CompareAndDelete { key, .. } | Operation::CompareAndSet { key, .. } => {
                    commands.get(key);
                    batch.awaited.push(Awaited::Compare(index));
                    break;
                }
                _ => {
                    let refused = StoreError::unsupported("memcached");
                    batch.refused.get_or_insert(refused);
                }
            }
        }
        self.flush(commands, limit)
    }

    fn flush(&mut self, mut commands: Commands, limit: &mut Limit) -> Result<(), Broken> {
        commands.end();
        self.next = commands.next();
        let sent = self.wire.send(&commands.bytes, &commands.cuts, limit);
        sent.map_err(|error| Broken::new(error, limit))
    }

    /// Stores a value, in parts if it is too large for one item. The head is written last: who
    /// reads it finds the parts.
    fn store(
        &self,
        commands: &mut Commands,
        batch: &mut Batch<'_>,
        index: usize,
        (key, value, mode, ttl): (&str, &[u8], Mode, std::time::Duration),
    ) {
        let ttl = self.clock.ttl(ttl);
        if value.len() <= self.sizes.item {
            commands.set(key, value, Kind::Plain, mode, ttl);
        } else {
            let head = match Head::new(value.len(), self.sizes.item) {
                Ok(head) => head,
                Err(error) => {
                    batch.refused.get_or_insert(error);
                    return;
                }
            };
            for (part, range) in head.parts() {
                commands.set(&part, &value[range], Kind::Part, Mode::Set, ttl);
                batch.awaited.push(Awaited::Part);
            }
            commands.set(key, &head.encode(), Kind::Head, mode, ttl);
        }
        batch.awaited.push(Awaited::Write(index));
    }

    /// Receives the answers to what was sent. Reads the parts of values in further round trips, and
    /// returns how many there were.
    pub(super) fn receive(
        &mut self,
        batch: &mut Batch<'_>,
        place: &Place,
        limit: &mut Limit,
    ) -> Result<u64, Broken> {
        let mut heads = Vec::new();
        let mut touched = Vec::new();
        let (most, awaited) = (self.most(), std::mem::take(&mut batch.awaited));
        for (number, awaited) in (batch.first..).zip(awaited) {
            let answer = protocol::answer(&mut self.wire, number, most, limit)?;
            match (awaited, answer) {
                (_, Answer::Error(said)) => {
                    batch.refused.get_or_insert_with(|| refusal(place, &said));
                }
                (Awaited::Get(index), Answer::Item(item)) if item.is(Kind::Head) => {
                    heads.push(self.found(index, &item));
                }
                (Awaited::Get(index), Answer::Item(item)) => {
                    let value = item.value.filter(|value| value.len() <= self.sizes.value);
                    batch.replies[index] = Reply::Value(value);
                }
                (Awaited::Get(index), Answer::Absent) => batch.replies[index] = Reply::Value(None),
                (Awaited::Compare(index), Answer::Item(item)) if item.is(Kind::Head) => {
                    heads.push(self.found(index, &item));
                }
                (Awaited::Compare(index), Answer::Item(item)) => {
                    decide(batch, index, item.value.as_deref(), item.cas);
                }
                (Awaited::Write(index), Answer::Done(_)) => batch.done(index, true),
                (Awaited::Touch(index), Answer::Done(flags)) => {
                    batch.done(index, true);
                    if flags == Kind::Head as u32 {
                        touched.push(index);
                    }
                }
                // Absent, present or another by now: the condition of the operation does not hold.
                (Awaited::Compare(_) | Awaited::Touch(_), Answer::Absent)
                | (Awaited::Write(_), Answer::Absent | Answer::Exists | Answer::Changed)
                | (Awaited::Part, Answer::Done(_)) => {}
                _ => return Err(Broken::Nonsense),
            }
        }
        protocol::end(&mut self.wire, limit)?;
        let mut round_trips = 0;
        for found in heads {
            let (value, trips) = self.read_parts(&found, batch, limit)?;
            round_trips += trips;
            match batch.operations[found.index] {
                Operation::Get { .. } => batch.replies[found.index] = Reply::Value(value),
                _ => decide(batch, found.index, value.as_deref(), found.cas),
            }
        }
        for index in touched {
            round_trips += self.touch_parts(index, batch, limit)?;
        }
        Ok(round_trips)
    }

    /// Most bytes of an item that is read.
    fn most(&self) -> usize {
        self.sizes.value.max(self.sizes.item)
    }

    fn found(&self, index: usize, item: &Item) -> Found {
        let head = item.value.as_deref().and_then(|head| Head::decode(head, self.sizes.value));
        Found { index, head, cas: item.cas }
    }

    /// The value in parts, unless one is missing. What cannot be read is deleted: otherwise the key
    /// would have no value, and yet refuse an `Add`.
    fn read_parts(
        &mut self,
        found: &Found,
        batch: &Batch<'_>,
        limit: &mut Limit,
    ) -> Result<(Option<Vec<u8>>, u64), Broken> {
        let mut round_trips = 0;
        if let Some(head) = found.head {
            round_trips += 1;
            let mut commands = Commands::from(self.next);
            for (part, _) in head.parts() {
                commands.get(&part);
            }
            let first = self.next;
            self.flush(commands, limit)?;
            let mut value = Some(Vec::new());
            for (number, (_, range)) in (first..).zip(head.parts()) {
                let part = match protocol::answer(&mut self.wire, number, range.len(), limit)? {
                    Answer::Item(item) if item.is(Kind::Part) => item.value,
                    Answer::Item(_) | Answer::Absent | Answer::Error(_) => None,
                    _ => return Err(Broken::Nonsense),
                };
                match (&mut value, part.filter(|part| part.len() == range.len())) {
                    (Some(value), Some(part)) => value.extend_from_slice(&part),
                    _ => value = None,
                }
            }
            protocol::end(&mut self.wire, limit)?;
            if value.as_ref().is_some_and(|value| value.len() == head.bytes()) {
                return Ok((value, round_trips));
            }
        }
        let mut commands = Commands::from(self.next);
        let number = self.next;
        commands.delete(batch.operations[found.index].key(), Some(found.cas));
        self.flush(commands, limit)?;
        protocol::answer(&mut self.wire, number, 0, limit)?;
        protocol::end(&mut self.wire, limit)?;
        Ok((None, round_trips + 1))
    }

    /// Extends the TTL of the parts of a value whose head was extended.
    fn touch_parts(
        &mut self,
        index: usize,
        batch: &Batch<'_>,
        limit: &mut Limit,
    ) -> Result<u64, Broken> {
        let Operation::Touch { key, ttl } = batch.operations[index] else { return Ok(0) };
        let mut commands = Commands::from(self.next);
        let number = self.next;
        commands.get(key);
        self.flush(commands, limit)?;
        let most = self.most();
        let answer = protocol::answer(&mut self.wire, number, most, limit)?;
        protocol::end(&mut self.wire, limit)?;
        let head = match &answer {
            Answer::Item(item) if item.is(Kind::Head) => self.found(index, item).head,
            _ => None,
        };
        let Some(head) = head else { return Ok(1) };
        let (mut commands, first) = (Commands::from(self.next), self.next);
        for (part, _) in head.parts() {
            commands.touch(&part, self.clock.ttl(ttl));
        }
        self.flush(commands, limit)?;
        for (number, _) in (first..).zip(head.parts()) {
            protocol::answer(&mut self.wire, number, 0, limit)?;
        }
        protocol::end(&mut self.wire, limit)?;
        Ok(2)
    }
}

/// Decides a comparison. A value that is changed between this and the change counts as another one.
fn decide(batch: &mut Batch<'_>, index: usize, value: Option<&[u8]>, cas: u64) {
    let expected = match batch.operations[index] {
        Operation::CompareAndDelete { expected, .. }
        | Operation::CompareAndSet { expected, .. } => expected,
        _ => return,
    };
    if value == Some(expected) {
        batch.decided = Some((index, cas));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ttls_end_within_a_second_by_the_servers_clock() {
        let clock = ServerClock { time: 1_800_000_000, at: instant() };
        assert_eq!(clock.ttl(Duration::from_millis(1)), 1);
        assert_eq!(clock.ttl(Duration::from_millis(2500)), 3);
        assert_eq!(clock.ttl(Duration::from_secs(5)), 6);
        assert_eq!(clock.ttl(Duration::from_secs(LONGEST_RELATIVE_TTL - 1)), 2_592_000);
        let month = clock.ttl(Duration::from_secs(LONGEST_RELATIVE_TTL));
        assert!((1_802_592_001..1_802_592_060).contains(&month), "{month}");
        assert_eq!(clock.ttl(Duration::MAX), LAST_TIME);
        let late = ServerClock { time: LAST_TIME, at: instant() };
        assert_eq!(late.ttl(Duration::MAX), LONGEST_RELATIVE_TTL);
    }
}
