//! The session that turns a plan into a change set, one stage after the other.

use std::collections::BTreeMap;
use std::fmt;

use super::contents::{Material, Referring, ders, encode_all, trusting, trusting_everywhere};
use super::{
    Change, ChangeSet, Expected, IssueError, IssuerKey, KeyReply, KeyRequest, Signature, SigningRequest,
};
use crate::catalog::{CaSlot, FileSlot, Slot};
use crate::inventory::Authority;
use crate::kubeconfig::{self, Kubeconfig};
use crate::plan::{CertificateSpec, IssuerRef, KeyPolicy, KubeconfigSpec, Placement, Plan, Step, Write};
use crate::secret::SecretBytes;
use crate::snapshot::{FileState, Origin, ReadProblem, Snapshot};
use crate::x509::{
    Certificate, DistinguishedName, KeyType, PrivateKey, PublicKey, SignatureVerdict, ToBeSigned, assemble,
    reissue_to_be_signed, replace_certificate, verify,
};

/// A session, in the stage `S`. It holds secrets.
#[must_use = "a session gives a change set only when it is finished"]
pub struct Issuance<'a, S> {
    plan: &'a Plan,
    snapshot: &'a Snapshot,
    authorities: BTreeMap<CaSlot, Issuer>,
    stage: S,
}

/// The first stage: keys are to be supplied.
#[derive(Debug)]
pub struct NeedsKeys {
    requests: Vec<KeyRequest>,
}

/// The second stage: signatures are to be supplied.
pub struct NeedsSignatures {
    keys: BTreeMap<Slot, PrivateKey>,
    unsigned: Vec<Unsigned>,
}

struct Unsigned {
    slot: Slot,
    issuer: CaSlot,
    spec: CertificateSpec,
    tbs: Vec<u8>,
}

/// An authority as far as signing needs it.
pub(super) struct Issuer {
    name: DistinguishedName,
    key_identifier: Option<Vec<u8>>,
    public_key: PublicKey,
    private_key: Option<PrivateKey>,
    /// The certificates in its file, in DER.
    certificates: Vec<Vec<u8>>,
    /// The one that signs, as it was found; `None` when it is about to be made.
    signer: Option<Certificate>,
}

impl<S> fmt::Debug for Issuance<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuance({} steps, [secret])", self.plan.steps().len())
    }
}

impl fmt::Debug for NeedsSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NeedsSignatures({} to sign, [secret])", self.unsigned.len())
    }
}

/// Begins to issue `plan` over the snapshot that it was made for.
///
/// # Errors
/// [`IssueError::Stale`] or [`IssueError::IssuerChanged`] when the snapshot is another one.
pub fn begin<'a>(plan: &'a Plan, snapshot: &'a Snapshot) -> Result<Issuance<'a, NeedsKeys>, IssueError> {
    let mut authorities = BTreeMap::new();
    let mut requests = Vec::new();
    for step in plan.steps() {
        expect_what_was_planned(step, snapshot)?;
        if let KeyPolicy::Generate(algorithm) = step.key() {
            requests.push(KeyRequest { slot: step.slot(), algorithm });
        }
        if let Slot::Ca(ca) = step.slot()
            && step.is_extension()
        {
            authorities.entry(ca).or_insert(Issuer::from_snapshot(snapshot, ca)?);
        }
        if let Some(
            KubeconfigSpec::Refer { replace_authority: true } | KubeconfigSpec::CreateReferring { .. },
        ) = step.kubeconfig()
        {
            // Nothing is signed, so it need not be the authority of anybody's key.
            authorities.entry(CaSlot::Cluster).or_insert(Issuer::from_snapshot(snapshot, CaSlot::Cluster)?);
        }
        if let Some(CertificateSpec { issuer: IssuerRef::Existing { ca, public_key }, .. }) =
            step.certificate()
        {
            if !authorities.contains_key(ca) {
                authorities.insert(*ca, Issuer::from_snapshot(snapshot, *ca)?);
            }
            if authorities[ca].public_key.fingerprint() != *public_key {
                return Err(IssueError::IssuerChanged(*ca));
            }
        }
    }
    Ok(Issuance { plan, snapshot, authorities, stage: NeedsKeys { requests } })
}

