//! The versioned documents: `kubecerts.dev/v1` in JSON and YAML. Their schemas are in `schema/`.

use kubecerts_core::catalog::Reload;
use kubecerts_core::diagnosis::{Diagnosis, Finding, Impact, Remedy};
use kubecerts_core::digest::Digest;
use kubecerts_core::inspection::{Inspection, KubeconfigInspection};
use kubecerts_core::inventory::{ExpirationRow, Inventory, Place, RowState};
use kubecerts_core::observation::{Handshake, Health, HealthReport, Observations, Sighting, Usage, Verdict};
use kubecerts_core::plan::Plan;
use kubecerts_core::snapshot::EtcdPlacement;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{Certificate, KeyEncoding, PublicKey, SignatureVerdict};
use kubecerts_host::Report;
use kubecerts_host::disk::backup::{Difference, Listed, Node, Restoration, Restored};
use kubecerts_host::disk::transaction::Done;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Whereabouts;
use crate::error::remedy as remedy_text;

pub(super) const API_VERSION: &str = "kubecerts.dev/v1";

/// A document with a kind.
#[derive(Serialize)]
pub(crate) struct Document(Value);

impl Document {
    /// Returns the document `kind` with the fields of `body`, an object.
    pub(super) fn new(kind: &str, body: Value) -> Self {
        let mut document = json!({"apiVersion": API_VERSION, "kind": kind});
        if let (Value::Object(document), Value::Object(body)) = (&mut document, body) {
            document.extend(body);
        }
        Self(document)
    }

    /// Returns the document as JSON.
    pub(crate) fn to_json(&self) -> String {
        format!("{:#}\n", self.0)
    }

