//! The fields of the document, and their way from and to the domain types.
//!
//! The field names here are the format: renaming one is a new version. Each type has `of`, which cannot fail, and
//! `parse`, which checks every value.

use serde::{Deserialize, Serialize};

use super::explanation::{Note, Reason};
use super::value::{self, Invalid};
use super::{API_VERSION, DocumentError, KIND};
use crate::catalog::{Component, FileSlot, Reload};
use crate::digest::{hex, parse_hex};
use crate::issue::Expected;
use crate::plan;
use crate::x509::{
    AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyUsages, SerialNumber, SignatureAlgorithm,
    Validity,
};

/// What every version has. Other fields are of no interest yet, so this one does not refuse them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) api_version: String,
    pub(super) kind: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Document {
    api_version: String,
    kind: String,
    created_at: String,
    steps: Vec<Step>,
    deferred: Vec<Deferred>,
    restarts: Vec<Restart>,
}

impl Document {
    pub(super) fn of(plan: &plan::Plan) -> Self {
        let plan::Plan { steps, deferred, restarts, now } = plan;
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            created_at: now.to_string(),
            steps: steps.iter().map(Step::of).collect(),
            deferred: deferred.iter().map(Deferred::of).collect(),
            restarts: restarts.iter().map(Restart::of).collect(),
        }
    }

    pub(super) fn parse(self) -> Result<plan::Plan, DocumentError> {
        let Self { api_version: _, kind: _, created_at, steps, deferred, restarts } = self;
        let now = value::parsed("createdAt", &created_at).map_err(|invalid| invalid.at(""))?;
        let steps = value::list("steps", steps, Step::parse)?;
        let mut deferred = value::list("deferred", deferred, Deferred::parse)?;
        let mut restarts = value::list("restarts", restarts, Restart::parse)?;
        // A plan has these sorted; as lists of a document their order means nothing.
        deferred.sort_by_key(plan::Deferred::slot);
        restarts.sort_by_key(|restart| restart.component);
        Ok(plan::Plan { steps, deferred, restarts, now })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Step {
    slot: String,
    action: Action,
    key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<Kubeconfig>,
    writes: Vec<Write>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced: Option<Replaced>,
    notes: Vec<Note>,
}

impl Step {
    fn of(step: &plan::Step) -> Self {
        let plan::Step { slot, key, certificate, kubeconfig, writes, replaced, notes } = step;
        Self {
            slot: slot.name().to_owned(),
            action: Action::of(step),
            key: match key {
                plan::KeyPolicy::Generate(algorithm) => Key::Generate(algorithm.name().to_owned()),
                plan::KeyPolicy::Reuse => Key::Reuse,
            },
            certificate: certificate.as_ref().map(Certificate::of),
            kubeconfig: kubeconfig.as_ref().map(Kubeconfig::of),
            writes: writes.iter().map(Write::of).collect(),
            replaced: replaced.as_ref().map(Replaced::of),
            notes: notes.iter().map(Note::of).collect(),
        }
    }

    fn parse(self) -> Result<plan::Step, Invalid> {
        let Self { slot, action, key, certificate, kubeconfig, writes, replaced, notes } = self;
        let step = plan::Step {
            slot: value::slot("slot", &slot)?,
            key: match key {
                Key::Generate(name) => plan::KeyPolicy::Generate(value::algorithm("key.generate", &name)?),
                Key::Reuse => plan::KeyPolicy::Reuse,
            },
            certificate: certificate.map(Certificate::parse).transpose()?,
            kubeconfig: kubeconfig.map(Kubeconfig::parse),
            writes: writes.into_iter().map(Write::parse).collect::<Result<_, _>>()?,
            replaced: replaced.map(Replaced::parse).transpose()?,
            notes: notes.into_iter().map(Note::parse).collect::<Result<_, _>>()?,
        };
        if action != Action::of(&step) {
            let reason = "is extend for an authority with its key, trust for a kubeconfig that gets certificates of authorities only, \
                          renew when a certificate is replaced, repair when a kubelet's credential is mended, else create";
            return Err(Invalid::new("action", reason));
        }
        Ok(step)
    }
}

/// What a step does to its slot; it follows from the rest of the step.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Action {
    Renew,
    Create,
    Repair,
    Extend,
    Trust,
}

