//! Backups, copies for other programs, and trees of another layout.

use std::collections::BTreeSet;

use super::{Area, Budget, Look, Wanted, path};
use crate::kubeconfig::Kubeconfig;
use crate::path::TreePath;
use crate::snapshot::{FileContent, FileState};

/// Looks into the usual places, into `backups`, and at `kubeconfigs`.
pub(super) fn look(look: &mut Look<'_>, backups: &[TreePath], kubeconfigs: &[TreePath]) {
    homes(look, kubeconfigs);
    for directory in OTHER_LAYOUTS {
        tree(look, Area::OtherLayout, &path(directory), LAYOUT_DEPTH);
    }
    for directory in COPIES {
        tree(look, Area::Copies, &path(directory), COPIES_DEPTH);
    }
    beside_the_tree(look);
    for directory in backups {
        own_backups(look, directory);
    }
}

/// Reads the kubeconfigs in homes and those that the caller knows of.
fn homes(look: &mut Look<'_>, kubeconfigs: &[TreePath]) {
    let mut homes = vec![path("/root")];
    homes.extend(look.reader.list(&path("/home")));
    let mut budget = Budget::new(MOST_FILES, MOST_HOMES);
    let mut found: Vec<TreePath> = kubeconfigs.to_vec();
    for home in &homes {
        let Ok(directory) = home.join(".kube") else { continue };
        found.extend(look.list(&directory, &mut budget));
    }
    for file in found {
        let backup = looks_like_backup(file.file_name());
        if !backup && !may_be_kubeconfig(file.file_name()) && !kubeconfigs.contains(&file) {
            continue;
        }
        let Some(state) = look.read(&file, &mut budget) else { continue };
        if backup {
            keep(look, Area::Backup, file, state);
        } else if holds_kubeconfig(&state) {
            look.snapshot.insert_copy(file, state);
        }
    }
    for referred in look.snapshot.references() {
        let state = look.reader.read(&referred);
        look.snapshot.insert_reference(referred, state);
    }
    look.note(&path("/home"), &budget);
}

/// Reads what lies beside the directories of the tree: `pki.bak`, `backup`, `old-2024`, `admin.conf.old`, `/etc/kubernetes.old`.
fn beside_the_tree(look: &mut Look<'_>) {
    let directories = look.snapshot.node().directories().clone();
    let above = directories.kubeconfigs.parent();
    let tops: BTreeSet<TreePath> = [path("/etc"), above].into();
    let name = directories.kubeconfigs.file_name().to_owned();
    let mut budget = Budget::new(MOST_FILES, MOST_LISTS);
    for top in tops {
        for entry in look.list(&top, &mut budget) {
            let is_sibling = [name.as_str(), "kubernetes"].into_iter().any(|name| {
                entry.file_name() != name && !name.is_empty() && entry.file_name().contains(name)
            });
            if is_sibling {
                tree(look, Area::Backup, &entry, BACKUP_DEPTH);
            }
        }
    }
    let default = path("/etc/kubernetes");
    for directory in BTreeSet::from([directories.kubeconfigs, default.clone()]) {
        for entry in look.list(&directory, &mut budget) {
            let own = [&directories.certificates, &directories.manifests].contains(&&entry);
            // `pki` and `ssl` have been looked at as layouts.
            if own || OTHER_LAYOUTS.contains(&entry.as_str()) {
                continue;
            }
            let area = if looks_like_backup(entry.file_name()) { Area::Backup } else { Area::Copies };
            if let Wanted::File = wanted(&entry) {
                match look.read(&entry, &mut budget) {
                    Some(state) if !super::is_directory(&state) => {
                        keep(look, area, entry, state);
                        continue;
                    }
                    None if look.known.contains(&entry) => continue,
                    Some(_) | None => {}
                }
            }
            tree(look, area, &entry, BACKUP_DEPTH);
        }
    }
    // Copies of single files: `apiserver.crt.old` beside `apiserver.crt`.
    let certificates = directories.certificates;
    if !OTHER_LAYOUTS.contains(&certificates.as_str()) {
        tree(look, Area::OtherLayout, &certificates, LAYOUT_DEPTH);
    }
    look.note(&default, &budget);
}

/// Reads the backups in a directory of this program's own, `backups/ID/files/…`, the latest first.
fn own_backups(look: &mut Look<'_>, directory: &TreePath) {
    let mut budget = Budget::new(MOST_FILES, MOST_LISTS);
    for backup in look.list(directory, &mut budget).into_iter().rev() {
        let mut found = |look: &mut Look<'_>, path, state| keep(look, Area::Backup, path, state);
        look.walk(&backup, OWN_DEPTH, &mut budget, &wanted, &mut found);
    }
    look.note(directory, &budget);
}

/// Reads the certificates and kubeconfigs below `directory`.
fn tree(look: &mut Look<'_>, area: Area, directory: &TreePath, depth: usize) {
    let mut budget = Budget::new(MOST_FILES, MOST_LISTS);
    let mut found = |look: &mut Look<'_>, path: TreePath, state| {
        let is_backup = path.below(directory).is_some_and(|below| below.split('/').any(looks_like_backup));
        keep(look, if is_backup { Area::Backup } else { area }, path, state);
    };
    look.walk(directory, depth, &mut budget, &wanted, &mut found);
    look.note(directory, &budget);
}