    /// Returns the document as YAML.
    pub(crate) fn to_yaml(&self) -> String {
        let mut text =
            serde_saphyr::to_string(&self.0).expect("a document of texts and numbers can be written");
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}

/// Returns what `kubecerts check` found.
pub(crate) fn check(inventory: &Inventory, diagnosis: &Diagnosis, whereabouts: &Whereabouts) -> Document {
    let node = inventory.node();
    let rows = |rows: &[ExpirationRow<'_>]| -> Vec<Value> {
        rows.iter().map(|entry| row(entry, inventory, diagnosis)).collect()
    };
    Document(json!({
        "apiVersion": API_VERSION,
        "kind": "Check",
        "at": diagnosis.now().to_string(),
        "windowSeconds": diagnosis.policy().window.0,
        "node": {
            "name": node.node_name().map(|name| &name.value),
            "version": node.version().map(|version| version.to_string()),
            "etcd": etcd(node.etcd()),
            "components": node.components().iter().map(|component| component.name()).collect::<Vec<_>>(),
        },
        "impact": impact(diagnosis.impact()),
        "certificates": rows(&inventory.expirations()),
        "authorities": rows(&inventory.authority_expirations()),
        "findings": diagnosis.findings().iter().map(|found| finding(found, whereabouts)).collect::<Vec<_>>(),
    }))
}

/// Returns what `kubecerts renew` planned and did.
pub(crate) fn renewal(
    plan: &Plan,
    report: Option<&Report>,
    diagnosis: &Diagnosis,
    whereabouts: &Whereabouts,
) -> Document {
    let plan_document: Value = serde_json::from_str(&plan.to_json()).expect("a plan is written as JSON");
    let written = report.map(|report| {
        let file = |written: &kubecerts_host::Written| {
            json!({ "file": written.file.to_string(), "path": written.path.as_str(), "sha256": written.digest.to_string() })
        };
        report.written.iter().map(file).collect::<Vec<_>>()
    });
    Document(json!({
        "apiVersion": API_VERSION,
        "kind": "Renewal",
        "at": plan.now().to_string(),
        "applied": report.is_some(),
        "complete": !plan.is_incomplete(),
        "plan": plan_document,
        "written": written.unwrap_or_default(),
        "backup": report.and_then(|report| report.backup.as_deref()),
        "findings": diagnosis.findings().iter().map(|found| finding(found, whereabouts)).collect::<Vec<_>>(),
    }))
}

/// Returns whether running programs use what is on disk.
pub(crate) fn verification(
    usages: &[Usage],
    seen: &Observations,
    findings: &[&Finding],
    runtime: &str,
    now: Timestamp,
    whereabouts: &Whereabouts,
) -> Document {
    let usage = |usage: &Usage| {
        json!({
            "component": usage.component.name(),
            "certificate": usage.slot().name(),
            "file": usage.file.to_string(),
            "reload": match usage.reload {
                Reload::ByItself => "by-itself",
                Reload::NeedsRestart => "needs-restart",
                Reload::Unknown => "unknown",
            },
            "serialOnDisk": usage.on_disk.as_ref().map(ToString::to_string),
            "notAfter": usage.not_after.map(|end| end.to_string()),
            "changedAt": usage.changed.map(|changed| changed.to_string()),
            "serialServed": usage.served.as_ref().map(ToString::to_string),
            "startedAt": usage.run.as_ref().and_then(|run| run.started).map(|started| started.to_string()),
            "run": usage.run.as_ref().map(|run| run.source.to_string()),
            "verdict": match usage.verdict {
                Verdict::InUse => "in-use",
                Verdict::Stale => "stale",
                Verdict::Unknown => "unknown",
            },
            "settled": usage.is_settled(),
            "proof": usage.proof.to_string(),
        })
    };
    Document(json!({
        "apiVersion": API_VERSION,
        "kind": "Verification",
        "at": now.to_string(),
        "runtime": runtime,
        "settled": usages.iter().all(Usage::is_settled),
        "usages": usages.iter().map(usage).collect::<Vec<_>>(),
        "endpoints": seen.sightings.iter().map(sighting).collect::<Vec<_>>(),
        "health": seen.health.iter().map(health).collect::<Vec<_>>(),
        "findings": findings.iter().map(|found| finding(found, whereabouts)).collect::<Vec<_>>(),
    }))
}

fn sighting(sighting: &Sighting) -> Value {
    let served = sighting.handshake.served();
    let leaf = served.and_then(|served| served.leaf.as_ref().ok());
    let problem = match &sighting.handshake {
        Handshake::Served(served) => served.leaf.as_ref().err().map(ToString::to_string),
        Handshake::Down(reason) | Handshake::Broken(reason) => Some(reason.clone()),
        _ => Some("does not answer".to_owned()),
    };
    json!({
        "service": sighting.endpoint.service.name(),
        "endpoint": sighting.endpoint.to_string(),
        "serial": leaf.map(|leaf| leaf.serial().to_string()),
        "notAfter": leaf.map(|leaf| leaf.not_after().to_string()),
        "asksForClientCertificate": served.map(|served| served.asks_for_client),
        "problem": problem,
    })
}

fn health(report: &HealthReport) -> Value {
    let answer = match &report.health {
        Health::Well => "ok".to_owned(),
        Health::Reserved(status) => status.to_string(),
        Health::Unwell(text) | Health::Silent(text) => text.clone(),
        other => format!("{other:?}"),
    };
    json!({
        "service": report.endpoint.service.name(),
        "endpoint": report.endpoint.to_string(),
        "path": report.path,
        "well": report.health.is_up(),
        "answer": answer,
    })
}

/// Returns the list of backups.
pub(crate) fn backups(listed: &[Listed]) -> Document {
    let item = |listed: &Listed| match &listed.manifest {
        Ok(manifest) => json!({
            "id": listed.id,
            "createdAt": manifest.created_at.to_string(),
            "scope": manifest.scope,
            "reason": manifest.reason,
            "files": manifest.files.iter().filter(|entry| matches!(entry.node, Node::File { .. })).count(),
            "etcd": manifest.etcd,
        }),
        Err(error) => json!({ "id": listed.id, "problem": error.to_string() }),
    };
    Document(json!({
        "apiVersion": API_VERSION,
        "kind": "BackupList",
        "items": listed.iter().map(item).collect::<Vec<_>>(),
    }))
}

/// Returns how the node differed from a backup, and what was done about it.
pub(crate) fn restoration(restoration: &Restoration, done: Option<&Done>) -> Document {
    let digest = |bytes: Option<&[u8]>| bytes.map(|bytes| Digest::of(bytes).to_string());
    let file = |file: &Restored| {
        json!({
            "path": file.path.as_str(),
            "difference": match file.difference {
                Difference::Content => "content",
                Difference::Facts => "facts",
                Difference::Missing => "missing",
                Difference::Extra => "extra",
                _ => "other",
            },
            "before": digest(file.current_secret_bytes()),
            "after": digest(file.restored_secret_bytes()),
        })
    };
    Document(json!({
        "apiVersion": API_VERSION,
        "kind": "Rollback",
        "id": restoration.manifest().id,
        "applied": done.is_some(),
        "files": restoration.files().iter().map(file).collect::<Vec<_>>(),
        "linksLeft": restoration.links().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "backup": done.map(|done| done.id.as_str()),
    }))
}

/// Returns what `kubecerts inspect` found.
pub(crate) fn inspection(items: &[Inspection]) -> Document {
    Document(json!({
        "apiVersion": API_VERSION,
        "kind": "Inspection",
        "items": items.iter().map(item).collect::<Vec<_>>(),
    }))
}

fn row(row: &ExpirationRow<'_>, inventory: &Inventory, diagnosis: &Diagnosis) -> Value {
    let mut value = json!({
        "name": row.place.to_string(),
        "copy": matches!(row.place, Place::Copy(_)),
        "path": inventory.certificate_file(&row.place).map(|file| file.path.as_str()),
        "authority": row.authority.map(|ca| ca.name()),
        "externallyManaged": row.externally_managed,
        "state": match &row.certificate {
            RowState::Present(_) => "present",
            RowState::Missing => "missing",
            RowState::Unusable(_) => "unusable",
        },
    });
    match &row.certificate {
        RowState::Present(certificate) => {
            value["residualSeconds"] = certificate.not_after().since(diagnosis.now()).0.into();
            value["certificate"] = certificate_value(certificate);
        }
        RowState::Unusable(reason) => value["reason"] = reason.as_str().into(),
        RowState::Missing => {}
    }
    value
}

pub(super) fn finding(finding: &Finding, whereabouts: &Whereabouts) -> Value {
    json!({
        "code": finding.code.name(),
        "severity": finding.severity.name(),
        "impact": impact(finding.impact),
        "place": finding.place.as_ref().map(ToString::to_string),
        "path": finding.path.as_ref().map(|path| path.as_str()),
        "message": finding.message,
        "remedy": { "action": remedy_name(&finding.remedy), "text": remedy_text(finding, whereabouts) },
    })
}

pub(super) const fn impact(impact: Impact) -> &'static str {
    match impact {
        Impact::None => "none",
        Impact::Due => "due",
        Impact::Incomplete => "incomplete",
        Impact::Unusable => "unusable",
        Impact::Inconsistent => "inconsistent",
    }
}

