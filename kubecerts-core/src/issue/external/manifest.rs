//! The JSON form of a [`RequestManifest`], which lies beside the requests.
//!
//! It goes to the authority together with the requests and says what they do not: usages, lifetime, which authority is meant, and
//! which key belongs to which request. It holds no secret. When it comes back it is foreign input: every field of another version
//! is refused, slots are named and never paths, and the names of files must be those that follow from the slots.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::requests::{IssuerIdentity, RequestManifest, RequestRecord};
use super::wanted::{NewKubeconfig, WantedCertificate, WantedSource, file_stem};
use crate::catalog::{CaSlot, Slot};
use crate::digest::{Digest, hex, parse_hex};
use crate::time::Seconds;
use crate::x509::{AlternativeNames, DistinguishedName, ExtendedKeyUsages, KeyUsages};

/// The version of the format.
pub const API_VERSION: &str = "kubecerts.dev/v1";

/// The kind of document that holds a manifest.
pub const KIND: &str = "CertificateRequests";

/// The name of the file, below the directory of the requests.
pub const FILE_NAME: &str = "manifest.json";

impl RequestManifest {
    /// Returns the manifest as JSON, indented by two spaces, with a newline at its end.
    ///
    /// # Panics
    /// Never: a document is made of texts, numbers and lists.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            created_at: self.created.to_string(),
            requests: self.requests.iter().map(Request::of).collect(),
        };
        let mut text =
            serde_json::to_string_pretty(&document).expect("texts, numbers and lists can be written as JSON");
        text.push('\n');
        text
    }

    /// Parses a manifest from JSON.
    ///
    /// # Errors
    /// [`InvalidManifest`] when `text` is not a manifest of this version, or a value is not what its field demands.
    pub fn from_json(text: &str) -> Result<Self, InvalidManifest> {
        let at = |error: serde_json::Error| InvalidManifest::Json {
            line: error.line(),
            column: error.column(),
            reason: error.to_string(),
        };
        // The version comes first: the fields of another version are not this one's to complain about.
        let Header { api_version, kind } = serde_json::from_str(text).map_err(at)?;
        if api_version != API_VERSION {
            return Err(InvalidManifest::value(
                "apiVersion",
                format!("{api_version:?} is not {API_VERSION}"),
            ));
        }
        if kind != KIND {
            return Err(InvalidManifest::value("kind", format!("{kind:?} is not {KIND}")));
        }
        let Document { created_at, requests, .. } = serde_json::from_str(text).map_err(at)?;
        let created = parsed("createdAt", &created_at)?;
        let mut slots = BTreeSet::new();
        let mut records = Vec::with_capacity(requests.len());
        for (position, request) in requests.into_iter().enumerate() {
            let record = request.parse().map_err(|error| error.within(&format!("requests[{position}]")))?;
            if !slots.insert(record.wanted.slot) {
                let reason = format!("{} occurs twice", record.wanted.slot);
                return Err(InvalidManifest::value(&format!("requests[{position}].slot"), reason));
            }
            records.push(record);
        }
        records.sort_by_key(|record| record.wanted.slot);
        Ok(Self { created, requests: records })
    }
}

