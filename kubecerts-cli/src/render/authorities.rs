//! The authorities for people: what they are, and what is left to do elsewhere after they got a later end.

use kubecerts_core::catalog::{CaSlot, Slot};
use kubecerts_core::inventory::{Authority, CertificateBundle, Custody, Inventory, Trusting};
use kubecerts_core::issue::KeyPin;
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::Certificate;

use super::text::heading;
use crate::args::Whereabouts;

/// Returns every authority with its custody, dates, hashes, and the files that trust it.
pub(crate) fn authorities(inventory: &Inventory, now: Timestamp) -> String {
    let mut text = String::new();
    for ca in CaSlot::ALL {
        let authority = inventory.authority(ca);
        let file = authority.certificate_file();
        if !file.exists && !inventory.node().expects(Slot::Ca(ca)) {
            continue;
        }
        let title = heading(ca.name());
        text.push_str(if text.is_empty() { title.trim_start() } else { &title });
        field(&mut text, "certificate", &file.path.to_string());
        field(&mut text, "key", &custody(authority));
        if let Some(problem) = authority.certificate().problem() {
            field(&mut text, "problem", &problem);
        }
        let bundle = authority.certificate().present().map_or(&[][..], CertificateBundle::certificates);
        for certificate in bundle {
            if bundle.len() > 1 {
                let signs = authority.signer() == Some(certificate);
                field(&mut text, "of several", if signs { "the one that signs" } else { "a further one" });
            }
            describe(&mut text, certificate, inventory, now);
        }
    }
    text
}

fn describe(text: &mut String, certificate: &Certificate, inventory: &Inventory, now: Timestamp) {
    let end = certificate.not_after();
    let state = if end < now { ", EXPIRED" } else { "" };
    field(text, "subject", &certificate.subject().to_string());
    if !certificate.is_self_issued() {
        field(text, "signed by", &certificate.issuer().to_string());
    }
    field(text, "serial", &certificate.serial().to_string());
    field(text, "valid", &format!("{} until {end}{state}", certificate.not_before()));
    field(text, "signed with", &certificate.signature_algorithm());
    field(text, "fingerprint", &format!("sha256:{}", certificate.fingerprint()));
    let pin = KeyPin::new(certificate.public_key().fingerprint());
    field(text, "public key", &format!("{pin} ({})", certificate.public_key().key_type()));
    for holder in inventory.trusting(certificate) {
        field(text, "held by", &holder.to_string());
    }
}

fn field(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("  {name:<12} {}\n", crate::output::plain(value)));
}

fn custody(authority: &Authority) -> String {
    let key = &authority.key_file().path;
    match authority.custody() {
        Custody::Held => key.to_string(),
        Custody::External => format!("external: {key} does not exist"),
        Custody::Absent => "there is no certificate".to_owned(),
        Custody::Broken => {
            let problem = authority.key().problem();
            let problem = problem.unwrap_or_else(|| "does not belong to the certificate".to_owned());
            format!("{key}: {problem}")
        }
    }
}

/// Returns how `holder`, which has the old certificate of `ca` only, gets the new one.
pub(crate) fn update(ca: CaSlot, holder: &Trusting, inventory: &Inventory, at: &Whereabouts) -> String {
    let authority = at.file(&inventory.authority(ca).certificate_file().path);
    match holder {
        Trusting::Kubeconfig(place) => {
            let name = match place.slot() {
                Some(slot) => slot.name().to_owned(),
                None => format!("--file {}", crate::args::quoted(&place.to_string())),
            };
            format!("kubecerts kubeconfig set-ca {name}{}", at.options)
        }
        // The order of old and new does not matter, and others in the file may be needed.
        Trusting::File { path, others, .. } if *others > 0 => {
            format!("add the new one to those that the file holds: cat {authority} >> {}", at.file(path))
        }
        Trusting::File { path, .. } => {
            format!("it holds nothing else: install -m 0644 {authority} {}", at.file(path))
        }
        _ => format!("let it trust {authority}"),
    }
}

/// Returns what is left to do beyond the files of this node, in the order in which to do it.
pub(crate) fn next_steps(ca: CaSlot, before: &Inventory, at: &Whereabouts) -> Vec<String> {
    let now = kubecerts_host::now();
    let authority = before.authority(ca);
    let path = &authority.certificate_file().path;
    // Programs run on the node only, whose own files are where it has them.
    let (place, options) = match at.root {
        None => ("", at.options.as_str()),
        Some(_) => (", on the node", ""),
    };
    let end = authority.signer().map(Certificate::not_after).filter(|end| *end > now);
    let deadline = end.map(|end| format!(" before {end}")).unwrap_or_default();
    let copy = |nodes: &str| {
        format!("{nodes}: do not extend there again, take the same file{deadline}: scp {path} NODE:{path}")
    };
    match ca {
        CaSlot::Cluster => vec![
            format!(
                "the controller-manager publishes the new certificate (ConfigMap kube-root-ca.crt) once it is restarted{place}: \
                 kubecerts restart kube-controller-manager{options}"
            ),
            copy("every other control-plane node"),
            "there, then: kubecerts kubeconfig set-ca && kubecerts restart kube-controller-manager".to_owned(),
            copy("every worker"),
            "there, then: kubecerts kubeconfig set-ca kubelet.conf && systemctl restart kubelet".to_owned(),
            // Older kubeadm leaves one that exists as it is (`cmd/kubeadm/app/phases/bootstraptoken/clusterinfo`).
            "nodes that join find it in the ConfigMap cluster-info, once kubeadm has made that anew, and a token for a day with it: \
             kubectl -n kube-public delete configmap cluster-info && kubeadm init phase bootstrap-token --skip-token-print"
                .to_owned(),
            "see that pods get it: kubectl get configmap kube-root-ca.crt -o jsonpath='{.data.ca\\.crt}' | openssl x509 -noout -enddate"
                .to_owned(),
            "see that aggregated API servers get it, as the API server publishes it by itself: kubectl -n kube-system get configmap \
             extension-apiserver-authentication -o jsonpath='{.data.client-ca-file}' | openssl x509 -noout -enddate"
                .to_owned(),
            "whoever has put it into a caBundle replaces it there: kubectl get \
             validatingwebhookconfigurations,mutatingwebhookconfigurations,apiservices,customresourcedefinitions -o yaml | grep caBundle"
                .to_owned(),
            "whoever keeps a kubeconfig elsewhere brings it here: kubecerts kubeconfig set-ca --file FILE".to_owned(),
        ],
        CaSlot::Etcd => vec![
            copy("every other control-plane node"),
            format!("etcd and the API server read it when they start: on each node, one after the other{deadline}{place}: \
                 kubecerts restart etcd kube-apiserver{options}"),
            format!("backups, monitoring and networks that speak to etcd take the same file: {path}"),
        ],
        CaSlot::FrontProxy => vec![
            copy("every other control-plane node"),
            "see that aggregated API servers get it, as the API server publishes it by itself: kubectl -n kube-system get configmap \
             extension-apiserver-authentication -o jsonpath='{.data.requestheader-client-ca-file}' | openssl x509 -noout -enddate"
                .to_owned(),
        ],
    }
}