pub(super) const fn remedy_name(remedy: &Remedy) -> &'static str {
    match remedy {
        Remedy::Renew(_) => "renew",
        Remedy::AddNames(..) => "add-names",
        Remedy::RotateAuthority(_) => "rotate-authority",
        Remedy::ReplaceKey(_) => "replace-key",
        Remedy::SignElsewhere(_) => "sign-elsewhere",
        Remedy::Restore(_)
        | Remedy::RestorePair(_)
        | Remedy::TakePair { .. }
        | Remedy::RestoreFile(_)
        | Remedy::CopyBack(_) => "restore",
        Remedy::Recover => "recover",
        Remedy::MendCause => "mend-cause",
        Remedy::GrantAccess(_) => "grant-access",
        Remedy::Repair(_) | Remedy::RepairManifest(_) => "repair",
        Remedy::Inspect(_) => "inspect",
        Remedy::SetMode(..) => "set-mode",
        Remedy::SetClock => "set-clock",
        Remedy::ReferToRotatedCertificate(_) => "refer-to-rotated-certificate",
        Remedy::RefreshCopy(_) | Remedy::ReplaceCopy { .. } => "refresh-copy",
        Remedy::MoveAway(_) | Remedy::MoveFilesAway(_) => "move-away",
        Remedy::Relink { .. } => "relink",
        Remedy::MoveAndLink { .. } => "move-and-link",
        Remedy::RestartPods => "restart-pods",
        Remedy::SpreadOut(_) => "spread-out",
        Remedy::SetAuthority(_) => "set-authority",
        Remedy::UpdateTrust => "update-trust",
        Remedy::Restart(_) => "restart",
        Remedy::Start(_) => "start",
        Remedy::SetOwner { .. } => "set-owner",
        Remedy::SetFlag(..) => "set-flag",
        Remedy::SetField(..) => "set-field",
        Remedy::KeepCertificate { .. } => "keep-certificate",
        Remedy::ApproveRequest => "approve-request",
        Remedy::BreakGlass => "break-glass",
        _ => "none",
    }
}

