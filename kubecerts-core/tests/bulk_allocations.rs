//! How often the heap is asked while certificates are made in bulk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "the numbers are worth reading")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kubecerts_core::catalog::{CaSlot, LeafSlot, Slot};
use kubecerts_core::issue::bulk::{Batch, BulkAuthority, BulkTerms, VerificationPolicy};
use kubecerts_core::issue::sign::{SignerName, SigningProfile};
use kubecerts_core::issue::{Signature, Signatures, Signer, SigningRequest};
use kubecerts_core::provider::{Buffered, Entropy, ProviderError};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::{
    AlternativeNames, Certificate, DistinguishedName, FixedKey, PublicKey, SignatureAlgorithm, SignedMessage,
    ToBeSigned, Validity, Verifier, assemble, encode_certificate_into,
};
use kubecerts_testkit::{Seeded, TreeBuilder, at};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread how often it is asked.
struct Counting;

#[expect(unsafe_code, reason = "there is no other way to stand in the allocator's place")]
// SAFETY: every call goes on to the system's allocator as it came. Counting allocates nothing: the counter has a constant beginning
// and nothing to drop.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Gives the same signature to all, without an allocation.
struct Constant<'a>(&'a [u8]);

impl Signer for Constant<'_> {
    fn sign(&self, _: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        Err(ProviderError::new("a batch is signed in one piece"))
    }

    fn sign_into(&self, requests: &[SigningRequest<'_>], out: &mut Signatures) -> Result<(), ProviderError> {
        requests.iter().for_each(|_| out.push(self.0));
        Ok(())
    }
}

struct Content;

impl Verifier for Content {
    fn first_invalid(&self, _: &[SignedMessage<'_>]) -> Option<usize> {
        None
    }
}

struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        self.0 = self.0.wrapping_add(1);
        out.fill(self.0);
        Ok(())
    }
}

/// What a batch may ask of the heap, whatever its size: the slices of requests and of signed messages.
const PER_BATCH: usize = 2;

/// All serials alike, so that one signature is that of every certificate.
struct Same;

impl Entropy for Same {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        out.fill(7);
        Ok(())
    }
}

/// What the verification of a batch by a fixed P-256 key may ask of the heap, whatever its size: a few buffers, which grow.
const PER_VERIFICATION: usize = 36;

#[test]
fn the_verification_of_a_batch_costs_the_same_few_allocations_for_any_number() {
    let tree = TreeBuilder::kubeadm().build();
    let now = at("2026-11-22T00:06:00Z");
    let authority = BulkAuthority::from_snapshot(&tree.snapshot(), CaSlot::Cluster, now).unwrap();
    let profile = SigningProfile::Signer(SignerName::ApiServerClient);
    let mut batch = Batch::new(&authority, BulkTerms { profile, lifetime: Seconds(86_400), now }).unwrap();
    let verifier = FixedKey::new(authority.key().public_key, authority.algorithm());
    let subject = DistinguishedName::kubeadm("alice", &[]);
    let (names, key) = (AlternativeNames::default(), authority.key().public_key.clone());
    batch.add_key(&subject, &names, &key, &mut Same).unwrap();
    batch.issue(&Seeded::provider(1), &verifier, VerificationPolicy::Every).unwrap();
    let der = batch.certificates().next().unwrap().to_vec();
    let signature = Certificate::parse_der(&der).unwrap().signature().to_vec();
    let mut run = |count: usize| {
        batch.clear();
        for _ in 0..count {
            batch.add_key(&subject, &names, &key, &mut Same).unwrap();
        }
        batch.issue(&Constant(&signature), &verifier, VerificationPolicy::Every).unwrap();
        assert_eq!(batch.certificates().len(), count);
    };
    run(1024);
    let counts = [64, 256, 1024].map(|count| allocations(|| run(count)));
    eprintln!("with verification: {counts:?} allocations for 64, 256 and 1024 certificates");
    assert_eq!(counts, [PER_BATCH + PER_VERIFICATION; 3]);
}

#[test]
fn a_certificate_in_bulk_costs_no_allocation() {
    let tree = TreeBuilder::kubeadm().build();
    let now = at("2026-11-22T00:06:00Z");
    let key = tree.certificate("/etc/kubernetes/pki/front-proxy-ca.crt").public_key().clone();
    let server = tree.certificate("/etc/kubernetes/pki/apiserver.crt");
    let client = tree.certificate("/etc/kubernetes/pki/apiserver-kubelet-client.crt");
    let node = || DistinguishedName::kubeadm("system:node:worker-1", &["system:nodes"]);
    let signer = |signer| SigningProfile::Signer(signer);
    let slot = |leaf| SigningProfile::Slot(Slot::Leaf(leaf));
    let (none, all) = (AlternativeNames::default(), server.alternative_names());
    for (profile, subject, names) in [
        (slot(LeafSlot::ApiServer), server.subject().clone(), all),
        (slot(LeafSlot::ApiServerKubeletClient), client.subject().clone(), &none),
        (signer(SignerName::ApiServerClient), DistinguishedName::kubeadm("alice", &["a", "b"]), all),
        (signer(SignerName::ApiServerClientKubelet), node(), &none),
        (signer(SignerName::KubeletServing), node(), all),
    ] {
        let authority = BulkAuthority::from_snapshot(&tree.snapshot(), CaSlot::Cluster, now).unwrap();
        let terms = BulkTerms { profile, lifetime: Seconds(86_400), now };
        let mut batch = Batch::new(&authority, terms).unwrap();
        let mut serials = Buffered::new(Counter(0));
        let mut pem = Vec::new();
        let mut run = |count: usize| {
            batch.clear();
            for _ in 0..count {
                batch.add_key(&subject, names, &key, &mut serials).unwrap();
            }
            batch.issue(&Constant(&[7; 71]), &Content, VerificationPolicy::Every).unwrap();
            for der in batch.certificates() {
                pem.clear();
                encode_certificate_into(der, &mut pem);
            }
        };
        run(1024);
        let counts = [64, 256, 1024].map(|count| allocations(|| run(count)));
        eprintln!("{profile}: {counts:?} allocations for 64, 256 and 1024 certificates");
        assert_eq!(counts, [PER_BATCH; 3], "{profile}");
    }
    let plainly = allocations(|| encode_plainly(&server, &key));
    eprintln!("the plain encoder: {plainly} for one");
}

fn encode_plainly(certificate: &Certificate, public_key: &PublicKey) {
    let algorithm = SignatureAlgorithm::EcdsaWithSha256;
    let message = ToBeSigned {
        serial: certificate.serial(),
        signature: algorithm,
        issuer: certificate.issuer(),
        validity: Validity::new(certificate.not_before(), certificate.not_after()).unwrap(),
        subject: certificate.subject(),
        public_key,
        key_usages: certificate.key_usages().unwrap(),
        extended_key_usages: certificate.extended_key_usages(),
        is_ca: false,
        subject_key_identifier: None,
        authority_key_identifier: certificate.authority_key_identifier(),
        alternative_names: certificate.alternative_names(),
    };
    assemble(&message.to_der().unwrap(), algorithm, &[7; 71]).unwrap();
}
