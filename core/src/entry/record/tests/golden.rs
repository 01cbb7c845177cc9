//! Released records, byte for byte: `fixtures/records`. A missing file is written if
//! `FRAGCACHE_NEW_RECORDS` is set; an existing one is never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::mend;
use super::*;

/// The producer in the files, independent of the current release.
const PRODUCER: &str = "fragcache/0.1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/records")
}

/// The bytes of a released record.
pub(super) fn released(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Each file with its content and its codec.
fn cases() -> Vec<(&'static str, Codec, Decoded)> {
    let cases = vec![
        ("v1-plain.bin", plain(), sample()),
        ("v1-compressed.bin", compressing(), large_sample()),
        ("v1-never-expires.bin", plain(), Decoded { ttl: None, stale: 0, ..sample() }),
        ("v1-no-template.bin", plain(), Decoded { template: None, version: 0, ..sample() }),
        ("v1-many-labels.bin", plain(), Decoded { labels: many_labels(), ..sample() }),
        ("v1-opaque.bin", plain(), opaque()),
        ("v1-no-labels.bin", plain(), Decoded { labels: [].into(), ..sample() }),
    ];
    let released = |(name, codec, record)| (name, Codec::with_producer(codec, PRODUCER), record);
    cases.into_iter().map(released).collect()
}

/// As a cache with opaque keys writes it: a digest for a key, no template, its own labels.
fn opaque() -> Decoded {
    let own = [&b"e"[..], &1_u64.to_le_bytes(), &u64::MAX.to_le_bytes(), &[0; 8]].concat();
    Decoded { key: [7; 32].into(), template: None, own: Some(own.into()), ..sample() }
}

fn many_labels() -> Box<[(u64, LabelVersion)]> {
    [labels(200), labels(100)].concat().into()
}

#[test]
fn released_records_are_read_and_written_as_ever() {
    for (name, codec, record) in cases() {
        let bytes = encode(&codec, &record);
        let path = folder().join(name);
        if !path.exists() && std::env::var_os("FRAGCACHE_NEW_RECORDS").is_some() {
            fs::write(&path, &bytes).unwrap();
        }
        let released = released(name);
        assert_eq!(codec.decode(&released).as_ref(), Ok(&record), "{name}");
        assert!(released == bytes, "{name} is written otherwise than it was released");
        assert_eq!(codec.next().decode(&released).as_ref(), Ok(&record), "{name}");
    }
}

#[test]
fn every_released_record_is_looked_at() {
    let known: Vec<_> = cases().into_iter().map(|(name, ..)| name).collect();
    let mut seen = 0;
    for file in fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".bin") {
            continue;
        }
        assert!(known.contains(&&*name), "nothing tells what is in {name}");
        assert!(mend::check(&released(&name)), "{name}");
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} files");
}
