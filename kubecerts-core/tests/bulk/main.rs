//! Many certificates of one authority: which are refused, what is verified, and what others think of ten thousand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod judges;
mod policies;
mod refusals;

use std::sync::LazyLock;

use kubecerts_core::catalog::{CaSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::issue::bulk::{Batch, BulkAuthority, BulkTerms};
use kubecerts_core::issue::sign::{SignerName, SigningProfile};
use kubecerts_core::provider::{Entropy, ProviderError};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{AlternativeName, AlternativeNames, Certificate, DistinguishedName, PublicKey};
use kubecerts_testkit::{MemoryTree, TreeBuilder, at};

/// A moment at which the authorities of the builder are valid.
const NOW: &str = "2026-11-22T00:06:00Z";

static TREE: LazyLock<MemoryTree> = LazyLock::new(|| TreeBuilder::kubeadm().build());

fn authority(ca: CaSlot) -> BulkAuthority {
    BulkAuthority::from_snapshot(&TREE.snapshot(), ca, at(NOW)).unwrap()
}

fn terms(profile: SigningProfile) -> BulkTerms {
    BulkTerms { profile, lifetime: Seconds(365 * 86_400), now: at(NOW) }
}

/// Returns every profile with a subject and names that are in order.
fn profiles() -> Vec<(SigningProfile, DistinguishedName, AlternativeNames)> {
    let inventory = TREE.inventory();
    let slots = LeafSlot::ALL.map(Slot::Leaf).into_iter().chain(KubeconfigSlot::ALL.map(Slot::Kubeconfig));
    let of_slots = slots.filter_map(|slot| {
        let leaf = inventory.credential(slot)?.leaf()?;
        Some((SigningProfile::Slot(slot), leaf.subject().clone(), leaf.alternative_names().clone()))
    });
    let node = || DistinguishedName::kubeadm("system:node:worker-1", &["system:nodes"]);
    let of_signers = [
        (
            SignerName::ApiServerClient,
            DistinguishedName::kubeadm("alice", &["developers"]),
            names(&["alice"]),
        ),
        (SignerName::ApiServerClientKubelet, node(), AlternativeNames::default()),
        (SignerName::KubeletServing, node(), names(&["worker-1"])),
    ];
    let of_signers =
        of_signers.map(|(signer, subject, names)| (SigningProfile::Signer(signer), subject, names));
    let all: Vec<_> = of_slots.chain(of_signers).collect();
    assert_eq!(all.len(), LeafSlot::ALL.len() + KubeconfigSlot::ALL.len() + SignerName::ALL.len());
    all
}

fn names(hosts: &[&str]) -> AlternativeNames {
    let address = AlternativeName::Ip([10, 0, 0, 7].into());
    let hosts = hosts.iter().map(|host| AlternativeName::Dns((*host).to_owned()));
    AlternativeNames::new(hosts.chain([address]).collect())
}

/// The public key of the authority of the front proxy: as good as any.
fn key() -> PublicKey {
    TREE.certificate("/etc/kubernetes/pki/front-proxy-ca.crt").public_key().clone()
}

fn parsed(batch: &Batch<'_>) -> Vec<Certificate> {
    batch.certificates().map(|der| Certificate::parse_der(der).unwrap()).collect()
}

/// Counts, so that the serial numbers of two runs are the same.
struct Counter(u128);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        self.0 += 1;
        out.copy_from_slice(&self.0.to_be_bytes());
        Ok(())
    }
}
