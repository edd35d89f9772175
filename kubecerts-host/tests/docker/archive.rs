//! Archives of tar and the image that the tests run, made from a static busybox, which goes by the name that it is called.

use kubecerts_core::digest::Digest;
use serde_json::json;

/// Returns an image as `docker load` takes it, named `name`, in which `busybox` runs one of its programs.
pub(crate) fn image(name: &str, busybox: &[u8], arguments: &[&str]) -> Vec<u8> {
    let layer = tar(&[("bin/busybox", busybox)]);
    let digest: String = Digest::of(&layer).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let entrypoint: Vec<&str> = ["/bin/busybox"].into_iter().chain(arguments.iter().copied()).collect();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": entrypoint },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    tar(&[
        ("config.json", config.to_string().as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

/// Returns an archive of these files, each of which everybody may run.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000755\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, "00000000000\0");
        // The sum counts its own field as blanks.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

const BLOCK: usize = 512;
