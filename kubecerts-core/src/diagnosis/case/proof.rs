//! The bytes and facts that show a finding, one line each. Public data: certificates, digests, public halves, modes, times.

use super::super::{Finding, FindingCode, Remedy};
use super::View;
use super::order::component;
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, Slot};
use crate::inventory::{FileFacts, Place};
use crate::observation::{Handshake, Health, WellBeing, usages};
use crate::path::TreePath;
use crate::x509::{Certificate, PublicKey};

/// Returns what shows `finding`.
pub(super) fn of(finding: &Finding, view: &View<'_>) -> Vec<String> {
    use FindingCode as F;
    let mut proof = Lines { finding, view, lines: Vec::new() };
    proof.file();
    match finding.code {
        F::Expired | F::ExpiresSoon | F::NotYetValid | F::CaEndsBeforeRenewal | F::ServedExpired => {
            proof.certificate();
            proof.bootstrap();
        }
        F::KeyMismatch | F::KeyMissing => proof.halves(),
        F::SaKeyMismatch | F::SaKeyUnused | F::SaKeysDiffer | F::SaTokenInvalid => proof.service_account(),
        F::WrongAuthority | F::CaReplaced | F::LeafOutlivesCa | F::Unverifiable | F::WeakAlgorithm => {
            proof.certificate();
            proof.issuer();
        }
        F::KubeconfigCaStale | F::RootCaStale | F::TrustFileStale | F::CaMismatch => {
            proof.trusted();
            let slot = finding.place.as_ref().and_then(Place::slot);
            proof.authority(match slot {
                Some(Slot::Ca(ca)) => ca,
                _ => CaSlot::Cluster,
            });
        }
        F::AlternativeNameMissing | F::AlternativeNameUnexpected | F::ForeignLeaf | F::NamesDiffer => {
            proof.certificate();
            proof.names();
        }
        F::CaReuse => CaSlot::ALL.into_iter().for_each(|ca| proof.authority(ca)),
        F::ClockSkew => proof.clock(),
        F::AdminRbac => {
            proof.certificate();
            let facts = view.inventory.file(FileSlot::Kubeconfig(KubeconfigSlot::SuperAdmin));
            proof.say(described(facts));
        }
        F::StaleInMemory => proof.memory(),
        F::EndpointBroken | F::EndpointDown | F::Unhealthy | F::NotObserved => {}
        F::EtcdUnwell => proof.members(),
        F::KubeconfigCopyStale | F::UnmanagedCopy | F::LayoutMismatch | F::NotASymlink | F::LeafShared => {
            proof.certificate();
            proof.found();
        }
        F::ExternalCa | F::NotAnAuthority => proof.certificate(),
        F::FrontProxyRefused | F::LateLeaf | F::ParamDrift | F::NodesOutOfStep => proof.certificate(),
        F::KubeletConfInline | F::Damaged | F::Missing | F::Unreadable => proof.certificate(),
        // The mode and the owner are with the file.
        F::KeyReadable | F::OwnerWrong => {}
        // What is wrong with them is the message; their content is not kept.
        F::SourceDamaged | F::ManifestDuplicate | F::SimultaneousRestart => {}
        F::WrongFile => proof.named(),
    }
    if finding.code.is_of_running() {
        proof.running();
    }
    proof.lines
}

struct Lines<'a> {
    finding: &'a Finding,
    view: &'a View<'a>,
    lines: Vec<String>,
}

