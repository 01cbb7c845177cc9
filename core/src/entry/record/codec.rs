//! Encodes and decodes records. The layout is documented in [`record`](super).

use std::borrow::Cow;

use super::checksum::{self, CHECKSUM_BYTES};
use super::cursor::{Cursor, FIELD_OVERHEAD, put_field, put_field_head, put_short_length, put_u64};
use super::{
    Decoded, LabelVersion, MAX_RECORD_DIGEST_BYTES, MAX_RECORD_KEY_BYTES, MAX_RECORD_LABELS,
    MAX_RECORD_OWN_BYTES, MAX_RECORD_TEMPLATE_BYTES, Record, Unencodable, Unreadable,
};
use crate::mac::SIGNATURE_BYTES;

/// The first bytes of every record. The first one starts no UTF-8, no pickle and no gzip.
pub(super) const MAGIC: [u8; 4] = *b"\xF9fgc";

/// The formats that this release reads.
const READS: &[u8] = &[Codec::FORMAT];

/// The producer that this release writes, for people who inspect a store.
const PRODUCER: &str =
    concat!("fragcache/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// Bytes before the fields.
pub(super) const FIXED_BYTES: usize = 4 + 1 + 1 + 4 + 8 * 8;

/// Bytes of a label with its version.
const LABEL_BYTES: usize = 8 + 16;

/// Most bytes of fields that this release does not know.
const MAX_UNKNOWN_BYTES: usize = 16_384;

/// Longest header.
pub(super) const MAX_HEADER_BYTES: usize = FIXED_BYTES
    + MAX_RECORD_KEY_BYTES
    + MAX_RECORD_DIGEST_BYTES
    + MAX_RECORD_TEMPLATE_BYTES
    + MAX_RECORD_OWN_BYTES
    + MAX_RECORD_LABELS * LABEL_BYTES
    + MAX_UNKNOWN_BYTES;

/// Most bytes that one byte of an LZ4 block inflates to. Nothing is allocated for a body that
/// declares more.
const MAX_INFLATION: usize = 255;

/// Longest LZ4 block. With a four-byte `usize`, the decoder of `lz4_flex` panics at lengths that a
/// block of 16 MiB can encode.
pub(super) const MAX_BLOCK_BYTES: usize = 8 << 20;

pub(super) mod flag {
    //! The bits of the flags.
    pub(in super::super) const COMPRESSED: u8 = 1;
    pub(in super::super) const NEVER_EXPIRES: u8 = 4;
    pub(in super::super) const ALL: u8 = COMPRESSED | NEVER_EXPIRES;
}

pub(super) mod field {
    //! The types of the fields.
    pub(in super::super) const CRITICAL: u8 = 0x80;
    pub(in super::super) const KEY: u8 = CRITICAL | 1;
    pub(in super::super) const DIGEST: u8 = CRITICAL | 2;
    pub(in super::super) const LABELS: u8 = CRITICAL | 3;
    pub(in super::super) const TEMPLATE: u8 = 4;
    pub(in super::super) const PRODUCER: u8 = 5;
    pub(in super::super) const OWN: u8 = CRITICAL | 6;
}

/// Writes one format, and reads one or more.
#[derive(Debug, Clone)]
pub(crate) struct Codec {
    writes: u8,
    reads: &'static [u8],
    producer: &'static str,
    compress_above: Option<usize>,
    max_body_bytes: usize,
}

impl Codec {
    /// The format that is written.
    pub(crate) const FORMAT: u8 = 1;

    /// Creates a codec that compresses bodies of more than `compress_above` bytes, and refuses
    /// bodies of more than `max_body_bytes` after inflation.
    pub(crate) fn new(compress_above: Option<usize>, max_body_bytes: usize) -> Self {
        Self {
            writes: Self::FORMAT,
            reads: READS,
            producer: PRODUCER,
            compress_above,
            max_body_bytes,
        }
    }

    /// The codec of a release with this producer.
    #[cfg(test)]
    pub(super) fn with_producer(self, producer: &'static str) -> Self {
        Self { producer, ..self }
    }

    /// The codec of the next release, if that has a new format. Its layout is the same.
    #[cfg(test)]
    pub(super) fn next(self) -> Self {
        Self { writes: 2, reads: &[2, 1], ..self }
    }

    /// The codec of the release after [`next`](Self::next).
    #[cfg(test)]
    pub(super) fn next_but_one(self) -> Self {
        Self { writes: 3, reads: &[3, 2], ..self }
    }

    /// Encodes a record. The same record always has the same bytes.
    ///
    /// # Errors
    ///
    /// If the record exceeds a bound that [`Record`] names, or its body is too large for this
    /// codec.
    pub(crate) fn encode(&self, record: &Record<'_>) -> Result<Vec<u8>, Unencodable> {
        self.check(record)?;
        let raw = record.body;
        let stored = self.compress(raw);
        let mut flags = 0;
        for (flag, is_set) in [
            (flag::COMPRESSED, matches!(stored, Cow::Owned(_))),
            (flag::NEVER_EXPIRES, record.ttl.is_none()),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        let labels_bytes = record.labels.len() * LABEL_BYTES;
        let header_bytes = FIXED_BYTES
            + (FIELD_OVERHEAD + record.key.len())
            + (FIELD_OVERHEAD + record.digest.len())
            + (FIELD_OVERHEAD + labels_bytes)
            + record.template.map_or(0, |template| FIELD_OVERHEAD + template.len())
            + record.own.map_or(0, |own| FIELD_OVERHEAD + own.len())
            + (FIELD_OVERHEAD + self.producer.len());

        let mut out = Vec::with_capacity(header_bytes + stored.len() + CHECKSUM_BYTES);
        out.extend_from_slice(&MAGIC);
        out.push(self.writes);
        out.push(flags);
        put_short_length(&mut out, header_bytes);
        for number in [
            stored.len() as u64,
            raw.len() as u64,
            record.created,
            record.ttl.unwrap_or(0),
            record.stale,
            record.render_time,
            record.mode,
            record.version,
        ] {
            put_u64(&mut out, number);
        }
        put_field(&mut out, field::KEY, record.key);
        put_field(&mut out, field::DIGEST, record.digest.as_bytes());
        put_field_head(&mut out, field::LABELS, labels_bytes);
        for (label, version) in record.labels {
            put_u64(&mut out, *label);
            out.extend_from_slice(&version.0);
        }
        if let Some(template) = record.template {
            put_field(&mut out, field::TEMPLATE, template.as_bytes());
        }
        if let Some(own) = record.own {
            put_field(&mut out, field::OWN, own);
        }
        put_field(&mut out, field::PRODUCER, self.producer.as_bytes());
        debug_assert_eq!(out.len(), header_bytes);
        out.extend_from_slice(&stored);
        checksum::put(&mut out);
        Ok(out)
    }

    fn check(&self, record: &Record<'_>) -> Result<(), Unencodable> {
        let bounds = [
            (record.key.len(), MAX_RECORD_KEY_BYTES, Unencodable::Key),
            (record.digest.len(), MAX_RECORD_DIGEST_BYTES, Unencodable::Digest),
            (record.template.map_or(0, str::len), MAX_RECORD_TEMPLATE_BYTES, Unencodable::Template),
            (record.own.map_or(0, <[u8]>::len), MAX_RECORD_OWN_BYTES, Unencodable::Labels),
            (record.labels.len(), MAX_RECORD_LABELS, Unencodable::Labels),
            (record.body.len(), self.max_body_bytes, Unencodable::Body),
        ];
        for (length, most, refusal) in bounds {
            if length > most {
                return Err(refusal);
            }
        }
        if record.digest.is_ascii() { Ok(()) } else { Err(Unencodable::Digest) }
    }

    /// Compresses the body, if it is large enough and gets smaller.
    fn compress<'a>(&self, raw: &'a [u8]) -> Cow<'a, [u8]> {
        if self.compress_above.is_some_and(|above| raw.len() > above) {
            let packed = lz4_flex::block::compress(raw);
            if packed.len() < raw.len() && packed.len() <= MAX_BLOCK_BYTES {
                return Cow::Owned(packed);
            }
        }
        Cow::Borrowed(raw)
    }

    /// Decodes a record. The bytes may be anything: the work is linear in their number, and
    /// allocations are bounded by it and by the largest body.
    ///
    /// # Errors
    ///
    /// If the bytes are not a record that this codec may use.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Decoded, Unreadable> {
        let frame = self.frame(bytes)?;
        let mut fields = Fields::default();
        let mut rest = Cursor(frame.fields);
        while !rest.0.is_empty() {
            let (kind, content) = rest.field().ok_or(Unreadable::Malformed)?;
            fields.take(kind, content)?;
        }
        // A record without labels would depend on nothing.
        let (Some(key), Some(digest), Some(labels)) = (fields.key, fields.digest, fields.labels)
        else {
            return Err(Unreadable::Malformed);
        };
        let [created, ttl, stale, render_time, mode, version] = frame.numbers;
        let ttl = (frame.flags & flag::NEVER_EXPIRES == 0).then_some(ttl);
        if ttl.is_none() && frame.numbers[1] != 0 {
            return Err(Unreadable::Malformed);
        }
        let digest = text(digest)?;
        if !digest.is_ascii() {
            return Err(Unreadable::Malformed);
        }
        Ok(Decoded {
            key: key.into(),
            digest: digest.into(),
            mode,
            version,
            template: fields.template.map(text).transpose()?.map(Box::from),
            own: fields.own.map(Box::from),
            labels: labels_from(labels)?,
            created,
            ttl,
            stale,
            render_time,
            body: frame.body()?,
        })
    }

    /// The parts of a record that is not too large, with consistent lengths and a correct checksum.
    /// Allocates nothing.
    fn frame<'a>(&self, bytes: &'a [u8]) -> Result<RecordFrame<'a>, Unreadable> {
        let Some(rest) = bytes.strip_prefix(&MAGIC) else {
            let is_torn = MAGIC.starts_with(bytes);
            return Err(if is_torn { Unreadable::Torn } else { Unreadable::Foreign });
        };
        let mut head = Cursor(rest);
        let format = head.u8().ok_or(Unreadable::Torn)?;
        if !self.reads.contains(&format) {
            return Err(Unreadable::Future);
        }
        let flags = head.u8().ok_or(Unreadable::Torn)?;
        if flags & !flag::ALL != 0 {
            return Err(Unreadable::Future);
        }
        let header_bytes = head.short_length().ok_or(Unreadable::Torn)?;
        let mut number = || head.u64().ok_or(Unreadable::Torn);
        let (stored_bytes, raw_bytes) = (number()?, number()?);
        let mut numbers = [0; 6];
        for place in &mut numbers {
            *place = number()?;
        }

        // The lengths are checked against the actual bytes before they are used.
        let (summed, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Unreadable::Torn)?;
        let (header, stored) = summed.split_at_checked(header_bytes).ok_or(Unreadable::Torn)?;
        if stored.len() as u64 != stored_bytes {
            // With a secret, the signature would have been removed before.
            let is_signed =
                stored.len() as u64 == stored_bytes.saturating_add(SIGNATURE_BYTES as u64);
            return Err(if is_signed { Unreadable::Mac } else { Unreadable::Torn });
        }
        let fields = header.get(FIXED_BYTES..).ok_or(Unreadable::Torn)?;
        let raw_bytes = usize::try_from(raw_bytes).map_err(|_| Unreadable::TooLarge)?;
        if header_bytes > MAX_HEADER_BYTES || raw_bytes.max(stored.len()) > self.max_body_bytes {
            return Err(Unreadable::TooLarge);
        }
        if !checksum::fits(summed, sum) {
            return Err(Unreadable::Checksum);
        }
        Ok(RecordFrame { flags, numbers, fields, stored, raw_bytes })
    }
}

