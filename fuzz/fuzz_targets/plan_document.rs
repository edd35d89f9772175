//! See [`kubecerts_fuzz::plan_document`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::plan_document(data));
