//! What is wrong between manifests and files.

use kubecerts_core::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::diagnosis::{FindingCode, Policy, Remedy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::observation::Observations;
use kubecerts_core::plan::{PlanError, PlanRequest, Selection, plan};
use kubecerts_core::snapshot::FileMeta;
use kubecerts_testkit::{MemoryTree, Seeded, at, path};

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
    an_api_server_that_verifies_tokens_with_its_own_certificate_is_found: SaKeyUnused =>
        codes_with(API_SERVER, "service-account-key-file=/etc/kubernetes/pki/sa.pub", "service-account-key-file=/etc/kubernetes/pki/apiserver.crt");
    an_api_server_that_shows_its_own_certificate_to_extensions_is_found: WrongFile =>
        codes_at(&broken_node(show_the_server_to_extensions), FRESH);
    an_etcd_that_trusts_the_authority_of_the_cluster_is_found: WrongFile =>
        codes_with(ETCD, " --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt", " --trusted-ca-file=/etc/kubernetes/pki/ca.crt");
    an_etcd_whose_members_trust_the_authority_of_the_cluster_is_found: WrongFile =>
        codes_with(ETCD, "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt", "--peer-trusted-ca-file=/etc/kubernetes/pki/ca.crt");
    an_api_server_that_trusts_the_wrong_authority_for_etcd_is_found: WrongFile =>
        codes_with(API_SERVER, "etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt", "etcd-cafile=/etc/kubernetes/pki/ca.crt");
    an_api_server_that_trusts_the_wrong_authority_for_clients_is_found: WrongFile =>
        codes_with(API_SERVER, " --client-ca-file=/etc/kubernetes/pki/ca.crt", " --client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt");
    a_controller_manager_that_signs_with_the_front_proxys_authority_is_found: WrongFile =>
        codes_with(CONTROLLER_MANAGER, SIGNING, "cluster-signing-cert-file=/etc/kubernetes/pki/front-proxy-ca.crt");
    a_controller_manager_whose_authority_is_a_key_is_found: WrongFile =>
        codes_with(CONTROLLER_MANAGER, SIGNING, "cluster-signing-cert-file=/etc/kubernetes/pki/apiserver-etcd-client.key");
    a_controller_manager_whose_authority_is_a_kubeconfig_is_found: WrongFile =>
        codes_with(CONTROLLER_MANAGER, SIGNING, "cluster-signing-cert-file=/etc/kubernetes/kubelet.conf");
    a_controller_manager_that_signs_with_an_authority_of_its_own_is_found: WrongFile => {
        let tree = broken_node(|tree| {
            tree.write(&path("/root/ca.crt"), stranger().read_file(CA).to_vec(), 0o600);
            replace(tree, CONTROLLER_MANAGER, SIGNING, "cluster-signing-cert-file=/root/ca.crt");
        });
        codes_at(&tree, FRESH)
    };
    a_controller_manager_that_signs_with_the_wrong_key_is_found: WrongFile =>
        codes_with(CONTROLLER_MANAGER, "cluster-signing-key-file=/etc/kubernetes/pki/ca.key", "cluster-signing-key-file=/etc/kubernetes/pki/front-proxy-ca.key");
    a_controller_manager_that_is_given_two_authorities_to_sign_with_is_found: WrongFile => {
        let tree = broken_node(|tree| {
            let other = stranger().read_file(CA).to_vec();
            tree.edit(CA, |content| content.splice(0..0, other).for_each(drop));
        });
        codes_at(&tree, FRESH)
    };
    a_scheduler_that_asks_as_the_administrator_is_found: WrongFile =>
        codes_with(SCHEDULER, " --kubeconfig=/etc/kubernetes/scheduler.conf", " --kubeconfig=/etc/kubernetes/admin.conf");
    a_kubelet_that_trusts_the_authority_of_the_front_proxy_is_found: WrongFile =>
        codes_at(&configured_kubelet("authentication: {x509: {clientCAFile: /etc/kubernetes/pki/front-proxy-ca.crt}}"), FRESH);
    a_kubelet_whose_request_was_not_approved_is_found: Missing =>
        codes_at(&configured_kubelet("serverTLSBootstrap: true"), FRESH);
}

