//! What a measurement works with: an authority that exists in memory only.

use core::net::{IpAddr, Ipv4Addr};
use std::hint::black_box;
use std::num::NonZeroUsize;

use kubecerts_core::catalog::{CaSlot, NodeName, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::bulk::{Batch, BulkAuthority, BulkError, BulkTerms, VerificationPolicy};
use kubecerts_core::issue::sign::{SignerName, SigningProfile};
use kubecerts_core::issue::{
    Issuance, KeyReply, KeySource, NeedsSignatures, RustCrypto, Signatures, Signer, SigningRequest, begin,
    issue,
};
use kubecerts_core::plan::{
    ClusterIntent, DEFAULT_LIFETIME, InitRequest, InitScope, KeyPolicy, Plan, create, initialise,
};
use kubecerts_core::provider::Buffered;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{FileContent, FileMeta, FileState, Snapshot, Sources, locate};
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{
    AlternativeName, AlternativeNames, DistinguishedName, FixedKey, KeyAlgorithm, SignatureAlgorithm,
    Verifier,
};

use super::{MeasureError, Measurement, Source, Work};
use crate::SystemEntropy;
use crate::crypto::{self, FEW, Provider, Threads};

/// An authority that exists in memory only, and the plan that it was made by.
pub(super) struct Scratch {
    plan: Plan,
    empty: Snapshot,
    authority: BulkAuthority,
    terms: BulkTerms,
}

impl Scratch {
    /// Makes an authority with a key of `algorithm`.
    pub(super) fn new(algorithm: KeyAlgorithm, now: Timestamp) -> Result<Self, MeasureError> {
        let empty = Snapshot::new(locate(&Sources::default()));
        let request = InitRequest::first_node(InitScope::Named([Slot::Ca(CA)].into()));
        let inventory = Inventory::parse(&empty);
        let plan = initialise(&intent(algorithm), &inventory, &request, now, &mut SystemEntropy::new())?;
        let changes = issue(&plan, &empty, &mut Provider::new(Threads::available()))?;
        let mut snapshot = Snapshot::new(locate(&Sources::default()));
        for change in changes.changes() {
            let bytes = SecretBytes::new(change.secret_bytes().to_vec());
            let content = FileContent::new(bytes, FileMeta::with_mode(change.mode()));
            snapshot.insert(change.file(), FileState::Present(content));
        }
        let authority = BulkAuthority::from_snapshot(&snapshot, CA, now)?;
        let profile = SigningProfile::Signer(SignerName::KubeletServing);
        let terms = BulkTerms { profile, lifetime: DEFAULT_LIFETIME, now };
        Ok(Self { plan, empty, authority, terms })
    }

    /// Hands `then` what makes as many as it is asked for of what `measurement` is about, on the thread of the caller.
    ///
    /// What a provider does once, or otherwise than ever after, it has done by then, and on this thread.
    pub(super) fn with_worker<T>(
        &self,
        measurement: Measurement,
        then: impl FnOnce(&mut dyn FnMut(usize) -> Result<(), MeasureError>) -> Result<T, MeasureError>,
    ) -> Result<T, MeasureError> {
        let (key, algorithm) = (self.authority.key().public_key, self.authority.algorithm());
        match measurement.source {
            Source::Host => {
                let provider = Provider::new(Threads::new(NonZeroUsize::MIN));
                self.with(provider, &*crypto::verifier(key, algorithm), measurement.work, then)
            }
            Source::RustCrypto => {
                let provider = RustCrypto::new(SystemEntropy::new());
                self.with(provider, &FixedKey::new(key, algorithm), measurement.work, then)
            }
        }
    }

    fn with<P: KeySource + Signer, T>(
        &self,
        mut provider: P,
        verifier: &dyn Verifier,
        work: Work,
        then: impl FnOnce(&mut dyn FnMut(usize) -> Result<(), MeasureError>) -> Result<T, MeasureError>,
    ) -> Result<T, MeasureError> {
        self.warm_up(&provider)?;
        match work {
            Work::Keys => {
                let session = begin(&self.plan, &self.empty)?;
                let request = session.key_requests()[0];
                then(&mut |size| {
                    for key in provider.generate(&vec![request; size])? {
                        // A key is of no use without it, and ECDSA's is all the work.
                        black_box(key.public_key());
                    }
                    Ok(())
                })
            }
            Work::Signatures => {
                let session = self.to_be_signed()?;
                let request = session.signing_requests()[0];
                let mut signatures = Signatures::new();
                then(&mut |size| {
                    let requests: Vec<SigningRequest<'_>> = vec![request; size];
                    signatures.clear();
                    Ok(provider.sign_into(&requests, &mut signatures)?)
                })
            }
            Work::Certificates => {
                let mut batch = Batch::new(&self.authority, self.terms)?;
                let mut serials = Buffered::new(SystemEntropy::new());
                let (subject, names) = (subject(), names());
                let key = self.authority.key().public_key;
                let mut make = |size| {
                    batch.clear();
                    for _ in 0..size {
                        batch.add_key(&subject, &names, key, &mut serials).map_err(failed)?;
                    }
                    Ok(batch.issue(&provider, verifier, VerificationPolicy::Every)?)
                };
                // The verifier may compute what it keeps when it is first asked.
                make(1)?;
                then(&mut make)
            }
        }
    }

    /// Has `provider` sign more than it has made by other means, so that what it is measured by is what it is for long.
    ///
    /// Signatures warm up keys as well: they count together, and need the same random source.
    fn warm_up(&self, provider: &impl Signer) -> Result<(), MeasureError> {
        let count = match self.authority.algorithm() {
            SignatureAlgorithm::Sha256WithRsa => 1,
            _ => FEW + 1,
        };
        let session = self.to_be_signed()?;
        let request = session.signing_requests()[0];
        provider.sign_into(&vec![request; count], &mut Signatures::new())?;
        // A batch is signed by other means than a single request, which by now is none of the first.
        provider.sign_into(&[request], &mut Signatures::new())?;
        Ok(())
    }

    /// Returns a session with something to be signed, by the authority's key: another one would cost the time of a measurement.
    fn to_be_signed(&self) -> Result<Issuance<'_, NeedsSignatures>, MeasureError> {
        let session = begin(&self.plan, &self.empty)?;
        let key = self.authority.key().private_key.expect("the authority was made with its key");
        let key = KeyReply::from_pkcs8_der(key.secret_pkcs8_der().secret_bytes());
        Ok(session.supply_keys(vec![key.expect("what is encoded can be parsed")])?)
    }
}

