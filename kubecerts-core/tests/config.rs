//! kubeadm's configuration, version by version: what it asks for, what is odd about it, what cannot be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kubecerts_core::catalog::{KubeconfigSlot, KubernetesVersion, LeafSlot};
use kubecerts_core::manifest::{ConfigRemark, KubeadmConfig};
use kubecerts_core::plan::{ClusterIntent, EtcdIntent};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::KeyAlgorithm;
use kubecerts_testkit::{FIXTURES, Fixture};
use proptest::prelude::*;

/// What every version can say.
fn common(version: &str) -> String {
    format!(
        "apiVersion: kubeadm.k8s.io/{version}
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: 192.168.10.11
  bindPort: 7443
nodeRegistration:
  name: CP-1
  criSocket: /run/containerd/containerd.sock
  taints: []
  kubeletExtraArgs: {{}}
bootstrapTokens:
- token: abcdef.0123456789abcdef
---
apiVersion: kubeadm.k8s.io/{version}
kind: ClusterConfiguration
kubernetesVersion: v1.20.2
clusterName: mine
certificatesDir: /etc/kubernetes/ssl
controlPlaneEndpoint: lb.example.internal
imageRepository: example.internal/k8s
networking:
  serviceSubnet: 10.233.0.0/18
  podSubnet: 10.244.0.0/16
  dnsDomain: corp.local
apiServer:
  certSANs: [\"*.example.internal\", 10.0.0.100]
  extraVolumes: []
controllerManager: {{extraVolumes: []}}
scheduler: {{}}
dns: {{imageTag: v1}}
etcd:
  local:
    dataDir: /var/lib/etcd
    serverCertSANs: [etcd.example.internal]
    peerCertSANs: [10.0.0.7]
"
    )
}

fn parse(text: &str) -> KubeadmConfig {
    KubeadmConfig::parse(text.as_bytes()).unwrap()
}

fn intent(text: &str) -> Result<ClusterIntent, String> {
    ClusterIntent::from_config(&parse(text), None, None).map_err(|error| error.to_string())
}

fn remarks(text: &str) -> Vec<String> {
    parse(text).remarks().iter().map(ToString::to_string).collect()
}

fn names(intent: &ClusterIntent, leaf: LeafSlot) -> String {
    intent.alternative_names(leaf).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A node and a cluster in the newest version, with these lines about the cluster.
fn cluster(lines: &str) -> String {
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: 192.168.10.11}}
nodeRegistration: {{name: cp-1}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
{lines}"
    )
}

#[test]
fn every_version_asks_for_the_same_in_the_same_words() {
    let expected = intent(&common("v1beta4")).unwrap();
    assert_eq!(expected.node_name.as_str(), "cp-1");
    assert_eq!((expected.bind_port, expected.cluster_name.as_str()), (7443, "mine"));
    assert_eq!(expected.version, Some(KubernetesVersion { major: 1, minor: 20, patch: 2 }));
    assert_eq!(
        names(&expected, LeafSlot::ApiServer),
        "DNS:*.example.internal DNS:cp-1 DNS:kubernetes DNS:kubernetes.default DNS:kubernetes.default.svc \
         DNS:kubernetes.default.svc.corp.local DNS:lb.example.internal IP:10.233.0.1 IP:192.168.10.11 IP:10.0.0.100"
    );
    assert_eq!(
        names(&expected, LeafSlot::EtcdServer),
        "DNS:cp-1 DNS:etcd.example.internal DNS:localhost IP:192.168.10.11 IP:127.0.0.1 IP:::1"
    );
    assert_eq!(
        names(&expected, LeafSlot::EtcdPeer),
        "DNS:cp-1 DNS:localhost IP:192.168.10.11 IP:127.0.0.1 IP:::1 IP:10.0.0.7"
    );
    assert_eq!(expected.server(KubeconfigSlot::Admin), "https://lb.example.internal:7443");
    assert_eq!(expected.server(KubeconfigSlot::Scheduler), "https://192.168.10.11:7443");
    assert_eq!(expected.server(KubeconfigSlot::Kubelet), "https://lb.example.internal:7443");
    for version in ["v1beta1", "v1beta2", "v1beta3"] {
        assert_eq!(intent(&common(version)), Ok(expected.clone()), "{version}");
        assert_eq!(remarks(&common(version)), [""; 0], "{version}");
    }
}

