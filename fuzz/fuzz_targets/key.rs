//! See [`kubecerts_fuzz::key`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::key(data));
