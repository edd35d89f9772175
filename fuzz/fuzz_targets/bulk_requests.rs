//! See [`kubecerts_fuzz::bulk_requests`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::bulk_requests(data));
