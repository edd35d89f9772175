//! The kubelet's own certificates, and what it asks for a new one with.

use super::{Area, Budget, Look};

/// Reads the dated files beside `kubelet-client-current.pem`, the newest first, and `bootstrap-kubelet.conf`.
pub(super) fn look(look: &mut Look<'_>) {
    let directories = look.snapshot.node().directories().clone();
    let mut budget = Budget::new(MOST_ROTATIONS, 1);
    if let Ok(pki) = directories.kubelet.join("pki") {
        let entries = look.list(&pki, &mut budget);
        let dated = entries.into_iter().filter(|path| is_dated(path.file_name()));
        // The name is the time, so the newest is the last one.
        for path in dated.rev() {
            // What the current one points to is read again: here it is asked which of them it is.
            if !budget.may_read() {
                break;
            }
            let state = look.reader.read(&path);
            look.known.insert(path.clone());
            look.add(Area::KubeletCertificate, path, state);
        }
        look.note(&pki, &budget);
    }
    if let Ok(bootstrap) = directories.kubeconfigs.join("bootstrap-kubelet.conf") {
        let state = look.reader.read(&bootstrap);
        look.add(Area::Bootstrap, bootstrap, state);
    }
}

/// Returns whether it is the name of a pair that the kubelet has written (`client-go/util/certificate/certificate_store.go`,
/// `Update`): `kubelet-client-2026-01-31-12-00-00.pem`.
fn is_dated(name: &str) -> bool {
    let stamp = name.strip_prefix("kubelet-client-").and_then(|rest| rest.strip_suffix(".pem"));
    stamp.is_some_and(|stamp| stamp.starts_with(|c: char| c.is_ascii_digit()))
}

/// The kubelet leaves one file with each rotation, about one a year; what is older than the newest of these says nothing.
const MOST_ROTATIONS: usize = 64;
