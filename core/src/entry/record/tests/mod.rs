//! What is written can be read, and nothing else can. This file has the samples that the tests
//! share.

mod golden;
mod hostile;
mod properties;
mod releases;
mod round_trip;

use super::codec::{Codec, FIXED_BYTES, MAGIC, field};
use super::{Decoded, LabelVersion, Record, checksum};

const MAX_BODY_BYTES: usize = 1 << 20;

fn plain() -> Codec {
    Codec::new(None, MAX_BODY_BYTES)
}

fn compressing() -> Codec {
    Codec::new(Some(256), MAX_BODY_BYTES)
}

/// A record with something in each field.
fn sample() -> Decoded {
    Decoded {
        key: b"\x04row\x01\x07".as_slice().into(),
        digest: "0f343b0931126a20".into(),
        mode: 1,
        version: 0xfeed_beef,
        template: Some("shop/row.html".into()),
        own: None,
        labels: [(1, LabelVersion([2; 16])), (u64::MAX, LabelVersion(*b"0123456789abcdef"))].into(),
        created: 1_767_225_600_000,
        ttl: Some(300_000),
        stale: 60_000,
        render_time: 1_234,
        body: "<li>Käse & \u{1f9c0}</li>\n".into(),
    }
}

/// The sample with a body that compresses well.
fn large_sample() -> Decoded {
    let rows = (0..120).map(|row| format!("<tr><td>{row}</td><td>Käse</td></tr>\n"));
    Decoded { body: rows.collect::<String>().into(), ..sample() }
}

/// Records that no release writes: any flags, lengths and fields with a correct checksum.
#[derive(Clone)]
struct Crafted {
    flags: u8,
    header_bytes: Option<u32>,
    stored_bytes: Option<u64>,
    raw_bytes: Option<u64>,
    ttl: u64,
    fields: Vec<(u8, Vec<u8>)>,
    after_fields: Vec<u8>,
    body: Vec<u8>,
}

impl Crafted {
    /// A readable one.
    fn new() -> Self {
        Self {
            flags: 0,
            header_bytes: None,
            stored_bytes: None,
            raw_bytes: None,
            ttl: 1,
            fields: vec![
                (field::KEY, b"key".to_vec()),
                (field::DIGEST, b"digest".to_vec()),
                (field::LABELS, vec![7; 24]),
            ],
            after_fields: Vec::new(),
            body: b"body".to_vec(),
        }
    }

    fn with_field(mut self, kind: u8, content: &[u8]) -> Self {
        self.fields.push((kind, content.to_vec()));
        self
    }

    fn with_field_replaced(mut self, kind: u8, content: &[u8]) -> Self {
        self.fields.retain(|field| field.0 != kind);
        self.with_field(kind, content)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        for (kind, content) in &self.fields {
            fields.push(*kind);
            fields.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            fields.extend(content);
        }
        fields.extend(&self.after_fields);
        let header = u32::try_from(FIXED_BYTES + fields.len()).unwrap();
        let mut out = MAGIC.to_vec();
        out.extend([Codec::FORMAT, self.flags]);
        out.extend(self.header_bytes.unwrap_or(header).to_le_bytes());
        let body = self.body.len() as u64;
        let numbers = [
            self.stored_bytes.unwrap_or(body),
            self.raw_bytes.unwrap_or(body),
            1,
            self.ttl,
            0,
            0,
            0,
            0,
        ];
        for number in numbers {
            out.extend(number.to_le_bytes());
        }
        assert_eq!(out.len(), FIXED_BYTES);
        out.extend(fields);
        out.extend(&self.body);
        checksum::put(&mut out);
        out
    }
}

fn encode(codec: &Codec, record: &Decoded) -> Vec<u8> {
    codec.encode(&record.as_record()).unwrap()
}

fn labels(count: u8) -> Box<[(u64, LabelVersion)]> {
    (0..count).map(|n| (u64::from(n) << 40, LabelVersion([n; 16]))).collect()
}

#[test]
fn the_record_that_tests_craft_can_be_read() {
    let read = plain().decode(&Crafted::new().bytes()).unwrap();
    assert_eq!((&*read.key, &*read.body), (b"key".as_slice(), b"body".as_slice()));
    let _: Record<'_> = read.as_record();
}
