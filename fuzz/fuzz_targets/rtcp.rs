//! See `fuzz_checks::rtcp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::rtcp(data));