#[test]
fn a_flag_that_is_not_followed_is_what_is_to_be_mended() {
    let remedies = |tree: &MemoryTree| {
        let diagnosis = diagnose(&tree.inventory(), &Observations::none(), Policy::default(), at(FRESH));
        diagnosis.findings().iter().map(|finding| finding.remedy.clone()).collect::<Vec<_>>()
    };
    let set = |component, flags: &[(&'static str, &str)]| {
        vec![Remedy::SetFlag(
            component,
            flags.iter().map(|(flag, file)| (*flag, format!("/etc/kubernetes/pki/{file}"))).collect(),
        )]
    };
    let extensions = [
        ("proxy-client-cert-file", "front-proxy-client.crt"),
        ("proxy-client-key-file", "front-proxy-client.key"),
    ];
    let with = |manifest, from: &str, to: &str| broken_node(|tree| replace(tree, manifest, from, to));
    assert_eq!(remedies(&broken_node(show_the_server_to_extensions)), set(Component::ApiServer, &extensions));
    let flags =
        extensions.map(|(flag, file)| format!("    - --{flag}=/etc/kubernetes/pki/{file}\n")).concat();
    assert_eq!(remedies(&with(API_SERVER, &flags, "")), set(Component::ApiServer, &extensions));
    assert_eq!(
        remedies(&with(
            ETCD,
            " --trusted-ca-file=/etc/kubernetes/pki/etcd/",
            " --trusted-ca-file=/etc/kubernetes/pki/"
        )),
        set(Component::Etcd, &[("trusted-ca-file", "etcd/ca.crt")])
    );
    assert_eq!(
        remedies(&with(
            CONTROLLER_MANAGER,
            SIGNING,
            "cluster-signing-cert-file=/etc/kubernetes/pki/front-proxy-ca.crt"
        )),
        set(Component::ControllerManager, &[("cluster-signing-cert-file", "ca.crt")])
    );
    assert_eq!(
        remedies(&with(
            API_SERVER,
            "etcd-cafile=/etc/kubernetes/pki/etcd/",
            "etcd-cafile=/etc/kubernetes/pki/"
        )),
        set(Component::ApiServer, &[("etcd-cafile", "etcd/ca.crt")])
    );
    let both = broken_node(|tree| {
        for kind in ["crt", "key"] {
            let flag = if kind == "crt" { "cert" } else { "key" };
            let of = |name: &str| format!("cluster-signing-{flag}-file=/etc/kubernetes/pki/{name}.{kind}");
            replace(tree, CONTROLLER_MANAGER, &of("ca"), &of("front-proxy-ca"));
        }
    });
    let told = remedies(&both);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        set(Component::ControllerManager, &[("cluster-signing-key-file", "ca.key")])
            .iter()
            .all(|remedy| told.contains(remedy))
    );
}

#[test]
fn what_is_renewed_does_not_follow_a_flag_that_names_the_file_of_something_else() {
    let layout = |tree: &MemoryTree| tree.inventory().node().layout().clone();
    let trusting = broken_node(|tree| {
        let flag = " --trusted-ca-file=/etc/kubernetes/pki/";
        replace(tree, ETCD, &format!("{flag}etcd/"), flag);
    });
    let authority = layout(&trusting).path(FileSlot::CaCertificate(CaSlot::Etcd)).to_string();
    assert_eq!(authority, "/etc/kubernetes/pki/etcd/ca.crt");
    let shown = broken_node(show_the_server_to_extensions);
    let request =
        PlanRequest::with_selection(Selection::Named([Slot::Leaf(LeafSlot::FrontProxyClient)].into()));
    let plan = plan(&shown.inventory(), &request, at(FRESH), &mut Seeded::new(1)).unwrap();
    let writes = plan.steps().iter().flat_map(|step| step.writes());
    let written: Vec<String> = writes.map(|write| layout(&shown).path(write.file()).to_string()).collect();
    let own = ["crt", "key"].map(|kind| format!("/etc/kubernetes/pki/front-proxy-client.{kind}"));
    assert_eq!(written, own);
}

