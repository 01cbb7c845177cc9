//! The entries of a far store: any bytes are an entry within all bounds, or refused. Most of what
//! the fuzzer makes has a wrong checksum, so it is looked at once more with a right one.
#![no_main]

use fragcache::testing::check_record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check_record(bytes);
});