impl Action {
    const fn of(step: &plan::Step) -> Self {
        if step.is_extension() {
            Self::Extend
        } else if step.is_trust() {
            Self::Trust
        } else if step.replaced.is_some() {
            Self::Renew
        } else if step.is_repair() {
            Self::Repair
        } else {
            Self::Create
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Key {
    Generate(String),
    Reuse,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Certificate {
    issuer: Issuer,
    signature_algorithm: String,
    serial: String,
    not_before: String,
    not_after: String,
    subject: Subject,
    alternative_names: Vec<String>,
    key_usages: Vec<String>,
    extended_key_usages: Vec<String>,
}

impl Certificate {
    fn of(spec: &plan::CertificateSpec) -> Self {
        // A new decision of the plan must find its place here.
        let plan::CertificateSpec {
            issuer,
            signature,
            serial,
            validity,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
        } = spec;
        Self {
            issuer: Issuer::of(issuer),
            signature_algorithm: signature.name().to_owned(),
            serial: hex(serial.as_bytes()),
            not_before: validity.not_before().to_string(),
            not_after: validity.not_after().to_string(),
            subject: Subject::of(subject),
            alternative_names: alternative_names.texts().collect(),
            key_usages: key_usages.names().map(str::to_owned).collect(),
            extended_key_usages: extended_key_usages.as_slice().iter().map(ToString::to_string).collect(),
        }
    }

    fn parse(self) -> Result<plan::CertificateSpec, Invalid> {
        let Self {
            issuer,
            signature_algorithm,
            serial,
            not_before,
            not_after,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
        } = self;
        let not_before = value::parsed("certificate.notBefore", &not_before)?;
        let not_after = value::parsed("certificate.notAfter", &not_after)?;
        let serial: SerialNumber = value::parsed("certificate.serial", &serial)?;
        if !serial.is_positive() {
            return Err(Invalid::new("certificate.serial", "a new serial number is greater than zero"));
        }
        let names = alternative_names.iter().map(|text| value::parsed("certificate.alternativeNames", text));
        let purposes =
            extended_key_usages.iter().map(|text| value::parsed("certificate.extendedKeyUsages", text));
        Ok(plan::CertificateSpec {
            issuer: issuer.parse()?,
            signature: value::named(
                "certificate.signatureAlgorithm",
                &signature_algorithm,
                SignatureAlgorithm::ALL,
                SignatureAlgorithm::name,
            )?,
            serial,
            validity: Validity::new(not_before, not_after)
                .map_err(|error| Invalid::new("certificate.notAfter", error))?,
            subject: subject.parse()?,
            alternative_names: AlternativeNames::new(names.collect::<Result<_, _>>()?),
            key_usages: KeyUsages::from_names(key_usages.iter().map(String::as_str)).ok_or_else(|| {
                Invalid::new("certificate.keyUsages", format!("{key_usages:?} has an unknown key usage"))
            })?,
            extended_key_usages: ExtendedKeyUsages::new(purposes.collect::<Result<_, _>>()?),
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "expected {ca, publicKeySha256}, {created: ca} or \"self\"")]
enum Issuer {
    Existing(ExistingIssuer),
    New(NewIssuer),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ExistingIssuer {
    ca: String,
    public_key_sha256: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum NewIssuer {
    Created(String),
    #[serde(rename = "self")]
    Itself,
}

impl Issuer {
    fn of(issuer: &plan::IssuerRef) -> Self {
        match issuer {
            plan::IssuerRef::Existing { ca, public_key } => Self::Existing(ExistingIssuer {
                ca: ca.name().to_owned(),
                public_key_sha256: public_key.to_string(),
            }),
            plan::IssuerRef::Created(ca) => Self::New(NewIssuer::Created(ca.name().to_owned())),
            plan::IssuerRef::Itself => Self::New(NewIssuer::Itself),
        }
    }

    fn parse(self) -> Result<plan::IssuerRef, Invalid> {
        Ok(match self {
            Self::Existing(ExistingIssuer { ca, public_key_sha256 }) => plan::IssuerRef::Existing {
                ca: value::ca("certificate.issuer.ca", &ca)?,
                public_key: value::parsed("certificate.issuer.publicKeySha256", &public_key_sha256)?,
            },
            Self::New(NewIssuer::Created(ca)) => {
                plan::IssuerRef::Created(value::ca("certificate.issuer.created", &ca)?)
            }
            Self::New(NewIssuer::Itself) => plan::IssuerRef::Itself,
        })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Subject {
    der: String,
    text: String,
}

impl Subject {
    fn of(name: &DistinguishedName) -> Self {
        Self { der: hex(name.as_der()), text: name.to_string() }
    }

    fn parse(self) -> Result<DistinguishedName, Invalid> {
        let Self { der, text } = self;
        let bytes = parse_hex(&der)
            .ok_or_else(|| Invalid::new("certificate.subject.der", "is not an even number of hex digits"))?;
        let name = DistinguishedName::parse_der(&bytes)
            .map_err(|damage| Invalid::new("certificate.subject.der", damage))?;
        let own = name.to_string();
        if own != text {
            let reason = format!("{text:?} is not the text of the DER, which is {own:?}");
            return Err(Invalid::new("certificate.subject.text", reason));
        }
        Ok(name)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Kubeconfig {
    Edit {
        replace_authority: bool,
    },
    Create {
        cluster: String,
        server: String,
        user: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        preferences: bool,
    },
    Refer {
        replace_authority: bool,
    },
    CreateReferring {
        cluster: String,
        server: String,
        user: String,
    },
    Trust,
    TrustExtended,
}

impl Kubeconfig {
    fn of(spec: &plan::KubeconfigSpec) -> Self {
        match spec.clone() {
            plan::KubeconfigSpec::Edit { replace_authority } => Self::Edit { replace_authority },
            plan::KubeconfigSpec::Create { cluster, server, user, preferences } => {
                Self::Create { cluster, server, user, preferences }
            }
            plan::KubeconfigSpec::Refer { replace_authority } => Self::Refer { replace_authority },
            plan::KubeconfigSpec::CreateReferring { cluster, server, user } => {
                Self::CreateReferring { cluster, server, user }
            }
            plan::KubeconfigSpec::Trust => Self::Trust,
            plan::KubeconfigSpec::TrustExtended => Self::TrustExtended,
        }
    }

    fn parse(self) -> plan::KubeconfigSpec {
        match self {
            Self::Edit { replace_authority } => plan::KubeconfigSpec::Edit { replace_authority },
            Self::Create { cluster, server, user, preferences } => {
                plan::KubeconfigSpec::Create { cluster, server, user, preferences }
            }
            Self::Refer { replace_authority } => plan::KubeconfigSpec::Refer { replace_authority },
            Self::CreateReferring { cluster, server, user } => {
                plan::KubeconfigSpec::CreateReferring { cluster, server, user }
            }
            Self::Trust => plan::KubeconfigSpec::Trust,
            Self::TrustExtended => plan::KubeconfigSpec::TrustExtended,
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Write {
    file: String,
    expected: String,
    mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    placement: Option<PlacementName>,
}

/// Where the file comes to lie, unless that is its path.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum PlacementName {
    DatedBehindLink,
}

impl Write {
    fn of(write: &plan::Write) -> Self {
        let plan::Write { file, expected, mode, placement } = write;
        Self {
            file: file.to_string(),
            expected: match expected {
                Expected::Absent => ABSENT.to_owned(),
                Expected::Content(digest) => digest.to_string(),
            },
            mode: value::mode_text(*mode),
            placement: match placement {
                plan::Placement::AtPath => None,
                plan::Placement::DatedBehindLink => Some(PlacementName::DatedBehindLink),
            },
        }
    }

    fn parse(self) -> Result<plan::Write, Invalid> {
        let Self { file, expected, mode, placement } = self;
        Ok(plan::Write {
            file: value::parsed::<FileSlot>("writes.file", &file)?,
            expected: if expected == ABSENT {
                Expected::Absent
            } else {
                Expected::Content(value::parsed("writes.expected", &expected)?)
            },
            mode: value::mode("writes.mode", &mode)?,
            placement: match placement {
                None => plan::Placement::AtPath,
                Some(PlacementName::DatedBehindLink) => plan::Placement::DatedBehindLink,
            },
        })
    }
}

/// What a write expects when it expects no file.
const ABSENT: &str = "absent";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Replaced {
    serial: String,
    not_after: String,
}

impl Replaced {
    fn of(replaced: &plan::Replaced) -> Self {
        let plan::Replaced { serial, not_after } = replaced;
        Self { serial: hex(serial.as_bytes()), not_after: not_after.to_string() }
    }

    fn parse(self) -> Result<plan::Replaced, Invalid> {
        let Self { serial, not_after } = self;
        // Old certificates have serial numbers of every kind, zero and negative ones among them.
        let serial = parse_hex(&serial)
            .map(|bytes| SerialNumber::from_der_content(&bytes))
            .ok_or_else(|| Invalid::new("replaced.serial", "is not an even number of hex digits"))?;
        Ok(plan::Replaced { serial, not_after: value::parsed("replaced.notAfter", &not_after)? })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Deferred {
    slot: String,
    reason: Reason,
    text: String,
}

impl Deferred {
    fn of(deferred: &plan::Deferred) -> Self {
        Self {
            slot: deferred.slot().name().to_owned(),
            reason: Reason::of(deferred.reason()),
            text: deferred.reason().to_string(),
        }
    }

    fn parse(self) -> Result<plan::Deferred, Invalid> {
        let Self { slot, reason, text: _ } = self;
        Ok(plan::Deferred::new(value::slot("slot", &slot)?, reason.parse()?))
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Restart {
    component: String,
    reload: ReloadName,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ReloadName {
    ByItself,
    Unknown,
    NeedsRestart,
}

impl Restart {
    fn of(restart: &plan::Restart) -> Self {
        let plan::Restart { component, reload } = restart;
        Self {
            component: component.name().to_owned(),
            reload: match reload {
                Reload::ByItself => ReloadName::ByItself,
                Reload::Unknown => ReloadName::Unknown,
                Reload::NeedsRestart => ReloadName::NeedsRestart,
            },
        }
    }

    fn parse(self) -> Result<plan::Restart, Invalid> {
        let Self { component, reload } = self;
        Ok(plan::Restart {
            component: value::named("component", &component, Component::ALL, Component::name)?,
            reload: match reload {
                ReloadName::ByItself => Reload::ByItself,
                ReloadName::Unknown => Reload::Unknown,
                ReloadName::NeedsRestart => Reload::NeedsRestart,
            },
        })
    }
}
