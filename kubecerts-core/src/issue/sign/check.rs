//! The rules of the profiles.
//!
//! Those of the signers are Kubernetes' ("Certificates and Certificate Signing Requests", Kubernetes signers), those of the slots
//! kubeadm's catalogue.

use std::collections::BTreeSet;

use super::{SignerName, SigningNote, SigningProfile, SigningRefusal};
use crate::catalog::{ClientSpec, NodeName, SanRule, Slot};
use crate::issue::external::{is_kubeadms, profile as catalogue};
use crate::x509::{
    AlternativeName, AlternativeNames, CertificateRequest, DistinguishedName, ExtendedKeyUsages, KeyType,
    KeyUsages, PublicKey, Purpose, SignatureVerdict,
};

/// What is to be signed for a request.
pub(in crate::issue) struct Approved {
    pub(in crate::issue) request: CertificateRequest,
    pub(in crate::issue) subject: DistinguishedName,
    pub(in crate::issue) alternative_names: AlternativeNames,
    pub(in crate::issue) key_usages: KeyUsages,
    pub(in crate::issue) extended_key_usages: ExtendedKeyUsages,
    pub(in crate::issue) notes: Vec<SigningNote>,
}

/// Parses a request, in PEM or DER, and holds it against `profile`.
pub(in crate::issue) fn parse_and_approve(
    request: &[u8],
    profile: SigningProfile,
) -> Result<Approved, SigningRefusal> {
    approve(CertificateRequest::parse(request).map_err(SigningRefusal::Request)?, profile)
}

/// Holds a key with `subject` and `names` against `profile`, and returns the usages of its certificate.
pub(in crate::issue) fn approve_key(
    subject: &DistinguishedName,
    names: &AlternativeNames,
    key: &PublicKey,
    profile: SigningProfile,
) -> Result<(KeyUsages, ExtendedKeyUsages), SigningRefusal> {
    let approved = approve(CertificateRequest::of_known_key(subject, names, key), profile)?;
    Ok((approved.key_usages, approved.extended_key_usages))
}

/// Holds `request` against `profile`.
pub(super) fn approve(
    request: CertificateRequest,
    profile: SigningProfile,
) -> Result<Approved, SigningRefusal> {
    let key_type = request.public_key().key_type();
    if !matches!(key_type, KeyType::Rsa { bits: 2048..=8192 } | KeyType::EcdsaP256 | KeyType::EcdsaP384) {
        return Err(SigningRefusal::Key(key_type.to_string()));
    }
    match request.verdict() {
        SignatureVerdict::Valid => {}
        SignatureVerdict::Invalid => return Err(SigningRefusal::NotSignedByItself),
        SignatureVerdict::Unsupported(kind) => return Err(SigningRefusal::SignatureAlgorithm(kind.clone())),
    }
    let mut names = BTreeSet::new();
    for extension in request.extensions() {
        if !names.insert(extension.name.as_str()) {
            return Err(SigningRefusal::RepeatedExtension(extension.name.clone()));
        }
    }
    if request.basic_constraints().is_some_and(|constraints| constraints.is_ca) {
        return Err(SigningRefusal::Authority);
    }
    match profile {
        SigningProfile::Slot(slot) => match catalogue(slot) {
            Some(spec) => of_slot(request, slot, spec),
            None => Err(SigningRefusal::OtherAuthority { profile, issuer: profile.issuer() }),
        },
        SigningProfile::Signer(signer) => of_signer(request, signer),
    }
}

fn of_slot(request: CertificateRequest, slot: Slot, spec: ClientSpec) -> Result<Approved, SigningRefusal> {
    let profile = SigningProfile::Slot(slot);
    let subject = request.subject().clone();
    if !is_kubeadms(&subject, spec) {
        let reason = "kubeadm gives another one";
        return Err(SigningRefusal::Subject { profile, subject: subject.to_string(), reason });
    }
    let extended_key_usages =
        ExtendedKeyUsages::new(spec.usages.iter().copied().map(Purpose::from).collect());
    let mut not_copied = further(&request);
    if request.key_usages().is_some_and(|asked| asked != KeyUsages::LEAF) {
        not_copied.push("keyUsage".to_owned());
    }
    let asked: BTreeSet<_> = request.extended_key_usages().as_slice().iter().collect();
    if !asked.is_empty() && asked != extended_key_usages.as_slice().iter().collect() {
        not_copied.push("extKeyUsage".to_owned());
    }
    let alternative_names = match spec.sans {
        SanRule::None => {
            if !request.alternative_names().is_empty() {
                not_copied.push("subjectAltName".to_owned());
            }
            AlternativeNames::default()
        }
        SanRule::ApiServer | SanRule::Etcd => serving_names(&request)?,
    };
    let notes = if not_copied.is_empty() { Vec::new() } else { vec![SigningNote::NotCopied(not_copied)] };
    let key_usages = KeyUsages::LEAF;
    Ok(Approved { subject, alternative_names, key_usages, extended_key_usages, notes, request })
}