/// The parts of a record.
#[derive(Debug)]
struct RecordFrame<'a> {
    flags: u8,
    numbers: [u64; 6],
    fields: &'a [u8],
    stored: &'a [u8],
    raw_bytes: usize,
}

impl RecordFrame<'_> {
    fn body(&self) -> Result<Vec<u8>, Unreadable> {
        if self.flags & flag::COMPRESSED == 0 {
            if self.stored.len() != self.raw_bytes {
                return Err(Unreadable::Malformed);
            }
            return Ok(self.stored.to_vec());
        }
        // Only a body that gets smaller is compressed, and no block inflates to more than this.
        let most = self.stored.len().saturating_mul(MAX_INFLATION);
        let is_block = self.raw_bytes > self.stored.len() && self.raw_bytes <= most;
        if !is_block || self.stored.len() > MAX_BLOCK_BYTES {
            return Err(Unreadable::Malformed);
        }
        let mut raw = vec![0; self.raw_bytes];
        match lz4_flex::block::decompress_into(self.stored, &mut raw) {
            Ok(written) if written == self.raw_bytes => {}
            _ => return Err(Unreadable::Malformed),
        }
        Ok(raw)
    }
}

/// The fields of a record, as they are read.
#[derive(Debug, Default)]
struct Fields<'a> {
    key: Option<&'a [u8]>,
    digest: Option<&'a [u8]>,
    labels: Option<&'a [u8]>,
    template: Option<&'a [u8]>,
    producer: Option<&'a [u8]>,
    own: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, kind: u8, content: &'a [u8]) -> Result<(), Unreadable> {
        let (place, most) = match kind {
            field::KEY => (&mut self.key, MAX_RECORD_KEY_BYTES),
            field::DIGEST => (&mut self.digest, MAX_RECORD_DIGEST_BYTES),
            field::LABELS => (&mut self.labels, MAX_RECORD_LABELS * LABEL_BYTES),
            field::TEMPLATE => (&mut self.template, MAX_RECORD_TEMPLATE_BYTES),
            field::PRODUCER => (&mut self.producer, usize::MAX),
            field::OWN => (&mut self.own, MAX_RECORD_OWN_BYTES),
            _ if kind & field::CRITICAL != 0 => return Err(Unreadable::Future),
            _ => return Ok(()),
        };
        if content.len() > most {
            return Err(Unreadable::TooLarge);
        }
        if place.replace(content).is_some() {
            return Err(Unreadable::Malformed);
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    str::from_utf8(bytes).map_err(|_| Unreadable::Malformed)
}

fn labels_from(bytes: &[u8]) -> Result<Box<[(u64, LabelVersion)]>, Unreadable> {
    let (labels, rest) = bytes.as_chunks::<LABEL_BYTES>();
    if !rest.is_empty() {
        return Err(Unreadable::Malformed);
    }
    let mut read = Vec::with_capacity(labels.len());
    for label in labels {
        let mut cursor = Cursor(label);
        let (Some(hash), Some(version)) = (cursor.u64(), cursor.array()) else {
            return Err(Unreadable::Malformed);
        };
        read.push((hash, LabelVersion(version)));
    }
    Ok(read.into())
}
