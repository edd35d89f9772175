//! What a node says about the rotation of its kubelet's certificates.

use kubecerts_core::inventory::{Rotation, SettingSource, rotation};
use kubecerts_core::manifest::rotate_certificates;
use kubecerts_testkit::{Fixture, MemoryTree, path};

const CONFIG: &str = "/var/lib/kubelet/config.yaml";

fn of(config: Option<&str>, flags: &str) -> Rotation {
    let mut tree = MemoryTree::default();
    if let Some(config) = config {
        tree.write(&path(CONFIG), config, 0o644);
    }
    let flags = format!("KUBELET_KUBEADM_ARGS=\"{flags}\"\n");
    tree.write(&path("/var/lib/kubelet/kubeadm-flags.env"), flags, 0o644);
    rotation(tree.inventory().node())
}

#[test]
fn a_flag_wins_over_the_configuration_and_the_default_is_off() {
    let client = |config, flags| of(config, flags).client.map(|setting| (setting.is_on, setting.source));
    let on = "rotateCertificates: true\n";
    assert_eq!(client(None, ""), None);
    assert_eq!(client(Some("a: b\n"), ""), Some((false, SettingSource::Default)));
    assert_eq!(client(Some(on), ""), Some((true, SettingSource::Config)));
    assert_eq!(client(Some(on), "--rotate-certificates=false"), Some((false, SettingSource::Flag)));
    assert_eq!(client(None, "--rotate-certificates"), Some((true, SettingSource::Flag)));
    let serving = of(Some("serverTLSBootstrap: true\n"), "").serving.unwrap();
    assert_eq!((serving.is_on, serving.source), (true, SettingSource::Config));
}

#[test]
fn the_controller_manager_says_for_how_long_it_signs() {
    let mut tree = Fixture::named("kubeadm-v136-ecdsa-p256").tree();
    assert_eq!(rotation(tree.inventory().node()).signing_duration, None);
    tree.edit("/etc/kubernetes/manifests/kube-controller-manager.yaml", |bytes| {
        let text = std::str::from_utf8(bytes).unwrap();
        let first = "    - kube-controller-manager\n";
        *bytes =
            text.replacen(first, &format!("{first}    - --cluster-signing-duration=24h\n"), 1).into_bytes();
    });
    assert_eq!(rotation(tree.inventory().node()).signing_duration.unwrap().value, "24h");
}

#[test]
fn the_edit_switches_the_rotation_on() {
    let edited = rotate_certificates(b"kind: KubeletConfiguration\nstaticPodPath: /m\n").unwrap();
    let client = of(Some(std::str::from_utf8(&edited).unwrap()), "").client.unwrap();
    assert_eq!((client.is_on, client.source), (true, SettingSource::Config));
}
