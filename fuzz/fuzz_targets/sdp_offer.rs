//! See `fuzz_checks::sdp_offer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::sdp_offer(data));
