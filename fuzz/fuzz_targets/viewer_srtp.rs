//! See `fuzz_checks::viewer_srtp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::viewer_srtp(data));
