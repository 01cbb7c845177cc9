//! Bytes that are not a record, or that declare something false. Each is refused with its reason,
//! before anything is allocated for it.

use super::super::codec::{MAX_HEADER_BYTES, flag};
use super::super::*;
use super::*;

#[track_caller]
fn assert_refused(bytes: &[u8], reason: Unreadable) {
    for codec in [plain(), compressing(), plain().next()] {
        assert_eq!(codec.decode(bytes), Err(reason));
    }
}

#[test]
fn i8_a_record_cut_short_or_lengthened_is_torn() {
    for record in [sample(), large_sample()] {
        let bytes = encode(&compressing(), &record);
        for length in 0..bytes.len() {
            assert_refused(&bytes[..length], Unreadable::Torn);
        }
        let mut more = bytes.clone();
        more.push(0);
        assert_refused(&more, Unreadable::Torn);
        assert_refused(&[bytes.clone(), bytes].concat(), Unreadable::Torn);
    }
}

/// A signed record, as a reader without the secret sees it.
#[test]
fn a_signed_record_is_refused() {
    for record in [sample(), large_sample()] {
        let bytes = encode(&compressing(), &record);
        let signed = [bytes, vec![7; crate::mac::SIGNATURE_BYTES]].concat();
        assert_refused(&signed, Unreadable::Mac);
    }
}