fn of_signer(request: CertificateRequest, signer: SignerName) -> Result<Approved, SigningRefusal> {
    let profile = SigningProfile::Signer(signer);
    let subject = request.subject().clone();
    let refuse = |reason| {
        let subject = subject.to_string();
        Err(SigningRefusal::Subject { profile, subject, reason })
    };
    let organisations: Vec<&str> = subject.organisations().collect();
    let common_names = subject.attributes().iter().filter(|attribute| attribute.kind == "CN").count();
    if common_names != 1 || subject.common_name().is_none_or(str::is_empty) {
        return refuse("it needs exactly one common name, which is the user");
    }
    let purpose = match signer {
        SignerName::ApiServerClient => {
            // The admission plugin CertificateSubjectRestriction refuses it where requests come in.
            if organisations.contains(&"system:masters") {
                return refuse("nobody gets the group system:masters, which bypasses every permission");
            }
            Purpose::CLIENT_AUTH
        }
        SignerName::ApiServerClientKubelet | SignerName::KubeletServing => {
            if organisations != [NodeName::GROUP] {
                return refuse("the organisation has to be exactly system:nodes");
            }
            if subject.common_name().and_then(NodeName::of_user).is_none() {
                return refuse("the common name has to be system:node: and the name of a node");
            }
            if signer == SignerName::KubeletServing { Purpose::SERVER_AUTH } else { Purpose::CLIENT_AUTH }
        }
    };
    let (key_usages, extended_key_usages) = usages(&request, profile, purpose)?;
    let alternative_names = match signer {
        SignerName::ApiServerClient => client_names(&request)?,
        SignerName::ApiServerClientKubelet => match request.alternative_names().texts().next() {
            Some(name) => return Err(SigningRefusal::AlternativeName(name)),
            None => AlternativeNames::default(),
        },
        SignerName::KubeletServing => serving_names(&request)?,
    };
    let mut notes = Vec::new();
    let not_copied = further(&request);
    if !not_copied.is_empty() {
        notes.push(SigningNote::NotCopied(not_copied));
    }
    if signer == SignerName::ApiServerClient {
        let identities = organisations.iter().copied().chain(subject.common_name());
        let privileged =
            identities.filter(|name| name.starts_with("system:") || name.starts_with("kubeadm:"));
        notes.extend(privileged.map(|name| SigningNote::Privileged(name.to_owned())));
    }
    Ok(Approved {
        subject: subject.clone(),
        alternative_names,
        key_usages,
        extended_key_usages,
        notes,
        request,
    })
}

/// Usages may be asked for, but none besides the signer's; those that nobody asks for are given as kubelets ask for them.
fn usages(
    request: &CertificateRequest,
    profile: SigningProfile,
    purpose: Purpose,
) -> Result<(KeyUsages, ExtendedKeyUsages), SigningRefusal> {
    let allowed = if purpose == Purpose::SERVER_AUTH {
        "digitalSignature, serverAuth, and keyEncipherment or not"
    } else {
        "digitalSignature, clientAuth, and keyEncipherment or not"
    };
    let refuse = |asked: String| Err(SigningRefusal::Usages { profile, asked, allowed });
    let purposes = request.extended_key_usages().as_slice();
    if !purposes.is_empty() && purposes != [purpose] {
        let asked: Vec<String> = purposes.iter().map(ToString::to_string).collect();
        return refuse(asked.join(", "));
    }
    let key_usages = match request.key_usages() {
        Some(asked) if asked == KeyUsages::LEAF || asked == KeyUsages::SIGNATURE => asked,
        Some(asked) => return refuse(asked.to_string()),
        // A key of ECDSA cannot encipher (`k8s.io/client-go/util/certificate/certificate_manager.go`).
        None if matches!(request.public_key().key_type(), KeyType::Rsa { .. }) => KeyUsages::LEAF,
        None => KeyUsages::SIGNATURE,
    };
    Ok((key_usages, ExtendedKeyUsages::new(vec![purpose])))
}

/// The names of a server: at least one, DNS names and addresses only.
fn serving_names(request: &CertificateRequest) -> Result<AlternativeNames, SigningRefusal> {
    let names = request.alternative_names();
    if names.is_empty() {
        return Err(SigningRefusal::NoAlternativeName);
    }
    let is_allowed = |name: &AlternativeName| match name {
        AlternativeName::Dns(name) => is_host(name),
        AlternativeName::Ip(_) => true,
        _ => false,
    };
    all(names, is_allowed)
}

/// The names of a client mean nothing to Kubernetes; its signer copies them.
fn client_names(request: &CertificateRequest) -> Result<AlternativeNames, SigningRefusal> {
    all(request.alternative_names(), |name| match name {
        AlternativeName::Dns(name) => is_host(name),
        AlternativeName::Ip(_) | AlternativeName::Email(_) | AlternativeName::Uri(_) => true,
        AlternativeName::Other(_) => false,
    })
}

fn all(
    names: &AlternativeNames,
    is_allowed: impl Fn(&AlternativeName) -> bool,
) -> Result<AlternativeNames, SigningRefusal> {
    match names.as_slice().iter().find(|name| !is_allowed(name)) {
        Some(name) => Err(SigningRefusal::AlternativeName(name.to_string())),
        None => Ok(names.clone()),
    }
}

/// A DNS name, or one for everything below it.
fn is_host(name: &str) -> bool {
    NodeName::parse(name.strip_prefix("*.").unwrap_or(name)).is_ok()
}

/// Returns the extensions that no profile has a place for.
fn further(request: &CertificateRequest) -> Vec<String> {
    let is_known =
        |name: &str| matches!(name, "keyUsage" | "extKeyUsage" | "basicConstraints" | "subjectAltName");
    request.extensions().iter().map(|e| e.name.clone()).filter(|name| !is_known(name)).collect()
}
