//! Whole nodes that run: a real containerd, a real etcd, stand-ins for the rest, on kubeadm's paths and ports.
//!
//! Each test starts itself anew in namespaces of its own, with file systems of its own over the directories of Kubernetes: see
//! [`boxed`]. What of a machine that needs is missing is told as `SKIPPED live: …`, and what was seen as `live: …`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stderr, reason = "a skipped test says so, and the others what they saw")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests start programs, wait for them and look at files"
)]

mod boxed;
mod failures;
mod manifests;
mod node;
mod recover;
mod renew;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod support;
