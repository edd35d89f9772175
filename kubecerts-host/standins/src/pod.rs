//! A static pod as the container runtime sees it: the names, labels and annotations that a kubelet gives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cri::{
    ContainerConfig, ContainerMetadata, ImageSpec, KeyValue, LinuxContainerConfig, LinuxContainerResources,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, Mount, NamespaceMode,
    NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
};
use crate::image::hex;
use crate::manifest::{Manifest, Program};

pub(crate) const LABEL_UID: &str = "io.kubernetes.pod.uid";
pub(crate) const LABEL_CONTAINER: &str = "io.kubernetes.container.name";
const ANNOTATION_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// A static pod of a node.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// The manifest's name and the node's: `kube-apiserver-cp-1`.
    pub(crate) name: String,
    /// The hash of the manifest, 32 hexadecimal digits.
    pub(crate) uid: String,
    pub(crate) manifest: Manifest,
}

/// What all pods of a node have in common.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The name of the node.
    pub(crate) node: String,
    /// The directory that stands for `/` in the paths of volumes.
    pub(crate) root: PathBuf,
    /// The directory of the containers' logs.
    pub(crate) logs: PathBuf,
    /// The control group of all pods.
    pub(crate) control_group: String,
}

impl Pod {
    /// Reads the pod that a manifest makes on the node called `node`.
    pub(crate) fn parse(bytes: &[u8], node: &str) -> Result<Self, String> {
        let manifest = Manifest::parse(bytes)?;
        let uid = hex(&[node.as_bytes(), b"\0", bytes].concat())[..32].to_owned();
        Ok(Self { name: format!("{}-{node}", manifest.metadata.name), uid, manifest })
    }

    /// Returns what the runtime is told to make the pod's sandbox for the `attempt`th time, counted from 0.
    pub(crate) fn sandbox(&self, site: &Site, attempt: u32) -> PodSandboxConfig {
        let metadata = &self.manifest.metadata;
        let mut labels = self.labels();
        labels.extend(metadata.labels.clone());
        let mut annotations = BTreeMap::from([
            ("kubernetes.io/config.hash".to_owned(), self.uid.clone()),
            ("kubernetes.io/config.seen".to_owned(), "2026-01-01T00:00:00.000000000Z".to_owned()),
            ("kubernetes.io/config.source".to_owned(), "file".to_owned()),
        ]);
        annotations.extend(metadata.annotations.clone());
        let group = format!("/{}/burstable/pod{}", site.control_group, self.uid);
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.clone(),
                uid: self.uid.clone(),
                namespace: metadata.namespace.clone(),
                attempt,
            }),
            log_directory: self.log_directory(site).display().to_string(),
            labels,
            annotations,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: group,
                security_context: Some(LinuxSandboxSecurityContext { namespace_options: Some(namespaces()) }),
            }),
        }
    }

    /// Returns what the runtime is told to make the container of `program` for the `attempt`th time.
    pub(crate) fn container(&self, program: &Program, site: &Site, attempt: u32) -> ContainerConfig {
        let mut labels = self.labels();
        labels.insert(LABEL_CONTAINER.to_owned(), program.name.clone());
        let grace = self.manifest.spec.termination_grace_period_seconds;
        let annotations = BTreeMap::from([
            ("io.kubernetes.container.hash".to_owned(), hex(program.image.as_bytes())[..8].to_owned()),
            ("io.kubernetes.container.restartCount".to_owned(), attempt.to_string()),
            (ANNOTATION_GRACE.to_owned(), grace.to_string()),
        ]);
        let envs = program.env.iter();
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: program.name.clone(), attempt }),
            image: Some(ImageSpec { image: program.image.clone() }),
            command: program.command.clone(),
            args: program.args.clone(),
            envs: envs.map(|one| KeyValue { key: one.name.clone(), value: one.value.clone() }).collect(),
            mounts: self.mounts(program, site),
            labels,
            annotations,
            log_path: format!("{}/{attempt}.log", program.name),
            linux: Some(LinuxContainerConfig {
                resources: Some(LinuxContainerResources { cpu_shares: 256 }),
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(namespaces()),
                }),
            }),
        }
    }

    /// Returns the directory of the logs of the pod's containers.
    pub(crate) fn log_directory(&self, site: &Site) -> PathBuf {
        site.logs.join(format!("{}_{}_{}", self.manifest.metadata.namespace, self.name, self.uid))
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        BTreeMap::from([
            label("io.kubernetes.pod.name", &self.name),
            label("io.kubernetes.pod.namespace", &self.manifest.metadata.namespace),
            label(LABEL_UID, &self.uid),
        ])
    }

    fn mounts(&self, program: &Program, site: &Site) -> Vec<Mount> {
        let mounted = program.volume_mounts.iter().filter_map(|mount| {
            let volume = self.manifest.spec.volumes.iter().find(|volume| volume.name == mount.name)?;
            let path = host_path(Path::new(&volume.host_path.as_ref()?.path), &site.root);
            Some(Mount {
                container_path: mount.mount_path.clone(),
                host_path: path.display().to_string(),
                readonly: mount.read_only,
            })
        });
        mounted.collect()
    }
}

/// Returns how long a container is given to end, which is still known when its manifest is gone.
pub(crate) fn grace(annotations: &BTreeMap<String, String>) -> Duration {
    let seconds = annotations.get(ANNOTATION_GRACE).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

/// Returns where `path`, as a manifest or a kubeconfig names it, lies when `root` stands for `/`.
pub(crate) fn host_path(path: &Path, root: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Static pods of a control plane share the node's network.
fn namespaces() -> NamespaceOption {
    NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ipc: NamespaceMode::Pod.into(),
    }
}
