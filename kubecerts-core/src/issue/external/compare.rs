//! A certificate that came, against the request that was made.

use std::collections::BTreeSet;

use super::chain::{Candidates, NoPath, Path};
use super::deviation::{Gravity, ImportDeviation, ImportField};
use super::requests::RequestRecord;
use crate::plan::{LifetimeQuestion, Permission, rounded, tolerance};
use crate::time::Timestamp;
use crate::x509::{AlternativeName, Certificate, DistinguishedName, KeyType, KeyUsages, NameAttribute};

/// A comparison under way: what came for `record`.
pub(super) struct Comparison<'a> {
    pub(super) record: &'a RequestRecord,
    pub(super) certificate: &'a Certificate,
    pub(super) now: Timestamp,
    /// The certificate that it is to succeed.
    pub(super) succession: Option<LifetimeQuestion<'a>>,
    pub(super) deviations: Vec<ImportDeviation>,
}

impl<'a> Comparison<'a> {
    /// Compares everything that the certificate itself says.
    pub(super) fn certificate(&mut self) {
        self.form();
        self.subject();
        self.key_usages();
        self.purposes();
        self.names();
        self.validity();
        self.extensions();
    }

    /// Finds the way to the tree's authority, and judges every certificate on it.
    pub(super) fn chain(&mut self, candidates: &Candidates<'a>) -> Option<Path<'a>> {
        let wanted = format!("signed by {}", self.record.wanted.issuer);
        let path = match candidates.path(self.certificate) {
            Ok(path) => path,
            Err(NoPath::Unsupported(kind)) => {
                let wanted = "SHA-256 or better with RSA or ECDSA";
                self.add(ImportField::SignatureAlgorithm, wanted, kind, Gravity::Breaks);
                return None;
            }
            Err(problem) => {
                let found = match problem {
                    NoPath::UnknownIssuer(name) => {
                        format!("issuer {name}, which is neither in the tree nor among the answers")
                    }
                    NoPath::OtherEncoding(name) => format!(
                        "issuer {name} in another encoding of strings than the authority's certificate has it"
                    ),
                    NoPath::OtherKey(name) => {
                        format!("a signature by another authority that is called {name}")
                    }
                    NoPath::TooMany | NoPath::Unsupported(_) => "too many authorities to try".to_owned(),
                };
                self.add(ImportField::Chain, wanted, found, Gravity::Breaks);
                return None;
            }
        };
        let mut end = path.root.not_after();
        for (below, certificate) in path.intermediates.iter().copied().chain([path.root]).enumerate() {
            self.issuer(certificate, below, certificate == path.root);
            end = end.min(certificate.not_after());
        }
        let not_after = self.certificate.not_after();
        if end < not_after {
            let gravity = Gravity::Change(Permission::Validity);
            self.add(
                ImportField::Validity,
                format!("no end after that of its issuers, {end}"),
                not_after,
                gravity,
            );
        }
        self.lifetime(end);
        Some(path)
    }

    pub(super) fn add(
        &mut self,
        field: ImportField,
        wanted: impl ToString,
        found: impl ToString,
        gravity: Gravity,
    ) {
        let (wanted, found) = (wanted.to_string(), found.to_string());
        self.deviations.push(ImportDeviation {
            slot: self.record.wanted.slot,
            field,
            wanted,
            found,
            gravity,
        });
    }

    fn form(&mut self) {
        let certificate = self.certificate;
        if certificate.version() != 3 {
            let found = format!("version {}", certificate.version());
            self.add(ImportField::Form, "version 3", found, Gravity::Breaks);
        }
        // Go refuses to read it (`crypto/x509`, `parser.go`).
        if certificate.serial().as_bytes().first().is_none_or(|byte| *byte >= 0x80) {
            self.add(ImportField::Form, "a positive serial number", "a negative one", Gravity::Breaks);
        }
        if certificate.basic_constraints().is_some_and(|constraints| constraints.is_ca) {
            self.add(ImportField::BasicConstraints, "CA:FALSE", "CA:TRUE", Gravity::Dangerous);
        }
    }

    /// Kubernetes reads the last common name and the organisations; what an authority adds besides means nothing to it.
    fn subject(&mut self) {
        let (wanted, found) = (&self.record.wanted.subject, self.certificate.subject());
        let organisations = |name: &DistinguishedName| -> BTreeSet<String> {
            name.organisations().map(str::to_owned).collect()
        };
        let (more, less) = (organisations(found), organisations(wanted));
        let (wanted_text, found_text) = (wanted.to_string(), found.to_string());
        if wanted.common_name() != found.common_name() || !more.is_superset(&less) {
            self.add(ImportField::Subject, wanted_text, found_text, Gravity::Breaks);
        } else if more != less {
            // An organisation is a group of Kubernetes.
            self.add(ImportField::Subject, wanted_text, found_text, Gravity::Dangerous);
        } else {
            let others = |name: &DistinguishedName| -> BTreeSet<NameAttribute> {
                let is_other = |attribute: &&NameAttribute| !matches!(attribute.kind.as_str(), "CN" | "O");
                name.attributes().iter().filter(is_other).cloned().collect()
            };
            let count = |name: &DistinguishedName| {
                name.attributes().iter().filter(|attribute| attribute.kind == "CN").count()
            };
            if others(wanted) != others(found) || count(wanted) != count(found) {
                self.add(ImportField::Subject, wanted_text, found_text, Gravity::Note);
            }
        }
    }

    fn key_usages(&mut self) {
        let wanted = self.record.wanted.key_usages;
        let Some(found) = self.certificate.key_usages() else {
            self.add(ImportField::KeyUsage, wanted, "no restriction at all", Gravity::Breaks);
            return;
        };
        let shown = if found.is_empty() { "none".to_owned() } else { found.to_string() };
        let missing = wanted.without(found);
        let added = found.without(wanted);
        if !missing.is_empty() {
            // A key of ECDSA cannot encipher, so that usage is of no use to it (RFC 8422 §5.3).
            let is_ecdsa =
                matches!(self.certificate.public_key().key_type(), KeyType::EcdsaP256 | KeyType::EcdsaP384);
            let is_needed = !(is_ecdsa && missing == KeyUsages::LEAF.without(KeyUsages::SIGNATURE));
            let gravity = if is_needed { Gravity::Breaks } else { Gravity::Note };
            self.add(ImportField::KeyUsage, wanted, &shown, gravity);
        }
        if added != added.without_authority() {
            self.add(ImportField::KeyUsage, wanted, shown, Gravity::Dangerous);
        } else if !added.is_empty() {
            self.add(ImportField::KeyUsage, wanted, shown, Gravity::Note);
        }
    }

    fn purposes(&mut self) {
        let wanted = self.record.wanted.extended_key_usages.as_slice();
        let found = self.certificate.extended_key_usages().as_slice();
        let (wanted_text, found_text) = (list(wanted), list(found));
        if !wanted.iter().all(|purpose| found.contains(purpose)) {
            self.add(ImportField::ExtendedKeyUsage, wanted_text, found_text, Gravity::Breaks);
        } else if !found.iter().all(|purpose| wanted.contains(purpose)) {
            self.add(ImportField::ExtendedKeyUsage, wanted_text, found_text, Gravity::Dangerous);
        }
    }

    fn names(&mut self) {
        let wanted = self.record.wanted.alternative_names.as_slice();
        let found = self.certificate.alternative_names().as_slice();
        let only = |these: &[AlternativeName], those: &[AlternativeName]| -> Vec<AlternativeName> {
            these.iter().filter(|name| !those.contains(name)).cloned().collect()
        };
        let (missing, added) = (only(wanted, found), only(found, wanted));
        if !missing.is_empty() {
            let found = format!("no {}", list(&missing));
            self.add(ImportField::AlternativeNames, list(wanted), found, Gravity::Breaks);
        }
        if !added.is_empty() {
            // A name that is not what its kind demands makes the certificate unreadable to Go.
            let is_malformed = |name: &AlternativeName| matches!(name, AlternativeName::Other(der) if matches!(der.first(), Some(0x81 | 0x82 | 0x86 | 0x87)));
            let is_broken = added.iter().any(is_malformed);
            let gravity = if is_broken { Gravity::Breaks } else { Gravity::Change(Permission::San) };
            let wanted = if wanted.is_empty() { "none".to_owned() } else { "no others".to_owned() };
            self.add(ImportField::AlternativeNames, wanted, format!("also {}", list(&added)), gravity);
        }
    }

    fn validity(&mut self) {
        let (not_before, not_after) = (self.certificate.not_before(), self.certificate.not_after());
        let wanted = format!("valid at {}", self.now);
        if not_before > self.now {
            self.add(ImportField::Validity, wanted, format!("not before {not_before}"), Gravity::Breaks);
        } else if not_after < self.now {
            self.add(ImportField::Validity, wanted, format!("expired at {not_after}"), Gravity::Breaks);
        }
    }

    /// No certificate may outlive its issuers, so one that ends at their `end` is not too short.
    fn lifetime(&mut self, end: Timestamp) {
        let wanted = self.record.wanted.lifetime;
        let found = self.certificate.not_after().since(self.certificate.not_before());
        if (found.0 - wanted.0).abs() > tolerance(wanted).0 {
            let is_capped = found < wanted && self.certificate.not_after() == end;
            let gravity = if is_capped { Gravity::Note } else { Gravity::Change(Permission::Validity) };
            self.add(ImportField::Lifetime, rounded(wanted), rounded(found), gravity);
            if !is_capped {
                return;
            }
        }
        // Whatever was asked for: what shrinks is held against the certificate that is there.
        let shortened = |question: &LifetimeQuestion<'_>| question.shortened_by(self.certificate.not_after());
        if let Some(own) = self.succession.as_ref().and_then(shortened) {
            let wanted = format!("{}, as the certificate that it succeeds", rounded(own));
            let gravity = Gravity::Change(Permission::Validity);
            self.add(ImportField::Lifetime, wanted, rounded(found), gravity);
        }
    }

    fn extensions(&mut self) {
        let mut names = BTreeSet::new();
        let mut further = Vec::new();
        for extension in self.certificate.extensions() {
            if !names.insert(extension.name.as_str()) {
                let found = format!("{} twice", extension.name);
                self.add(ImportField::Extensions, "each once", found, Gravity::Breaks);
            }
            if extension.critical && !UNDERSTOOD.contains(&extension.name.as_str()) {
                let found = format!("{} as critical, which nobody in Kubernetes understands", extension.name);
                self.add(ImportField::Extensions, "kubeadm's", found, Gravity::Breaks);
            } else if !extension.is_of_profile() {
                further.push(extension.name.clone());
            }
        }
        if !further.is_empty() {
            let found = format!("also {}", further.join(", "));
            self.add(ImportField::Extensions, "kubeadm's", found, Gravity::Note);
        }
    }

    /// Judges an issuer with `below` intermediates below it.
    fn issuer(&mut self, issuer: &Certificate, below: usize, is_root: bool) {
        let name = issuer.subject().to_string();
        let now = self.now;
        let record = self.record;
        let mut broken = |wanted: &str, found: String| {
            self.add(ImportField::Chain, wanted, format!("{name}: {found}"), Gravity::Breaks);
        };
        if issuer.not_before() > now {
            broken("issuers that are valid now", format!("not before {}", issuer.not_before()));
        }
        if issuer.not_after() < now {
            broken("issuers that are valid now", format!("expired at {}", issuer.not_after()));
        }
        if !issuer.is_authority() {
            broken("issuers that are authorities", "may not sign certificates".to_owned());
        }
        let length = issuer.basic_constraints().and_then(|constraints| constraints.path_length);
        if length.is_some_and(|length| usize::from(length) < below) {
            broken("a chain that the issuers allow", format!("allows no {below} authorities below it"));
        }
        if is_root {
            return;
        }
        if !matches!(
            issuer.public_key().key_type(),
            KeyType::Rsa { bits: 2048.. } | KeyType::EcdsaP256 | KeyType::EcdsaP384
        ) {
            broken("issuers with strong keys", format!("a key {}", issuer.public_key().key_type()));
        }
        let purposes = issuer.extended_key_usages();
        let wanted = record.wanted.extended_key_usages.as_slice();
        if !wanted.iter().all(|purpose| purposes.allows(*purpose)) {
            broken("issuers for these purposes", format!("only for {}", list(purposes.as_slice())));
        }
        for extension in issuer.extensions() {
            let name = extension.name.as_str();
            if name == "nameConstraints" || (extension.critical && !UNDERSTOOD.contains(&name)) {
                broken("issuers that can be judged here", format!("has the extension {name}"));
            }
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The extensions that Go handles, so that they may be critical (`crypto/x509`, `parser.go`).
const UNDERSTOOD: [&str; 8] = [
    "keyUsage",
    "extKeyUsage",
    "basicConstraints",
    "subjectKeyIdentifier",
    "authorityKeyIdentifier",
    "subjectAltName",
    "certificatePolicies",
    "cRLDistributionPoints",
];