#[test]
fn i8_a_record_with_one_bit_flipped_is_refused() {
    for record in [sample(), large_sample()] {
        let bytes = encode(&compressing(), &record);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(compressing().decode(&flipped).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_block_of_zeros_in_a_record_is_refused() {
    let bytes = encode(&plain(), &large_sample());
    for start in (0..bytes.len()).step_by(64) {
        let mut holed = bytes.clone();
        let end = bytes.len().min(start + 64);
        holed[start..end].fill(0);
        assert!(plain().decode(&holed).is_err(), "{start}");
    }
}

#[test]
fn what_others_write_is_foreign() {
    let foreign: [&[u8]; 12] = [
        b"{\"id\": 7, \"cart\": []}",
        b"!\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07sidebar\x94.",
        b"\x80\x05\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.",
        b"VALUE key 0 5\r\nhello\r\nEND\r\n",
        b"EN\r\n",
        b"<ul><li>markup</li></ul>",
        b"42",
        b"\0\0\0\0\0\0\0\0",
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"\x28\xb5\x2f\xfd\x04\0",
        b"\xff\xff\xff\xff",
        b"\xf9fgC\x01",
    ];
    for bytes in foreign {
        assert_refused(bytes, Unreadable::Foreign);
    }
    assert_refused(b"", Unreadable::Torn);
}

#[test]
fn a_format_or_a_flag_that_is_not_known_is_of_the_future() {
    for format in [0, 3, 7, 0x7f, 0xff] {
        // The bytes after an unknown format have no known meaning.
        for rest in [&[][..], &[0xff; 100]] {
            assert_refused(&[&MAGIC[..], &[format], rest].concat(), Unreadable::Future);
        }
    }
    for flags in [2, 8, 16, 0x80, 0xff] {
        let crafted = Crafted { flags, ..Crafted::new() };
        assert_refused(&crafted.bytes(), Unreadable::Future);
    }
}

#[test]
fn an_unknown_field_is_passed_over_unless_it_is_critical() {
    let expected = plain().decode(&Crafted::new().bytes());
    assert!(expected.is_ok());
    for kind in [0, 6, 1, 0x7f] {
        for content in [&b""[..], b"something of a later release"] {
            let bytes = Crafted::new().with_field(kind, content).with_field(kind, content).bytes();
            assert_eq!(plain().decode(&bytes), expected);
        }
    }
    for kind in [0x80, 0x84, 0x85, 0xff] {
        assert_refused(&Crafted::new().with_field(kind, b"").bytes(), Unreadable::Future);
    }
}

#[test]
fn fields_may_come_in_any_order() {
    let crafted = Crafted::new().with_field(field::TEMPLATE, b"page.html");
    let mut turned = crafted.clone();
    turned.fields.reverse();
    assert_eq!(plain().decode(&turned.bytes()), plain().decode(&crafted.bytes()));
}

#[test]
fn a_record_without_key_digest_or_labels_is_malformed() {
    for missing in 0..3 {
        let mut crafted = Crafted::new();
        crafted.fields.remove(missing);
        assert_refused(&crafted.bytes(), Unreadable::Malformed);
    }
}

#[test]
fn a_field_that_comes_twice_is_malformed() {
    for kind in [field::KEY, field::DIGEST, field::LABELS, field::TEMPLATE, field::PRODUCER] {
        let twice = Crafted::new().with_field_replaced(kind, b"").with_field(kind, b"");
        assert_refused(&twice.bytes(), Unreadable::Malformed);
    }
}

#[test]
fn a_field_that_makes_no_sense_is_malformed() {
    let replaced = |kind, content: &[u8]| Crafted::new().with_field_replaced(kind, content).bytes();
    assert_refused(&replaced(field::LABELS, &[0; 23]), Unreadable::Malformed);
    assert_refused(&replaced(field::LABELS, &[0; 25]), Unreadable::Malformed);
    assert_refused(&replaced(field::DIGEST, "dïgest".as_bytes()), Unreadable::Malformed);
    assert_refused(&replaced(field::DIGEST, b"\xff"), Unreadable::Malformed);
    assert_refused(&replaced(field::TEMPLATE, b"\xff"), Unreadable::Malformed);
    let never = Crafted { flags: flag::NEVER_EXPIRES, ttl: 1, ..Crafted::new() };
    assert_refused(&never.bytes(), Unreadable::Malformed);
    // The kind of a record determines its body: markup has to be text.
    let body = Crafted { body: b"\xc3".to_vec(), ..Crafted::new() };
    let read = plain().decode(&body.bytes()).unwrap().body;
    assert!(crate::entry::of_text(read, crate::engine::Body::from).is_none());
}

#[test]
fn i8_a_field_above_its_bound_is_too_large() {
    for (kind, most) in [
        (field::KEY, MAX_RECORD_KEY_BYTES),
        (field::DIGEST, MAX_RECORD_DIGEST_BYTES),
        (field::LABELS, MAX_RECORD_LABELS * 24),
        (field::TEMPLATE, MAX_RECORD_TEMPLATE_BYTES),
    ] {
        let at_most = Crafted::new().with_field_replaced(kind, &vec![b'x'; most]);
        assert!(plain().decode(&at_most.bytes()).is_ok(), "{kind}");
        let above = Crafted::new().with_field_replaced(kind, &vec![b'x'; most + 1]);
        assert_refused(&above.bytes(), Unreadable::TooLarge);
    }
    let header = Crafted::new().with_field(0, &vec![0; MAX_HEADER_BYTES]);
    assert_refused(&header.bytes(), Unreadable::TooLarge);
}

#[test]
fn i8_lengths_beyond_what_is_there_are_refused_before_anything_is_allocated() {
    for length in [5, 1 << 31, u64::from(u32::MAX), 1 << 40, 1 << 63, u64::MAX - 8, u64::MAX] {
        let stored = Crafted { stored_bytes: Some(length), ..Crafted::new() };
        assert_refused(&stored.bytes(), Unreadable::Torn);
        // A vector of these lengths would abort the test.
        let raw = Crafted { raw_bytes: Some(length), ..Crafted::new() };
        let reason = if length == 5 { Unreadable::Malformed } else { Unreadable::TooLarge };
        assert_refused(&raw.bytes(), reason);
        let inflated = Crafted { flags: flag::COMPRESSED, ..raw };
        assert_refused(&inflated.bytes(), reason);
    }
    for length in [0, 1, 73, 200, 1 << 31, u32::MAX] {
        let crafted = Crafted { header_bytes: Some(length), ..Crafted::new() };
        assert_refused(&crafted.bytes(), Unreadable::Torn);
    }
    for length in [1, 1 << 31, u32::MAX] {
        for kind in [field::TEMPLATE, field::KEY, 0, 0xff] {
            let mut crafted = Crafted::new();
            crafted.after_fields = [&[kind][..], &u32::to_le_bytes(length)].concat();
            assert_refused(&crafted.bytes(), Unreadable::Malformed);
            crafted.after_fields.pop();
            assert_refused(&crafted.bytes(), Unreadable::Malformed);
        }
    }
}

/// A record with this block as its body, which declares this inflated length.
fn packed(block: &[u8], raw_bytes: usize) -> Vec<u8> {
    Crafted {
        flags: flag::COMPRESSED,
        raw_bytes: Some(raw_bytes as u64),
        body: block.to_vec(),
        ..Crafted::new()
    }
    .bytes()
}

#[test]
fn i8_a_body_that_lies_about_its_length_is_refused() {
    let raw = "<td>Käse</td>".repeat(100);
    let block = lz4_flex::block::compress(raw.as_bytes());
    assert_eq!(plain().decode(&packed(&block, raw.len())).unwrap().body, raw.as_bytes());
    for told in [0, 1, block.len(), block.len() + 1, raw.len() - 1, raw.len() + 1, 1 << 20] {
        assert_refused(&packed(&block, told), Unreadable::Malformed);
    }
    assert_refused(&packed(&block, MAX_BODY_BYTES + 1), Unreadable::TooLarge);
}

#[test]
fn i8_a_bomb_is_not_inflated() {
    let block = lz4_flex::block::compress(&vec![b' '; 64 * MAX_BODY_BYTES]);
    assert!(block.len() < MAX_BODY_BYTES);
    assert_refused(&packed(&block, 64 * MAX_BODY_BYTES), Unreadable::TooLarge);
    for told in [block.len() + 1, MAX_BODY_BYTES] {
        assert_refused(&packed(&block, told), Unreadable::Malformed);
    }
}

#[test]
fn i8_what_is_no_block_is_refused() {
    let raw = "<td>Käse</td>".repeat(100);
    let block = lz4_flex::block::compress(raw.as_bytes());
    for length in 0..block.len() {
        assert_refused(&packed(&block[..length], raw.len()), Unreadable::Malformed);
    }
    for block in [&[0xff; 300][..], &[0; 300], &[0x0f, 1, 0, 0xff, 0xff], b"plain text"] {
        assert_refused(&packed(block, 1000), Unreadable::Malformed);
    }
    let block = lz4_flex::block::compress(&[0xff; 1000]);
    assert_eq!(plain().decode(&packed(&block, 1000)).unwrap().body, [0xff; 1000]);
}

#[test]
fn a_body_above_the_codecs_own_bound_is_too_large() {
    let record = large_sample();
    let exact = Codec::new(None, record.body.len());
    let small = Codec::new(None, record.body.len() - 1);
    for bytes in [encode(&plain(), &record), encode(&compressing(), &record)] {
        assert_eq!(exact.decode(&bytes).unwrap(), record);
        assert_eq!(small.decode(&bytes), Err(Unreadable::TooLarge));
    }
}

#[test]
fn a_wrong_checksum_is_told_apart() {
    let mut bytes = encode(&plain(), &sample());
    *bytes.last_mut().unwrap() ^= 1;
    assert_refused(&bytes, Unreadable::Checksum);
}

#[test]
fn reasons_are_single_words() {
    let reasons = [
        Unreadable::Foreign,
        Unreadable::Future,
        Unreadable::Torn,
        Unreadable::Checksum,
        Unreadable::Mac,
        Unreadable::TooLarge,
        Unreadable::Malformed,
    ];
    let words: std::collections::HashSet<_> =
        reasons.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), reasons.len());
    assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
}
