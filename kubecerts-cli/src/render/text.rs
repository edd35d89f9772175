//! Plans, reports and inspections for people.

use std::fmt::Write as _;

use kubecerts_core::catalog::{CaSlot, FileSlot, Reload};
use kubecerts_core::digest::Digest;
use kubecerts_core::inspection::{Inspection, KubeconfigInspection, inspect};
use kubecerts_core::inventory::{Inventory, KeyFacts};
use kubecerts_core::plan::{IssuerRef, KeyPolicy, Plan, Restart, Step};
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{
    Certificate, CertificateRequest, Extension, KeyEncoding, PublicKey, SignatureVerdict,
};
use kubecerts_host::Report;
use kubecerts_host::disk::State;
use kubecerts_host::disk::backup::{Difference, EtcdEntry, Manifest, Node, Restoration};
use kubecerts_host::disk::recovery::{Interrupted, Outcome};

use crate::output::{STRONG, plain};

/// Returns a heading of its own paragraph.
pub(crate) fn heading(text: &str) -> String {
    format!("\n{STRONG}{text}{STRONG:#}\n\n")
}

/// What a plan is about, as `renew` and `renewed`.
#[derive(Clone, Copy)]
pub(crate) struct Verb(&'static str, &'static str);

pub(crate) const RENEW: Verb = Verb("renew", "renewed");
pub(crate) const EXTEND: Verb = Verb("extend", "extended");
pub(crate) const CHANGE: Verb = Verb("change", "changed");

/// Returns what a renewal does, what it does not, and what to restart.
pub(crate) fn plan(plan: &Plan, inventory: &Inventory) -> String {
    plan_to(RENEW, plan, inventory)
}

/// Returns what a plan does, what it does not, and what to restart.
pub(crate) fn plan_to(Verb(verb, done): Verb, plan: &Plan, inventory: &Inventory) -> String {
    let mut text = Text::default();
    if plan.is_empty() {
        text.line(format!("Nothing to {verb} at {}.", plan.now()));
    } else {
        text.line(format!("To {verb} at {}:", plan.now()));
    }
    for step in plan.steps() {
        text.step(step, inventory);
    }
    if !plan.deferred().is_empty() {
        text.line(format!("Not {done}:"));
    }
    for deferred in plan.deferred() {
        text.line(format!("  {:<26} {}", deferred.slot().name(), deferred.reason()));
    }
    text.restarts(plan.restarts());
    text.0
}

/// Returns what was done, and what to restart.
pub(crate) fn renewed(plan: &Plan, report: &Report) -> String {
    let mut text = Text::default();
    for step in plan.steps() {
        let Some(spec) = step.certificate() else { continue };
        text.line(format!("renewed {:<26} until {}", step.slot().name(), spec.validity.not_after()));
    }
    text.line(format!(
        "{} in {}; every signature and every key was verified again on disk",
        counted(plan.steps().len(), "certificate"),
        counted(report.written.len(), "file")
    ));
    if let Some(id) = &report.backup {
        text.line(format!("What was replaced is in backup {id}."));
    }
    text.restarts(plan.restarts());
    text.0
}

/// Returns what was done for authorities and those who trust them, and what to restart.
pub(crate) fn changed(plan: &Plan, report: &Report) -> String {
    let mut text = Text::default();
    for step in plan.steps() {
        let name = step.slot().name();
        match step.certificate() {
            Some(spec) => text.line(format!("extended {name:<26} until {}", spec.validity.not_after())),
            None => text.line(format!("changed  {name:<26} trusts ca.crt")),
        }
    }
    text.line(format!("{} written, and read again", counted(report.written.len(), "file")));
    if let Some(id) = &report.backup {
        text.line(format!("What was replaced is in backup {id}."));
    }
    text.restarts(plan.restarts());
    text.0
}

/// Returns which run was interrupted, and what is to be done about it and why, on one line.
pub(crate) fn interrupted(interrupted: &Interrupted) -> String {
    let mut text = "a run was interrupted".to_owned();
    if let (Some(purpose), Some(at), Some(process)) =
        (interrupted.purpose(), interrupted.at(), interrupted.process())
    {
        let command = purpose.command().escape_debug();
        text = format!("a run was interrupted: {command} at {at}, process {process}");
    }
    let verdict = match interrupted.verdict().outcome() {
        Outcome::Finished => "it is to be finished",
        Outcome::RolledBack | Outcome::Abandoned => "it is to be rolled back",
    };
    format!("{text}; {verdict}, because {}", interrupted.verdict().reason())
}

