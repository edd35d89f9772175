//! What pods were given to reach the API server.

use super::{Area, Budget, Look};

/// Reads `ca.crt` and `token` of a sample of the pods on this node.
///
/// The kubelet keeps them in `pods/UID/volumes/kubernetes.io~projected/VOLUME` (`pkg/volume/projected/projected.go`); each is a link
/// over `..data` to a directory with a time in its name (`pkg/volume/util/atomic_writer.go`).
pub(super) fn look(look: &mut Look<'_>) {
    // Tokens by keys that are not on this node cannot be judged, so nobody needs to read them.
    let names: &[&str] = match look.snapshot.node().programs().has_other_token_keys {
        true => &["ca.crt"],
        false => &["ca.crt", "token"],
    };
    let Ok(directory) = look.snapshot.node().directories().kubelet.join("pods") else { return };
    let mut budget = Budget::new(MOST_PODS * MOST_VOLUMES * 2, MOST_PODS + 1);
    let pods = look.list(&directory, &mut budget);
    // The names are random, so any of them are a fair sample.
    let step = pods.len().div_ceil(MOST_PODS).max(1);
    for pod in pods.iter().step_by(step) {
        let Ok(volumes) = pod.join("volumes/kubernetes.io~projected") else { continue };
        for volume in look.list(&volumes, &mut budget).into_iter().take(MOST_VOLUMES) {
            for name in names {
                let Ok(path) = volume.join(name) else { continue };
                if let Some(state) = look.read(&path, &mut budget) {
                    look.add(Area::PodVolume, path, state);
                }
            }
        }
    }
    if step > 1 {
        budget.is_exceeded = true;
    }
    look.note(&directory, &budget);
}

/// A kubelet runs 110 pods by default; what is wrong with the authority is wrong with all of them, so a sample does.
const MOST_PODS: usize = 64;

/// A pod has one volume with a token as a rule; meshes and secret stores add one or two.
const MOST_VOLUMES: usize = 4;
