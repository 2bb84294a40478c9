//! See `fuzz_checks::flv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::flv(data));
