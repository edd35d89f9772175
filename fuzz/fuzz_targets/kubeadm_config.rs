//! See [`kubecerts_fuzz::kubeadm_config`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kubecerts_fuzz::kubeadm_config(data));