#[test]
fn a_field_counts_only_in_the_versions_that_have_it() {
    for (version, field, counts) in [
        ("v1beta1", "useHyperKubeImage: true", true),
        ("v1beta2", "useHyperKubeImage: true", true),
        ("v1beta3", "useHyperKubeImage: true", false),
        ("v1beta3", "encryptionAlgorithm: ECDSA-P384", false),
        ("v1beta3", "certificateValidityPeriod: 1h", false),
        ("v1beta1", "caCertificateValidityPeriod: 1h", false),
        ("v1beta4", "encryptionAlgorithm: ECDSA-P384", true),
        ("v1beta4", "certificateValidityPeriod: 1h", true),
        ("v1beta4", "caCertificateValidityPeriod: 9000h", true),
        ("v1beta4", "proxy: {disabled: true}", true),
        ("v1beta2", "proxy: {disabled: true}", false),
        ("v1beta1", "featureGates: {PublicKeysECDSA: true}", true),
    ] {
        let text = common(version) + field + "\n";
        let remarks = remarks(&text);
        let plain = intent(&common(version)).unwrap();
        if counts {
            assert_eq!(remarks, [""; 0], "{version} {field}");
        } else {
            let name = field.split_once(':').unwrap().0;
            assert_eq!(
                remarks,
                [format!("line 36, column 1: {version} has no field {name}, so it is ignored")]
            );
            assert_eq!(intent(&text).unwrap(), plain, "{version} {field}");
        }
    }
}

#[test]
fn algorithms_and_lifetimes_are_those_of_the_configuration() {
    for (line, algorithm) in [
        ("clusterName: a", KeyAlgorithm::Rsa2048),
        ("encryptionAlgorithm: RSA-2048", KeyAlgorithm::Rsa2048),
        ("encryptionAlgorithm: RSA-3072", KeyAlgorithm::Rsa3072),
        ("encryptionAlgorithm: RSA-4096", KeyAlgorithm::Rsa4096),
        ("encryptionAlgorithm: ECDSA-P256", KeyAlgorithm::EcdsaP256),
        ("encryptionAlgorithm: ECDSA-P384", KeyAlgorithm::EcdsaP384),
        ("featureGates: {PublicKeysECDSA: true}", KeyAlgorithm::EcdsaP256),
        ("featureGates: {PublicKeysECDSA: false}", KeyAlgorithm::Rsa2048),
    ] {
        assert_eq!(intent(&cluster(line)).unwrap().algorithm, algorithm, "{line}");
    }
    let lifetimes = |lines: &str| {
        let intent = intent(&cluster(lines)).unwrap();
        (intent.lifetime, intent.authority_lifetime)
    };
    let (year, decade) = (Seconds::from_days(365), Seconds::from_days(3650));
    assert_eq!(lifetimes("clusterName: a"), (year, decade));
    assert_eq!(lifetimes("certificateValidityPeriod: 0s"), (year, decade));
    assert_eq!(
        lifetimes("certificateValidityPeriod: 720h\ncaCertificateValidityPeriod: 43800h0m0s"),
        (Seconds::from_hours(720), Seconds::from_hours(43_800))
    );
}

