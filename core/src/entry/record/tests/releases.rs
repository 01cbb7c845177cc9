//! Two releases on one store: each reads the other's records or skips them.

use super::super::Unreadable;
use super::*;

#[test]
fn a_release_reads_its_own_format_and_the_one_before() {
    let (old, new) = (plain(), plain().next());
    let (from_old, from_new) = (encode(&old, &sample()), encode(&new, &sample()));
    assert_ne!(from_old, from_new);
    assert_eq!(new.decode(&from_old).unwrap(), sample());
    assert_eq!(new.decode(&from_new).unwrap(), sample());
}

#[test]
fn the_release_before_a_new_format_misses_and_no_more() {
    for record in [sample(), large_sample()] {
        let bytes = encode(&compressing().next(), &record);
        assert_eq!(plain().decode(&bytes), Err(Unreadable::Future));
    }
}

#[test]
fn a_format_that_was_given_up_is_not_read() {
    let newest = plain().next_but_one();
    assert_eq!(newest.decode(&encode(&plain(), &sample())), Err(Unreadable::Future));
    assert_eq!(newest.decode(&encode(&plain().next(), &sample())).unwrap(), sample());
    assert_eq!(newest.decode(&encode(&newest, &sample())).unwrap(), sample());
}

#[test]
fn a_format_that_is_changed_in_place_is_refused() {
    let mut bytes = encode(&plain(), &sample());
    bytes[4] = 2;
    assert_eq!(plain().next().decode(&bytes), Err(Unreadable::Checksum));
}
