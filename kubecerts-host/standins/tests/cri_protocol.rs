//! The checked-in client of the container runtime is what its `.proto` says.
//!
//! It is checked in so that those who use this package need not build a generator. To take a change of `proto/cri.proto`
//! over:
//!
//! ```text
//! KUBECERTS_GENERATE=1 cargo test -p kubecerts-standins --test cri_protocol
//! ```

use std::fs;
use std::path::Path;

#[test]
fn the_generated_client_is_that_of_the_protocol() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["cri.proto"], [package.join("proto")]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .btree_map(".")
        .out_dir(scratch.path())
        .compile_fds(descriptors)
        .unwrap();
    let made = fs::read_to_string(scratch.path().join("runtime.v1.rs")).unwrap();
    let kept = package.join("src/generated/runtime.v1.rs");
    if std::env::var_os("KUBECERTS_GENERATE").is_some() {
        fs::write(&kept, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&kept).is_ok_and(|kept| kept == made),
        "{} is not what the protocol says: run this test with KUBECERTS_GENERATE=1",
        kept.display()
    );
}
