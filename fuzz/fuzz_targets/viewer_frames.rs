//! See `fuzz_checks::viewer_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_checks::viewer_frames(data));
