//! What is written can be read, and what exceeds a bound is not written.

use super::super::codec::FIXED_BYTES;
use super::super::*;
use super::*;

#[test]
fn a_record_is_read_as_it_was_written() {
    for record in [sample(), large_sample()] {
        for codec in [plain(), compressing()] {
            assert_eq!(codec.decode(&encode(&codec, &record)).unwrap(), record);
        }
    }
}

#[test]
fn every_codec_without_a_secret_reads_what_the_others_wrote() {
    let record = large_sample();
    assert_eq!(plain().decode(&encode(&compressing(), &record)).unwrap(), record);
    assert_eq!(compressing().decode(&encode(&plain(), &record)).unwrap(), record);
}

#[test]
fn the_same_record_has_the_same_bytes() {
    for codec in [plain(), compressing()] {
        assert_eq!(encode(&codec, &large_sample()), encode(&codec, &large_sample()));
    }
}

#[test]
fn a_body_is_compressed_above_the_threshold_if_that_makes_it_smaller() {
    let (small, large) = (sample(), large_sample());
    assert!(small.body.len() <= 256);
    assert_eq!(encode(&compressing(), &small), encode(&plain(), &small));
    assert!(encode(&compressing(), &large).len() < encode(&plain(), &large).len() / 2);

    // No sequence of four characters repeats, so there is nothing to compress.
    let body: String = ('\u{20}'..'\u{7e}').chain('\u{4e00}'..'\u{5000}').collect();
    let distinct = Decoded { body: body.into(), ..sample() };
    assert!(distinct.body.len() > 256);
    assert_eq!(encode(&compressing(), &distinct), encode(&plain(), &distinct));
}

#[test]
fn an_empty_record_is_read_as_it_was_written() {
    let record = Decoded {
        key: [].into(),
        digest: "".into(),
        mode: 0,
        version: 0,
        template: None,
        own: None,
        labels: [].into(),
        created: 0,
        ttl: None,
        stale: 0,
        render_time: 0,
        body: Vec::new(),
    };
    for codec in [plain(), Codec::new(Some(0), 0)] {
        assert_eq!(codec.decode(&encode(&codec, &record)).unwrap(), record);
    }
}

#[test]
fn never_expiring_is_not_a_life_of_any_length() {
    for ttl in [None, Some(0), Some(1), Some(u64::MAX)] {
        let record = Decoded { ttl, ..sample() };
        assert_eq!(plain().decode(&encode(&plain(), &record)).unwrap().ttl, ttl);
    }
}

#[test]
fn no_template_is_not_a_template_without_a_name() {
    for template in [None, Some("".into())] {
        let record = Decoded { template, ..sample() };
        assert_eq!(plain().decode(&encode(&plain(), &record)).unwrap(), record);
    }
}

#[test]
fn the_largest_record_is_read_as_it_was_written() {
    let record = Decoded {
        key: vec![0xff; MAX_RECORD_KEY_BYTES].into(),
        digest: "f".repeat(MAX_RECORD_DIGEST_BYTES).into(),
        template: Some("t".repeat(MAX_RECORD_TEMPLATE_BYTES).into()),
        own: Some(vec![0xff; MAX_RECORD_OWN_BYTES].into()),
        labels: vec![(u64::MAX, LabelVersion([0xff; 16])); MAX_RECORD_LABELS].into(),
        body: "ä".repeat(MAX_BODY_BYTES / 2).into(),
        ..sample()
    };
    for codec in [plain(), compressing()] {
        assert_eq!(codec.decode(&encode(&codec, &record)).unwrap(), record);
    }
}

#[test]
fn what_exceeds_a_bound_is_not_written() {
    let one_more = |most: usize| "x".repeat(most + 1);
    let cases = [
        (Decoded { key: vec![0; MAX_RECORD_KEY_BYTES + 1].into(), ..sample() }, Unencodable::Key),
        (
            Decoded { digest: one_more(MAX_RECORD_DIGEST_BYTES).into(), ..sample() },
            Unencodable::Digest,
        ),
        (Decoded { digest: "dïgest".into(), ..sample() }, Unencodable::Digest),
        (
            Decoded { template: Some(one_more(MAX_RECORD_TEMPLATE_BYTES).into()), ..sample() },
            Unencodable::Template,
        ),
        (
            Decoded {
                labels: vec![(0, LabelVersion([0; 16])); MAX_RECORD_LABELS + 1].into(),
                ..sample()
            },
            Unencodable::Labels,
        ),
        (
            Decoded { own: Some(vec![0; MAX_RECORD_OWN_BYTES + 1].into()), ..sample() },
            Unencodable::Labels,
        ),
        (Decoded { body: one_more(MAX_BODY_BYTES).into(), ..sample() }, Unencodable::Body),
    ];
    for (record, bound) in cases {
        for codec in [plain(), compressing()] {
            let refusal = codec.encode(&record.as_record()).unwrap_err();
            assert_eq!(refusal, bound);
        }
    }
}

#[test]
fn the_producer_can_be_seen_in_a_store() {
    let bytes = encode(&plain(), &sample());
    let version = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    let producer = format!("fragcache/{version}");
    assert!(bytes.windows(producer.len()).any(|window| window == producer.as_bytes()));
}

#[test]
fn a_record_takes_little_more_than_what_is_in_it() {
    let record = sample();
    let content = record.key.len()
        + record.digest.len()
        + record.template.as_ref().unwrap().len()
        + record.labels.len() * 24
        + record.body.len();
    let length = encode(&plain(), &record).len();
    assert_eq!(length, FIXED_BYTES + content + 5 * 5 + "fragcache/0.1".len() + 16);
}
