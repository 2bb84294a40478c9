//! See `fuzz_checks::redis`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::redis(data));