#[test]
fn a_file_of_two_certificates_is_renewed_as_neither() {
    let tree = broken_node(|tree| {
        for (kind, flag) in [("crt", "certificate"), ("key", "key")] {
            let shared = format!("/etc/kubernetes/pki/kubernetes.{kind}");
            tree.copy(&format!("/etc/kubernetes/pki/apiserver.{kind}"), &shared);
            let own = format!("kubelet-client-{flag}=/etc/kubernetes/pki/apiserver-kubelet-client.{kind}");
            replace(tree, API_SERVER, &own, &format!("kubelet-client-{flag}={shared}"));
            let flag = if kind == "crt" { "tls-cert-file" } else { "tls-private-key-file" };
            replace(
                tree,
                API_SERVER,
                &format!("{flag}=/etc/kubernetes/pki/apiserver.{kind}"),
                &format!("{flag}={shared}"),
            );
        }
    });
    let (server, client) = (Slot::Leaf(LeafSlot::ApiServer), Slot::Leaf(LeafSlot::ApiServerKubeletClient));
    let request = PlanRequest::with_selection(Selection::Named([server].into()));
    let refused = plan(&tree.inventory(), &request, at(FRESH), &mut Seeded::new(1)).unwrap_err();
    let PlanError::SharedFile { slot, other, path } = &refused else { panic!("{refused}") };
    assert_eq!((*slot, *other), (server, client));
    assert!(path.as_str().starts_with("/etc/kubernetes/pki/kubernetes."), "{refused}");
    assert!(
        refused.to_string().contains("is the file of apiserver and of apiserver-kubelet-client"),
        "{refused}"
    );
    let other = PlanRequest::with_selection(Selection::Named([Slot::Leaf(LeafSlot::EtcdServer)].into()));
    assert!(plan(&tree.inventory(), &other, at(FRESH), &mut Seeded::new(1)).is_ok());
}

#[test]
fn files_of_their_own_that_flags_agree_on_are_no_finding() {
    let tree = broken_node(|tree| {
        for file in ["ca.crt", "ca.key"] {
            tree.copy(&format!("/etc/kubernetes/pki/{file}"), &format!("/etc/kubernetes/own/{file}"));
            tree.remove(&format!("/etc/kubernetes/pki/{file}"));
        }
        for manifest in [API_SERVER, CONTROLLER_MANAGER] {
            tree.edit(manifest, |content| {
                let text = std::str::from_utf8(content).unwrap();
                *content = text.replace("/etc/kubernetes/pki/ca.", "/etc/kubernetes/own/ca.").into_bytes();
            });
            replace(
                tree,
                manifest,
                "    volumeMounts:\n",
                "    volumeMounts:\n    - {mountPath: /etc/kubernetes/own, name: own}\n",
            );
            replace(
                tree,
                manifest,
                "  volumes:\n",
                "  volumes:\n  - {name: own, hostPath: {path: /etc/kubernetes/own}}\n",
            );
        }
    });
    assert_eq!(codes_at(&tree, FRESH), []);
}

#[test]
fn one_authority_for_everything_that_all_flags_agree_on_is_followed() {
    let tree = broken_node(|tree| {
        for manifest in [API_SERVER, ETCD] {
            tree.edit(manifest, |content| {
                let text = std::str::from_utf8(content).unwrap();
                *content = text
                    .replace("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/ca.crt")
                    .into_bytes();
            });
        }
    });
    let layout = tree.inventory().node().layout().clone();
    assert_eq!(layout.path(FileSlot::CaCertificate(CaSlot::Etcd)).as_str(), "/etc/kubernetes/pki/ca.crt");
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
const ETCD: &str = "/etc/kubernetes/manifests/etcd.yaml";
const SIGNING: &str = "cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt";
const API_SERVER_KEY: FileSlot = FileSlot::LeafKey(LeafSlot::ApiServer);

/// Returns the findings of a tree in whose manifest one text is another.
fn codes_with(manifest: &str, from: &str, to: &str) -> Vec<FindingCode> {
    codes_at(&broken_node(|tree| replace(tree, manifest, from, to)), FRESH)
}

/// Has the API server show extension API servers what it serves with.
fn show_the_server_to_extensions(tree: &mut MemoryTree) {
    for (flag, kind) in [("cert", "crt"), ("key", "key")] {
        let own = format!("proxy-client-{flag}-file=/etc/kubernetes/pki/front-proxy-client.{kind}");
        let others = format!("proxy-client-{flag}-file=/etc/kubernetes/pki/apiserver.{kind}");
        replace(tree, API_SERVER, &own, &others);
    }
}

/// Returns a node whose kubelet has this field in its configuration.
fn configured_kubelet(field: &str) -> MemoryTree {
    let config = format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{field}\n");
    broken_node(|tree| tree.write(&path("/var/lib/kubelet/config.yaml"), config.into_bytes(), 0o600))
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
