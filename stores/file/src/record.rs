//! The file format of a record: its value and its lifetime.

use std::time::Duration;

use fragcache::store::Value;
use xxhash_rust::xxh3::Xxh3Default;

/// The first bytes of every record; the last byte is the format's version.
const MAGIC: [u8; 8] = *b"fragfil\x01";

/// Magic, boot, written, life, the two lengths, checksum.
const HEADER_BYTES: usize = 8 + 16 + 8 + 8 + 4 + 4 + 8;

/// Position of the checksum, which covers the bytes before and after it.
const CHECKSUM_AT: usize = HEADER_BYTES - 8;

/// The boot of the host during which a record was written; see the module's documentation.
pub(super) type Boot = [u8; 16];

/// Milliseconds since the Unix epoch, by the store's clock.
pub(super) type Moment = u64;

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    boot: Boot,
    pub(super) written: Moment,
    ttl: u64,
    key_bytes: usize,
    value_bytes: usize,
    checksum: u64,
}

impl Header {
    /// Parses the header at the beginning of these bytes. `None` if there is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (boot, rest) = rest.split_first_chunk::<16>()?;
        let (written, rest) = rest.split_first_chunk::<8>()?;
        let (ttl, rest) = rest.split_first_chunk::<8>()?;
        let (key_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (value_bytes, rest) = rest.split_first_chunk::<4>()?;
        let (checksum, _) = rest.split_first_chunk::<8>()?;
        (*magic == MAGIC).then_some(Self {
            boot: *boot,
            written: u64::from_le_bytes(*written),
            ttl: u64::from_le_bytes(*ttl),
            key_bytes: usize::try_from(u32::from_le_bytes(*key_bytes)).ok()?,
            value_bytes: usize::try_from(u32::from_le_bytes(*value_bytes)).ok()?,
            checksum: u64::from_le_bytes(*checksum),
        })
    }

    /// Whether the record is live at this moment. A record whose write time is further in the
    /// future than its TTL has ended too, so that setting the clock back does not make it immortal.
    pub(super) fn is_live(&self, boot: &Boot, now: Moment) -> bool {
        self.boot == *boot
            && now < self.written.saturating_add(self.ttl)
            && self.written.saturating_sub(now) <= self.ttl
    }

    /// The length of the file, in bytes.
    pub(super) fn file_bytes(&self) -> u64 {
        (HEADER_BYTES + self.key_bytes + self.value_bytes) as u64
    }

    /// The key, from bytes that begin with this header.
    pub(super) fn key<'b>(&self, bytes: &'b [u8]) -> Option<&'b str> {
        let key = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(self.key_bytes)?)?;
        std::str::from_utf8(key).ok()
    }
}

/// Number of bytes that contain any header and key.
pub(super) const MOST_HEAD_BYTES: usize = HEADER_BYTES + fragcache::store::MAX_STORE_KEY_BYTES;

fn checksum(before: &[u8], after: &[u8]) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(before);
    hasher.update(after);
    hasher.digest()
}

/// Encodes a record. `None` if a length does not fit.
pub(super) fn encode(
    boot: &Boot,
    now: Moment,
    ttl: Duration,
    key: &str,
    value: &[u8],
) -> Option<Vec<u8>> {
    let mut file = Vec::with_capacity(HEADER_BYTES + key.len() + value.len());
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(boot);
    file.extend_from_slice(&now.to_le_bytes());
    file.extend_from_slice(&millis(ttl).max(1).to_le_bytes());
    file.extend_from_slice(&u32::try_from(key.len()).ok()?.to_le_bytes());
    file.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(key.as_bytes());
    file.extend_from_slice(value);
    let (before, rest) = file.split_at_mut_checked(CHECKSUM_AT)?;
    let (sum, after) = rest.split_first_chunk_mut::<8>()?;
    *sum = checksum(before, after).to_le_bytes();
    Some(file)
}

/// A decoded file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A live record of this key.
    Live(Value),
    /// A record that has ended, or that belongs to another boot or another key.
    Over,
    /// Not a valid record.
    Broken,
}

/// Decodes the file of `key`.
pub(super) fn decode(mut file: Vec<u8>, key: &str, boot: &Boot, now: Moment) -> Decoded {
    let Some(header) = Header::read(&file) else { return Decoded::Broken };
    let (before, after) = (file.get(..CHECKSUM_AT), file.get(HEADER_BYTES..));
    let (Some(before), Some(after)) = (before, after) else { return Decoded::Broken };
    let is_whole = header.file_bytes() == file.len() as u64;
    if !is_whole || checksum(before, after) != header.checksum {
        return Decoded::Broken;
    }
    if header.key(&file) != Some(key) || !header.is_live(boot, now) {
        return Decoded::Over;
    }
    file.drain(..HEADER_BYTES + header.key_bytes);
    Decoded::Live(file)
}