fn etcd(placement: &EtcdPlacement) -> Value {
    match placement {
        EtcdPlacement::Local => json!({ "placement": "local" }),
        EtcdPlacement::External(endpoints) => json!({ "placement": "external", "endpoints": endpoints }),
        _ => json!({ "placement": "unknown" }),
    }
}

fn item(item: &Inspection) -> Value {
    match item {
        Inspection::Certificate(certificate) => {
            json!({ "type": "certificate", "certificate": certificate_value(certificate) })
        }
        Inspection::PrivateKey(key) => json!({
            "type": "privateKey",
            "encoding": match key.encoding() {
                KeyEncoding::Pkcs1 => "PKCS#1",
                KeyEncoding::Sec1 => "SEC1",
                _ => "PKCS#8",
            },
            "publicKey": public_key(key.public_key()),
        }),
        Inspection::PublicKey(key) => json!({ "type": "publicKey", "publicKey": public_key(key) }),
        Inspection::Request(request) => json!({
            "type": "request",
            "subject": request.subject().to_string(),
            "publicKey": public_key(request.public_key()),
            "alternativeNames": request.alternative_names().texts().collect::<Vec<_>>(),
            "isAuthority": request.basic_constraints().map(|constraints| constraints.is_ca),
            "keyUsages": request.key_usages().map(|usages| usages.names().collect::<Vec<_>>()),
            "extendedKeyUsages": request.extended_key_usages().as_slice().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "extensions": request.extensions().iter().map(|extension| extension.name.as_str()).collect::<Vec<_>>(),
            "signatureAlgorithm": request.signature_algorithm(),
            "signatureValid": match request.verdict() {
                SignatureVerdict::Valid => Some(true),
                SignatureVerdict::Invalid => Some(false),
                SignatureVerdict::Unsupported(_) => None,
            },
        }),
        Inspection::Kubeconfig(kubeconfig) => kubeconfig_value(kubeconfig),
        Inspection::Damaged { what, damage } => {
            json!({ "type": "damaged", "what": what, "reason": damage.to_string() })
        }
        _ => json!({ "type": "damaged", "what": "unknown", "reason": "this version cannot show it" }),
    }
}

fn kubeconfig_value(kubeconfig: &KubeconfigInspection) -> Value {
    let file = &kubeconfig.file;
    let items = |items: &[Inspection]| items.iter().map(item).collect::<Vec<_>>();
    json!({
        "type": "kubeconfig",
        "currentContext": file.current_context(),
        "contexts": file.contexts().iter().map(|context| json!({
            "name": context.name(), "cluster": context.cluster(), "user": context.user(),
        })).collect::<Vec<_>>(),
        "clusters": file.clusters().iter().zip(&kubeconfig.authorities).map(|(cluster, (_, found))| json!({
            "name": cluster.name(), "server": cluster.server(), "items": items(found),
        })).collect::<Vec<_>>(),
        "users": file.users().iter().zip(&kubeconfig.credentials).map(|(user, (_, found))| json!({
            "name": user.name(),
            "otherCredential": user.other_credential().map(|other| other.to_string()),
            "items": items(found),
        })).collect::<Vec<_>>(),
    })
}

fn certificate_value(certificate: &Certificate) -> Value {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({
        "subject": certificate.subject().to_string(),
        "issuer": certificate.issuer().to_string(),
        "serial": certificate.serial().to_string(),
        "serialDecimal": certificate.serial().to_decimal(),
        "notBefore": certificate.not_before().to_string(),
        "notAfter": certificate.not_after().to_string(),
        "publicKey": public_key(certificate.public_key()),
        "signatureAlgorithm": certificate.signature_algorithm(),
        "isAuthority": certificate.is_authority(),
        "keyUsages": certificate.key_usages().map(|usages| usages.names().collect::<Vec<_>>()),
        "extendedKeyUsages": certificate.extended_key_usages().as_slice().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "alternativeNames": certificate.alternative_names().texts().collect::<Vec<_>>(),
        "subjectKeyId": certificate.subject_key_identifier().map(hexadecimal),
        "authorityKeyId": certificate.authority_key_identifier().map(hexadecimal),
        "sha256": certificate.fingerprint().to_string(),
    })
}

fn public_key(key: &PublicKey) -> Value {
    json!({ "type": key.key_type().to_string(), "sha256": key.fingerprint().to_string() })
}
