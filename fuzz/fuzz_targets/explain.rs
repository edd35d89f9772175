//! See [`kubecerts_fuzz::explain`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::explain(data));
