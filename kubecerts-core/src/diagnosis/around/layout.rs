//! A second tree, which nothing reads.

use std::collections::BTreeMap;

use crate::catalog::{Directories, FileSlot, LeafSlot, PathSource, Slot};
use crate::diagnosis::checks::Context;
use crate::diagnosis::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::inventory::{FoundCertificates, FoundKind};
use crate::path::TreePath;

/// `layout-mismatch`
pub(super) fn other_layouts(context: &Context<'_>, out: &mut Vec<Finding>) {
    let mut directories: BTreeMap<TreePath, (Vec<LeafSlot>, Vec<TreePath>)> = BTreeMap::new();
    for found in &context.inventory.surroundings().certificates {
        if let Some((directory, leaf)) = findings(context, found) {
            let (leaves, files) = directories.entry(directory).or_default();
            leaves.push(leaf);
            files.push(found.file.path.clone());
        }
    }
    for (directory, (mut leaves, files)) in directories {
        leaves.sort_unstable();
        let layout = context.inventory.node().layout();
        let Some(read) = leaves.first().map(|leaf| layout.path(FileSlot::LeafCertificate(*leaf))) else {
            continue;
        };
        let names: Vec<String> = leaves.iter().map(ToString::to_string).collect();
        out.push(Finding {
            severity: Severity::Warning,
            place: None,
            code: FindingCode::LayoutMismatch,
            impact: Impact::None,
            path: Some(directory.clone()),
            message: format!(
                "{directory} holds certificates that nothing refers to ({}): the components read {read}",
                names.join(", ")
            ),
            remedy: match is_in_use(context, &directory) {
                true => Remedy::MoveFilesAway(files),
                false => Remedy::MoveAway(directory.clone()),
            },
        });
    }
}

/// Returns whether anything below `directory` is what a program of this node reads.
fn is_in_use(context: &Context<'_>, directory: &TreePath) -> bool {
    let inventory = context.inventory;
    let node = inventory.node();
    let of_tree = FileSlot::all().map(|file| inventory.file(file)).filter(|facts| facts.exists);
    let referred = inventory
        .credentials()
        .filter(|(place, _)| place.slot().is_some())
        .flat_map(|(_, credential)| [credential.certificate_file(), credential.key_file()])
        .filter(|facts| facts.exists);
    let mut paths = of_tree
        .chain(referred)
        .map(|facts| &facts.path)
        .chain(node.trust_files().iter().map(|file| &file.path))
        .chain(inventory.named_files().iter().filter_map(|named| named.flag.path.as_ref()))
        .chain(inventory.token_keys().iter().map(|key| &key.file.path));
    paths.any(|path| path.below(directory).is_some())
}

/// Returns the directory of another layout that a file lies in, and which leaf it is there, when that is worth a finding.
///
/// In kubeadm's own directory any file that nothing refers to is, because that is where people and programs look. In others it is
/// one that differs from what the components read.
pub(super) fn findings(context: &Context<'_>, found: &FoundCertificates) -> Option<(TreePath, LeafSlot)> {
    if found.kind != FoundKind::OtherLayout {
        return None;
    }
    let path = found.file.path.as_str();
    // `etcd/server` and `server` would both fit, and the longer one says more.
    let (leaf, directory) = LeafSlot::ALL.into_iter().find_map(|leaf| {
        let directory = path.strip_suffix(&format!("/{}.crt", leaf.base_name()))?;
        Some((leaf, TreePath::parse(directory).ok()?))
    })?;
    let located = context.inventory.node().layout().locate(FileSlot::LeafCertificate(leaf));
    if located.source == PathSource::Argument {
        return None;
    }
    let own = context.inventory.credential(Slot::Leaf(leaf))?.leaf();
    let differs = own.is_some_and(|own| own.fingerprint() != found.certificates.first().fingerprint());
    let is_default = directory == Directories::default().certificates;
    (own.is_some() && (is_default || differs)).then_some((directory, leaf))
}
