//! The check of keys and signatures that are no longer accepted.

use std::collections::BTreeSet;

use super::checks::{Context, about, at};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{KubernetesVersion, Slot};
use crate::inventory::{FileFacts, Place};
use crate::x509::{Certificate, KeyType};

/// `weak-algorithm`, which explains `unverifiable`
///
/// The signature of an authority is not judged: whoever trusts its certificate does not verify it.
pub(super) fn weak(context: &Context<'_>, out: &mut Vec<Finding>) {
    let mut explained: BTreeSet<Place> = BTreeSet::new();
    let mut found = Vec::new();
    for (ca, authority) in context.authorities() {
        let Some(weakness) = authority.signer().and_then(weakness_of_key) else { continue };
        // Nothing that such a key has signed can be verified here.
        let signed =
            context.own_credentials().filter(|(place, _)| place.slot().and_then(Slot::issuer) == Some(ca));
        explained.extend(signed.map(|(place, _)| place.clone()));
        let place = Place::Slot(Slot::Ca(ca));
        found.push(finding(context, &place, authority.certificate_file(), &weakness));
        explained.insert(place);
    }
    for (place, credential) in context.own_credentials() {
        let Some(leaf) = credential.leaf() else { continue };
        let weakness = weakness_of_key(leaf).or_else(|| weakness_of_signature(context, leaf));
        let Some(weakness) = weakness else { continue };
        found.push(finding(context, place, credential.certificate_file(), &weakness));
        explained.insert(place.clone());
    }
    out.retain(|finding| {
        finding.code != FindingCode::Unverifiable
            || finding.place.as_ref().is_none_or(|place| !explained.contains(place))
    });
    out.append(&mut found);
}

/// What is weak, and whether it is refused already.
struct Weakness {
    text: String,
    is_refused: bool,
}

fn weakness_of_key(certificate: &Certificate) -> Option<Weakness> {
    let (why, is_refused) = match certificate.public_key().key_type() {
        KeyType::Rsa { bits } if *bits < REFUSED_BITS => ("is refused by Go", true),
        KeyType::Rsa { bits } if *bits < LEAST_BITS => ("is too small to last", false),
        KeyType::Other(name) if REFUSED_KEYS.iter().any(|refused| name.starts_with(refused)) => {
            ("is refused by Go", true)
        }
        _ => return None,
    };
    let text = format!("its key, {}, {why}", certificate.public_key().key_type());
    Some(Weakness { text, is_refused })
}

fn weakness_of_signature(context: &Context<'_>, leaf: &Certificate) -> Option<Weakness> {
    let algorithm = leaf.signature_algorithm();
    let is_sha1 = SHA1.contains(&algorithm.as_str());
    if leaf.is_self_issued() || !(is_sha1 || MD5.contains(&algorithm.as_str())) {
        return None;
    }
    // Go 1.18, with which Kubernetes is built from 1.24 on, refuses SHA-1; MD5 was never accepted.
    let version = context.inventory.node().version();
    let is_refused = !is_sha1 || version.is_none_or(|version| version >= KubernetesVersion::release(1, 24));
    let algorithm = if algorithm == ECDSA_WITH_SHA1 { "ecdsa-with-SHA1" } else { &algorithm };
    let why = if is_refused { "is refused" } else { "is refused from Kubernetes 1.24 on" };
    Some(Weakness { text: format!("its signature, {algorithm}, {why}"), is_refused })
}

fn finding(context: &Context<'_>, place: &Place, facts: &FileFacts, weakness: &Weakness) -> Finding {
    let matters = !matches!(place, Place::Copy(_) | Place::Slot(Slot::KubeletServing));
    let (severity, impact) = match weakness.is_refused && matters {
        true => (Severity::Error, Impact::Unusable),
        false => (Severity::Warning, Impact::None),
    };
    let remedy = match place {
        // Only the key of an authority is judged, and a later end keeps it.
        Place::Slot(Slot::Ca(ca)) => Remedy::ReplaceKey(*ca),
        place => context.renewal(place),
    };
    let code = FindingCode::WeakAlgorithm;
    at(facts, about(place, severity, code, impact, weakness.text.clone(), remedy))
}

/// kubeadm makes no shorter RSA keys (`encryptionAlgorithm`, v1beta4), and current recommendations allow none.
const LEAST_BITS: u32 = 2048;

/// Go refuses shorter RSA keys from 1.24 on, in TLS as well (`crypto/rsa`, `checkKeySize`).
const REFUSED_BITS: u32 = 1024;

/// How the names of keys begin with which Go's `crypto/tls` knows no signature: curves other than P-256, P-384 and P-521, among
/// them P-192 (1.2.840.10045.3.1.1) and secp256k1 (1.3.132.0.10), curves without a name, Ed448 and DSA.
const REFUSED_KEYS: [&str; 8] = [
    "1.2.840.10045.3.1.1",
    "1.3.132.0.10",
    "brainpool",
    "id-Ed448",
    "id-dsa",
    "id-ecPublicKey",
    "secp224r1",
    "sect",
];

const ECDSA_WITH_SHA1: &str = "1.2.840.10045.4.1";

const SHA1: [&str; 3] = [ECDSA_WITH_SHA1, "dsa-with-sha1", "sha1WithRSAEncryption"];

const MD5: [&str; 2] = ["md2WithRSAEncryption", "md5WithRSAEncryption"];
