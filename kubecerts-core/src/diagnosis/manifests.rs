//! The checks of what manifests say, beside where files lie.

use super::checks::{Context, about, at, error};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, Component, FileSlot, KubernetesVersion, LeafSlot, Slot};
use crate::inventory::{ChainFact, Credential, Inventory, KeyFacts, Place, Reading};
use crate::path::TreePath;
use crate::x509::{Damage, PublicKey};

/// `front-proxy-refused`, which explains `wrong-authority` and `ca-reuse` when the API server names the wrong authority
pub(super) fn front_proxy(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let Some(flags) = &inventory.node().programs().front_proxy else { return };
    let slot = Slot::Leaf(LeafSlot::FrontProxyClient);
    let Some(credential) = inventory.credential(slot) else { return };
    // Without a certificate nobody has set this up, or it is missing.
    let Some(leaf) = credential.leaf() else { return };
    let path = |file| inventory.node().layout().path(file).to_string();
    let mut found = |message: String, values: Vec<(&'static str, String)>| {
        let remedy = Remedy::SetFlag(Component::ApiServer, values);
        let finding = error(slot, FindingCode::FrontProxyRefused, Impact::Inconsistent, message, remedy);
        out.push(in_manifest(context, Component::ApiServer, finding));
    };
    if !flags.absent.is_empty() {
        let value = |flag: &&'static str| match *flag {
            "proxy-client-cert-file" => (*flag, path(FileSlot::LeafCertificate(LeafSlot::FrontProxyClient))),
            "proxy-client-key-file" => (*flag, path(FileSlot::LeafKey(LeafSlot::FrontProxyClient))),
            _ => (*flag, path(FileSlot::CaCertificate(CaSlot::FrontProxy))),
        };
        let absent: Vec<String> = flags.absent.iter().map(|flag| format!("--{flag}")).collect();
        let message = format!(
            "kube-apiserver is not given {}, so extension API servers do not know it",
            absent.join(", ")
        );
        found(message, flags.absent.iter().map(value).collect());
    }
    let name = leaf.subject().common_name().unwrap_or_default();
    if !flags.allowed_names.is_empty() && !flags.allowed_names.iter().any(|allowed| allowed == name) {
        let message = format!(
            "it is for {:?}, and --requestheader-allowed-names of kube-apiserver allows {:?} only: extension API servers \
             refuse it",
            name,
            flags.allowed_names.join(",")
        );
        let names: Vec<&str> = flags.allowed_names.iter().map(String::as_str).chain([name]).collect();
        found(message, vec![("requestheader-allowed-names", names.join(","))]);
    }
    let is_refused = matches!(credential.chain(), Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_)));
    let told = inventory.authority(CaSlot::FrontProxy);
    let other = told.signer().filter(|_| is_refused).and_then(|signer| {
        let mut others = [CaSlot::Cluster, CaSlot::Etcd].into_iter();
        others.find(|ca| {
            inventory.authority(*ca).signer().map(|other| other.public_key()) == Some(signer.public_key())
        })
    });
    if let Some(other) = other {
        let message = format!(
            "--requestheader-client-ca-file of kube-apiserver is {}, the authority {other}, which did not sign it: extension \
             API servers refuse it",
            told.certificate_file().path
        );
        let usual = told.certificate_file().path.parent().join("front-proxy-ca.crt");
        let value = usual.map(|path| path.to_string()).unwrap_or_default();
        found(message, vec![("requestheader-client-ca-file", value)]);
        out.retain(|finding| match finding.code {
            FindingCode::WrongAuthority => finding.place != Some(Place::Slot(slot)),
            FindingCode::CaReuse => finding.place != Some(Place::Slot(Slot::Ca(CaSlot::FrontProxy))),
            _ => true,
        });
    }
}

