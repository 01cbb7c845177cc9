//! Reads arbitrary bytes as an entry of a far store: the result is an entry within all limits, or
//! an error. Most generated inputs have a wrong checksum, so each is also read with a correct one.
#![no_main]

use fragcache::testing::check_record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check_record(bytes);
});