/// Returns what was backed up, and where.
pub(crate) fn backup_made(manifest: &Manifest, state: &State) -> String {
    let files = manifest.files.iter().filter(|entry| matches!(entry.node, Node::File { .. })).count();
    let (id, directory) = (&manifest.id, state.path());
    let mut text =
        format!("backup {id}: {} in {directory}/backups/{id}, read again\n", counted(files, "file"));
    if let Some(EtcdEntry { endpoint, version, revision, size, .. }) = &manifest.etcd {
        text.push_str(&format!(
            "etcd {} at {}: {size} bytes, revision {revision} or later, digest verified\n",
            plain(version),
            plain(endpoint)
        ));
    }
    text
}

/// Returns how the node differs from a backup.
pub(crate) fn restoration(restoration: &Restoration, now: Timestamp) -> String {
    let mut text = Text::default();
    let Manifest { id, created_at, reason, .. } = restoration.manifest();
    let reason = plain(reason);
    if restoration.is_empty() {
        text.line(format!("Every file is as in backup {id} of {created_at}, {reason}."));
        return text.0;
    }
    text.line(format!("To put back from backup {id} of {created_at}, {reason}:"));
    for file in restoration.files() {
        let what = match file.difference {
            Difference::Content => "replaced",
            Difference::Facts => "same content, mode, owner or labels replaced",
            Difference::Missing => "missing, comes back",
            Difference::Extra => "not in the backup, removed",
            _ => "differs",
        };
        text.line(format!("  {}: {what}", file.path));
        for (sign, bytes) in [("-", file.current_secret_bytes()), ("+", file.restored_secret_bytes())] {
            for line in bytes.into_iter().flat_map(|bytes| gist(bytes, now)) {
                text.line(format!("    {sign} {line}"));
            }
        }
    }
    text.0
}

/// Returns which components have to be restarted.
pub(crate) fn restarts(restarts: &[Restart]) -> String {
    let mut text = Text::default();
    text.restarts(restarts);
    text.0
}

/// Returns what somebody has to know of a file to tell it from another one: certificates with their ends, keys by their
/// public halves.
fn gist(bytes: &[u8], now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let mut items = inspect(bytes);
    while !items.is_empty() {
        let mut inner = Vec::new();
        for item in items {
            match item {
                Inspection::Certificate(certificate) => {
                    let end = certificate.not_after();
                    let state = if end < now { ", EXPIRED" } else { "" };
                    let (subject, serial) = (certificate.subject(), certificate.serial());
                    lines.push(format!("{subject}, serial {serial}, until {end}{state}"));
                }
                Inspection::PrivateKey(key) => lines.push(key_gist("private key", key.public_key())),
                Inspection::PublicKey(key) => lines.push(key_gist("public key", &key)),
                Inspection::Kubeconfig(kubeconfig) => {
                    let KubeconfigInspection { credentials, .. } = *kubeconfig;
                    inner.extend(credentials.into_iter().flat_map(|(_, items)| items));
                }
                Inspection::Damaged { what, damage } => lines.push(format!("damaged {what}: {damage}")),
                _ => {}
            }
        }
        items = inner;
    }
    if lines.is_empty() {
        lines.push(format!("sha256:{}", Digest::of(bytes)));
    }
    lines
}

fn key_gist(kind: &str, key: &PublicKey) -> String {
    format!("{kind} {}, public half sha256:{}", key.key_type(), key.fingerprint())
}