impl<'a> Issuance<'a, NeedsKeys> {
    /// Takes the new keys, one for each request and in their order.
    ///
    /// # Errors
    /// [`IssueError`] when the keys are not those that were asked for, or one that was to be kept is not there.
    ///
    /// # Panics
    /// Never: every step has a key once the replies are counted.
    pub fn supply_keys(self, replies: Vec<KeyReply>) -> Result<Issuance<'a, NeedsSignatures>, IssueError> {
        let Self { plan, snapshot, mut authorities, stage: NeedsKeys { requests } } = self;
        if replies.len() != requests.len() {
            let (asked, given) = (requests.len(), replies.len());
            return Err(IssueError::Count { what: "keys", asked, given });
        }
        let mut keys = BTreeMap::new();
        for (KeyRequest { slot, algorithm }, KeyReply(key)) in requests.into_iter().zip(replies) {
            if key.key_type() != KeyType::from(algorithm) {
                let (asked, given) = (algorithm.to_string(), key.key_type().to_string());
                return Err(IssueError::WrongKey { slot, asked, given });
            }
            keys.insert(slot, key);
        }
        let mut unsigned = Vec::new();
        for step in plan.steps() {
            let slot = step.slot();
            if step.key() == KeyPolicy::Reuse
                && (step.certificate().is_some() || slot == Slot::ServiceAccount)
            {
                keys.insert(slot, kept_key(step, snapshot)?);
            }
            let Some(spec) = step.certificate() else { continue };
            let key = keys.get(&slot).expect("every step has a key by now");
            if let (Slot::Ca(ca), IssuerRef::Itself) = (slot, &spec.issuer)
                && !step.is_extension()
            {
                authorities.insert(ca, Issuer::new_authority(spec, key));
            }
            let issuer = match (&spec.issuer, slot) {
                (IssuerRef::Existing { ca, .. } | IssuerRef::Created(ca), _) => *ca,
                (IssuerRef::Itself, Slot::Ca(ca)) => ca,
                (IssuerRef::Itself, _) => {
                    return Err(IssueError::Key {
                        slot,
                        reason: "only an authority can sign itself".to_owned(),
                    });
                }
            };
            let authority = authorities.get(&issuer).ok_or(IssueError::IssuerChanged(issuer))?;
            let tbs = if step.is_extension() {
                extended_to_be_signed(slot, spec, &key.public_key(), authority)?
            } else {
                to_be_signed(slot, spec, &key.public_key(), authority)?
            };
            unsigned.push(Unsigned { slot, issuer, spec: spec.clone(), tbs });
        }
        Ok(Issuance { plan, snapshot, authorities, stage: NeedsSignatures { keys, unsigned } })
    }

    /// Returns the keys to make.
    #[must_use]
    pub fn key_requests(&self) -> &[KeyRequest] {
        &self.stage.requests
    }
}

