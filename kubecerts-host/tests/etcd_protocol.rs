//! The checked-in client of etcd's maintenance API is what its `.proto` says.
//!
//! Users build without a generator: `src/etcd/generated/` is checked in, and this test makes it anew and compares. To
//! take a change of `proto/etcdserverpb.proto` over:
//!
//! ```text
//! KUBECERTS_GENERATE=1 cargo test -p kubecerts-host --no-default-features --test etcd_protocol
//! ```
//!
//! Without the feature `etcd` it runs even when the client that is checked in cannot be compiled.

use std::fs;
use std::path::Path;

#[test]
fn the_generated_client_is_that_of_the_protocol() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["etcdserverpb.proto"], [package.join("proto")]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        // A blob is a part of the buffer that was received and not a copy of it.
        .bytes(".etcdserverpb.SnapshotResponse.blob")
        .out_dir(scratch.path())
        .compile_fds(descriptors)
        .unwrap();
    let made = fs::read_to_string(scratch.path().join("etcdserverpb.rs")).unwrap();
    let kept = package.join("src/etcd/generated/etcdserverpb.rs");
    if std::env::var_os("KUBECERTS_GENERATE").is_some() {
        fs::write(&kept, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&kept).is_ok_and(|kept| kept == made),
        "{} is not what the protocol says: run this test with KUBECERTS_GENERATE=1",
        kept.display()
    );
}
