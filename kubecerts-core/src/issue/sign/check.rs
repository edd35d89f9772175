//! The rules of the profiles.
//!
//! Those of the signers are Kubernetes' ("Certificates and Certificate Signing Requests", Kubernetes signers), those of the slots
//! kubeadm's catalogue. They look at what is asked for where it lies and allocate nothing unless they refuse: what is signed in bulk
//! goes through them too.

use std::collections::BTreeSet;

use super::{SignerName, SigningNote, SigningProfile, SigningRefusal};
use crate::catalog::{ClientSpec, ExtendedUsage, NodeName, SanRule, Slot};
use crate::issue::external::{is_kubeadms, profile as catalogue};
use crate::x509::{
    AlternativeName, AlternativeNames, BasicConstraints, CertificateRequest, DistinguishedName,
    ExtendedKeyUsages, Extension, KeyType, KeyUsages, PublicKey, Purpose, SignatureVerdict,
};

/// What somebody asks for.
#[derive(Clone, Copy)]
pub(in crate::issue) struct Asked<'a> {
    pub(in crate::issue) subject: &'a DistinguishedName,
    pub(in crate::issue) public_key: &'a PublicKey,
    alternative_names: &'a AlternativeNames,
    key_usages: Option<KeyUsages>,
    extended_key_usages: &'a ExtendedKeyUsages,
    basic_constraints: Option<BasicConstraints>,
    extensions: &'a [Extension],
    /// Whether who asks has the private key.
    verdict: &'a SignatureVerdict,
}

impl<'a> Asked<'a> {
    pub(in crate::issue) fn by_request(request: &'a CertificateRequest) -> Self {
        Self {
            subject: request.subject(),
            public_key: request.public_key(),
            alternative_names: request.alternative_names(),
            key_usages: request.key_usages(),
            extended_key_usages: request.extended_key_usages(),
            basic_constraints: request.basic_constraints(),
            extensions: request.extensions(),
            verdict: request.verdict(),
        }
    }

    /// Returns what the holder of `key`, whom the caller knows, would ask for who wants these names only.
    const fn by_holder(
        subject: &'a DistinguishedName,
        alternative_names: &'a AlternativeNames,
        public_key: &'a PublicKey,
    ) -> Self {
        Self {
            subject,
            public_key,
            alternative_names,
            key_usages: None,
            extended_key_usages: NO_PURPOSES,
            basic_constraints: None,
            extensions: &[],
            verdict: &SignatureVerdict::Valid,
        }
    }
}

/// What of it is signed.
#[derive(Clone, Copy)]
pub(in crate::issue) struct Granted<'a> {
    /// All names that are asked for, or none.
    pub(in crate::issue) alternative_names: &'a AlternativeNames,
    pub(in crate::issue) key_usages: KeyUsages,
    pub(in crate::issue) purposes: &'static [ExtendedUsage],
}

impl Granted<'_> {
    pub(in crate::issue) fn extended_key_usages(&self) -> ExtendedKeyUsages {
        ExtendedKeyUsages::new(self.purposes.iter().copied().map(Purpose::from).collect())
    }
}

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
pub(super) fn parse_and_approve(request: &[u8], profile: SigningProfile) -> Result<Approved, SigningRefusal> {
    let request = CertificateRequest::parse(request).map_err(SigningRefusal::Request)?;
    let asked = Asked::by_request(&request);
    let granted = approve(asked, profile)?;
    Ok(Approved {
        subject: asked.subject.clone(),
        alternative_names: granted.alternative_names.clone(),
        key_usages: granted.key_usages,
        extended_key_usages: granted.extended_key_usages(),
        notes: notes(asked, granted, profile),
        request,
    })
}

/// Holds a key with `subject` and `names` against `profile`. Whoever passes names means them, so a profile that has no place for
/// them refuses, where it would leave out those of a request.
pub(in crate::issue) fn approve_key<'a>(
    subject: &'a DistinguishedName,
    names: &'a AlternativeNames,
    key: &'a PublicKey,
    profile: SigningProfile,
) -> Result<Granted<'a>, SigningRefusal> {
    let granted = approve(Asked::by_holder(subject, names, key), profile)?;
    match names.as_slice().first() {
        Some(name) if granted.alternative_names.is_empty() => {
            Err(SigningRefusal::AlternativeName(name.to_string()))
        }
        _ => Ok(granted),
    }
}