impl Issuance<'_, NeedsSignatures> {
    /// Verifies the signatures, one for each request and in their order, and returns everything to write.
    ///
    /// # Errors
    /// [`IssueError`] when a signature is not by the issuer's key, or a kubeconfig cannot be edited.
    ///
    /// # Panics
    /// Never: every step has a key, and every issuer is known, once the session has come this far.
    pub fn finish(self, signatures: Vec<Signature>) -> Result<ChangeSet, IssueError> {
        let Self { plan, snapshot, mut authorities, stage: NeedsSignatures { keys, unsigned } } = self;
        if signatures.len() != unsigned.len() {
            let (asked, given) = (unsigned.len(), signatures.len());
            return Err(IssueError::Count { what: "signatures", asked, given });
        }
        let mut signed: BTreeMap<Slot, Vec<u8>> = BTreeMap::new();
        let mut issuer_of = BTreeMap::new();
        for (Unsigned { slot, issuer, spec, tbs }, signature) in unsigned.into_iter().zip(signatures) {
            let key = &authorities[&issuer].public_key;
            if verify(key, spec.signature, &tbs, signature.as_bytes()) != SignatureVerdict::Valid {
                return Err(IssueError::WrongSignature { slot });
            }
            let encoding = |source| IssueError::Encoding { slot, source };
            let der = assemble(&tbs, spec.signature, signature.as_bytes()).map_err(encoding)?;
            // What was assembled must be what was planned, in the eyes of the parser that judges every certificate.
            let certificate = Certificate::parse_der(&der).map_err(encoding)?;
            if certificate.serial() != &spec.serial || certificate.subject() != &spec.subject {
                return Err(IssueError::WrongSignature { slot });
            }
            if let (Slot::Ca(ca), IssuerRef::Itself) = (slot, &spec.issuer) {
                authorities.get_mut(&ca).expect("what signs itself is known by now").replace(der.clone());
            }
            signed.insert(slot, der);
            issuer_of.insert(slot, issuer);
        }

        let mut changes = Vec::new();
        for step in plan.steps() {
            let slot = step.slot();
            if step.is_trust() {
                let cluster = authorities.get(&CaSlot::Cluster);
                let extended = signed.get(&Slot::Ca(CaSlot::Cluster)).map(Vec::as_slice);
                for write in step.writes() {
                    let path = snapshot.layout().path(write.file());
                    let old = content(snapshot, write);
                    let contents = if step.kubeconfig() == Some(&KubeconfigSpec::Trust) {
                        let trusted = match (cluster, extended) {
                            (Some(cluster), Some(_)) => cluster.certificates.clone(),
                            _ => trusted(snapshot),
                        };
                        trusting(path, old, |_| {
                            (!trusted.is_empty()).then(|| encode_all(&trusted).into_bytes())
                        })?
                    } else {
                        trusting_everywhere(path, old, |embedded| {
                            replace_certificate(embedded, cluster?.signer.as_ref()?, extended?)
                        })?
                    };
                    changes.push(change(plan, snapshot, write, contents));
                }
                continue;
            }
            if step.is_repair() && step.certificate().is_none() {
                let authority =
                    authorities.get(&CaSlot::Cluster).map_or(&[][..], |issuer| &issuer.certificates);
                for write in step.writes() {
                    let content = referring(snapshot, step, write, authority)?;
                    changes.push(change(plan, snapshot, write, content));
                }
                continue;
            }
            let material = Material {
                key: keys.get(&slot).expect("every step has a key"),
                certificate: signed.get(&slot).map(Vec::as_slice),
                intermediates: &[],
                authority: issuer_of.get(&slot).map_or(&[][..], |ca| &authorities[ca].certificates),
            };
            for write in step.writes() {
                let path = snapshot.layout().path(write.file());
                let contents = match (step.kubeconfig(), slot) {
                    (Some(spec), _) => material.kubeconfig(spec, path, content(snapshot, write))?,
                    (None, Slot::Ca(ca)) if step.is_extension() => {
                        let old = authorities[&ca].signer.as_ref();
                        let new = signed.get(&slot).expect("a step with a certificate has it signed by now");
                        let spliced =
                            old.and_then(|old| replace_certificate(content(snapshot, write), old, new));
                        let spliced = spliced.ok_or(IssueError::IssuerChanged(ca))?;
                        SecretBytes::new(with_others(spliced, ca, plan, &authorities, &signed))
                    }
                    (None, _) => material.whole_file(write.file().kind()),
                };
                changes.push(change(plan, snapshot, write, contents));
            }
        }
        Ok(ChangeSet::from(changes))
    }

    /// Returns what is to be signed, one flat batch.
    #[must_use]
    pub fn signing_requests(&self) -> Vec<SigningRequest<'_>> {
        let mut requests = Vec::with_capacity(self.stage.unsigned.len());
        for Unsigned { slot, issuer: ca, spec, tbs } in &self.stage.unsigned {
            let issuer = self.authorities[ca].key(*ca);
            requests.push(SigningRequest { slot: *slot, issuer, algorithm: spec.signature, message: tbs });
        }
        requests
    }
}

impl Issuer {
    pub(super) fn from_snapshot(snapshot: &Snapshot, ca: CaSlot) -> Result<Self, IssueError> {
        let changed = || IssueError::IssuerChanged(ca);
        // The rule for which certificate of a bundle signs is the inventory's, as the plan was made by it.
        let authority = Authority::parse(snapshot, ca);
        let (Some(signer), Some(bundle)) = (authority.signer(), authority.certificate().present()) else {
            return Err(changed());
        };
        if authority.key_matches() == Some(false) {
            return Err(changed());
        }
        let key = snapshot.file(FileSlot::CaKey(ca)).content();
        if key.is_some_and(|content| content.origin() == Origin::Redacted) {
            return Err(IssueError::Redacted(ca));
        }
        let private_key = key.and_then(|content| PrivateKey::parse(content.secret_bytes()).ok());
        Ok(Self {
            name: signer.subject().clone(),
            key_identifier: signer.subject_key_identifier().map(<[u8]>::to_vec),
            public_key: signer.public_key().clone(),
            private_key,
            certificates: ders(bundle.certificates()),
            signer: Some(signer.clone()),
        })
    }

    /// Returns the certificates in the file of `ca`, when it can be read; the key of the authority need not be here.
    pub(super) fn certificates_of(snapshot: &Snapshot, ca: CaSlot) -> Option<Vec<Vec<u8>>> {
        let authority = Authority::parse(snapshot, ca);
        authority.certificate().present().map(|bundle| ders(bundle.certificates()))
    }