impl Lines<'_> {
    fn say(&mut self, line: String) {
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// The file that shows it.
    fn file(&mut self) {
        let Some(path) = &self.finding.path else { return };
        match self.view.file(path) {
            Some(facts) => self.say(described(facts)),
            None => self.say(path.to_string()),
        }
    }

    /// The certificate of the place.
    fn certificate(&mut self) {
        let certificate = self.finding.place.as_ref().and_then(|place| self.view.certificate(place));
        if let Some(certificate) = certificate {
            self.say(dated(certificate));
        }
    }

    /// Whether a kubelet whose certificate is over can ask for a new one.
    fn bootstrap(&mut self) {
        if self.finding.place != Some(Place::Slot(Slot::KubeletClient)) {
            return;
        }
        let inventory = self.view.inventory;
        let Ok(path) = inventory.node().directories().kubeconfigs.join("bootstrap-kubelet.conf") else {
            return;
        };
        // Kubeconfigs beside those of the tree are read as copies.
        let is_there = inventory.credentials().any(|(place, _)| *place == Place::Copy(path.clone()));
        self.say(if is_there {
            format!("{path} is there: the kubelet asks for a new certificate with its token, if that is still valid")
        } else {
            format!("{path} is not there: the kubelet cannot ask for a new certificate, and ends")
        });
    }

    /// The certificates in the file, when that lies around the tree.
    fn found(&mut self) {
        let around = self.view.inventory.surroundings().certificates.iter();
        for found in around.filter(|found| Some(&found.file.path) == self.finding.path.as_ref()) {
            for certificate in found.certificates.certificates() {
                self.say(dated(certificate));
            }
        }
    }

    /// The keys of the certificate and of the authority that should have signed it.
    fn issuer(&mut self) {
        let place = self.finding.place.as_ref();
        let leaf = place.and_then(|place| self.view.certificate(place));
        if let Some(identifier) = leaf.and_then(Certificate::authority_key_identifier) {
            self.say(format!("its authority key identifier is {}", hexadecimal(identifier)));
        }
        let ca = match place {
            Some(Place::Slot(Slot::Ca(ca))) => Some(*ca),
            Some(Place::Slot(slot)) => slot.issuer(),
            Some(Place::Copy(_)) => Some(CaSlot::Cluster),
            None => None,
        };
        if let Some(ca) = ca {
            self.authority(ca);
        }
    }

    fn authority(&mut self, ca: CaSlot) {
        let authority = self.view.inventory.authority(ca);
        let Some(signer) = authority.signer() else {
            return self.say(described(authority.certificate_file()));
        };
        let identifier =
            signer.subject_key_identifier().map(|bytes| format!(", key identifier {}", hexadecimal(bytes)));
        self.say(format!(
            "{} in {}: {}, {}{}",
            ca,
            authority.certificate_file().path,
            dated(signer),
            public(signer.public_key()),
            identifier.unwrap_or_default()
        ));
    }

    /// The files that flags name, and those that they should name.
    fn named(&mut self) {
        let Remedy::SetFlag(component, flags) = &self.finding.remedy else { return };
        let (component, view) = (*component, self.view);
        for (name, value) in flags {
            let mut named = view.inventory.named_files().iter().map(|named| &named.flag);
            let flag = named.find(|flag| flag.component == component && flag.flag == *name);
            if let Some(path) = flag.and_then(|flag| flag.path.as_ref()) {
                self.say(format!("--{name} names {}", self.at(path)));
            }
            if let Ok(path) = TreePath::parse(value) {
                self.say(format!("it should name {}", self.at(&path)));
            }
        }
    }

    /// What is known of the file at `path`, and the certificate in it.
    fn at(&self, path: &TreePath) -> String {
        let view = self.view;
        let file = view.inventory.node().layout().slot_of(path);
        let facts = view.file(path).map_or_else(|| path.to_string(), described);
        let certificate = match file {
            Some(FileSlot::CaCertificate(_) | FileSlot::LeafCertificate(_)) => {
                file.and_then(|file| view.certificate(&Place::Slot(file.slot())))
            }
            _ => None,
        };
        match certificate {
            Some(certificate) => format!("{facts}; {}", dated(certificate)),
            None => facts,
        }
    }

    /// The authorities that a kubeconfig trusts.
    fn trusted(&mut self) {
        let Some(place) = &self.finding.place else { return };
        let view = self.view;
        let credential =
            view.inventory.credentials().find(|(known, _)| *known == place).map(|(_, found)| found);
        let trusted = credential.and_then(|credential| credential.kubeconfig()?.authority.present());
        for certificate in trusted.iter().flat_map(|bundle| bundle.certificates()) {
            self.say(format!("it trusts {}, {}", dated(certificate), public(certificate.public_key())));
        }
        self.found();
    }

    /// Both halves of a pair.
    fn halves(&mut self) {
        let Some(place) = &self.finding.place else { return };
        let view = self.view;
        let (certificate_file, key_file, key) = match place {
            Place::Slot(Slot::Ca(ca)) => {
                let authority = view.inventory.authority(*ca);
                (authority.certificate_file(), authority.key_file(), authority.key().present())
            }
            place => {
                let Some((_, credential)) = view.inventory.credentials().find(|(known, _)| *known == place)
                else {
                    return;
                };
                (credential.certificate_file(), credential.key_file(), credential.key().present())
            }
        };
        if let Some(certificate) = view.certificate(place) {
            let half = public(certificate.public_key());
            self.say(format!("the certificate in {}: {}, {half}", certificate_file.path, dated(certificate)));
        }
        match key {
            Some(key) => {
                self.say(format!("the private key in {}: {}", key_file.path, public(key.public_key())))
            }
            None => self.say(described(key_file)),
        }
    }

    fn service_account(&mut self) {
        let pair = self.view.inventory.service_account();
        if let Some(key) = pair.key.present() {
            self.say(format!("{}: {}", pair.key_file.path, public(key.public_key())));
        }
        if let Some(key) = pair.public_key.present() {
            self.say(format!("{}: {}", pair.public_key_file.path, public(key)));
        }
    }

    /// The names that the certificate is valid for.
    fn names(&mut self) {
        let certificate = self.finding.place.as_ref().and_then(|place| self.view.certificate(place));
        let Some(certificate) = certificate else { return };
        let names: Vec<String> =
            certificate.alternative_names().texts().map(|name| name.to_string()).collect();
        self.say(format!(
            "it is valid for {}",
            if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
        ));
    }

    /// What else tells the time.
    fn clock(&mut self) {
        let view = self.view;
        self.say(format!("the clock says {}", view.now));
        let files = FileSlot::all().map(|file| view.inventory.file(file));
        let newest = files.filter_map(|facts| Some((facts.meta.as_ref()?.modified?, &facts.path))).max();
        if let Some((moment, path)) = newest {
            self.say(format!("{path} was written {moment}"));
        }
        let authorities = CaSlot::ALL
            .into_iter()
            .filter_map(|ca| Some((view.inventory.authority(ca).signer()?.not_before(), ca)));
        if let Some((begin, ca)) = authorities.max() {
            self.say(format!("{ca} was issued for the time from {begin} on"));
        }
    }

    /// What a program has read, and what there is to read.
    fn memory(&mut self) {
        let (component, place) = (component(self.finding), self.finding.place.as_ref());
        for usage in usages(self.view.inventory, self.view.observations) {
            if Some(usage.component) != component || place != Some(&Place::Slot(usage.slot())) {
                continue;
            }
            if let (Some(serial), Some(end)) = (&usage.on_disk, usage.not_after) {
                self.say(format!("on disk: serial {serial}, until {end}"));
            }
            if let Some(serial) = &usage.served {
                self.say(format!("served: serial {serial}"));
            }
            if let Some(changed) = usage.changed {
                self.say(format!("the file was changed {changed}"));
            }
        }
    }

    fn members(&mut self) {
        let members = self.view.observations.etcd.iter().flat_map(|cluster| &cluster.members);
        for (name, being) in members {
            let state = match being {
                WellBeing::Here => "well, and on this node".to_owned(),
                WellBeing::Well => "well".to_owned(),
                WellBeing::Unwell(reason) => reason.clone(),
            };
            let name = if name.is_empty() { "a member that was never started" } else { name };
            self.say(format!("{name}: {state}"));
        }
    }

    /// What was seen of the program, or of all programs.
    fn running(&mut self) {
        let view = self.view;
        let component = component(self.finding);
        let concerns = |other: Component| component.is_none_or(|component| component == other);
        for sighting in
            view.observations.sightings.iter().filter(|seen| concerns(seen.endpoint.service.component()))
        {
            let endpoint = &sighting.endpoint;
            let answer = match &sighting.handshake {
                Handshake::Down(reason) => format!("nobody listens: {reason}"),
                Handshake::Silent => "no answer".to_owned(),
                Handshake::Broken(reason) => reason.clone(),
                Handshake::Served(served) => match &served.leaf {
                    Ok(leaf) => format!("serves {}", dated(leaf)),
                    Err(damage) => format!("serves what is no certificate: {damage}"),
                },
            };
            self.say(format!("{} at {endpoint}: {answer}", endpoint.service));
        }
        for report in
            view.observations.health.iter().filter(|report| concerns(report.endpoint.service.component()))
        {
            let says = match &report.health {
                Health::Well => "ok".to_owned(),
                Health::Reserved(status) => format!("{status}, so it is at work"),
                Health::Unwell(text) => text.clone(),
                Health::Silent(reason) => format!("no answer: {reason}"),
            };
            self.say(format!("{} {}: {says}", report.endpoint, report.path));
        }
        let runs = view.observations.runs.iter().filter(|run| concerns(run.component));
        let mut has_run = false;
        for run in runs {
            has_run = true;
            let started = run.started.map_or("at an unknown time".to_owned(), |started| started.to_string());
            self.say(format!("{}: {} started {started}", run.component, run.source));
        }
        if let (false, Some(component)) = (has_run, component) {
            self.say(format!("no {component} was seen to run"));
        }
    }
}