/// Holds what is asked for against `profile`.
pub(in crate::issue) fn approve(
    asked: Asked<'_>,
    profile: SigningProfile,
) -> Result<Granted<'_>, SigningRefusal> {
    let key_type = asked.public_key.key_type();
    if !matches!(key_type, KeyType::Rsa { bits: 2048..=8192 } | KeyType::EcdsaP256 | KeyType::EcdsaP384) {
        return Err(SigningRefusal::Key(key_type.to_string()));
    }
    match asked.verdict {
        SignatureVerdict::Valid => {}
        SignatureVerdict::Invalid => return Err(SigningRefusal::NotSignedByItself),
        SignatureVerdict::Unsupported(kind) => return Err(SigningRefusal::SignatureAlgorithm(kind.clone())),
    }
    if let Some(name) = repeated(asked.extensions) {
        return Err(SigningRefusal::RepeatedExtension(name.to_owned()));
    }
    if asked.basic_constraints.is_some_and(|constraints| constraints.is_ca) {
        return Err(SigningRefusal::Authority);
    }
    match profile {
        SigningProfile::Slot(slot) => match catalogue(slot) {
            Some(spec) => of_slot(asked, slot, spec),
            None => Err(SigningRefusal::OtherAuthority { profile, issuer: profile.issuer() }),
        },
        SigningProfile::Signer(signer) => of_signer(asked, signer),
    }
}

/// Returns what the certificate will not have as it is asked for, and what somebody should look at.
pub(in crate::issue) fn notes(
    asked: Asked<'_>,
    granted: Granted<'_>,
    profile: SigningProfile,
) -> Vec<SigningNote> {
    let mut not_copied = further(asked);
    let mut privileged = Vec::new();
    match profile {
        SigningProfile::Slot(_) => {
            let given = granted.extended_key_usages();
            let purposes =
                |usages: &ExtendedKeyUsages| -> BTreeSet<_> { usages.as_slice().iter().copied().collect() };
            if asked.key_usages.is_some_and(|usages| usages != granted.key_usages) {
                not_copied.push("keyUsage".to_owned());
            }
            if !asked.extended_key_usages.is_empty()
                && purposes(asked.extended_key_usages) != purposes(&given)
            {
                not_copied.push("extKeyUsage".to_owned());
            }
            if granted.alternative_names != asked.alternative_names {
                not_copied.push("subjectAltName".to_owned());
            }
        }
        SigningProfile::Signer(SignerName::ApiServerClient) => {
            let identities = asked.subject.organisations().chain(asked.subject.common_name());
            let found = identities.filter(|name| name.starts_with("system:") || name.starts_with("kubeadm:"));
            privileged.extend(found.map(|name| SigningNote::Privileged(name.to_owned())));
        }
        SigningProfile::Signer(SignerName::ApiServerClientKubelet | SignerName::KubeletServing) => {}
    }
    let not_copied = (!not_copied.is_empty()).then_some(SigningNote::NotCopied(not_copied));
    not_copied.into_iter().chain(privileged).collect()
}