/// `sa-key-unused`, `sa-key-mismatch`
///
/// Whoever signs tokens has to do so with a key that the API server verifies them with. Which key `sa.key` and `sa.pub` are is the
/// business of `sa-key-mismatch`.
pub(super) fn token_keys(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let programs = inventory.node().programs();
    if programs.front_proxy.is_none() || programs.has_other_token_keys {
        return;
    }
    let mut found = |component, message: String, flag: &'static str, file| {
        let value = inventory.node().layout().path(file).to_string();
        let remedy = Remedy::SetFlag(component, vec![(flag, value)]);
        let code = FindingCode::SaKeyUnused;
        let finding = error(Slot::ServiceAccount, code, Impact::Inconsistent, message, remedy);
        out.push(in_manifest(context, component, finding));
    };
    let (signing, verifying): (Vec<_>, Vec<_>) =
        inventory.token_keys().iter().partition(|key| key.named.signs());
    let pair = inventory.service_account();
    // What is amiss with the files of the pair itself has its own findings.
    let is_of_pair = |path: &TreePath| *path == pair.key_file.path || *path == pair.public_key_file.path;
    for key in signing.iter().chain(&verifying) {
        let (component, flag) = (key.named.component, key.named.flag);
        let path = &key.file.path;
        match &key.keys {
            Reading::Absent if !is_of_pair(path) => {
                let message = format!("--{flag} of {component} is {path}, which does not exist");
                found(component, message, flag, slot_of(key.named.signs()));
            }
            // What can only be verified with is no damage where it belongs.
            Reading::Damaged(damage)
                if key.named.signs()
                    && *path != pair.key_file.path
                    && !matches!(damage, Damage::UnsupportedKey(_) | Damage::Redacted) =>
            {
                let message =
                    format!("--{flag} of {component} is {path}, with which nobody can sign: {damage}");
                found(component, message, flag, slot_of(true));
            }
            _ => {}
        }
    }
    let server_signs = signing.iter().any(|key| key.named.component == Component::ApiServer);
    let version = inventory.node().version();
    if !server_signs && version.is_some_and(|version| version >= KubernetesVersion::release(1, 20)) {
        let message =
            "kube-apiserver is not given --service-account-signing-key-file, without which it does not start";
        let flag = "service-account-signing-key-file";
        found(Component::ApiServer, message.to_owned(), flag, FileSlot::ServiceAccountKey);
    }
    let mut accepted: Vec<&PublicKey> = Vec::new();
    for key in &verifying {
        match &key.keys {
            Reading::Present(keys) => accepted.extend(keys),
            Reading::Absent if !is_of_pair(&key.file.path) => {}
            // Nothing is known of which tokens are accepted.
            _ => return,
        }
    }
    if verifying.is_empty() {
        // The API server verifies with its own serving key then (`Complete` in `pkg/kubeapiserver/options`).
        let served = inventory.credential(Slot::Leaf(LeafSlot::ApiServer)).map(Credential::key);
        let Some(served) = served.and_then(Reading::present) else { return };
        accepted.push(KeyFacts::public_key(served));
    }
    for key in &signing {
        let Some(public) = key.keys.present().and_then(|keys| keys.first()) else { continue };
        if accepted.contains(&public) {
            continue;
        }
        let (component, flag, path) = (key.named.component, key.named.flag, &key.file.path);
        if verifying.is_empty() {
            let message = format!(
                "kube-apiserver is not given --service-account-key-file, so it accepts no token that {component} signs with {path}"
            );
            let file = FileSlot::ServiceAccountPublicKey;
            found(Component::ApiServer, message, "service-account-key-file", file);
            return;
        }
        if *path == pair.key_file.path {
            // Its other half is there, and the flag names another file.
            let half = &pair.public_key_file.path;
            let is_whole = pair.public_key.present() == Some(public);
            if let Some(other) = verifying.iter().find(|key| key.file.path != *half && is_whole) {
                let message = format!(
                    "kube-apiserver verifies tokens with {} (--service-account-key-file), and {component} signs them with \
                     {path}, whose public half is {half}",
                    other.file.path
                );
                let file = FileSlot::ServiceAccountPublicKey;
                found(Component::ApiServer, message, "service-account-key-file", file);
                return;
            }
            continue;
        }
        let message = format!(
            "{component} signs tokens with {path} (--{flag}), whose public half is in no --service-account-key-file of \
             kube-apiserver"
        );
        found(component, message, flag, FileSlot::ServiceAccountKey);
    }
    // The API server may be given several keys to verify with, so that sa.pub need not be the half of sa.key.
    if pair.key.present().is_some_and(|key| accepted.contains(&key.public_key())) {
        out.retain(|finding| finding.code != FindingCode::SaKeyMismatch);
    }
    let signs = |key: &PublicKey| {
        signing.iter().any(|other| other.keys.present().is_some_and(|keys| keys.contains(key)))
    };
    for key in &verifying {
        let Some(other) = key
            .keys
            .present()
            .and_then(|keys| keys.iter().filter(|key| !signs(key)).find_map(|key| owner(inventory, key)))
        else {
            continue;
        };
        let path = &key.file.path;
        let message = format!(
            "{path} holds the key of {other} too: whoever has that key can make a token for every account"
        );
        let place = Place::Slot(Slot::ServiceAccount);
        let remedy = Remedy::Inspect(path.clone());
        let finding =
            about(&place, Severity::Warning, FindingCode::SaKeyMismatch, Impact::None, message, remedy);
        out.push(at(&key.file, finding));
    }
}

/// Returns what the certificate is that has this key.
fn owner(inventory: &Inventory, key: &PublicKey) -> Option<Place> {
    let mut authorities = CaSlot::ALL.into_iter();
    let ca = authorities
        .find(|ca| inventory.authority(*ca).signer().is_some_and(|signer| signer.public_key() == key));
    let leaf = || {
        let mut credentials = inventory.credentials();
        let has_it = |credential: &Credential| credential.leaf().is_some_and(|leaf| leaf.public_key() == key);
        credentials.find(|(_, credential)| has_it(credential)).map(|(place, _)| place.clone())
    };
    ca.map(|ca| Place::Slot(Slot::Ca(ca))).or_else(leaf)
}

const fn slot_of(signs: bool) -> FileSlot {
    if signs { FileSlot::ServiceAccountKey } else { FileSlot::ServiceAccountPublicKey }
}

/// Returns the finding with the manifest of `component` as the file that shows it.
fn in_manifest(context: &Context<'_>, component: Component, finding: Finding) -> Finding {
    Finding { path: context.inventory.node().manifest(component).cloned(), ..finding }
}
