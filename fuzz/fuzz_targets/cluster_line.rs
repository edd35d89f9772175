//! See [`kubecerts_fuzz::cluster_line`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::cluster_line(data));
