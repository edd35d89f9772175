//! The checked-in messages of the Container Runtime Interface are what its `.proto` says.
//!
//! Users build without a generator: `src/runtime/generated/` is checked in, and this test makes it anew and compares. To
//! take a change of `proto/cri.proto` over:
//!
//! ```text
//! KUBECERTS_GENERATE=1 cargo test -p kubecerts-host --no-default-features --test cri_protocol
//! ```
//!
//! Without the feature `live` it runs even when the messages that are checked in cannot be compiled.

use std::fs;
use std::path::Path;

#[test]
fn the_generated_messages_are_those_of_the_protocol() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["cri.proto"], [package.join("proto")]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        // A client would have the version of the API in its paths; which one it is, the runtime says.
        .build_client(false)
        .btree_map(".")
        .out_dir(scratch.path())
        .compile_fds(descriptors)
        .unwrap();
    let made = fs::read_to_string(scratch.path().join("runtime.v1.rs")).unwrap();
    let kept = package.join("src/runtime/generated/runtime.v1.rs");
    if std::env::var_os("KUBECERTS_GENERATE").is_some() {
        fs::write(&kept, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&kept).is_ok_and(|kept| kept == made),
        "{} is not what the protocol says: run this test with KUBECERTS_GENERATE=1",
        kept.display()
    );
}
