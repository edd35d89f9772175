//! See [`kubecerts_fuzz::pem`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::pem(data));
