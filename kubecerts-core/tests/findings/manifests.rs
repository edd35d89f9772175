//! What is wrong between manifests and files.

use kubecerts_core::catalog::{FileSlot, KubeconfigSlot, LeafSlot};
use kubecerts_core::diagnosis::{FindingCode, Policy, Remedy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::snapshot::FileMeta;
use kubecerts_testkit::{MemoryTree, at, path};

use crate::support::*;

broken_trees! {
    a_front_proxy_client_of_a_name_that_is_not_allowed_is_found: FrontProxyRefused =>
        codes_with(API_SERVER, "allowed-names=front-proxy-client", "allowed-names=aggregator,other");
    an_api_server_without_a_client_certificate_for_extensions_is_found: FrontProxyRefused => {
        let flags = "    - --proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt
    - --proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key
";
        codes_with(API_SERVER, flags, "")
    };
    an_api_server_that_publishes_no_authority_for_extensions_is_found: FrontProxyRefused =>
        codes_with(API_SERVER, "    - --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt\n", "");
    an_api_server_that_publishes_the_authority_of_the_cluster_for_extensions_is_found: FrontProxyRefused =>
        codes_with(API_SERVER, "requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt", "requestheader-client-ca-file=/etc/kubernetes/pki/ca.crt");
    a_scheduler_that_may_not_read_its_kubeconfig_is_found: OwnerWrong =>
        codes_at(&broken_node(|tree| run_as(tree, SCHEDULER, "runAsUser: 2003")), FRESH);
    a_key_of_a_user_whom_no_component_runs_as_is_found: OwnerWrong =>
        codes_of(&owned(&broken_node(|_| ()), API_SERVER_KEY, |meta| meta.uid = 1000), FRESH);
    tokens_that_are_signed_with_a_key_that_is_not_accepted_are_found: SaKeyUnused => {
        let tree = broken_node(|tree| {
            replace(tree, CONTROLLER_MANAGER, "private-key-file=/etc/kubernetes/pki/sa.key", "private-key-file=/etc/kubernetes/pki/old.key");
            add_key(tree, "old.key");
        });
        codes_at(&tree, FRESH)
    };
    a_key_for_tokens_that_does_not_exist_is_found: SaKeyUnused =>
        codes_with(CONTROLLER_MANAGER, "private-key-file=/etc/kubernetes/pki/sa.key", "private-key-file=/etc/kubernetes/pki/old.key");
    a_public_key_to_sign_tokens_with_is_found: SaKeyUnused =>
        codes_with(CONTROLLER_MANAGER, "private-key-file=/etc/kubernetes/pki/sa.key", "private-key-file=/etc/kubernetes/pki/sa.pub");
    the_key_of_an_authority_that_tokens_are_verified_with_is_found: SaKeyMismatch => {
        let tree = broken_node(|tree| {
            let more = tree.read_file("/etc/kubernetes/pki/etcd/ca.crt").to_vec();
            tree.edit("/etc/kubernetes/pki/sa.pub", |content| content.splice(0..0, more).for_each(drop));
        });
        codes_at(&tree, FRESH)
    };
    an_api_server_that_is_not_told_of_sa_pub_is_found: SaKeyUnused =>
        codes_with(API_SERVER, "    - --service-account-key-file=/etc/kubernetes/pki/sa.pub\n", "");
    an_api_server_that_is_not_told_of_sa_key_is_found: SaKeyUnused =>
        codes_with(API_SERVER, "    - --service-account-signing-key-file=/etc/kubernetes/pki/sa.key\n", "");
}

#[test]
fn every_name_is_allowed_when_none_is_given() {
    assert_eq!(codes_with(API_SERVER, "allowed-names=front-proxy-client", "allowed-names="), []);
    assert_eq!(codes_with(API_SERVER, "    - --requestheader-allowed-names=front-proxy-client\n", ""), []);
}

#[test]
fn a_key_that_is_verified_beside_others_may_sign() {
    let tree = broken_node(|tree| {
        replace(
            tree,
            CONTROLLER_MANAGER,
            "private-key-file=/etc/kubernetes/pki/sa.key",
            "private-key-file=/etc/kubernetes/pki/old.key",
        );
        let flag = "    - --service-account-key-file=/etc/kubernetes/pki/sa.pub\n";
        let both = format!("{flag}{}", flag.replace("sa.pub", "old.key"));
        replace(tree, API_SERVER, flag, &both);
        add_key(tree, "old.key");
    });
    assert_eq!(codes_at(&tree, FRESH), []);
}

#[test]
fn sa_pub_need_not_be_the_half_of_sa_key_when_another_file_is() {
    let tree = broken_node(|tree| {
        let flag = "    - --service-account-key-file=/etc/kubernetes/pki/sa.pub\n";
        let both = format!("{flag}{}", flag.replace("sa.pub", "other.pub"));
        replace(tree, API_SERVER, flag, &both);
        let other = stranger().read_file("/etc/kubernetes/pki/sa.pub").to_vec();
        tree.write(&path("/etc/kubernetes/pki/other.pub"), other, 0o600);
    });
    assert_eq!(codes_at(&tree, FRESH), []);
}

#[test]
fn keys_that_a_volume_of_the_cluster_holds_are_not_judged() {
    let tree = broken_node(|tree| {
        replace(tree, API_SERVER, "key-file=/etc/kubernetes/pki/sa.pub", "key-file=/var/run/keys/sa.pub");
        replace(
            tree,
            API_SERVER,
            "    volumeMounts:\n",
            "    volumeMounts:\n    - {mountPath: /var/run/keys, name: keys}\n",
        );
    });
    assert_eq!(codes_at(&tree, FRESH), []);
}

#[test]
fn a_scheduler_with_its_own_kubeconfig_is_no_finding() {
    let tree = broken_node(|tree| run_as(tree, SCHEDULER, "runAsUser: 2003"));
    let kubeconfig = FileSlot::Kubeconfig(KubeconfigSlot::Scheduler);
    assert_eq!(codes_of(&owned(&tree, kubeconfig, |meta| meta.uid = 2003), FRESH), []);
    let by_group = |meta: &mut FileMeta| (meta.gid, meta.mode) = (3000, 0o640);
    assert_eq!(codes_of(&owned(&tree, kubeconfig, by_group), FRESH), [FindingCode::OwnerWrong]);
    let tree = broken_node(|tree| run_as(tree, SCHEDULER, "{runAsUser: 2003, supplementalGroups: [3000]}"));
    assert_eq!(codes_of(&owned(&tree, kubeconfig, by_group), FRESH), []);
}

#[test]
fn an_administrator_may_own_admin_conf() {
    let admin = FileSlot::Kubeconfig(KubeconfigSlot::Admin);
    assert_eq!(codes_of(&owned(&broken_node(|_| ()), admin, |meta| meta.uid = 1000), FRESH), []);
}

#[test]
fn a_key_that_two_components_read_is_to_be_read_by_the_group_of_both() {
    let tree = broken_node(|tree| {
        run_as(tree, API_SERVER, "{runAsUser: 2000, runAsGroup: 2000, supplementalGroups: [2004]}");
        run_as(tree, CONTROLLER_MANAGER, "{runAsUser: 2001, runAsGroup: 2001, supplementalGroups: [2004]}");
    });
    let diagnosis = diagnose(&tree.inventory(), &Observations::none(), Policy::default(), at(FRESH));
    let sa_key = path("/etc/kubernetes/pki/sa.key");
    let found: Vec<String> = diagnosis
        .findings()
        .iter()
        .filter(|finding| finding.path.as_ref() == Some(&sa_key))
        .map(|finding| format!("{finding} {:?}", finding.remedy))
        .collect();
    let expected = "sa: /etc/kubernetes/pki/sa.key belongs to 0:0 with the mode 0600, and kube-apiserver, which runs as 2000:2000, \
                    cannot read it SetOwner { path: TreePath(\"/etc/kubernetes/pki/sa.key\"), uid: 2000, gid: 2004, mode: 416 }";
    assert_eq!(found, [expected]);
    assert!(diagnosis.findings().iter().all(|finding| matches!(finding.remedy, Remedy::SetOwner { .. })));
}

const API_SERVER: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const CONTROLLER_MANAGER: &str = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
const SCHEDULER: &str = "/etc/kubernetes/manifests/kube-scheduler.yaml";
const API_SERVER_KEY: FileSlot = FileSlot::LeafKey(LeafSlot::ApiServer);

/// Returns the findings of a tree in whose manifest one text is another.
fn codes_with(manifest: &str, from: &str, to: &str) -> Vec<FindingCode> {
    codes_at(&broken_node(|tree| replace(tree, manifest, from, to)), FRESH)
}

/// Lets the program run as somebody else; `fields` are of a container's security context.
fn run_as(tree: &mut MemoryTree, manifest: &str, fields: &str) {
    let fields = fields.trim_matches(['{', '}']);
    let context = format!("  securityContext: {{{fields}, seccompProfile: {{type: RuntimeDefault}}}}\n");
    let kubeadms = "  securityContext:\n    seccompProfile:\n      type: RuntimeDefault\n";
    replace(tree, manifest, kubeadms, &context);
}

fn add_key(tree: &mut MemoryTree, name: &str) {
    let key = stranger().read_file("/etc/kubernetes/pki/sa.key").to_vec();
    tree.write(&path(&format!("/etc/kubernetes/pki/{name}")), key, 0o600);
}

fn owned(tree: &MemoryTree, file: FileSlot, change: impl FnOnce(&mut FileMeta)) -> Inventory {
    with_meta(tree, file, change)
}