    /// Puts `new` in the place of the certificate that signs.
    fn replace(&mut self, new: Vec<u8>) {
        match &self.signer {
            Some(signer) => {
                for der in self.certificates.iter_mut().filter(|der| der.as_slice() == signer.as_der()) {
                    der.clone_from(&new);
                }
            }
            None => self.certificates = vec![new],
        }
    }

    pub(super) const fn name(&self) -> &DistinguishedName {
        &self.name
    }

    pub(super) fn key_identifier(&self) -> Option<&[u8]> {
        self.key_identifier.as_deref()
    }

    pub(super) const fn key(&self, ca: CaSlot) -> IssuerKey<'_> {
        IssuerKey { ca, public_key: &self.public_key, private_key: self.private_key.as_ref() }
    }

    /// Returns an authority that is about to sign itself; its certificate follows.
    fn new_authority(spec: &CertificateSpec, key: &PrivateKey) -> Self {
        let public_key = key.public_key();
        let secret = key.secret_pkcs8_der();
        Self {
            name: spec.subject.clone(),
            key_identifier: Some(public_key.key_identifier()),
            private_key: PrivateKey::parse_pkcs8(secret.secret_bytes()).ok(),
            public_key,
            certificates: Vec::new(),
            signer: None,
        }
    }
}

/// Returns the file of `ca` with the successors of other authorities that it holds, as a bundle for several flags does.
fn with_others(
    mut file: Vec<u8>,
    ca: CaSlot,
    plan: &Plan,
    authorities: &BTreeMap<CaSlot, Issuer>,
    signed: &BTreeMap<Slot, Vec<u8>>,
) -> Vec<u8> {
    for other in plan.extended_authorities().filter(|other| *other != ca) {
        let old = authorities.get(&other).and_then(|issuer| issuer.signer.as_ref());
        if let (Some(old), Some(new)) = (old, signed.get(&Slot::Ca(other)))
            && let Some(changed) = replace_certificate(&file, old, new)
        {
            file = changed;
        }
    }
    file
}

/// Compares what the plan expects to replace with what the snapshot holds.
fn expect_what_was_planned(step: &Step, snapshot: &Snapshot) -> Result<(), IssueError> {
    for write in step.writes() {
        let found = match snapshot.file(write.file()) {
            FileState::Absent => Some(Expected::Absent),
            FileState::Present(content) => Some(Expected::Content(content.digest())),
            // Where only the link is written, one that leads nowhere is as good as none.
            FileState::Unreadable(ReadProblem::DanglingLink { .. })
                if write.placement() == Placement::DatedBehindLink =>
            {
                Some(Expected::Absent)
            }
            FileState::Unreadable(_) => None,
        };
        if found != Some(write.expected()) {
            let digest = |expected| match expected {
                Expected::Absent => None,
                Expected::Content(digest) => Some(digest),
            };
            return Err(IssueError::Stale {
                path: snapshot.layout().path(write.file()).clone(),
                expected: digest(write.expected()),
                found: found.and_then(digest),
            });
        }
    }
    Ok(())
}

/// Returns the certificates in the file of the cluster's authority, in DER. Its key does not matter to those who trust it.
fn trusted(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let authority = Authority::parse(snapshot, CaSlot::Cluster);
    authority.certificate().present().map_or_else(Vec::new, |bundle| ders(bundle.certificates()))
}

/// Returns what is in the file that is written now.
fn content<'s>(snapshot: &'s Snapshot, write: &Write) -> &'s [u8] {
    snapshot.file(write.file()).content().map_or(&[][..], |content| content.secret_bytes())
}

fn change(plan: &Plan, snapshot: &Snapshot, write: &Write, contents: SecretBytes) -> Change {
    let path = snapshot.layout().path(write.file()).clone();
    Change::new(write.file(), path, write.expected(), write.mode(), contents)
        .with_dated(write.placement().dated(plan.now()))
}

