//! See [`kubecerts_fuzz::kubeconfig`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::kubeconfig(data));
