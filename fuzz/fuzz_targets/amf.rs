//! See `fuzz_checks::amf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::amf(data));
