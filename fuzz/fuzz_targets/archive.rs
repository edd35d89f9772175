//! See [`kubecerts_fuzz::archive`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::archive(data));
