#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xr_fuzz::inventory(data));