/// Why a text is not a manifest.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidManifest {
    /// It is not JSON, or a field is missing, unknown or of the wrong type.
    #[error("line {line} column {column}: {reason}")]
    Json {
        /// The line, counted from 1; 0 when the position is not known.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A value is not what its field demands.
    #[error("{field}: {reason}")]
    Value {
        /// The field, such as `requests[3].subject`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl InvalidManifest {
    fn value(field: &str, reason: impl ToString) -> Self {
        Self::Value { field: field.to_owned(), reason: reason.to_string() }
    }

    fn within(self, entry: &str) -> Self {
        match self {
            Self::Value { field, reason } => Self::Value { field: format!("{entry}.{field}"), reason },
            json @ Self::Json { .. } => json,
        }
    }
}

/// What every version has. Other fields are of no interest yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    api_version: String,
    kind: String,
    created_at: String,
    requests: Vec<Request>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Request {
    slot: String,
    key_file: String,
    request_file: String,
    issuer: Issuer,
    subject: Subject,
    alternative_names: Vec<String>,
    key_usages: Vec<String>,
    extended_key_usages: Vec<String>,
    /// Always `CA:FALSE`: it is for the eyes of the authority.
    basic_constraints: String,
    lifetime_seconds: i64,
    key_algorithm: String,
    public_key_sha256: String,
    renews: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<Kubeconfig>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Issuer {
    slot: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<IssuerCertificate>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IssuerCertificate {
    subject: Subject,
    public_key_sha256: String,
    certificate_sha256: String,
}

/// A name for people, and the bytes that count.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Subject {
    text: String,
    der: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kubeconfig {
    cluster: String,
    server: String,
}

impl Request {
    fn of(record: &RequestRecord) -> Self {
        let WantedCertificate {
            slot,
            issuer,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
            lifetime,
            algorithm,
            kubeconfig,
            source,
        } = &record.wanted;
        Self {
            slot: slot.name().to_owned(),
            key_file: record.key_file(),
            request_file: record.request_file(),
            issuer: Issuer {
                slot: issuer.name().to_owned(),
                certificate: record.issuer.as_ref().map(IssuerCertificate::of),
            },
            subject: Subject::of(subject),
            alternative_names: alternative_names.texts().collect(),
            key_usages: key_usages.names().map(str::to_owned).collect(),
            extended_key_usages: extended_key_usages.as_slice().iter().map(ToString::to_string).collect(),
            basic_constraints: NO_AUTHORITY.to_owned(),
            lifetime_seconds: lifetime.0,
            key_algorithm: algorithm.name().to_owned(),
            public_key_sha256: record.public_key.to_string(),
            renews: *source == WantedSource::Certificate,
            kubeconfig: kubeconfig.as_ref().map(|NewKubeconfig { cluster, server }| Kubeconfig {
                cluster: cluster.clone(),
                server: server.clone(),
            }),
        }
    }

    fn parse(self) -> Result<RequestRecord, InvalidManifest> {
        let Self {
            slot,
            key_file,
            request_file,
            issuer,
            subject,
            alternative_names,
            key_usages,
            extended_key_usages,
            basic_constraints,
            lifetime_seconds,
            key_algorithm,
            public_key_sha256,
            renews,
            kubeconfig,
        } = self;
        // Documents name things by their one name; the short forms of the command line are not for them.
        let named = Slot::ALL.into_iter().find(|known| known.name() == slot);
        let slot = named.filter(|slot| file_stem(*slot).is_some()).ok_or_else(|| {
            InvalidManifest::value("slot", format!("{slot:?} is no leaf and no kubeconfig"))
        })?;
        let ca = CaSlot::ALL.into_iter().find(|ca| ca.name() == issuer.slot).ok_or_else(|| {
            InvalidManifest::value("issuer.slot", format!("{:?} is not a known name", issuer.slot))
        })?;
        if basic_constraints != NO_AUTHORITY {
            return Err(InvalidManifest::value("basicConstraints", format!("is not {NO_AUTHORITY}")));
        }
        if lifetime_seconds <= 0 {
            return Err(InvalidManifest::value(
                "lifetimeSeconds",
                format!("{lifetime_seconds} is no lifetime"),
            ));
        }
        let names: Result<Vec<_>, _> =
            alternative_names.iter().map(|name| parsed("alternativeNames", name)).collect();
        let purposes: Result<Vec<_>, _> =
            extended_key_usages.iter().map(|purpose| parsed("extendedKeyUsages", purpose)).collect();
        let usages = KeyUsages::from_names(key_usages.iter().map(String::as_str))
            .ok_or_else(|| InvalidManifest::value("keyUsages", "one of them is not a known name"))?;
        let unusable =
            || InvalidManifest::value("kubeconfig", "is not the name of a cluster with an https URL");
        let kubeconfig = kubeconfig
            .map(|new| NewKubeconfig::new(&new.cluster, &new.server).ok_or_else(unusable))
            .transpose()?;
        let record = RequestRecord {
            wanted: WantedCertificate {
                slot,
                issuer: ca,
                subject: subject.parse("subject")?,
                alternative_names: AlternativeNames::new(names?),
                key_usages: usages,
                extended_key_usages: ExtendedKeyUsages::new(purposes?),
                lifetime: Seconds(lifetime_seconds),
                algorithm: parsed("keyAlgorithm", &key_algorithm)?,
                kubeconfig,
                source: if renews { WantedSource::Certificate } else { WantedSource::Intent },
            },
            issuer: issuer.certificate.map(IssuerCertificate::parse).transpose()?,
            public_key: parsed::<Digest>("publicKeySha256", &public_key_sha256)?,
        };
        // No document can make anybody read or write another file.
        for (field, given, derived) in
            [("keyFile", key_file, record.key_file()), ("requestFile", request_file, record.request_file())]
        {
            if given != derived {
                return Err(InvalidManifest::value(field, format!("{given:?} is not {derived}")));
            }
        }
        Ok(record)
    }
}

impl IssuerCertificate {
    fn of(identity: &IssuerIdentity) -> Self {
        let IssuerIdentity { subject, public_key, fingerprint } = identity;
        Self {
            subject: Subject::of(subject),
            public_key_sha256: public_key.to_string(),
            certificate_sha256: fingerprint.to_string(),
        }
    }

    fn parse(self) -> Result<IssuerIdentity, InvalidManifest> {
        let Self { subject, public_key_sha256, certificate_sha256 } = self;
        Ok(IssuerIdentity {
            subject: subject.parse("issuer.certificate.subject")?,
            public_key: parsed("issuer.certificate.publicKeySha256", &public_key_sha256)?,
            fingerprint: parsed("issuer.certificate.certificateSha256", &certificate_sha256)?,
        })
    }
}

impl Subject {
    fn of(name: &DistinguishedName) -> Self {
        Self { text: name.to_string(), der: hex(name.as_der()) }
    }

    fn parse(self, field: &str) -> Result<DistinguishedName, InvalidManifest> {
        let der = parse_hex(&self.der)
            .ok_or_else(|| InvalidManifest::value(field, "its DER is not written in hexadecimal"))?;
        let name =
            DistinguishedName::parse_der(&der).map_err(|damage| InvalidManifest::value(field, damage))?;
        // People read the text, and the DER is what counts.
        if name.to_string() != self.text {
            return Err(InvalidManifest::value(field, format!("the text is not that of the DER, {name}")));
        }
        Ok(name)
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<T, InvalidManifest> {
    text.parse().map_err(|error: T::Err| InvalidManifest::value(field, error))
}

const NO_AUTHORITY: &str = "CA:FALSE";
