//! One tree for each way in which what the programs are told leads to nothing; each has that finding and no other.

use kubecerts_core::diagnosis::{FindingCode, Severity};
use kubecerts_testkit::MemoryTree;

use crate::findings;
use crate::node::{DATED, Nodes, PEM};

#[test]
fn a_manifest_that_is_gone_is_missing() {
    for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
        let file = format!("/etc/kubernetes/manifests/{component}.yaml");
        let found = codes(|tree| tree.remove(&file));
        assert!(found.contains(&FindingCode::Missing), "{component}: {found:?}");
    }
}

#[test]
fn a_flag_that_is_gone_is_missing() {
    assert_eq!(codes(|tree| flag(tree, "kube-apiserver", "--client-ca-file", "")), [FindingCode::Missing]);
    assert_eq!(codes(|tree| flag(tree, "kube-scheduler", "--kubeconfig", "")), [FindingCode::Missing]);
}

#[test]
fn a_flag_that_names_nothing_is_found() {
    let file = "/etc/kubernetes.old/pki/etcd/ca.crt";
    assert_eq!(codes(|tree| flag(tree, "kube-apiserver", "--etcd-cafile", file)), [FindingCode::Missing]);
}

#[test]
fn a_program_that_trusts_the_wrong_authority_is_found() {
    let file = "/etc/kubernetes/pki/ca.crt";
    for (program, name) in [("kube-apiserver", "--etcd-cafile"), ("etcd", "--peer-trusted-ca-file")] {
        assert_eq!(codes(|tree| flag(tree, program, name, file)), [FindingCode::WrongFile], "{name}");
    }
}

#[test]
fn a_program_that_asks_with_another_one_s_kubeconfig_is_found() {
    let file = "/etc/kubernetes/admin.conf";
    let found = codes(|tree| flag(tree, "kube-scheduler", "--authorization-kubeconfig", file));
    assert_eq!(found, [FindingCode::WrongFile]);
}

#[test]
fn kubelet_conf_is_looked_at_though_it_embeds_no_certificate() {
    let conf = "/etc/kubernetes/kubelet.conf";
    assert_eq!(codes(|tree| tree.remove(conf)), [FindingCode::Missing]);
    assert_eq!(codes(|tree| tree.edit(conf, |content| content.insert(0, b'['))), [FindingCode::Damaged]);
    assert_eq!(codes(|tree| tree.unlink(PEM)), [FindingCode::Missing]);
    assert_eq!(codes(|tree| tree.remove(DATED)), [FindingCode::NotASymlink]);
    assert_eq!(
        codes(|tree| text(tree, conf, "client-certificate:", "client-Certificate:")),
        [FindingCode::Missing]
    );
    let stranger = Nodes::new().stranger.read_file(conf).to_vec();
    assert_eq!(
        codes(|tree| tree.edit(conf, |content| *content = stranger)),
        [FindingCode::KubeconfigCaStale]
    );
}

#[test]
fn a_kubeconfig_that_leads_nowhere_is_damaged() {
    let conf = "/etc/kubernetes/scheduler.conf";
    assert_eq!(codes(|tree| text(tree, conf, "server:", "Server:")), [FindingCode::Damaged]);
    assert_eq!(codes(|tree| text(tree, conf, "https:", "http:")), [FindingCode::Damaged]);
}

#[test]
fn a_kubeconfig_without_an_authority_is_stale() {
    let found = codes(|tree| {
        text(tree, "/etc/kubernetes/admin.conf", "certificate-authority-data", "certificate-Authority-data")
    });
    assert_eq!(found, [FindingCode::KubeconfigCaStale]);
}

#[test]
fn a_credential_of_another_program_is_found() {
    let found = codes(|tree| {
        tree.copy("/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf");
    });
    assert_eq!(found, [FindingCode::ForeignLeaf]);
}

#[test]
fn an_authority_that_was_changed_after_it_was_signed_is_damaged() {
    // The last bytes of a certificate are those of its signature.
    let found = codes(|tree| {
        let mut der = tree.certificate(FRONT_PROXY_CA).as_der().to_vec();
        *der.last_mut().unwrap() ^= 1;
        let pem = kubecerts_core::x509::encode_certificate(&der);
        tree.edit(FRONT_PROXY_CA, |content| *content = pem.into_bytes());
    });
    assert_eq!(found, [FindingCode::Damaged]);
}

#[test]
fn what_is_no_authority_of_its_own_in_a_bundle_is_found() {
    let append = |file: &'static str| {
        codes(move |tree| {
            let more = tree.read_file(file).to_vec();
            tree.edit(FRONT_PROXY_CA, |content| content.extend(more));
        })
    };
    assert_eq!(append("/etc/kubernetes/pki/apiserver.crt"), [FindingCode::NotAnAuthority]);
    assert_eq!(append("/etc/kubernetes/pki/ca.crt"), [FindingCode::CaReuse]);
}

#[test]
fn what_everybody_may_write_is_found() {
    for file in [FRONT_PROXY_CA, "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/sa.pub"] {
        assert_eq!(codes(|tree| tree.set_mode(file, 0o666)), [FindingCode::OwnerWrong], "{file}");
    }
}

#[test]
fn a_key_beside_a_certificate_that_everybody_reads_is_found() {
    let found = codes(|tree| {
        let key = tree.read_file("/etc/kubernetes/pki/apiserver.key").to_vec();
        tree.edit("/etc/kubernetes/pki/apiserver.crt", |content| content.extend(key));
    });
    assert_eq!(found, [FindingCode::KeyReadable]);
}

const FRONT_PROXY_CA: &str = "/etc/kubernetes/pki/front-proxy-ca.crt";

/// Returns the codes of what is found in the healthy tree after `change`, but for what is only to be known.
fn codes(change: impl FnOnce(&mut MemoryTree)) -> Vec<FindingCode> {
    let mut tree = Nodes::new().tree;
    change(&mut tree);
    let found = findings(&tree);
    found.iter().filter(|finding| finding.severity != Severity::Notice).map(|finding| finding.code).collect()
}

fn text(tree: &mut MemoryTree, file: &str, from: &str, to: &str) {
    tree.edit(file, |content| {
        let text = std::str::from_utf8(content).unwrap();
        assert!(text.contains(from), "{file} holds no {from:?}");
        *content = text.replacen(from, to, 1).into_bytes();
    });
}

/// Gives the flag another value, or takes it away.
fn flag(tree: &mut MemoryTree, program: &str, name: &str, value: &str) {
    let file = format!("/etc/kubernetes/manifests/{program}.yaml");
    let content = std::str::from_utf8(tree.read_file(&file)).unwrap();
    let line = content.lines().find(|line| line.contains(&format!("- {name}="))).unwrap().to_owned();
    let (before, _) = line.split_once('=').unwrap();
    let other = if value.is_empty() { String::new() } else { format!("{before}={value}\n") };
    text(tree, &file, &format!("{line}\n"), &other);
}
