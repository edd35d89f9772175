//! The certificate that everybody makes.
//!
//! It is what kubeadm gives an API server, with an organisation in its subject: four DNS names and two addresses, usages, the
//! authority's key identifier, a random serial number of sixteen bytes. The subject's key is given and of the authority's algorithm.

use core::net::IpAddr;
use std::num::NonZeroUsize;

use kubecerts_core::catalog::{CaSlot, LeafSlot, NodeName, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::bulk::{Batch, BulkAuthority, BulkTerms, VerificationPolicy};
use kubecerts_core::issue::sign::{SignerName, SigningProfile};
use kubecerts_core::issue::{Issuance, KeyRequest, NeedsSignatures, Signer, SigningRequest, begin};
use kubecerts_core::plan::{DEFAULT_LIFETIME, PlanRequest, Selection, plan};
use kubecerts_core::provider::{Buffered, Entropy};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{
    AlternativeName, AlternativeNames, Certificate, DistinguishedName, KeyAlgorithm, PublicKey, Verifier,
};
use kubecerts_host::SystemEntropy;
use kubecerts_host::crypto::{Provider, Threads};
use kubecerts_testkit::{Fixture, Seeded, at};

/// An authority of kubeadm's, and what it signs.
#[derive(Debug)]
pub struct Leaf {
    /// The algorithm of all keys.
    pub algorithm: KeyAlgorithm,
    /// Who signs.
    pub authority: BulkAuthority,
    /// Whose the certificates are.
    pub subject: DistinguishedName,
    /// Their names.
    pub names: AlternativeNames,
    /// Their key.
    pub key: PublicKey,
    snapshot: Snapshot,
}

impl Leaf {
    /// Returns the one whose keys are of `algorithm`: P-256 or RSA-2048, of which kubeadm has made trees. A bench does not give it back.
    #[must_use]
    pub fn of(algorithm: KeyAlgorithm) -> &'static Self {
        let fixture = match algorithm {
            KeyAlgorithm::EcdsaP256 => "kubeadm-v136-ecdsa-p256",
            KeyAlgorithm::Rsa2048 => "kubeadm-v136-rsa2048",
            _ => panic!("there is no tree of {algorithm}"),
        };
        let tree = Fixture::named(fixture).tree();
        let snapshot = tree.snapshot();
        let authority = BulkAuthority::from_snapshot(&snapshot, CaSlot::Cluster, now()).unwrap();
        let node: NodeName = "cp-1".parse().unwrap();
        let dns = NAMES.map(|name| AlternativeName::Dns(name.to_owned()));
        let addresses = addresses().map(AlternativeName::Ip);
        Box::leak(Box::new(Self {
            algorithm,
            authority,
            subject: DistinguishedName::kubeadm(&node.user(), &[NodeName::GROUP]),
            names: AlternativeNames::new(dns.into_iter().chain(addresses).collect()),
            key: tree.certificate("/etc/kubernetes/pki/apiserver.crt").public_key().clone(),
            snapshot,
        }))
    }

    /// Returns the authority's private key in PKCS#8, for peers.
    #[must_use]
    pub fn secret_key(&self) -> SecretBytes {
        self.authority.key().private_key.unwrap().secret_pkcs8_der()
    }

    /// Returns an empty batch.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        let profile = SigningProfile::Signer(SignerName::KubeletServing);
        Batch::new(&self.authority, BulkTerms { profile, lifetime: DEFAULT_LIFETIME, now: now() }).unwrap()
    }

    /// Makes `count` certificates in `batch`.
    pub fn issue<S: Signer + ?Sized>(
        &self,
        batch: &mut Batch<'_>,
        count: u32,
        signer: &S,
        verifier: &dyn Verifier,
        policy: VerificationPolicy,
        serials: &mut dyn Entropy,
    ) {
        batch.clear();
        for _ in 0..count {
            batch.add_key(&self.subject, &self.names, &self.key, serials).unwrap();
        }
        batch.issue(signer, verifier, policy).unwrap();
    }

    /// Returns `count` certificates.
    #[must_use]
    pub fn certificates(&self, count: u32) -> Vec<Certificate> {
        let (mut batch, mut serials) = (self.batch(), Buffered::new(SystemEntropy::new()));
        let verifier = self.verifier();
        self.issue(&mut batch, count, &provider(), &*verifier, VerificationPolicy::Every, &mut serials);
        batch.certificates().map(|der| Certificate::parse_der(der).unwrap()).collect()
    }

    /// Returns a certificate that is the same each time, to the byte.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        let (mut batch, signer) = (self.batch(), Seeded::provider(1));
        let verifier = self.verifier();
        self.issue(&mut batch, 1, &signer, &*verifier, VerificationPolicy::Every, &mut Seeded::new(1));
        Certificate::parse_der(batch.certificates().next().unwrap()).unwrap()
    }

    /// Returns the host's verifier of what the authority signs.
    #[must_use]
    pub fn verifier(&self) -> Box<dyn Verifier + Send + Sync> {
        kubecerts_host::crypto::verifier(self.authority.key().public_key, self.authority.algorithm())
    }

    /// Returns the request to sign `message` with the authority's key.
    #[must_use]
    pub fn signing_request<'a>(&'a self, message: &'a [u8]) -> SigningRequest<'a> {
        // Nobody but a session makes such requests, so another one's is changed.
        let session: &'static Issuance<'static, NeedsSignatures> = {
            let (snapshot, plan) = self.renewal();
            let session = begin(plan, snapshot).unwrap();
            let key = self.authority.key().private_key.unwrap().secret_pkcs8_der();
            let key = kubecerts_core::issue::KeyReply::from_pkcs8_der(key.secret_bytes()).unwrap();
            Box::leak(Box::new(session.supply_keys(vec![key]).unwrap()))
        };
        let mut request: SigningRequest<'a> = session.signing_requests()[0];
        request.issuer = self.authority.key();
        request.message = message;
        request
    }

    /// Returns the request for a new key.
    #[must_use]
    pub fn key_request(&self) -> KeyRequest {
        let (snapshot, plan) = self.renewal();
        begin(plan, snapshot).unwrap().key_requests()[0]
    }

    fn renewal(&self) -> (&'static Snapshot, &'static kubecerts_core::plan::Plan) {
        let fixture = match self.algorithm {
            KeyAlgorithm::EcdsaP256 => "kubeadm-v136-ecdsa-p256",
            _ => "kubeadm-v136-rsa2048",
        };
        let snapshot: &'static Snapshot = Box::leak(Box::new(Fixture::named(fixture).tree().snapshot()));
        let request = PlanRequest::with_selection(Selection::Named([Slot::Leaf(LeafSlot::ApiServer)].into()));
        let plan = plan(&Inventory::parse(&self.snapshot), &request, now(), &mut Seeded::new(1)).unwrap();
        (snapshot, Box::leak(Box::new(plan)))
    }
}

/// Returns the host's provider, on the thread that calls it.
#[must_use]
pub fn provider() -> Provider {
    Provider::new(Threads::new(NonZeroUsize::MIN))
}

/// Returns when the certificates are made: the trees are valid then.
#[must_use]
pub fn now() -> Timestamp {
    at("2027-01-01T00:00:00Z")
}

/// Returns the two addresses of the certificate.
#[must_use]
pub fn addresses() -> [IpAddr; 2] {
    [IpAddr::from([10, 96, 0, 1]), IpAddr::from([192, 168, 10, 11])]
}

/// The four DNS names of the certificate.
pub const NAMES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
