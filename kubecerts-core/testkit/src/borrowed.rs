//! Keys of another tree.

use kubecerts_core::catalog::{FileSlot, Slot};
use kubecerts_core::issue::{KeyReply, KeyRequest, KeySource, RustCrypto, Signature, Signer, SigningRequest};
use kubecerts_core::kubeconfig::{Kubeconfig, user_key};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::x509::PrivateKey;

use crate::{MemoryTree, Seeded};

/// A provider that hands out the private keys of another tree where new ones are asked for.
///
/// With the keys of kubeadm's own renewal everything but serials and signatures can be compared byte for byte, and no
/// time goes into RSA keys.
#[derive(Debug)]
pub struct BorrowedKeys {
    lender: Snapshot,
    signer: RustCrypto<Seeded>,
}

impl BorrowedKeys {
    /// Returns a provider of the keys in `lender`.
    #[must_use]
    pub fn of(lender: &MemoryTree) -> Self {
        Self { lender: lender.snapshot(), signer: Seeded::provider(1) }
    }

    fn key(&self, slot: Slot) -> Option<PrivateKey> {
        let content = |file| Some(self.lender.file(file).content()?.secret_bytes());
        match slot {
            Slot::Ca(ca) => PrivateKey::parse(content(FileSlot::CaKey(ca))?).ok(),
            Slot::Leaf(leaf) => PrivateKey::parse(content(FileSlot::LeafKey(leaf))?).ok(),
            Slot::ServiceAccount => PrivateKey::parse(content(FileSlot::ServiceAccountKey)?).ok(),
            Slot::Kubeconfig(kubeconfig) => {
                let bytes = content(FileSlot::Kubeconfig(kubeconfig))?;
                let parsed = Kubeconfig::parse(bytes).ok()?;
                let secret = user_key(bytes, parsed.current().ok()?.user.name())?;
                PrivateKey::parse(secret.secret_bytes()).ok()
            }
            Slot::KubeletClient | Slot::KubeletServing => None,
        }
    }
}

impl KeySource for BorrowedKeys {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        let key = |request: &KeyRequest| {
            let none = || ProviderError::new(format!("{}: there is no key to borrow", request.slot));
            self.key(request.slot).map(KeyReply::from).ok_or_else(none)
        };
        requests.iter().map(key).collect()
    }
}

impl Signer for BorrowedKeys {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        self.signer.sign(requests)
    }
}
