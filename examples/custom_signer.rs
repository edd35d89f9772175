//! Renews a tree whose authority's key is not on the node but in a hardware token.
//!
//! ```text
//! cargo run -p kubecerts-examples --example custom_signer
//! ```
//!
//! The tree has `ca.crt` and no `ca.key`, which kubeadm calls an external CA and refuses to renew. Here the plan is told
//! that a signer for it exists, and the session API hands that signer the bytes to sign. A real token would be reached
//! through PKCS#11 or a key management service; [`Token`] only keeps the key in another part of memory.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::IpAddr;

use kubecerts_core::catalog::{CaSlot, FileSlot, Slot};
use kubecerts_core::inventory::Custody;
use kubecerts_core::issue::{
    Change, ChangeSet, KeySource, RustCrypto, Signature, Signer, SigningRequest, begin, issue,
};
use kubecerts_core::plan::{ClusterIntent, PlanRequest, Selection, create, plan};
use kubecerts_core::provider::ProviderError;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::x509::{
    Damage, KeyAlgorithm, PrivateKey, PublicKey, SignatureAlgorithm, SignatureVerdict,
};
use kubecerts_host::{Node, NodeOptions, SystemEntropy, apply, make_directories, new_scratch_directory};
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey;

const CA: CaSlot = CaSlot::Cluster;

fn main() -> Result<(), Box<dyn Error>> {
    let now = kubecerts_host::now();
    let mut entropy = SystemEntropy::new();
    let directory = new_scratch_directory("kubecerts-signer", &mut entropy)?;
    let mut options = NodeOptions::default();
    options.root = Some(directory.clone());
    let node = Node::open(options)?;

    // A new cluster. The authority's key goes into the token and never to the disk.
    let mut intent = ClusterIntent::new("cp-1".parse()?, IpAddr::from([192, 168, 10, 11]));
    intent.algorithm = KeyAlgorithm::EcdsaP256;
    let creation = create(&intent, now, &mut entropy)?;
    let (token, changes) = split(&issue(&creation, &node.scan()?, &mut RustCrypto::new(entropy))?)?;
    make_directories(&changes, &directory)?;
    let inventory = apply(&changes, &node, &mut entropy, &mut |_| {})?.inventory;
    assert_eq!(inventory.authority(CA).custody(), Custody::External);

    // Everything that this authority signs. Without a word about the token, all of it is left out of the plan.
    let signed = Slot::ALL.into_iter().filter(|slot| slot.renewed_by_kubeadm() && slot.issuer() == Some(CA));
    let mut request = PlanRequest::with_selection(Selection::Named(signed.collect()));
    assert!(plan(&inventory, &request, now, &mut entropy)?.is_empty());
    request.remote_authorities.insert(CA);
    let plan = plan(&inventory, &request, now, &mut entropy)?;
    assert!(!plan.is_empty() && !plan.is_incomplete());

    // The session: keys are made on the node, then all signatures are one flat batch, to be made by whoever can.
    let snapshot = node.scan()?;
    let session = begin(&plan, &snapshot)?;
    let keys = RustCrypto::new(entropy).generate(session.key_requests())?;
    let session = session.supply_keys(keys)?;
    let requests = session.signing_requests();
    for request in &requests {
        // The request names the key by its public half. There is no private one that could leak.
        assert!(request.issuer.private_key.is_none());
        let (bytes, key) = (request.message.len(), request.issuer.public_key);
        println!("to the token: {bytes} bytes for {}, to sign with {key:?}", request.slot);
    }
    let signatures = token.sign(&requests)?;

    // Every signature is verified here, before there is anything to write: a wrong token cannot break the tree.
    let changes = session.finish(signatures)?;
    let report = apply(&changes, &node, &mut entropy, &mut |_| {})?;
    assert!(plan.shortfalls(&report.inventory).is_empty());
    for step in plan.steps() {
        let leaf = report.inventory.credential(step.slot()).and_then(|credential| credential.leaf());
        let verdict = leaf.map(|leaf| leaf.verify_signature(&token.public_key));
        assert_eq!(verdict, Some(SignatureVerdict::Valid));
    }
    assert!(!directory.join("etc/kubernetes/pki/ca.key").exists());
    std::fs::remove_dir_all(&directory)?;
    let count = plan.steps().len();
    println!("verified {count} new certificates signed by {CA}, whose key was never on the disk");
    Ok(())
}

/// Stands in for a hardware token: it gives out its public key and signatures, and nothing else.
struct Token {
    public_key: PublicKey,
    key: p256::ecdsa::SigningKey,
}

impl Signer for Token {
    fn sign(&self, requests: &[SigningRequest<'_>]) -> Result<Vec<Signature>, ProviderError> {
        let sign = |request: &SigningRequest<'_>| {
            let known = *request.issuer.public_key == self.public_key;
            if !known || request.algorithm != SignatureAlgorithm::EcdsaWithSha256 {
                return Err(ProviderError::new(format!("{}: the token has no such key", request.slot)));
            }
            let signature: p256::ecdsa::Signature = self.key.sign(request.message);
            Ok(Signature::new(signature.to_der().as_bytes().to_vec()))
        };
        requests.iter().map(sign).collect()
    }
}

/// Takes the authority's key out of a new tree.
fn split(tree: &ChangeSet) -> Result<(Token, ChangeSet), Box<dyn Error>> {
    let is_key = |change: &&Change| change.file() == FileSlot::CaKey(CA);
    let key = tree.changes().iter().find(is_key).ok_or(Damage::Nothing("key of the authority"))?;
    let key = PrivateKey::parse(key.secret_bytes())?;
    let signing = p256::ecdsa::SigningKey::from_pkcs8_der(key.secret_pkcs8_der().secret_bytes())?;
    let copy = |change: &Change| {
        let content = SecretBytes::new(change.secret_bytes().to_vec());
        Change::new(change.file(), change.path().clone(), change.expected(), change.mode(), content)
    };
    let rest: Vec<Change> = tree.changes().iter().filter(|change| !is_key(change)).map(copy).collect();
    Ok((Token { public_key: key.public_key(), key: signing }, rest.into()))
}