/// Returns the kubeconfig of `step`, which refers to the kubelet's client certificate.
fn referring(
    snapshot: &Snapshot,
    step: &Step,
    write: &Write,
    authority: &[Vec<u8>],
) -> Result<SecretBytes, IssueError> {
    let old = content(snapshot, write);
    let layout = snapshot.layout();
    let (path, client) = (layout.path(write.file()), layout.path(FileSlot::KubeletClient));
    let referring = Referring { path, old, client, authority };
    match step.kubeconfig() {
        Some(KubeconfigSpec::CreateReferring { cluster, server, user }) => {
            Ok(referring.whole(cluster, server, user))
        }
        Some(KubeconfigSpec::Refer { replace_authority }) => referring.edited(*replace_authority),
        Some(
            KubeconfigSpec::Edit { .. }
            | KubeconfigSpec::Create { .. }
            | KubeconfigSpec::Trust
            | KubeconfigSpec::TrustExtended,
        )
        | None => referring.edited(false),
    }
}

/// Returns the key that a step keeps.
fn kept_key(step: &Step, snapshot: &Snapshot) -> Result<PrivateKey, IssueError> {
    let slot = step.slot();
    let unusable = |reason: String| IssueError::Key { slot, reason };
    let content = |file| {
        let state: &FileState = snapshot.file(file);
        state.content().ok_or_else(|| unusable(format!("{} cannot be read", snapshot.layout().path(file))))
    };
    let parse = |bytes: &[u8]| PrivateKey::parse(bytes).map_err(|damage| unusable(damage.to_string()));
    match slot {
        Slot::Leaf(leaf) => parse(content(FileSlot::LeafKey(leaf))?.secret_bytes()),
        Slot::Kubeconfig(kubeconfig) => {
            let bytes = content(FileSlot::Kubeconfig(kubeconfig))?.secret_bytes();
            let file = Kubeconfig::parse(bytes).map_err(|damage| unusable(damage.to_string()))?;
            let current = file.current().map_err(|missing| unusable(missing.to_string()))?;
            let key = kubeconfig::user_key(bytes, current.user.name());
            parse(key.ok_or_else(|| unusable("the kubeconfig embeds none".to_owned()))?.secret_bytes())
        }
        Slot::KubeletClient => parse(content(FileSlot::KubeletClient)?.secret_bytes()),
        Slot::ServiceAccount => parse(content(FileSlot::ServiceAccountKey)?.secret_bytes()),
        Slot::Ca(ca) => parse(content(FileSlot::CaKey(ca))?.secret_bytes()),
        Slot::KubeletServing => {
            Err(unusable("only authorities, leaves and clients can keep theirs".to_owned()))
        }
    }
}

/// Returns the bytes of the authority's certificate with another end, when `spec` says nothing else of it than it says itself.
fn extended_to_be_signed(
    slot: Slot,
    spec: &CertificateSpec,
    public_key: &PublicKey,
    issuer: &Issuer,
) -> Result<Vec<u8>, IssueError> {
    // A new decision of the plan must find its place here.
    let CertificateSpec {
        issuer: _,
        signature,
        serial,
        validity,
        subject,
        alternative_names,
        key_usages,
        extended_key_usages,
    } = spec;
    let other = |field| IssueError::Identity { slot, field };
    let old = issuer.signer.as_ref().ok_or_else(|| other("certificate"))?;
    for (field, is_same) in [
        ("key", public_key == old.public_key()),
        ("issuer", old.is_self_issued()),
        ("subject", subject == old.subject()),
        ("alternative names", alternative_names == old.alternative_names()),
        ("key usages", *key_usages == old.key_usages().unwrap_or_default()),
        ("extended key usages", extended_key_usages == old.extended_key_usages()),
    ] {
        if !is_same {
            return Err(other(field));
        }
    }
    reissue_to_be_signed(old, serial, *validity, *signature)
        .map_err(|source| IssueError::Encoding { slot, source })
}

pub(super) fn to_be_signed(
    slot: Slot,
    spec: &CertificateSpec,
    public_key: &PublicKey,
    issuer: &Issuer,
) -> Result<Vec<u8>, IssueError> {
    // A new decision of the plan must find its place here.
    let CertificateSpec {
        issuer: reference,
        signature,
        serial,
        validity,
        subject,
        alternative_names,
        key_usages,
        extended_key_usages,
    } = spec;
    let is_ca = *reference == IssuerRef::Itself;
    let own_identifier = is_ca.then(|| public_key.key_identifier());
    let to_be_signed = ToBeSigned {
        serial,
        signature: *signature,
        issuer: &issuer.name,
        validity: *validity,
        subject,
        public_key,
        key_usages: *key_usages,
        extended_key_usages,
        is_ca,
        subject_key_identifier: own_identifier.as_deref(),
        authority_key_identifier: if is_ca { None } else { issuer.key_identifier.as_deref() },
        alternative_names,
    };
    to_be_signed.to_der().map_err(|source| IssueError::Encoding { slot, source })
}
