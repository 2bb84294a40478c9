//! See `fuzz_checks::packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::packet(data));
