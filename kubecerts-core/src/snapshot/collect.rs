//! The order in which a node's files are read.
//!
//! The reading itself is the caller's: `kubecerts-host` reads a disk, tests read memory. So both look at the same files
//! in the same order.

use std::collections::BTreeMap;

use super::locate::is_manifest;
use super::{Arguments, FileState, Snapshot, Sources, around, locate, manifests_directory};
use crate::catalog::Directories;
use crate::path::TreePath;

/// Something that holds files under a root.
pub trait TreeReader {
    /// Returns what is at `path`, following links.
    fn read(&mut self, path: &TreePath) -> FileState;

    /// Returns the entries of the directory `path`, sorted; none when it cannot be listed.
    fn list(&mut self, path: &TreePath) -> Vec<TreePath>;
}

/// What to look for, and what is known beforehand.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ScanRequest {
    /// What the caller says explicitly.
    pub arguments: Arguments,
    /// The kubeadm configuration, already read, as it need not lie under the root.
    pub kubeadm_config: Option<(TreePath, FileState)>,
    /// The host's own name; `None` when another machine's disk is read.
    pub hostname: Option<String>,
    /// Whether to look around the tree as well, for what a diagnosis of the whole node needs: backups, copies, timers and
    /// what pods were given. That reads many more files, so it is not done by default.
    pub surroundings: bool,
    /// Directories with backups beside the usual ones, such as those of `kubecerts` itself; only for the surroundings.
    pub backups: Vec<TreePath>,
    /// Kubeconfigs beside the usual ones, such as those that `KUBECONFIG` names; only for the surroundings.
    pub kubeconfigs: Vec<TreePath>,
}

/// Reads every file of the node that `reader` gives access to. This cannot fail: what cannot be read is so noted.
pub fn collect(reader: &mut dyn TreeReader, request: ScanRequest) -> Snapshot {
    let ScanRequest { arguments, kubeadm_config, hostname, surroundings, backups, kubeconfigs } = request;
    let kubelet_directory = arguments.kubelet.clone().unwrap_or_else(|| Directories::default().kubelet);
    let mut read_kubelet = |name| {
        let path = kubelet_directory.join(name).ok()?;
        let state = reader.read(&path);
        Some((path, state))
    };
    let kubelet_config = read_kubelet("config.yaml");
    let kubelet_flags = read_kubelet("kubeadm-flags.env");
    let kubelet_instance = read_kubelet("instance-config.yaml");
    let manifests = manifests_directory(&arguments, kubelet_config.as_ref().map(|(_, state)| state));
    let manifests: BTreeMap<TreePath, FileState> = reader
        .list(&manifests)
        .into_iter()
        .filter(is_manifest)
        .map(|path| {
            let state = reader.read(&path);
            (path, state)
        })
        .collect();
    let node = locate(&Sources {
        arguments,
        manifests,
        kubelet_config,
        kubelet_flags,
        kubelet_instance,
        kubeadm_config,
        hostname,
    });

    let mut snapshot = Snapshot::new(node);
    let located: Vec<_> =
        snapshot.layout().iter().map(|(file, located)| (file, located.path.clone())).collect();
    for (file, path) in located {
        let state = reader.read(&path);
        snapshot.insert(file, state);
    }
    for path in possible_copies(reader, &snapshot) {
        let state = reader.read(&path);
        if !matches!(state, FileState::Absent) {
            snapshot.insert_copy(path, state);
        }
    }
    for path in snapshot.references() {
        let state = reader.read(&path);
        snapshot.insert_reference(path, state);
    }
    if surroundings {
        around::look(reader, &mut snapshot, &backups, &kubeconfigs);
    }
    snapshot
}

/// Returns where copies of kubeconfigs are kept as a rule: homes, and beside the originals.
fn possible_copies(reader: &mut dyn TreeReader, snapshot: &Snapshot) -> Vec<TreePath> {
    let path = |text| TreePath::parse(text).expect("the text is an absolute path");
    let mut homes = vec![path("/root")];
    homes.extend(reader.list(&path("/home")));
    let in_homes = homes.iter().filter_map(|home| home.join(".kube/config").ok());
    let beside = reader.list(&snapshot.node().directories().kubeconfigs);
    let beside = beside.into_iter().filter(|path| path.as_str().ends_with(".conf"));
    in_homes.chain(beside).filter(|path| snapshot.layout().slot_of(path).is_none()).collect()
}
