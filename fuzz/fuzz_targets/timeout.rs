//! Parses arbitrary text as a duration: the result is a positive duration, `del`, or an error with
//! advice.
#![no_main]

use fragcache_syntax::Timeout;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Timeout::parse(text) {
        Ok(Timeout::After(life)) => assert!(!life.is_zero()),
        Ok(timeout) => assert_eq!(timeout, Timeout::Delete),
        Err(error) => assert!(error.message().contains("write ")),
    }
});
