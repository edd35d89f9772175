//! Whether the files of a tree are those that would be made of its intent today.

use std::collections::BTreeSet;

use super::TreeShortfall;
use crate::catalog::{FileSlot, Slot};
use crate::inventory::Inventory;
use crate::path::TreePath;
use crate::plan::{CertificateSpec, KeyPolicy, KubeconfigSpec, Step};
use crate::x509::{AlternativeName, AlternativeNames, Certificate, DistinguishedName, KeyType, PublicKey};

/// Returns how what `inventory` has for `step` differs from what the step would make, beyond serial number and validity: what can
/// be used all the same, and is of another tree.
///
/// What is not there or cannot be read is no difference; that is found elsewhere.
pub(super) fn difference(step: &Step, inventory: &Inventory) -> Option<TreeShortfall> {
    let (path, key, certificate) = match step.slot() {
        Slot::Ca(ca) => {
            let authority = inventory.authority(ca);
            let certificate = authority.signer();
            (&authority.certificate_file().path, certificate.map(Certificate::public_key), certificate)
        }
        slot @ (Slot::Leaf(_) | Slot::Kubeconfig(_)) => {
            let credential = inventory.credential(slot)?;
            let certificate = credential.leaf();
            (&credential.certificate_file().path, certificate.map(Certificate::public_key), certificate)
        }
        Slot::ServiceAccount => {
            let pair = inventory.service_account();
            (&pair.key_file.path, pair.key.present().map(|key| key.public_key()), None)
        }
        Slot::KubeletClient | Slot::KubeletServing => return None,
    };
    key_type(step.key(), key)
        .or_else(|| names(step.certificate()?, certificate?))
        .or_else(|| kubeconfig(step, inventory))
        .map(|Difference { what, expected, found }| TreeShortfall::Other {
            path: TreePath::clone(path),
            what,
            expected,
            found,
        })
}

struct Difference {
    what: &'static str,
    expected: String,
    found: String,
}

impl Difference {
    fn between(what: &'static str, expected: &str, found: &str) -> Option<Self> {
        let different = || Self { what, expected: expected.to_owned(), found: found.to_owned() };
        (expected != found).then(different)
    }
}

fn key_type(policy: KeyPolicy, key: Option<&PublicKey>) -> Option<Difference> {
    let KeyPolicy::Generate(algorithm) = policy else { return None };
    let expected = KeyType::from(algorithm).to_string();
    Difference::between("a key of the kind", &expected, &key?.key_type().to_string())
}

/// Compares alternative names and organisations as sets: the order means nothing.
fn names(spec: &CertificateSpec, certificate: &Certificate) -> Option<Difference> {
    let alternative = |names: &AlternativeNames| {
        let names = names.as_slice().iter().map(|name| match name {
            AlternativeName::Dns(name) => AlternativeName::Dns(name.to_ascii_lowercase()).to_string(),
            other => other.to_string(),
        });
        joined(names)
    };
    let organisations = |name: &DistinguishedName| joined(name.organisations().map(str::to_owned));
    let found = alternative(certificate.alternative_names());
    Difference::between("the alternative names", &alternative(&spec.alternative_names), &found).or_else(
        || {
            let found = organisations(certificate.subject());
            Difference::between("the organisations", &organisations(&spec.subject), &found)
        },
    )
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

fn kubeconfig(step: &Step, inventory: &Inventory) -> Option<Difference> {
    let KubeconfigSpec::Create { cluster, server, user, .. } = step.kubeconfig()? else { return None };
    let facts = inventory.credential(step.slot())?.kubeconfig()?;
    let current = facts.file.as_ref().ok()?.current().ok()?;
    Difference::between("the cluster", cluster, current.cluster.name())
        .or_else(|| Difference::between("the user", user, current.user.name()))
        .or_else(|| Difference::between("the server", server, current.cluster.server().unwrap_or_default()))
}

/// Returns the first file beside those of `steps` that the tree has: of another version, or of another etcd.
pub(super) fn surplus(steps: &[Step], inventory: &Inventory) -> Option<TreeShortfall> {
    let made: BTreeSet<FileSlot> =
        steps.iter().flat_map(Step::writes).map(crate::plan::Write::file).collect();
    let mut others = FileSlot::all().filter(|file| !made.contains(file));
    others.find_map(|file| {
        let facts = inventory.file(file);
        facts.exists.then(|| TreeShortfall::Surplus(facts.path.clone()))
    })
}
