//! See `fuzz_checks::media_port`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::media_port(data));
