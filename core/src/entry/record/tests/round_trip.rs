//! What is written is read.

use super::super::*;

#[test]
fn a_record_is_read_as_it_was_written() {
    let body = "<li>é</li>".repeat(300);
    let record = Record {
        key: b"key",
        digest: "0123456789abcdef",
        mode: 1,
        version: 7,
        template: Some("page.html"),
        labels: &[(1, LabelVersion([2; 16])), (3, LabelVersion([4; 16]))],
        created: 1_700_000_000_000,
        life: Some(300_000),
        stale: 60_000,
        render_time: 1234,
        body: &body,
    };
    for above in [None, Some(100)] {
        let codec = Codec::new(None, above, 1 << 20);
        let bytes = codec.encode(&record).unwrap();
        assert_eq!(bytes.len() < body.len(), above.is_some());
        let read = codec.decode(&bytes).unwrap();
        assert_eq!(read.body, body);
        assert_eq!(codec.encode(&read.as_record()).unwrap(), bytes);
    }
}
