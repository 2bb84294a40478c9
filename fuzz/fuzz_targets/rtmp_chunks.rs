//! See `fuzz_checks::rtmp_chunks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::rtmp_chunks(data));
