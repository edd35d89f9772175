//! Container images out of a single static program, made without any tool and without a network.
//!
//! The archive is an OCI layout, which `ctr images import` takes, and holds the `manifest.json` of `docker save` too, which
//! is all that Docker 20.10 understands.

use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::archive::Archive;
use crate::{Parts, Suite};

/// The name of the image with which containerd and kubelets make sandboxes.
pub const PAUSE: &str = "registry.k8s.io/pause:3.9";

/// An image that holds one static program under several names. It has no name itself: see [`Image::archive`].
#[derive(Clone, Debug)]
pub struct Image {
    program: PathBuf,
    path: &'static str,
    links: &'static [&'static str],
    pause: &'static [&'static str],
}

impl Image {
    /// Returns the image of the test server, whose program is named by the variable `KUBECERTS_STANDIN_SERVER`.
    ///
    /// The program is found under the names of all components of the control plane, so that the commands of
    /// kubeadm's manifests start it.
    ///
    /// # Errors
    /// The reason why a test that needs it is skipped.
    pub fn of_server() -> Result<Self, String> {
        let program = env::var_os("KUBECERTS_STANDIN_SERVER").map(PathBuf::from);
        let program = program.ok_or("KUBECERTS_STANDIN_SERVER does not name the program standin-server")?;
        if !program.is_file() {
            return Err(format!("{} is not a file: build standin-server", program.display()));
        }
        Ok(Self {
            program,
            path: "usr/local/bin/standin-server",
            links: &[
                "usr/local/bin/etcd",
                "usr/local/bin/kube-apiserver",
                "usr/local/bin/kube-controller-manager",
                "usr/local/bin/kube-scheduler",
            ],
            pause: &["/usr/local/bin/standin-server", "pause"],
        })
    }

    /// Returns the image of busybox, as `/bin/sh` and `/bin/sleep`.
    #[must_use]
    pub fn of_busybox(parts: &Parts) -> Self {
        Self {
            program: parts.program(Suite::Bookworm, "busybox"),
            path: "bin/busybox",
            links: &["bin/sh", "bin/sleep"],
            // As the first process of its namespace it ignores SIGTERM, but runtimes kill a sandbox at once.
            pause: &["/bin/sleep", "2147483647"],
        }
    }

    /// Returns the image under `name`, such as `registry.k8s.io/kube-apiserver:v1.36.2`, as an archive.
    ///
    /// Without a command it does nothing until it is stopped, so that it serves as [`PAUSE`] too.
    ///
    /// # Panics
    /// When the program cannot be read.
    #[must_use]
    pub fn archive(&self, name: &str) -> Vec<u8> {
        let (layer, config) = (self.layer(), "application/vnd.oci.image.config.v1+json");
        let settings = bytes(&json!({
            "created": "1970-01-01T00:00:00Z", "architecture": architecture(), "os": "linux",
            "config": {"Entrypoint": self.pause, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "kubecerts-standins"}],
        }));
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = bytes(&json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": descriptor(config, &settings),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }));
        let mut entry = descriptor(manifest_type, &manifest);
        entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
        entry["annotations"] = json!({
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rsplit(':').next(),
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
        });
        let docker = json!([{"Config": blob(&settings), "RepoTags": [name], "Layers": [blob(&layer)]}]);

        let mut archive = Archive::default();
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        archive.file("index.json", &bytes(&index));
        archive.file("manifest.json", &bytes(&docker));
        archive.directory("blobs");
        archive.directory("blobs/sha256");
        for content in [&settings, &layer, &manifest] {
            archive.file(&blob(content), content);
        }
        archive.into_bytes()
    }

    fn layer(&self) -> Vec<u8> {
        let program = fs::read(&self.program);
        let program = program.unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let mut layer = Archive::default();
        for directory in
            ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "usr/local", "usr/local/bin", "var"]
        {
            layer.directory(directory);
        }
        layer.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n");
        layer.program(self.path, &program);
        let own = Path::new(self.path).file_name().and_then(|name| name.to_str());
        for link in self.links {
            layer.link(link, own.expect("the path of a program ends in its name"));
        }
        layer.into_bytes()
    }
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(content))
}

/// Returns the path of the blob with `content` in the archive.
fn blob(content: &[u8]) -> String {
    format!("blobs/sha256/{}", hex(content))
}

/// Returns the SHA-256 digest of `content` in hexadecimal digits.
pub(crate) fn hex(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Returns the machine's architecture as Go calls it.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