/// How much work a tree of `kubeadm init` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tree {
    pub(super) keys: u32,
    pub(super) certificates: u32,
}

impl Tree {
    pub(super) fn of_kubeadm(now: Timestamp) -> Result<Self, MeasureError> {
        let plan = create(&intent(KeyAlgorithm::Rsa2048), now, &mut SystemEntropy::new())?;
        let keys = plan.steps().iter().filter(|step| matches!(step.key(), KeyPolicy::Generate(_)));
        let certificates = plan.steps().iter().filter_map(|step| step.certificate());
        let count = |count| u32::try_from(count).expect("a tree is small");
        Ok(Self { keys: count(keys.count()), certificates: count(certificates.count()) })
    }
}

fn failed(error: BulkError) -> MeasureError {
    match error {
        BulkError::Refused(refusal) => refusal.into(),
        BulkError::Failed(error) => error.into(),
    }
}

fn intent(algorithm: KeyAlgorithm) -> ClusterIntent {
    let mut intent = ClusterIntent::new(node_name(), IpAddr::V4(ADDRESS));
    intent.algorithm = algorithm;
    intent
}

fn subject() -> DistinguishedName {
    DistinguishedName::kubeadm(&node_name().user(), &[NodeName::GROUP])
}

/// As many names as the certificate of an API server has.
fn names() -> AlternativeNames {
    let dns = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let dns = dns.map(|name| AlternativeName::Dns(name.to_owned()));
    let addresses =
        [Ipv4Addr::new(10, 96, 0, 1), ADDRESS].map(|address| AlternativeName::Ip(IpAddr::V4(address)));
    AlternativeNames::new(dns.into_iter().chain(addresses).collect())
}

fn node_name() -> NodeName {
    "measured".parse().expect("it is a node's name")
}

const CA: CaSlot = CaSlot::Cluster;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 11);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use kubecerts_core::issue::{KeyRequest, Signature};
    use kubecerts_core::provider::ProviderError;

    use super::*;

    /// Counts what it signs, and what it has signed when it was last asked for one.
    struct Counting(RustCrypto<SystemEntropy>, Rc<Cell<[usize; 2]>>);

    impl KeySource for Counting {
        fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
            self.0.generate(requests)
        }
    }

    impl Signer for Counting {
        fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
            let [before, single] = self.1.get();
            self.1.set([before + requests.len(), if requests.len() == 1 { before } else { single }]);
            self.0.sign(requests)
        }
    }

    #[test]
    fn a_provider_is_past_its_first_signatures_when_the_clock_starts() {
        let scratch = Scratch::new(KeyAlgorithm::EcdsaP256, crate::now()).unwrap();
        let (key, algorithm) = (scratch.authority.key().public_key, scratch.authority.algorithm());
        for work in Work::ALL {
            let count = Rc::new(Cell::new([0; 2]));
            let provider = Counting(RustCrypto::new(SystemEntropy::new()), Rc::clone(&count));
            let started = scratch.with(provider, &FixedKey::new(key, algorithm), work, |_| Ok(count.get()));
            let [_, before_a_single_one] = started.unwrap();
            assert!(before_a_single_one > FEW, "{work:?}");
        }
    }
}