/// Returns everything in a file.
pub(crate) fn inspection(items: &[Inspection]) -> String {
    let mut text = Text::default();
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            text.line(String::new());
        }
        text.item(item, "");
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: String) {
        self.0.push_str(&line);
        self.0.push('\n');
    }

    fn field(&mut self, indent: &str, name: &str, value: impl std::fmt::Display) {
        writeln!(self.0, "{indent}  {name:<22} {value}").expect("writing to a String cannot fail");
    }

    fn step(&mut self, step: &Step, inventory: &Inventory) {
        let Some(spec) = step.certificate() else { return self.reference(step, inventory) };
        let end = spec.validity.not_after();
        let before =
            step.replaced().map(|replaced| format!("{} -> ", replaced.not_after)).unwrap_or_default();
        self.line(format!("  {:<26} {before}{end}", step.slot().name()));
        let key = match step.key() {
            KeyPolicy::Generate(algorithm) => format!("new {algorithm} key"),
            KeyPolicy::Reuse => "same key".to_owned(),
        };
        let issuer = match &spec.issuer {
            IssuerRef::Existing { ca, .. } | IssuerRef::Created(ca) => ca.name(),
            IssuerRef::Itself => "itself",
        };
        let names = match spec.alternative_names.as_slice().len() {
            0 => String::new(),
            count => format!(", {count} alternative names"),
        };
        self.line(format!("    {}; {key}, signed by {issuer}{names}", spec.subject));
        let layout = inventory.node().layout();
        let paths: Vec<String> =
            step.writes().iter().map(|write| layout.path(write.file()).to_string()).collect();
        self.line(format!("    writes {}", paths.join(", ")));
        for note in step.notes() {
            self.line(format!("    note: {note}"));
        }
    }

    /// A kubeconfig that will refer to a certificate elsewhere, or trust another authority.
    fn reference(&mut self, step: &Step, inventory: &Inventory) {
        let layout = inventory.node().layout();
        let what = if step.is_trust() {
            let ca = layout.path(FileSlot::CaCertificate(CaSlot::Cluster));
            format!("will trust {ca}; its own certificate and key stay")
        } else if step.is_repair() {
            format!("will refer to {}", layout.path(FileSlot::KubeletClient))
        } else {
            return;
        };
        self.line(format!("  {}", step.slot().name()));
        self.line(format!("    {what}"));
        for write in step.writes() {
            self.line(format!("    writes {}", layout.path(write.file())));
        }
        for note in step.notes() {
            self.line(format!("    note: {note}"));
        }
    }

    fn restarts(&mut self, restarts: &[Restart]) {
        for restart in restarts {
            let need = match restart.reload {
                Reload::ByItself => "picks the new files up by itself",
                Reload::Unknown => {
                    "should be restarted: whether it picks them up by itself is not known for this version"
                }
                Reload::NeedsRestart => "has to be restarted",
            };
            self.line(format!("Afterwards {} {need}.", restart.component));
        }
    }

    fn item(&mut self, item: &Inspection, indent: &str) {
        match item {
            Inspection::Certificate(certificate) => self.certificate(certificate, indent),
            Inspection::PrivateKey(key) => self.private_key(key, indent),
            Inspection::PublicKey(key) => {
                self.line(format!("{indent}Public key"));
                self.public_key(key, indent);
            }
            Inspection::Request(request) => self.request(request, indent),
            Inspection::Kubeconfig(kubeconfig) => self.kubeconfig(kubeconfig, indent),
            Inspection::Damaged { what, damage } => self.line(format!("{indent}Damaged {what}: {damage}")),
            _ => self.line(format!("{indent}Something that this version cannot show")),
        }
    }

    fn certificate(&mut self, certificate: &Certificate, indent: &str) {
        self.line(format!("{indent}Certificate"));
        self.field(indent, "subject", certificate.subject());
        self.field(indent, "issuer", certificate.issuer());
        self.field(
            indent,
            "serial",
            format!("{} ({})", certificate.serial(), certificate.serial().to_decimal()),
        );
        self.field(indent, "not before", certificate.not_before());
        self.field(indent, "not after", certificate.not_after());
        self.public_key(certificate.public_key(), indent);
        self.field(indent, "signature algorithm", certificate.signature_algorithm());
        if let Some(constraints) = certificate.basic_constraints() {
            let length =
                constraints.path_length.map(|length| format!(", path length {length}")).unwrap_or_default();
            self.field(
                indent,
                "authority",
                format!("{}{length}", if constraints.is_ca { "yes" } else { "no" }),
            );
        }
        if let Some(usages) = certificate.key_usages() {
            self.field(indent, "key usage", usages.names().collect::<Vec<_>>().join(", "));
        }
        if !certificate.extended_key_usages().is_empty() {
            let purposes = certificate.extended_key_usages().as_slice().iter().map(ToString::to_string);
            self.field(indent, "extended key usage", purposes.collect::<Vec<_>>().join(", "));
        }
        for name in certificate.alternative_names().texts() {
            self.field(indent, "alternative name", name);
        }
        if let Some(identifier) = certificate.subject_key_identifier() {
            self.field(indent, "subject key id", colons(identifier));
        }
        if let Some(identifier) = certificate.authority_key_identifier() {
            self.field(indent, "authority key id", colons(identifier));
        }
        self.extensions(certificate.extensions(), indent);
        self.field(indent, "sha256", certificate.fingerprint());
    }

    fn extensions(&mut self, extensions: &[Extension], indent: &str) {
        for Extension { name, critical, .. } in extensions {
            self.field(indent, "extension", format!("{name}{}", if *critical { ", critical" } else { "" }));
        }
    }

    fn public_key(&mut self, key: &PublicKey, indent: &str) {
        self.field(indent, "key", key.key_type());
        self.field(indent, "public key sha256", key.fingerprint());
    }

    fn private_key(&mut self, key: &KeyFacts, indent: &str) {
        self.line(format!("{indent}Private key"));
        let encoding = match key.encoding() {
            KeyEncoding::Pkcs1 => "PKCS#1",
            KeyEncoding::Sec1 => "SEC1",
            KeyEncoding::Pkcs8 => "PKCS#8",
            _ => "another encoding",
        };
        self.field(indent, "encoding", encoding);
        self.public_key(key.public_key(), indent);
    }

    fn request(&mut self, request: &CertificateRequest, indent: &str) {
        self.line(format!("{indent}Certificate request"));
        self.field(indent, "subject", request.subject());
        self.public_key(request.public_key(), indent);
        if let Some(constraints) = request.basic_constraints() {
            self.field(indent, "authority", if constraints.is_ca { "yes" } else { "no" });
        }
        if let Some(usages) = request.key_usages() {
            self.field(indent, "key usage", usages.names().collect::<Vec<_>>().join(", "));
        }
        if !request.extended_key_usages().is_empty() {
            let purposes = request.extended_key_usages().as_slice().iter().map(ToString::to_string);
            self.field(indent, "extended key usage", purposes.collect::<Vec<_>>().join(", "));
        }
        for name in request.alternative_names().texts() {
            self.field(indent, "alternative name", name);
        }
        self.extensions(request.extensions(), indent);
        let verdict = match request.verdict() {
            SignatureVerdict::Valid => "valid".to_owned(),
            SignatureVerdict::Invalid => "NOT by the key of the request".to_owned(),
            SignatureVerdict::Unsupported(algorithm) => format!("not verified, {algorithm} is not supported"),
        };
        self.field(indent, "signature", format!("{}, {verdict}", request.signature_algorithm()));
    }

    fn kubeconfig(&mut self, kubeconfig: &KubeconfigInspection, indent: &str) {
        let file = &kubeconfig.file;
        self.line(format!("{indent}Kubeconfig"));
        self.field(indent, "current context", plain(file.current_context().unwrap_or("(none)")));
        for context in file.contexts() {
            let value = format!("{}: cluster {}, user {}", context.name(), context.cluster(), context.user());
            self.field(indent, "context", plain(&value));
        }
        for (cluster, (_, items)) in file.clusters().iter().zip(&kubeconfig.authorities) {
            let value = format!("{}: {}", cluster.name(), cluster.server().unwrap_or("(no server)"));
            self.field(indent, "cluster", plain(&value));
            self.items(items, indent);
        }
        for (user, (_, items)) in file.users().iter().zip(&kubeconfig.credentials) {
            self.field(indent, "user", plain(user.name()));
            if let Some(other) = user.other_credential() {
                self.field(indent, "other credential", other);
            }
            self.items(items, indent);
        }
    }

    fn items(&mut self, items: &[Inspection], indent: &str) {
        let indent = format!("{indent}    ");
        for item in items {
            self.item(item, &indent);
        }
    }
}

/// Returns a number of things in words.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