/// Keeps a file that holds certificates, in PEM or in a kubeconfig.
fn keep(look: &mut Look<'_>, area: Area, path: TreePath, state: FileState) {
    let bytes = state.content().map_or(&[][..], FileContent::secret_bytes);
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    if holds(b"-----BEGIN CERTIFICATE-----")
        || holds(b"certificate-data:")
        || holds(b"\"client-certificate-data\"")
        || holds(b"certificate-authority-data")
    {
        look.add(area, path, state);
    }
}

fn holds_kubeconfig(state: &FileState) -> bool {
    let parsed = state.content().and_then(|content| Kubeconfig::parse(content.secret_bytes()).ok());
    parsed.is_some_and(|kubeconfig| kubeconfig.current().is_ok())
}

/// Decides by its name whether an entry may be a certificate or a kubeconfig. Files with keys alone are left alone.
fn wanted(path: &TreePath) -> Wanted {
    let name = path.file_name();
    let is_key = name.ends_with(".key") || name.ends_with("-key.pem") || name.contains(".key.");
    let is_data = NEVER.into_iter().any(|end| name.ends_with(end));
    if is_key || is_data || name == "manifests" {
        return Wanted::Nothing;
    }
    let ends = [".crt", ".pem", ".cer", ".cert", ".conf", ".kubeconfig", "kubeconfig", ".config"];
    let may_be = ends.into_iter().any(|end| name.ends_with(end) || name.contains(&format!("{end}.")));
    if may_be || (looks_like_backup(name) && name.contains('.')) { Wanted::File } else { Wanted::Directory }
}

fn may_be_kubeconfig(name: &str) -> bool {
    let ends = [".conf", ".config", ".kubeconfig", ".yaml", ".yml"];
    name.starts_with("config")
        || name.contains("kubeconfig")
        || ends.into_iter().any(|end| name.ends_with(end))
}

/// Returns whether people give such a name to what they put aside.
fn looks_like_backup(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let is_word = |word: &str| {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        BACKUP_WORDS.contains(&stem) || word.starts_with("backup")
    };
    // A year in a name: `pki-20240131`, `pki.2024-01-31`.
    let is_date = |word: &str| {
        word.len() >= 4 && word.starts_with("20") && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.ends_with('~') || words.into_iter().any(|word| is_word(word) || is_date(word))
}

/// The words of such names.
const BACKUP_WORDS: [&str; 14] = [
    "bak", "bk", "bkp", "old", "orig", "original", "save", "saved", "tmp", "temp", "prev", "previous",
    "expired", "archive",
];

/// Where kubeadm, kubespray, KubeKey and minikube keep a tree.
const OTHER_LAYOUTS: [&str; 6] = [
    "/etc/kubernetes/pki",
    "/etc/kubernetes/ssl",
    "/etc/ssl/etcd",
    "/etc/etcd/pki",
    "/etc/etcd/ssl",
    "/var/lib/minikube/certs",
];

/// Where other programs keep copies: networks, monitoring, backups of etcd.
const COPIES: [&str; 6] = [
    "/etc/cni/net.d",
    "/etc/calico",
    "/etc/cilium",
    "/etc/prometheus",
    "/etc/etcd-backup",
    "/var/lib/etcd-secrets",
];

/// Ends of names behind which there is no certificate, though a backup of etcd may lie beside one.
const NEVER: [&str; 8] = [".db", ".gz", ".tar", ".tgz", ".zip", ".wal", ".snap", ".log"];

/// `etcd` and `ssl` within it.
const LAYOUT_DEPTH: usize = 2;

/// `/etc/calico/certs`.
const COPIES_DEPTH: usize = 2;

/// `/etc/kubernetes/tmp/kubeadm-backup-…/pki/etcd`.
const BACKUP_DEPTH: usize = 4;

/// `ID/files/etc/kubernetes/pki/etcd`.
const OWN_DEPTH: usize = 6;

/// A tree has some forty files, so several copies fit.
const MOST_FILES: usize = 256;

/// A tree has some ten directories.
const MOST_LISTS: usize = 256;

/// Users with a home on a control-plane node.
const MOST_HOMES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_backups_are_known() {
        for name in [
            "pki.bak",
            "pki.old",
            "backup",
            "backup-2024",
            "old-pki",
            "admin.conf.bak",
            "pki-20240131",
            "tmp",
            "pki.2024-01-31",
            "config~",
            "kubernetes.old-1",
            "PKI_BACKUP",
            "pki.bak2",
            "kubeadm-backup-etcd-2024-01-31",
        ] {
            assert!(looks_like_backup(name), "{name}");
        }
        for name in [
            "pki",
            "ssl",
            "config",
            "golden",
            "apiserver.crt",
            "node-2",
            "addons",
            "holder.conf",
            "etcd-192.168.20.2",
        ] {
            assert!(!looks_like_backup(name), "{name}");
        }
    }

    #[test]
    fn keys_and_data_are_left_alone() {
        for name in ["ca.key", "etcd-key.pem", "snapshot.db", "apiserver.key.bak"] {
            assert!(matches!(wanted(&path(&format!("/x/{name}"))), Wanted::Nothing), "{name}");
        }
        for name in ["ca.crt", "ca.pem", "admin.conf.bak", "apiserver.crt.2024", "10-calico.conflist.bak"] {
            assert!(matches!(wanted(&path(&format!("/x/{name}"))), Wanted::File), "{name}");
        }
        assert!(matches!(wanted(&path("/x/etcd")), Wanted::Directory));
    }
}