fn of_slot(asked: Asked<'_>, slot: Slot, spec: ClientSpec) -> Result<Granted<'_>, SigningRefusal> {
    if !is_kubeadms(asked.subject, spec) {
        let (profile, subject) = (SigningProfile::Slot(slot), asked.subject.to_string());
        return Err(SigningRefusal::Subject { profile, subject, reason: "kubeadm gives another one" });
    }
    let alternative_names = match spec.sans {
        SanRule::None => NO_NAMES,
        SanRule::ApiServer | SanRule::Etcd => serving_names(asked.alternative_names)?,
    };
    Ok(Granted { alternative_names, key_usages: KeyUsages::LEAF, purposes: spec.usages })
}

fn of_signer(asked: Asked<'_>, signer: SignerName) -> Result<Granted<'_>, SigningRefusal> {
    let (profile, subject) = (SigningProfile::Signer(signer), asked.subject);
    let refuse = |reason| {
        let subject = subject.to_string();
        Err(SigningRefusal::Subject { profile, subject, reason })
    };
    let mut common_names = subject.common_names();
    let (Some(user), None) = (common_names.next().filter(|user| !user.is_empty()), common_names.next())
    else {
        return refuse("it needs exactly one common name, which is the user");
    };
    let purpose = match signer {
        SignerName::ApiServerClient => {
            // The admission plugin CertificateSubjectRestriction refuses it where requests come in.
            if subject.organisations().any(|group| group == "system:masters") {
                return refuse("nobody gets the group system:masters, which bypasses every permission");
            }
            ExtendedUsage::ClientAuth
        }
        SignerName::ApiServerClientKubelet | SignerName::KubeletServing => {
            if !subject.organisations().eq([NodeName::GROUP]) {
                return refuse("the organisation has to be exactly system:nodes");
            }
            if !NodeName::is_user(user) {
                return refuse("the common name has to be system:node: and the name of a node");
            }
            match signer {
                SignerName::KubeletServing => ExtendedUsage::ServerAuth,
                SignerName::ApiServerClient | SignerName::ApiServerClientKubelet => ExtendedUsage::ClientAuth,
            }
        }
    };
    let (key_usages, purposes) = usages(asked, profile, purpose)?;
    let alternative_names = match signer {
        SignerName::ApiServerClient => client_names(asked.alternative_names)?,
        SignerName::ApiServerClientKubelet => match asked.alternative_names.texts().next() {
            Some(name) => return Err(SigningRefusal::AlternativeName(name)),
            None => NO_NAMES,
        },
        SignerName::KubeletServing => serving_names(asked.alternative_names)?,
    };
    Ok(Granted { alternative_names, key_usages, purposes })
}

/// Usages may be asked for, but none besides the signer's; those that nobody asks for are given as kubelets ask for them.
fn usages(
    asked: Asked<'_>,
    profile: SigningProfile,
    purpose: ExtendedUsage,
) -> Result<(KeyUsages, &'static [ExtendedUsage]), SigningRefusal> {
    let (granted, allowed): (&'static [ExtendedUsage], _) = match purpose {
        ExtendedUsage::ServerAuth => {
            (&[ExtendedUsage::ServerAuth], "digitalSignature, serverAuth, and keyEncipherment or not")
        }
        ExtendedUsage::ClientAuth => {
            (&[ExtendedUsage::ClientAuth], "digitalSignature, clientAuth, and keyEncipherment or not")
        }
    };
    let refuse = |asked: String| Err(SigningRefusal::Usages { profile, asked, allowed });
    let purposes = asked.extended_key_usages.as_slice();
    if !purposes.is_empty() && purposes != [Purpose::from(purpose)] {
        let asked: Vec<String> = purposes.iter().map(ToString::to_string).collect();
        return refuse(asked.join(", "));
    }
    let key_usages = match asked.key_usages {
        Some(asked) if asked == KeyUsages::LEAF || asked == KeyUsages::SIGNATURE => asked,
        Some(asked) => return refuse(asked.to_string()),
        // A key of ECDSA cannot encipher (`k8s.io/client-go/util/certificate/certificate_manager.go`).
        None if matches!(asked.public_key.key_type(), KeyType::Rsa { .. }) => KeyUsages::LEAF,
        None => KeyUsages::SIGNATURE,
    };
    Ok((key_usages, granted))
}

/// Returns the first name that two of `extensions` have.
fn repeated(extensions: &[Extension]) -> Option<&str> {
    if extensions.len() < 2 {
        return None;
    }
    let mut names = BTreeSet::new();
    extensions.iter().map(|extension| extension.name.as_str()).find(|name| !names.insert(*name))
}

/// The names of a server: at least one, DNS names and addresses only.
fn serving_names(names: &AlternativeNames) -> Result<&AlternativeNames, SigningRefusal> {
    if names.is_empty() {
        return Err(SigningRefusal::NoAlternativeName);
    }
    all(names, |name| matches!(name, AlternativeName::Dns(_) | AlternativeName::Ip(_)))
}

/// The names of a client mean nothing to Kubernetes; its signer copies them.
fn client_names(names: &AlternativeNames) -> Result<&AlternativeNames, SigningRefusal> {
    all(names, |name| match name {
        // Both are of IA5String, and those that a request has were found plain when it was parsed.
        AlternativeName::Email(text) | AlternativeName::Uri(text) => {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        }
        AlternativeName::Dns(_) | AlternativeName::Ip(_) => true,
        AlternativeName::Other(_) => false,
    })
}

/// Returns the names when each of them is allowed; DNS names have to be such in any case.
fn all(
    names: &AlternativeNames,
    is_allowed: impl Fn(&AlternativeName) -> bool,
) -> Result<&AlternativeNames, SigningRefusal> {
    let is_refused = |name: &&AlternativeName| !is_allowed(name) || (!names.are_dns() && name.is_no_dns());
    match names.as_slice().iter().find(is_refused) {
        Some(name) => Err(SigningRefusal::AlternativeName(name.to_string())),
        None => Ok(names),
    }
}

/// Returns the extensions that no profile has a place for.
fn further(asked: Asked<'_>) -> Vec<String> {
    let is_known =
        |name: &str| matches!(name, "keyUsage" | "extKeyUsage" | "basicConstraints" | "subjectAltName");
    asked.extensions.iter().map(|e| e.name.clone()).filter(|name| !is_known(name)).collect()
}

const NO_NAMES: &AlternativeNames = &AlternativeNames::NONE;
const NO_PURPOSES: &ExtendedKeyUsages = &ExtendedKeyUsages::new(Vec::new());