/// Says what is known of a file, its content aside.
fn described(facts: &FileFacts) -> String {
    let path = &facts.path;
    if !facts.exists {
        let source = facts.source.map(|source| format!(", where {} it", placed(source))).unwrap_or_default();
        return format!("{path}: nothing is there{source}");
    }
    let mut parts = Vec::new();
    parts.extend(facts.digest.map(|digest| format!("sha256 {digest}")));
    if let Some(meta) = &facts.meta {
        parts.push(format!("mode {:04o}, owner {}:{}", meta.mode, meta.uid, meta.gid));
        parts.extend(meta.modified.map(|modified| format!("written {modified}")));
        parts.extend(meta.target.as_ref().map(|target| format!("a link to {target}")));
    }
    if parts.is_empty() {
        return format!("{path}: it cannot be read");
    }
    format!("{path}: {}", parts.join(", "))
}

const fn placed(source: crate::catalog::PathSource) -> &'static str {
    use crate::catalog::PathSource as P;
    match source {
        P::Argument => "an option puts",
        P::Manifest => "a manifest puts",
        P::KubeletConfig => "the kubelet's configuration puts",
        P::KubeadmConfig => "the kubeadm configuration puts",
        P::Sibling => "the files beside it put",
        P::Default => "kubeadm puts",
    }
}

fn dated(certificate: &Certificate) -> String {
    format!(
        "{}, issued by {}, serial {}, valid {} to {}",
        certificate.subject(),
        certificate.issuer(),
        certificate.serial(),
        certificate.not_before(),
        certificate.not_after()
    )
}

fn public(key: &PublicKey) -> String {
    format!("{} public key sha256 {}", key.key_type(), key.fingerprint())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