#[test]
fn the_service_kubernetes_has_the_first_address_of_each_family() {
    for (subnet, addresses) in [
        ("10.96.0.0/12", Some("10.96.0.1")),
        ("10.96.0.77/12", Some("10.96.0.1")),
        ("10.96.0.0/12,fd00:10:96::/112", Some("10.96.0.1 fd00:10:96::1")),
        ("10.96.0.0/31", Some("10.96.0.1")),
        ("10.96.0.0/32", None),
        ("10.96.0.0", None),
        ("10.96.0.0/33", None),
        ("10.96.0.0/+8", None),
        ("10.096.0.0/12", None),
        ("10.96.0.0/12,10.97.0.0/16", None),
        ("10.96.0.0/12,fd00::/108,fd01::/108", None),
        ("x", None),
    ] {
        let found = intent(&cluster(&format!("networking: {{serviceSubnet: \"{subnet}\"}}")));
        let found = found.ok().map(|intent| {
            intent.service_addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found.as_deref(), addresses, "{subnet}");
    }
}

#[test]
fn dual_stack_adds_no_second_service_address_to_the_certificate() {
    let intent = intent(&cluster("networking: {serviceSubnet: \"10.96.0.0/12,fd00:10:96::/112\"}")).unwrap();
    assert!(names(&intent, LeafSlot::ApiServer).ends_with("IP:10.96.0.1 IP:192.168.10.11"));
}

#[test]
fn a_cluster_of_ipv6_alone_has_its_addresses_in_brackets_in_urls_only() {
    let text =
        cluster("networking: {serviceSubnet: \"fd00:10:96::/112\"}").replace("192.168.10.11", "\"fd00::11\"");
    let intent = intent(&text).unwrap();
    assert!(names(&intent, LeafSlot::ApiServer).ends_with("IP:fd00:10:96::1 IP:fd00::11"));
    assert_eq!(intent.server(KubeconfigSlot::Admin), "https://[fd00::11]:6443");
    assert!(names(&intent, LeafSlot::EtcdPeer).ends_with("IP:fd00::11 IP:127.0.0.1 IP:::1"));
}

#[test]
fn an_external_etcd_has_no_certificates_here() {
    let text =
        cluster("etcd: {external: {endpoints: ['https://e:2379'], caFile: /a, certFile: /b, keyFile: /c}}");
    assert_eq!(intent(&text).unwrap().etcd, EtcdIntent::External);
}

#[test]
fn what_has_no_effect_is_reported_with_its_place() {
    let text = cluster(
        "apiServer:
  certSans: [a]
  certSANs: [Upper.example, 'a b', '*.ok.example', '*', a.*.b, 10.0.0.300]
clusterNames: x
certificateValidityPeriod: 99000h
caCertificateValidityPeriod: 8760h
",
    );
    assert_eq!(
        remarks(&text),
        [
            "line 9, column 3: \"apiServer.certSans\" is no field of kubeadm, and is ignored; certSANs is one",
            "line 10, column 14: \"Upper.example\" in apiServer.certSANs is neither an address nor a DNS name, and is left out",
            "line 10, column 29: \"a b\" in apiServer.certSANs is neither an address nor a DNS name, and is left out",
            "line 10, column 52: \"*\" in apiServer.certSANs is neither an address nor a DNS name, and is left out",
            "line 10, column 57: \"a.*.b\" in apiServer.certSANs is neither an address nor a DNS name, and is left out",
            "line 11, column 1: \"clusterNames\" is no field of kubeadm, and is ignored",
            "line 12, column 28: certificateValidityPeriod is longer than caCertificateValidityPeriod in line 13, column 30; \
             certificates end with their authority",
        ]
    );
    let names = names(&intent(&text).unwrap(), LeafSlot::ApiServer);
    // Four numbers and dots are a DNS name too, where they are no address.
    assert!(names.contains("DNS:*.ok.example DNS:10.0.0.300 DNS:cp-1"), "{names}");
}

#[test]
fn contradictions_name_both_places() {
    let other = "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n";
    for (lines, expected) in [
        (
            format!("clusterName: a\n{other}clusterName: b"),
            "clusterName \"a\" in line 8, column 14 contradicts clusterName \"b\" in line 12, column 14",
        ),
        (
            "clusterName: a\nclusterName: b".to_owned(),
            "clusterName \"a\" in line 8, column 1 contradicts clusterName \"b\" in line 9, column 1",
        ),
        (
            "etcd: {local: {dataDir: /d}, external: {endpoints: [a]}}".to_owned(),
            "etcd.local in line 8, column 8 contradicts etcd.external in line 8, column 30",
        ),
        (
            "featureGates: {PublicKeysECDSA: true}\nencryptionAlgorithm: RSA-4096".to_owned(),
            "featureGates.PublicKeysECDSA \"true\" in line 8, column 33 contradicts encryptionAlgorithm \"RSA-4096\" in line \
             9, column 22",
        ),
        (
            "networking: {serviceSubnet: 'fd00::/112'}".to_owned(),
            "localAPIEndpoint.advertiseAddress \"192.168.10.11\" in line 3, column 38 contradicts networking.serviceSubnet \
             \"fd00::/112\" in line 8, column 29",
        ),
        (
            "---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\n".to_owned(),
            "apiVersion \"kubeadm.k8s.io/v1beta4\" in line 1, column 13 contradicts apiVersion \"kubeadm.k8s.io/v1beta3\" in \
             line 9, column 13",
        ),
        (
            "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration: {name: cp-2}".to_owned(),
            "nodeRegistration.name \"cp-1\" in line 4, column 26 contradicts nodeRegistration.name \"cp-2\" in line 11, \
             column 26",
        ),
    ] {
        assert_eq!(intent(&cluster(&lines)), Err(expected.to_owned()), "{lines}");
    }
    // Said twice, but the same.
    let twice = format!("certificateValidityPeriod: 24h\n{other}certificateValidityPeriod: 24h0m0s");
    assert_eq!(intent(&cluster(&twice)).unwrap().lifetime, Seconds::from_hours(24));
}

#[test]
fn values_that_kubeadm_would_refuse_are_named_with_their_place() {
    for (lines, expected) in [
        (
            "encryptionAlgorithm: ED25519",
            "line 8, column 22: encryptionAlgorithm \"ED25519\" is not RSA-2048, RSA-3072, ",
        ),
        (
            "controlPlaneEndpoint: a:b",
            "line 8, column 23: controlPlaneEndpoint \"a:b\" is not a host with or without a port",
        ),
        (
            "networking: {dnsDomain: a_b}",
            "line 8, column 25: networking.dnsDomain \"a_b\" is not a DNS domain",
        ),
        (
            "certificateValidityPeriod: -1h",
            "line 8, column 28: certificateValidityPeriod \"-1h\" is not a span of time",
        ),
    ] {
        let error = intent(&cluster(lines)).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let without = |what: &str| intent(&cluster("").replace(what, "")).unwrap_err();
    assert_eq!(without("name: cp-1"), "the configuration has no nodeRegistration.name");
    assert_eq!(
        without("advertiseAddress: 192.168.10.11"),
        "the configuration has no localAPIEndpoint.advertiseAddress"
    );
}

#[test]
fn arguments_go_before_what_the_configuration_says_of_the_node() {
    let config = parse(&cluster("networking: {serviceSubnet: 'fd00::/112'}"));
    let intent =
        ClusterIntent::from_config(&config, Some("cp-9".parse().unwrap()), Some("fd00::9".parse().unwrap()))
            .unwrap();
    assert_eq!(
        (intent.node_name.as_str(), intent.advertise_address.to_string()),
        ("cp-9", "fd00::9".to_owned())
    );
}

#[test]
fn a_file_of_several_nodes_gives_one_configuration_for_each() {
    let node = |name: &str, address: &str| {
        format!(
            "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\nnodeRegistration: {{name: {name}}}\n\
             controlPlane: {{localAPIEndpoint: {{advertiseAddress: {address}}}}}\n---\n"
        )
    };
    let text = node("cp-2", "10.0.0.2")
        + &node("cp-3", "10.0.0.3")
        + "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nclusterName: mine\n";
    let nodes = KubeadmConfig::parse_nodes(text.as_bytes()).unwrap();
    let nodes: Vec<_> =
        nodes.iter().map(|node| (node.node_name(), node.advertise_address(), node.cluster_name())).collect();
    assert_eq!(
        nodes,
        [(Some("cp-2"), Some("10.0.0.2"), Some("mine")), (Some("cp-3"), Some("10.0.0.3"), Some("mine"))]
    );
}

#[test]
fn other_versions_are_refused_with_those_that_are_read() {
    for version in ["v1alpha3", "v1beta5", "v1", ""] {
        let text = format!("apiVersion: kubeadm.k8s.io/{version}\nkind: ClusterConfiguration\n");
        assert_eq!(
            KubeadmConfig::parse(text.as_bytes()).unwrap_err().to_string(),
            "line 1, column 13: apiVersion is not one of kubeadm.k8s.io/v1beta1, v1beta2, v1beta3 and v1beta4"
        );
    }
}

#[test]
fn the_configurations_of_the_fixtures_have_nothing_odd() {
    for name in FIXTURES {
        let config = Fixture::named(name).tree().snapshot_with(Fixture::named(name).with_config());
        let config = config.node().kubeadm().unwrap().clone();
        assert_eq!(config.remarks(), [] as [ConfigRemark; 0], "{name}");
        assert!(ClusterIntent::from_config(&config, None, None).is_ok(), "{name}");
    }
}

proptest! {
    #[test]
    fn damaged_configurations_are_read_or_refused(
        at in 0..1_500_usize, cut in 0..40_usize, junk in "[\\PC\n]{0,8}", version in 1..5_u8,
    ) {
        let text: Vec<char> = common(&format!("v1beta{version}")).chars().collect();
        let at = at.min(text.len());
        let rest = &text[(at + cut).min(text.len())..];
        let text: String = text[..at].iter().chain(junk.chars().collect::<Vec<_>>().iter()).chain(rest).collect();
        if let Ok(config) = KubeadmConfig::parse(text.as_bytes()) {
            let _ = ClusterIntent::from_config(&config, None, None);
        }
    }
}
