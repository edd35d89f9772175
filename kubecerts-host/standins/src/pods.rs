//! Static pods made by hand, for tests that need no kubelet.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cri::Cri;
use crate::pod::{Pod, Site, host_path};
use crate::{Containerd, containerd};

/// Makes static pods as a kubelet makes them, but makes none anew when it is gone.
#[derive(Debug)]
pub struct Pods {
    cri: Cri,
    site: Site,
}

/// A pod that was started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StartedPod {
    /// The id of its sandbox.
    pub sandbox: String,
    /// The ids of its containers, in the order of the manifest.
    pub containers: Vec<String>,
    /// The pod's name, such as `kube-apiserver-cp-1`.
    pub name: String,
    /// The hash of its manifest.
    pub uid: String,
}

impl Pods {
    /// Returns what makes pods for the node called `node`, whose volumes lie below `root` instead of `/`.
    #[must_use]
    pub fn new(containerd: &Containerd, node: &str, root: &Path) -> Self {
        Self { cri: Cri::new(&containerd.socket()), site: Site::new(&containerd.socket(), node, root) }
    }

    /// Starts the pod of a manifest. One of the same manifest may run or linger already.
    ///
    /// # Panics
    /// When the manifest is none of a pod, or the runtime refuses.
    pub fn start(&self, manifest: &[u8]) -> StartedPod {
        let pod = Pod::parse(manifest, &self.site.node).expect("the manifest is one of a pod");
        let listed = self.cri.sandboxes().unwrap_or_else(|error| panic!("{error}"));
        let attempts = listed.iter().filter_map(|sandbox| sandbox.metadata.as_ref());
        let attempts = attempts.filter(|known| known.uid == pod.uid).map(|known| known.attempt + 1);
        let attempt = attempts.max().unwrap_or(0);
        pod.prepare(&self.site).unwrap_or_else(|error| panic!("{}: {error}", pod.name));
        let config = pod.sandbox(&self.site, attempt);
        let sandbox = self.cri.run_sandbox(config.clone()).unwrap_or_else(|error| panic!("{error}"));
        let containers = pod.manifest.spec.containers.iter().map(|program| {
            let container = pod.container(program, &self.site, attempt);
            let started = self.cri.run_container(&sandbox, container, config.clone());
            started.unwrap_or_else(|error| panic!("{error}"))
        });
        let containers = containers.collect();
        StartedPod { sandbox, containers, name: pod.name, uid: pod.uid }
    }

    /// Kills a pod, which then lingers in the runtime's list.
    ///
    /// # Panics
    /// When the runtime refuses.
    pub fn stop(&self, sandbox: &str) {
        self.cri.stop_sandbox(sandbox).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Removes a pod, killing it first if it runs.
    ///
    /// # Panics
    /// When the runtime refuses.
    pub fn remove(&self, sandbox: &str) {
        self.cri.remove_sandbox(sandbox).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Returns the ids of the sandboxes that run.
    ///
    /// # Panics
    /// When the runtime does not answer.
    #[must_use]
    pub fn ready(&self) -> Vec<String> {
        let listed = self.cri.sandboxes().unwrap_or_else(|error| panic!("{error}"));
        listed.into_iter().filter(|sandbox| sandbox.is_ready()).map(|sandbox| sandbox.id).collect()
    }

    /// Returns the ids of the containers that run, each after that of its sandbox.
    ///
    /// # Panics
    /// When the runtime does not answer.
    #[must_use]
    pub fn running(&self) -> Vec<(String, String)> {
        let listed = self.cri.containers().unwrap_or_else(|error| panic!("{error}"));
        let running = listed.into_iter().filter(|container| container.is_running());
        running.map(|container| (container.pod_sandbox_id, container.id)).collect()
    }
}

impl Site {
    /// Returns what the pods of a node have in common when the runtime at `socket` runs them.
    pub(crate) fn new(socket: &Path, node: &str, root: &Path) -> Self {
        let logs = socket.parent().unwrap_or(Path::new("/var/log")).join("pods");
        let control_group = containerd::control_group(socket);
        Self { node: node.to_owned(), root: root.to_owned(), logs, control_group }
    }
}

impl Pod {
    /// Makes the directories and files that the runtime expects, or that a volume has made when it is missing.
    pub(crate) fn prepare(&self, site: &Site) -> Result<(), String> {
        let failed = |path: PathBuf, error| format!("cannot make {}: {error}", path.display());
        for program in &self.manifest.spec.containers {
            let logs = self.log_directory(site).join(&program.name);
            fs::create_dir_all(&logs).map_err(|error| failed(logs, error))?;
        }
        for source in self.manifest.spec.volumes.iter().filter_map(|volume| volume.host_path.as_ref()) {
            let path = host_path(Path::new(&source.path), &site.root);
            let made = match source.kind.as_str() {
                "" => Ok(()),
                "DirectoryOrCreate" => fs::create_dir_all(&path),
                "FileOrCreate" => fs::OpenOptions::new().append(true).create(true).open(&path).map(drop),
                _ => fs::metadata(&path).map(drop),
            };
            made.map_err(|error| failed(path, error))?;
        }
        Ok(())
    }
}
