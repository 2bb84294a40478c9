//! See `fuzz_checks::viewer_rtcp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::viewer_rtcp(data));
