//! The statements for records.

use std::time::Duration;

use fragcache::store::{Operation, Page, Reply};
use rusqlite::{Connection, OptionalExtension, ToSql, named_params};

use super::fault::{self, Failure};

/// The table of records. The index finds those that end first, for sweeping and eviction. Rows are
/// not stored in the order of keys, since values are large.
pub(super) const TABLE: &str = "
    CREATE TABLE record (
        key TEXT NOT NULL UNIQUE,
        value BLOB NOT NULL,
        written INTEGER NOT NULL,
        ends INTEGER NOT NULL
    );
    CREATE INDEX record_by_end ON record (ends);";

/// Ended records that a write removes, besides one for each of its operations. So they are removed
/// faster than they are added.
pub(super) const ENDED_PER_WRITE: u32 = 16;

/// Most records that one transaction removes.
pub(super) const MOST_PER_WRITE: u32 = 4096;

/// Records that are evicted before the size is looked at again.
const EVICTED_AT_ONCE: u32 = 16;

/// Keys per page of a scan.
const PAGE_KEYS: u32 = 100;

/// Longest TTL, in milliseconds: far more than any clock counts, and sums stay in range.
const MAX_TTL: i64 = 1 << 60;

/// Milliseconds, as a column has them.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(MAX_TTL).min(MAX_TTL)
}

/// Completes a statement by the condition that a record is live. A record whose write time is
/// further in the future than its TTL has ended too, so that setting the clock back does not make
/// it immortal.
macro_rules! live {
    ($sql:literal) => {
        concat!($sql, " AND :now < ends AND written - :now <= ends - written")
    };
}

/// Runs one operation.
pub(super) fn run(
    records: &Connection,
    operation: &Operation<'_>,
    now: i64,
) -> Result<Reply, Failure> {
    // Whether a statement changed a record.
    let change = |sql, values: &[(&str, &dyn ToSql)]| -> Result<bool, Failure> {
        Ok(records.prepare_cached(sql)?.execute(values)? > 0)
    };
    let ends = |ttl| now.saturating_add(millis(ttl).max(1));
    let done = match *operation {
        Operation::Get { key } => {
            let sql = live!("SELECT value FROM record WHERE key = :key");
            let mut select = records.prepare_cached(sql)?;
            let values = named_params! { ":key": key, ":now": now };
            return Ok(Reply::Value(select.query_row(values, |row| row.get(0)).optional()?));
        }
        Operation::Set { key, value, ttl } => change(
            "INSERT INTO record VALUES (:key, :value, :now, :ends)
             ON CONFLICT (key) DO UPDATE SET value = :value, written = :now, ends = :ends",
            named_params! { ":key": key, ":value": value, ":now": now, ":ends": ends(ttl) },
        ),
        Operation::Add { key, value, ttl } => change(
            "INSERT INTO record VALUES (:key, :value, :now, :ends)
             ON CONFLICT (key) DO UPDATE SET value = :value, written = :now, ends = :ends
             WHERE NOT (:now < record.ends
                 AND record.written - :now <= record.ends - record.written)",
            named_params! { ":key": key, ":value": value, ":now": now, ":ends": ends(ttl) },
        ),
        Operation::Delete { key } => {
            let sql = live!("DELETE FROM record WHERE key = :key");
            let had = change(sql, named_params! { ":key": key, ":now": now })?;
            // Records that have ended go too: they would be live again if the clock were set back.
            if !had {
                let sql = "DELETE FROM record WHERE key = :key";
                change(sql, named_params! { ":key": key })?;
            }
            Ok(had)
        }
        Operation::CompareAndDelete { key, expected } => change(
            live!("DELETE FROM record WHERE key = :key AND value = :expected"),
            named_params! { ":key": key, ":expected": expected, ":now": now },
        ),
        Operation::CompareAndSet { key, expected, value, ttl } => change(
            live!(
                "UPDATE record SET value = :value, written = :now, ends = :ends
                 WHERE key = :key AND value = :expected"
            ),
            named_params! {
                ":key": key, ":expected": expected, ":value": value, ":now": now,
                ":ends": ends(ttl),
            },
        ),
        Operation::Touch { key, ttl } => change(
            live!("UPDATE record SET written = :now, ends = :ends WHERE key = :key"),
            named_params! { ":key": key, ":now": now, ":ends": ends(ttl) },
        ),
        _ => return Err(fault::unsupported()),
    };
    done.map(Reply::Done)
}

/// Lists live keys that begin with `prefix`, after the cursor, which is a key.
pub(super) fn scan(
    records: &Connection,
    prefix: &str,
    cursor: Option<&str>,
    now: i64,
) -> Result<Page, Failure> {
    // A key contains nothing as high as the last character of ASCII.
    let sql = live!(
        "SELECT key FROM record
         WHERE key >= :prefix AND key < :prefix || char(127) AND key > :after"
    );
    let mut select = records.prepare_cached(&format!("{sql} ORDER BY key LIMIT :most"))?;
    let values = named_params! {
        ":prefix": prefix, ":after": cursor.unwrap_or_default(), ":now": now, ":most": PAGE_KEYS,
    };
    let keys: Vec<String> =
        select.query_map(values, |row| row.get(0))?.collect::<Result<_, _>>()?;
    let next = keys.last().filter(|_| keys.len() == PAGE_KEYS as usize).cloned();
    Ok(Page::new(keys, next))
}

/// Removes at most `most` records that have ended; returns how many.
pub(super) fn remove_ended(records: &Connection, now: i64, most: u32) -> Result<u64, Failure> {
    let sql = "DELETE FROM record WHERE rowid IN
               (SELECT rowid FROM record WHERE ends <= :now ORDER BY ends LIMIT :most)";
    let values = named_params! { ":now": now, ":most": most };
    Ok(records.prepare_cached(sql)?.execute(values)? as u64)
}

/// Removes the records that end soonest until the database is within its bound, and at most
/// [`MOST_PER_WRITE`]; returns how many. Versions live longer than the entries that need them, so
/// entries go first.
pub(super) fn evict(records: &Connection, max_bytes: u64) -> Result<u64, Failure> {
    let sql = "DELETE FROM record WHERE rowid IN
               (SELECT rowid FROM record ORDER BY ends LIMIT :most)";
    let mut evicted = 0;
    while evicted < u64::from(MOST_PER_WRITE) && used_bytes(records)? > max_bytes {
        let values = named_params! { ":most": EVICTED_AT_ONCE };
        match records.prepare_cached(sql)?.execute(values)? {
            0 => break,
            removed => evicted += removed as u64,
        }
    }
    Ok(evicted)
}

/// The size of what the database contains, with its indexes. Free pages, which are used again, do
/// not count.
pub(super) fn used_bytes(records: &Connection) -> Result<u64, Failure> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let bytes: i64 = records.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}
