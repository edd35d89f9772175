//! Lines of real programs, and what they are explained as.

#![expect(clippy::disallowed_methods, reason = "the logs are files of the project")]

use kubecerts_core::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::diagnosis::{Impact, Remedy};
use kubecerts_core::explain::{Advice, Culprit, Explainer, Explanation, Report, Symptom};
use kubecerts_core::inventory::{Inventory, Place};
use kubecerts_core::plan::{PlanRequest, Selection};
use kubecerts_testkit::{Seeded, TreeBuilder, at, path};

const APISERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);
const ETCD_SERVER: Slot = Slot::Leaf(LeafSlot::EtcdServer);
const ETCD_PEER: Slot = Slot::Leaf(LeafSlot::EtcdPeer);
const ETCD_CLIENT: Slot = Slot::Leaf(LeafSlot::ApiServerEtcdClient);
const KUBELET_CLIENT: Slot = Slot::Leaf(LeafSlot::ApiServerKubeletClient);
const FRONT_PROXY: Slot = Slot::Leaf(LeafSlot::FrontProxyClient);
const ADMIN: Slot = Slot::Kubeconfig(KubeconfigSlot::Admin);
/// The builder embeds the kubelet's certificate, as `kubeadm init` does before it is rotated.
const KUBELET_CONF: Slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
const SCHEDULER: Slot = Slot::Kubeconfig(KubeconfigSlot::Scheduler);
const MANAGER: Slot = Slot::Kubeconfig(KubeconfigSlot::ControllerManager);

/// The trees of the builder are made 2026-01-01 for a year.
const VALID: &str = "2026-06-01T00:00:00Z";
const OVER: &str = "2027-02-01T00:00:00Z";

fn healthy() -> Inventory {
    TreeBuilder::kubeadm().build().inventory()
}

fn explained(source: Option<&str>, lines: &[&str], inventory: &Inventory, now: &str) -> Report {
    let mut explainer = Explainer::new();
    if let Some(source) = source {
        explainer.source(source);
    }
    lines.iter().for_each(|line| explainer.line(line.as_bytes()));
    explainer.finish(inventory, at(now))
}

#[track_caller]
fn only(report: &Report) -> &Explanation {
    let [only] = report.explanations.as_slice() else { panic!("not one explanation: {report:#?}") };
    only
}

fn current(slot: Slot) -> Culprit {
    Culprit::Current(Place::Slot(slot))
}

fn earlier(slot: Slot) -> Culprit {
    Culprit::Earlier { slot: Some(slot), file: None }
}

fn elsewhere(text: &str) -> Culprit {
    Culprit::Elsewhere(text.to_owned())
}

fn file(text: &str) -> Culprit {
    Culprit::File(text.to_owned())
}

fn renew(slot: Slot) -> Advice {
    Advice::Mend(Remedy::Renew(slot))
}

fn restart(component: Component) -> Advice {
    Advice::Mend(Remedy::Restart(component))
}

fn look_at(text: &str) -> Advice {
    Advice::LookAt(text.to_owned())
}

fn name(slot: Slot, host: &str) -> Advice {
    let name =
        host.parse::<std::net::IpAddr>().map_or_else(|_| format!("DNS:{host}"), |ip| format!("IP:{ip}"));
    Advice::Mend(Remedy::AddNames(slot, vec![name.parse().expect("it is a name")]))
}

/// A line, when it is looked at, and what becomes of it.
type Case = (&'static str, &'static str, Symptom, Culprit, Advice);

/// Lines as the programs write them, against the default tree: what is meant, and the first thing to do.
fn table() -> Vec<Case> {
    vec![
        // kubectl
        (
            "Unable to connect to the server: x509: certificate has expired or is not yet valid",
            OVER,
            Symptom::Expired,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2027-02-01T00:00:00Z is after 2027-01-01T00:00:00Z",
            OVER,
            Symptom::Expired,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-05-01T00:00:00+08:00 is after 2026-04-01T00:00:00Z",
            VALID,
            Symptom::Expired,
            earlier(APISERVER),
            restart(Component::ApiServer),
        ),
        (
            "Unable to connect to the server: x509: certificate signed by unknown authority (possibly because of \"crypto/rsa: verification error\" while trying to verify candidate authority certificate \"kubernetes\")",
            VALID,
            Symptom::UnknownAuthority,
            current(APISERVER),
            Advice::Mend(Remedy::UpdateTrust),
        ),
        (
            "Unable to connect to the server: x509: certificate is valid for 10.96.0.1, 192.168.10.11, not 203.0.113.10",
            VALID,
            Symptom::NameMismatch,
            current(APISERVER),
            name(APISERVER, "203.0.113.10"),
        ),
        (
            "Unable to connect to the server: x509: certificate is valid for cp-1, kubernetes, kubernetes.default, not k8s.example.org",
            VALID,
            Symptom::NameMismatch,
            current(APISERVER),
            name(APISERVER, "k8s.example.org"),
        ),
        (
            "Unable to connect to the server: x509: certificate is not valid for any names, but wanted to match k8s.example.org",
            VALID,
            Symptom::NameMismatch,
            current(APISERVER),
            name(APISERVER, "k8s.example.org"),
        ),
        (
            "Unable to connect to the server: x509: cannot validate certificate for 203.0.113.10 because it doesn't contain any IP SANs",
            VALID,
            Symptom::NameMismatch,
            current(APISERVER),
            name(APISERVER, "203.0.113.10"),
        ),
        (
            "Unable to connect to the server: x509: certificate is valid for 10.96.0.1, not 192.168.10.11",
            VALID,
            Symptom::NameMismatch,
            current(APISERVER),
            restart(Component::ApiServer),
        ),
        (
            "error: You must be logged in to the server (Unauthorized)",
            OVER,
            Symptom::Unauthorized,
            current(ADMIN),
            renew(ADMIN),
        ),
        (
            "error: You must be logged in to the server (the server has asked for the client to provide credentials)",
            OVER,
            Symptom::Unauthorized,
            current(ADMIN),
            renew(ADMIN),
        ),
        (
            "error: error loading config file \"/etc/kubernetes/admin.conf\": open /etc/kubernetes/admin.conf: permission denied",
            VALID,
            Symptom::FileDenied,
            current(ADMIN),
            Advice::Mend(Remedy::GrantAccess(path("/etc/kubernetes/admin.conf"))),
        ),
        (
            "error: tls: private key does not match public key",
            VALID,
            Symptom::KeyMismatch,
            Culprit::Unknown,
            Advice::Check,
        ),
        (
            "Error from server (Forbidden): nodes is forbidden: User \"kubernetes-admin\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
            VALID,
            Symptom::AdminForbidden,
            current(ADMIN),
            Advice::BindAdministrators,
        ),
        // the API server
        (
            "W0601 00:00:00.000000       1 clientconn.go:1223] grpc: addrConn.createTransport failed to connect to {https://127.0.0.1:2379  <nil> 0 <nil>}. Err :connection error: desc = \"transport: authentication handshake failed: x509: certificate has expired or is not yet valid: current time 2027-02-01T00:00:00Z is after 2027-01-01T00:00:00Z\". Reconnecting...",
            OVER,
            Symptom::Expired,
            current(ETCD_SERVER),
            renew(ETCD_SERVER),
        ),
        (
            "W0601 00:00:00.000000       1 logging.go:59] [core] [Channel #1 SubChannel #2] grpc: addrConn.createTransport failed to connect to {Addr: \"127.0.0.1:2379\", ServerName: \"127.0.0.1:2379\", }. Err: connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2027-02-01T00:00:00Z is after 2027-01-01T00:00:00Z\"",
            OVER,
            Symptom::Expired,
            current(ETCD_SERVER),
            renew(ETCD_SERVER),
        ),
        (
            "F0601 00:00:00.000000       1 storage_decorator.go:57] Unable to create storage backend: config (&{ /registry {[https://127.0.0.1:2379] /etc/kubernetes/pki/apiserver-etcd-client.key /etc/kubernetes/pki/apiserver-etcd-client.crt /etc/kubernetes/pki/etcd/ca.crt} false true 0xc000}), err (x509: certificate signed by unknown authority)",
            VALID,
            Symptom::UnknownAuthority,
            current(ETCD_SERVER),
            Advice::Check,
        ),
        (
            "E0601 00:00:00.000000       1 run.go:74] \"command failed\" err=\"open /etc/kubernetes/pki/apiserver.crt: no such file or directory\"",
            VALID,
            Symptom::FileMissing,
            current(APISERVER),
            Advice::Check,
        ),
        (
            "E0601 00:00:00.000000       1 run.go:74] \"command failed\" err=\"error loading tls config: open /etc/kubernetes/pki/extra.crt: no such file or directory\"",
            VALID,
            Symptom::FileMissing,
            file("/etc/kubernetes/pki/extra.crt"),
            Advice::Check,
        ),
        (
            "E0601 00:00:00.000000       1 run.go:74] \"command failed\" err=\"failed to load key pair: tls: failed to find any PEM data in certificate input\"",
            VALID,
            Symptom::FileDamaged,
            Culprit::Unknown,
            Advice::Check,
        ),
        (
            "E0601 00:00:00.000000       1 authentication.go:63] \"Unable to authenticate the request\" err=\"[x509: certificate signed by unknown authority, verifying certificate SN=123456789012345678, SKID=, AKID=9A:A4:90:20:28:E3:8C:F6:35:07:07:0F:17:AA:73:39:B5:8B:38:06 failed: x509: certificate signed by unknown authority (possibly because of \\\"crypto/rsa: verification error\\\" while trying to verify candidate authority certificate \\\"kubernetes\\\")]\"",
            VALID,
            Symptom::UnknownAuthority,
            elsewhere("another cluster, or the time before this authority was made"),
            Advice::Check,
        ),
        (
            "E0601 00:00:00.000000       1 authentication.go:63] \"Unable to authenticate the request\" err=\"[invalid bearer token, square/go-jose: error in cryptographic primitive]\"",
            VALID,
            Symptom::InvalidToken,
            file("/etc/kubernetes/pki/sa.pub"),
            look_at("the other control-plane nodes"),
        ),
        (
            "E0601 00:00:00.000000       1 authentication.go:73] \"Unable to authenticate the request\" err=\"[invalid bearer token, service account token has expired]\"",
            VALID,
            Symptom::InvalidToken,
            file("/etc/kubernetes/pki/sa.pub"),
            Advice::RefreshTokens,
        ),
        (
            "E0601 00:00:00.000000       1 authentication.go:63] \"Unable to authenticate the request\" err=\"x509: certificate specifies an incompatible key usage, verifying certificate SN=1, SKID=, AKID= failed: x509: certificate specifies an incompatible key usage\"",
            VALID,
            Symptom::WrongUsage,
            Culprit::OneOf(vec![
                MANAGER,
                SCHEDULER,
                Slot::KubeletClient,
                Slot::Kubeconfig(KubeconfigSlot::Kubelet),
                ADMIN,
                Slot::Kubeconfig(KubeconfigSlot::SuperAdmin),
            ]),
            Advice::Check,
        ),
        (
            "I0601 00:00:00.000000       1 log.go:172] http: TLS handshake error from 192.168.10.11:48022: remote error: tls: bad certificate",
            VALID,
            Symptom::Refused,
            current(APISERVER),
            Advice::Verify,
        ),
        (
            "I0601 00:00:00.000000       1 log.go:245] http: TLS handshake error from 10.0.0.7:41234: remote error: tls: unknown certificate authority",
            VALID,
            Symptom::Refused,
            current(APISERVER),
            Advice::Verify,
        ),
        (
            "E0601 00:00:00.000000       1 status.go:71] apiserver received an error that is not an metav1.Status: Get \"https://192.168.10.12:10250/containerLogs/a/b/c\": x509: certificate signed by unknown authority",
            VALID,
            Symptom::UnknownAuthority,
            elsewhere("192.168.10.12"),
            look_at("192.168.10.12"),
        ),
        (
            "E0601 00:00:00.000000       1 status.go:71] apiserver received an error: Get \"https://192.168.10.12:10250/containerLogs/a/b/c\": x509: cannot validate certificate for 192.168.10.12 because it doesn't contain any IP SANs",
            VALID,
            Symptom::NameMismatch,
            elsewhere("192.168.10.12"),
            look_at("192.168.10.12"),
        ),
        (
            "Error from server: Get \"https://192.168.10.12:10250/containerLogs/a/b/c\": remote error: tls: internal error",
            VALID,
            Symptom::Refused,
            Culprit::Unknown,
            Advice::ApproveRequests,
        ),
        (
            "E0601 00:00:00.000000       1 available_controller.go:508] v1beta1.metrics.k8s.io failed with: failing or missing response from https://10.111.116.94:443/apis/metrics.k8s.io/v1beta1: Get \"https://10.111.116.94:443/apis/metrics.k8s.io/v1beta1\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            VALID,
            Symptom::AggregationDown,
            Culprit::Unknown,
            restart(Component::ApiServer),
        ),
        // extension API servers
        (
            "E0601 00:00:00.000000       1 authentication.go:63] \"Unable to authenticate the request\" err=\"x509: subject with cn=front-proxy-client is not in the allowed list\"",
            VALID,
            Symptom::FrontProxyRefused,
            current(FRONT_PROXY),
            Advice::AllowFrontProxy("front-proxy-client".to_owned()),
        ),
        (
            "[pod/metrics-server-7b4f8b595-abcde/metrics-server] E0601 00:00:00.000000       1 authentication.go:63] \"Unable to authenticate the request\" err=\"x509: certificate signed by unknown authority (possibly because of \\\"crypto/rsa: verification error\\\" while trying to verify candidate authority certificate \\\"front-proxy-ca\\\")\"",
            VALID,
            Symptom::UnknownAuthority,
            current(FRONT_PROXY),
            restart(Component::ApiServer),
        ),
        // controller-manager and scheduler
        (
            "2026-06-01T00:00:00.5Z stderr F E0601 00:00:00.500000       1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized",
            VALID,
            Symptom::Unauthorized,
            current(SCHEDULER),
            restart(Component::Scheduler),
        ),
        (
            "{\"log\":\"E0601 00:00:00.500000       1 leaderelection.go:330] error retrieving resource lock kube-system/kube-controller-manager: Get \\\"https://192.168.10.11:6443/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager?timeout=5s\\\": x509: certificate has expired or is not yet valid: current time 2027-02-01T00:00:00Z is after 2027-01-01T00:00:00Z\\n\",\"stream\":\"stderr\",\"time\":\"2027-02-01T00:00:00.5Z\"}",
            OVER,
            Symptom::Expired,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "[pod/kube-scheduler-cp-1/kube-scheduler] E0601 00:00:00.500000       1 reflector.go:138] k8s.io/client-go/informers/factory.go:134: Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized",
            OVER,
            Symptom::Unauthorized,
            current(SCHEDULER),
            renew(SCHEDULER),
        ),
        (
            "[pod/kube-scheduler-cp-1/kube-scheduler] E0601 00:00:00.500000       1 reflector.go:147] k8s.io/client-go/informers/factory.go:150: Failed to watch *v1.Node: failed to list *v1.Node: Get \"https://192.168.10.11:6443/api/v1/nodes?limit=500\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
            VALID,
            Symptom::UnknownAuthority,
            current(APISERVER),
            restart(Component::Scheduler),
        ),
        (
            "[pod/kube-scheduler-cp-1/kube-scheduler] E0601 00:00:00.500000       1 reflector.go:138] Failed to list *v1.Node: Get \"https://192.168.10.11:6443/api/v1/nodes?limit=500\": dial tcp 192.168.10.11:6443: connect: connection refused",
            VALID,
            Symptom::ConnectionRefused,
            Culprit::Unknown,
            Advice::Check,
        ),
        // the kubelet
        (
            "Jun 01 00:00:00 cp-1 kubelet[911]: E0601 00:00:00.000000     911 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2026-05-22 05:11:53 +0000 UTC",
            VALID,
            Symptom::BootstrapExpired,
            current(KUBELET_CONF),
            restart(Component::Kubelet),
        ),
        (
            "Jun 01 00:00:00 cp-1 kubelet[911]: E0601 00:00:00.000000     911 run.go:74] \"command failed\" err=\"failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory\"",
            VALID,
            Symptom::BootstrapMissing,
            current(KUBELET_CONF),
            restart(Component::Kubelet),
        ),
        (
            "2026-06-01T00:00:00+0000 cp-1 kubelet[911]: E0601 00:00:00.000000     911 certificate_manager.go:437] kubernetes.io/kube-apiserver-client-kubelet: certificate request was not signed: timed out waiting for the condition",
            VALID,
            Symptom::RequestUnsigned,
            Culprit::Unknown,
            Advice::ApproveRequests,
        ),
        (
            "{\"__REALTIME_TIMESTAMP\":\"1780272000000000\",\"SYSLOG_IDENTIFIER\":\"kubelet\",\"_HOSTNAME\":\"cp-1\",\"MESSAGE\":\"E0601 00:00:00.000000     911 kubelet_node_status.go:93] \\\"Unable to register node with API server\\\" err=\\\"Unauthorized\\\" node=\\\"cp-1\\\"\"}",
            VALID,
            Symptom::Unauthorized,
            current(KUBELET_CONF),
            restart(Component::Kubelet),
        ),
        (
            "Jun 01 00:00:00 cp-1 kubelet[911]: E0601 00:00:00.000000     911 server.go:302] \"Failed to run kubelet\" err=\"failed to run Kubelet: unable to load client CA file /etc/kubernetes/pki/ca.crt: open /etc/kubernetes/pki/ca.crt: no such file or directory\"",
            VALID,
            Symptom::FileMissing,
            Culprit::Authority(CaSlot::Cluster),
            Advice::Mend(Remedy::Start(Component::Kubelet)),
        ),
        (
            "Jun 01 00:00:00 cp-1 kubelet[911]: E0601 00:00:00.000000     911 server.go:302] \"Failed to run kubelet\" err=\"could not load \\\"/var/lib/kubelet/pki/kubelet-client-current.pem\\\": open /var/lib/kubelet/pki/kubelet-client-current.pem: no such file or directory\"",
            VALID,
            Symptom::FileMissing,
            current(Slot::KubeletClient),
            Advice::RecoverKubelet,
        ),
        (
            "Jun 01 00:00:00 cp-1 kubelet[911]: I0601 00:00:00.000000     911 log.go:194] http: TLS handshake error from 192.168.10.11:33772: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2027-02-01T00:00:00Z is after 2027-01-01T00:00:00Z",
            OVER,
            Symptom::Expired,
            current(KUBELET_CLIENT),
            renew(KUBELET_CLIENT),
        ),
        // etcd
        (
            "{\"level\":\"warn\",\"ts\":\"2026-06-01T00:00:00.204Z\",\"caller\":\"embed/config_logging.go:169\",\"msg\":\"rejected connection\",\"remote-addr\":\"127.0.0.1:51234\",\"server-name\":\"\",\"error\":\"remote error: tls: bad certificate\"}",
            VALID,
            Symptom::Refused,
            Culprit::OneOf(vec![ETCD_SERVER, ETCD_PEER]),
            Advice::Verify,
        ),
        (
            "{\"level\":\"warn\",\"ts\":\"2027-02-01T00:00:00.204Z\",\"caller\":\"embed/config_logging.go:170\",\"msg\":\"rejected connection on client endpoint\",\"remote-addr\":\"127.0.0.1:51234\",\"server-name\":\"\",\"error\":\"tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2027-02-01T00:00:00Z is after 2027-01-01T00:00:00Z\"}",
            OVER,
            Symptom::Expired,
            current(ETCD_CLIENT),
            renew(ETCD_CLIENT),
        ),
        (
            "2026-06-01 00:00:00.203956 I | embed: rejected connection from \"192.16.0.3:37664\" (error \"tls: \\\"192.16.0.3\\\" does not match any of DNSNames [\\\"cp-1\\\" \\\"localhost\\\"]\", ServerName \"\", IPAddresses [\"192.168.10.11\" \"127.0.0.1\" \"::1\"], DNSNames [\"cp-1\" \"localhost\"])",
            VALID,
            Symptom::NameMismatch,
            elsewhere("192.16.0.3"),
            look_at("192.16.0.3"),
        ),
        (
            "{\"level\":\"warn\",\"ts\":\"2026-06-01T00:00:00.204Z\",\"caller\":\"rafthttp/probing_status.go:68\",\"msg\":\"prober detected unhealthy status\",\"round-tripper-name\":\"ROUND_TRIPPER_SNAPSHOT\",\"remote-peer-id\":\"8e9e05c52164694d\",\"rtt\":\"0s\",\"error\":\"x509: certificate signed by unknown authority (possibly because of \\\"crypto/ecdsa: verification error\\\" while trying to verify candidate authority certificate \\\"etcd-ca\\\")\"}",
            VALID,
            Symptom::UnknownAuthority,
            current(ETCD_PEER),
            restart(Component::Etcd),
        ),
        (
            "{\"level\":\"fatal\",\"ts\":\"2026-06-01T00:00:00.204Z\",\"caller\":\"etcdmain/etcd.go:204\",\"msg\":\"discovery failed\",\"error\":\"open /etc/kubernetes/pki/etcd/peer.crt: no such file or directory\"}",
            VALID,
            Symptom::FileMissing,
            current(ETCD_PEER),
            Advice::Mend(Remedy::Start(Component::Etcd)),
        ),
        // kubeadm
        (
            "error execution phase preflight: couldn't validate the identity of the API Server: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:0000000000000000000000000000000000000000000000000000000000000000\" are pinned",
            VALID,
            Symptom::NotPinned,
            Culprit::Authority(CaSlot::Cluster),
            Advice::JoinAnew,
        ),
        (
            "error execution phase preflight: couldn't validate the identity of the API Server: expected a single PEM block: trailing data after first PEM block",
            VALID,
            Symptom::TrailingData,
            Culprit::Authority(CaSlot::Cluster),
            Advice::KeepOne("cluster-info".to_owned()),
        ),
        (
            "failed to renew certificate apiserver: unable to sign certificate: x509: provided PrivateKey doesn't match parent's PublicKey",
            VALID,
            Symptom::KeyMismatch,
            Culprit::Unknown,
            Advice::Check,
        ),
        (
            "couldn't load the certificate file /etc/kubernetes/pki/etcd/ca.crt: open /etc/kubernetes/pki/etcd/ca.crt: permission denied",
            VALID,
            Symptom::FileDenied,
            Culprit::Authority(CaSlot::Etcd),
            Advice::Mend(Remedy::GrantAccess(path("/etc/kubernetes/pki/etcd/ca.crt"))),
        ),
        (
            "error reading private key file /etc/kubernetes/pki/sa.key: data does not contain a valid RSA or ECDSA private key",
            VALID,
            Symptom::FileDamaged,
            file("/etc/kubernetes/pki/sa.key"),
            Advice::Mend(Remedy::Inspect(path("/etc/kubernetes/pki/sa.key"))),
        ),
        (
            "x509: certificate has expired or is not yet valid: current time 2025-12-31T00:00:00Z is before 2025-12-31T23:55:00Z",
            VALID,
            Symptom::NotYetValid,
            current(APISERVER),
            Advice::Mend(Remedy::SetClock),
        ),
        // OpenSSL, curl, containerd
        (
            "curl: (60) SSL certificate problem: certificate has expired",
            OVER,
            Symptom::Expired,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "curl: (60) SSL certificate problem: unable to get local issuer certificate",
            VALID,
            Symptom::UnknownAuthority,
            current(APISERVER),
            Advice::Mend(Remedy::UpdateTrust),
        ),
        (
            "curl: (60) SSL: no alternative certificate subject name matches target host name 'k8s.example.org'",
            VALID,
            Symptom::NameMismatch,
            current(APISERVER),
            name(APISERVER, "k8s.example.org"),
        ),
        (
            "verify error:num=10:certificate has expired",
            OVER,
            Symptom::Expired,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "time=\"2026-06-01T00:00:00.000000000Z\" level=error msg=\"RunPodSandbox failed\" error=\"error getting ClusterInformation: Get \\\"https://10.96.0.1:443/apis/crd.projectcalico.org/v1/clusterinformations/default\\\": x509: certificate signed by unknown authority (possibly because of \\\"crypto/rsa: verification error\\\" while trying to verify candidate authority certificate \\\"kubernetes\\\")\"",
            VALID,
            Symptom::UnknownAuthority,
            current(APISERVER),
            Advice::Mend(Remedy::UpdateTrust),
        ),
        (
            "tls: failed to verify certificate: x509: cannot verify signature: insecure algorithm SHA1-RSA",
            VALID,
            Symptom::WeakSignature,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "x509: certificate signed by unknown authority: x509: invalid signature: parent certificate cannot sign this kind of certificate",
            VALID,
            Symptom::UnknownAuthority,
            current(APISERVER),
            Advice::Mend(Remedy::UpdateTrust),
        ),
        (
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: authentication handshake failed: context deadline exceeded\"",
            VALID,
            Symptom::HandshakeFailed,
            Culprit::OneOf(vec![APISERVER]),
            Advice::Verify,
        ),
    ]
}

#[test]
fn lines_of_real_programs_lead_to_a_certificate_and_a_remedy() {
    let inventory = healthy();
    let table = table();
    assert!(table.len() >= 40);
    let mut wrong = Vec::new();
    for (line, now, symptom, culprit, first) in table {
        let report = explained(None, &[line], &inventory, now);
        let found = match report.explanations.as_slice() {
            [only] => {
                (only.evidence.symptom, only.answer.culprit.clone(), only.answer.advice.first().cloned())
            }
            other => {
                wrong.push(format!("{line}\n  {} explanations, {} unknown", other.len(), report.unknown));
                continue;
            }
        };
        if found != (symptom, culprit.clone(), Some(first.clone())) {
            let meaning = &report.explanations[0].answer.meaning;
            wrong.push(format!(
                "{line}\n  found    {found:?}\n  expected {:?}\n  {meaning}",
                (symptom, culprit, Some(first))
            ));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Lines of programs that are well.
const HEALTHY: [&str; 16] = [
    "",
    "2023-05-15T05:15:11.204Z | 2023-05-15 05:15:11.203956 I | etcdserver/api/etcdhttp: /health OK (status code 200)",
    "I0601 00:00:00.000000       1 dynamic_serving_content.go:132] \"Starting controller\" name=\"serving-cert::/etc/kubernetes/pki/apiserver.crt::/etc/kubernetes/pki/apiserver.key\"",
    "I0601 00:00:00.000000       1 tlsconfig.go:200] \"Loaded serving cert\" certName=\"serving-cert\" certDetail=\"\\\"kube-apiserver\\\" [serving] validServingFor=[10.96.0.1,cp-1] issuer=\\\"kubernetes\\\" (2026-01-01 00:00:00 +0000 UTC to 2027-01-01 00:00:00 +0000 UTC (now=2026-06-01 00:00:00 +0000 UTC))\"",
    "I0601 00:00:00.000000       1 dynamic_cafile_content.go:157] \"Starting controller\" name=\"client-ca-bundle::/etc/kubernetes/pki/ca.crt\"",
    "I0601 00:00:00.000000     911 certificate_manager.go:356] kubernetes.io/kube-apiserver-client-kubelet: Rotating certificates",
    "I0601 00:00:00.000000     911 certificate_manager.go:356] kubernetes.io/kube-apiserver-client-kubelet: Certificate expiration is 2027-06-01 00:00:00 +0000 UTC, rotation deadline is 2027-03-01 00:00:00 +0000 UTC",
    "I0601 00:00:00.000000       1 log.go:245] http: TLS handshake error from 10.0.0.7:41234: EOF",
    "I0601 00:00:00.000000       1 controller.go:132] OpenAPI AggregationController: action for item v1beta1.metrics.k8s.io: Nothing (removed from the queue).",
    "{\"level\":\"info\",\"ts\":\"2026-06-01T00:00:00.204Z\",\"caller\":\"embed/etcd.go:124\",\"msg\":\"configuring peer listeners\",\"listen-peer-urls\":[\"https://192.168.10.11:2380\"]}",
    "{\"level\":\"info\",\"ts\":\"2026-06-01T00:00:00.204Z\",\"caller\":\"embed/etcd.go:479\",\"msg\":\"starting with peer TLS\",\"tls-info\":\"cert = /etc/kubernetes/pki/etcd/peer.crt, key = /etc/kubernetes/pki/etcd/peer.key\"}",
    "time=\"2026-06-01T00:00:00Z\" level=info msg=\"loading plugin \\\"io.containerd.grpc.v1.cri\\\"...\" type=io.containerd.grpc.v1",
    "[certs] Using certificateDir folder \"/etc/kubernetes/pki\"",
    "I0601 00:00:00.000000       1 httplog.go:132] \"HTTP\" verb=\"GET\" URI=\"/healthz\" latency=\"1ms\" resp=200",
    "Jun 01 00:00:00 cp-1 systemd[1]: Started kubelet: The Kubernetes Node Agent.",
    "E0601 00:00:00.000000     911 pod_workers.go:965] \"Error syncing pod, skipping\" err=\"open /run/app/config.json: no such file or directory\"",
];

#[test]
fn healthy_logs_give_nothing() {
    for source in [None, Some("/var/log/kube-apiserver.log")] {
        let report = explained(source, &HEALTHY, &healthy(), VALID);
        assert_eq!(report.explanations, [], "{report:#?}");
        assert_eq!(
            report.unknown_samples,
            ["[certs] Using certificateDir folder \"/etc/kubernetes/pki\""; 0]
        );
        assert_eq!(report.impact(), Impact::None);
        assert_eq!(report.lines, HEALTHY.len() as u64);
        assert!(report.informational > 0, "lines that mention certificates are counted");
    }
}

fn log(name: &str) -> Vec<u8> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/logs");
    std::fs::read(directory.join(name)).expect("the log is part of the project")
}

fn of_log(name: &str, source: &str, inventory: &Inventory, now: &str) -> Report {
    let mut explainer = Explainer::new();
    explainer.source(source);
    log(name)
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .for_each(|line| explainer.line(line));
    explainer.finish(inventory, at(now))
}

/// A tree that was renewed after the outage whose logs are in `tests/data`.
fn renewed_after_the_outage() -> Inventory {
    TreeBuilder::kubeadm().made(at("2023-05-15T06:00:00Z")).build().inventory()
}

#[test]
fn the_api_servers_log_of_an_outage_names_two_certificates() {
    let report = of_log("kube-apiserver.log", "-", &renewed_after_the_outage(), "2023-05-16T00:00:00Z");
    let expired: Vec<_> = report
        .explanations
        .iter()
        .filter(|explanation| explanation.evidence.symptom == Symptom::Expired)
        .collect();
    let serials: Vec<String> = expired
        .iter()
        .map(|explanation| explanation.evidence.serial.as_ref().expect("it is stated").to_decimal())
        .collect();
    assert_eq!(serials, ["6259688787785297613", "7385935559219004232"]);
    assert_eq!(expired.iter().map(|explanation| explanation.count).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(expired[0].first, Some(at("2023-05-15T05:20:02Z")));
    assert_eq!(expired[0].last, Some(at("2023-05-15T05:20:05Z")));
    assert_eq!(
        expired[0].evidence.not_after,
        Some(at("2023-05-14T05:49:21Z")),
        "the line is cut off, but says it before"
    );
    assert_eq!(expired[0].evidence.program.as_ref().map(|program| program.name()), Some("kube-apiserver"));
    // The authority of the tree of this test is another one.
    assert!(matches!(expired[0].answer.culprit, Culprit::Elsewhere(_)));
    let last = report.explanations.last().expect("there are three");
    assert_eq!(last.evidence.symptom, Symptom::AggregationDown, "a consequence comes last");
}

#[test]
fn the_schedulers_log_names_its_kubeconfig_with_and_without_the_files_name() {
    let inventory = renewed_after_the_outage();
    for source in [
        "-",
        "/var/log/containers/kube-scheduler-cp-1_kube-system_kube-scheduler-0123.log",
        "kube-scheduler.log",
    ] {
        let report = of_log("kube-scheduler.log", source, &inventory, "2023-05-16T00:00:00Z");
        let only = only(&report);
        assert_eq!((only.count, only.evidence.symptom), (10, Symptom::Unauthorized));
        assert_eq!(only.answer.culprit, current(SCHEDULER));
        assert!(only.answer.advice.contains(&restart(Component::Scheduler)), "{:?}", only.answer.advice);
        assert_eq!(only.answer.impact, Impact::Inconsistent);
        assert!(
            only.answer.proof[0]
                .starts_with("/etc/kubernetes/scheduler.conf holds CN = system:kube-scheduler")
        );
    }
}

#[test]
fn the_schedulers_log_of_an_expired_tree_asks_for_a_renewal() {
    let inventory = TreeBuilder::kubeadm().made(at("2022-05-14T05:49:21Z")).build().inventory();
    let report = of_log("kube-scheduler.log", "-", &inventory, "2023-05-16T00:00:00Z");
    assert_eq!(only(&report).answer.advice, [renew(SCHEDULER), restart(Component::Scheduler)]);
    assert_eq!(report.impact(), Impact::Unusable);
}

#[test]
fn the_other_logs_of_the_outage_are_consequences_or_healthy() {
    let inventory = renewed_after_the_outage();
    let report = of_log("etcd.log", "etcd.log", &inventory, "2023-05-16T00:00:00Z");
    assert_eq!((report.explanations.len(), report.unknown, report.lines), (0, 0, 16));
    let report = of_log("kube-controller-manager.log", "-", &inventory, "2023-05-16T00:00:00Z");
    assert_eq!((only(&report).count, only(&report).evidence.symptom), (8, Symptom::AggregationDown));
    assert_eq!(report.impact(), Impact::None);
    let report = of_log("kubectl.log", "-", &inventory, "2025-02-22T00:00:00Z");
    assert_eq!(only(&report).evidence.not_after, Some(at("2025-02-20T16:53:11Z")));
    assert_eq!(only(&report).answer.culprit, current(APISERVER));
}

fn authentication(serial: &str, key: &str, end: &str) -> String {
    format!(
        "E0601 00:00:00.000000 1 authentication.go:63] \"Unable to authenticate the request\" err=\"[x509: certificate has expired or is \
         not yet valid: current time 2026-06-01T00:00:00Z is after {end}, verifying certificate SN={serial}, SKID=, AKID={key} failed: \
         x509: certificate has expired or is not yet valid: current time 2026-06-01T00:00:00Z is after {end}]\""
    )
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn key_of(inventory: &Inventory, ca: CaSlot) -> String {
    let signer = inventory.authority(ca).signer().expect("the tree has it");
    colons(signer.subject_key_identifier().expect("kubeadm gives it"))
}

#[test]
fn a_serial_number_of_the_tree_leads_to_its_file() {
    let inventory = healthy();
    let key = key_of(&inventory, CaSlot::Cluster);
    for slot in [SCHEDULER, MANAGER, ADMIN] {
        let leaf =
            inventory.credential(slot).and_then(|credential| credential.leaf()).expect("the tree has it");
        let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
        let report = explained(None, &[&line], &inventory, OVER);
        assert_eq!(only(&report).answer.culprit, current(slot));
        assert_eq!(only(&report).answer.advice[0], renew(slot));
        assert_eq!(report.impact(), Impact::Unusable);
        // While it is valid, whoever refuses it has another time.
        let report = explained(None, &[&line], &inventory, VALID);
        assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::SetClock)]);
    }
}

#[test]
fn a_serial_number_in_a_copy_of_a_kubeconfig_leads_to_the_copy() {
    let mut tree = TreeBuilder::kubeadm().build();
    let old = TreeBuilder::kubeadm().seed(2).made(at("2025-01-01T00:00:00Z")).build();
    tree.write(&path("/root/.kube/config"), old.read_file("/etc/kubernetes/admin.conf"), 0o600);
    let inventory = tree.inventory();
    let place = Place::Copy(path("/root/.kube/config"));
    let leaf = inventory
        .credentials()
        .find(|(found, _)| **found == place)
        .and_then(|(_, credential)| credential.leaf());
    let leaf = leaf.expect("the copy is read");
    let key = colons(leaf.authority_key_identifier().expect("kubeadm gives it"));
    let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
    let report = explained(None, &[&line], &inventory, VALID);
    assert_eq!(only(&report).answer.culprit, Culprit::Current(place));
    assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::RefreshCopy(path("/root/.kube/config")))]);
}

#[test]
fn an_unknown_serial_number_of_our_authority_names_those_who_keep_theirs_in_memory() {
    let inventory = healthy();
    let key = key_of(&inventory, CaSlot::Cluster);
    let line = authentication("7385935559219004232", &key, "2026-01-01T00:00:00Z");
    let report = explained(None, &[&line], &inventory, VALID);
    let answer = &only(&report).answer;
    assert!(
        matches!(&answer.culprit, Culprit::OneOf(slots) if slots.contains(&MANAGER) && slots.contains(&SCHEDULER))
    );
    assert_eq!(
        answer.advice,
        [Advice::Verify, restart(Component::ControllerManager), restart(Component::Scheduler)]
    );
    assert!(answer.proof.iter().any(|line| line.contains("the authority ca of this node has signed it")));
    // The one that complains itself is the one.
    let other = "E0601 00:00:00.000000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized";
    let report = explained(None, &[&line, other], &inventory, VALID);
    let expired =
        report.explanations.iter().find(|explanation| explanation.evidence.symptom == Symptom::Expired);
    assert_eq!(
        expired.map(|explanation| &explanation.answer.culprit),
        Some(&Culprit::OneOf(vec![SCHEDULER]))
    );
}

#[test]
fn repeats_are_counted_and_keep_their_first_and_last_time() {
    let mut explainer = Explainer::new();
    for minute in 0..60 {
        explainer.line(
            format!("2026-05-31T10:{minute:02}:00.5Z stderr F E0531 10:{minute:02}:00.500000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized\n").as_bytes(),
        );
    }
    let report = explainer.finish(&healthy(), at(VALID));
    let only = only(&report);
    assert_eq!(
        (only.count, only.first, only.last),
        (60, Some(at("2026-05-31T10:00:00Z")), Some(at("2026-05-31T10:59:00Z")))
    );
}

#[test]
fn lines_that_are_not_understood_are_counted_and_shown() {
    let lines = ["E0601 00:00:00.000000 1 x.go:1] x509: something new about a certificate"; 7];
    let report = explained(None, &lines, &healthy(), VALID);
    assert_eq!((report.unknown, report.unknown_samples.len(), report.explanations.len()), (7, 1, 0));
}

#[test]
fn a_flood_of_different_lines_stays_bounded_and_nothing_is_lost() {
    let inventory = healthy();
    let mut explainer = Explainer::new();
    let count = 20_000_u64;
    for serial in 0..count {
        explainer.line(authentication(&serial.to_string(), "", "2026-01-01T00:00:00Z").as_bytes());
    }
    let report = explainer.finish(&inventory, at(VALID));
    assert!(report.explanations.len() < 3000, "{}", report.explanations.len());
    assert_eq!(report.explanations.iter().map(|explanation| explanation.count).sum::<u64>(), count);
    assert!(report.crowded > 0);
}

#[test]
fn hostile_lines_are_survived_and_shown_without_control_characters_and_tokens() {
    let inventory = healthy();
    let mut explainer = Explainer::new();
    let long = [b"x509: certificate ".as_slice(), &vec![b'a'; 200_000]].concat();
    explainer.line(&long);
    explainer.line(b"\xff\xfe\0 x509: certificate has expired \x1b[31m\xe2\x80\xae token eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30.c2ln \0");
    let nested = "{\"log\":\"".repeat(2000) + "x509: certificate has expired";
    explainer.line(nested.as_bytes());
    explainer.line(format!("time=x msg=\"{}x509: certificate", "\\\"".repeat(9000)).as_bytes());
    let report = explainer.finish(&inventory, at(VALID));
    assert_eq!(report.cut, 1);
    let shown: String = report
        .explanations
        .iter()
        .map(|explanation| explanation.sample.as_str())
        .chain(report.unknown_samples.iter().map(String::as_str))
        .collect();
    assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    assert!(!shown.contains("eyJ"), "{shown}");
    assert!(shown.contains("[secret]"), "{shown}");
}

#[test]
fn without_a_tree_lines_are_explained_all_the_same() {
    let inventory = kubecerts_testkit::MemoryTree::default().inventory();
    for (line, now, symptom, ..) in table() {
        let report = explained(None, &[line], &inventory, now);
        assert!(!report.has_tree);
        assert_eq!(only(&report).evidence.symptom, symptom, "{line}");
        assert!(!only(&report).answer.meaning.is_empty());
    }
}

#[test]
fn a_key_that_does_not_fit_is_found_in_the_tree() {
    let mut tree = TreeBuilder::kubeadm().build();
    tree.copy("/etc/kubernetes/pki/etcd/peer.key", "/etc/kubernetes/pki/etcd/server.key");
    let report = explained(None, &["tls: private key does not match public key"], &tree.inventory(), VALID);
    assert_eq!(only(&report).answer.culprit, current(ETCD_SERVER));
    assert_eq!(only(&report).answer.advice[0], renew(ETCD_SERVER));
}

#[test]
fn a_kubelet_whose_credential_is_over_is_recovered() {
    let lines = [
        "E0601 00:00:00.000000 911 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2027-01-01 00:00:00 +0000 UTC",
        "E0601 00:00:00.000000 911 run.go:74] \"command failed\" err=\"failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory\"",
    ];
    let report = explained(None, &lines, &healthy(), OVER);
    assert_eq!(report.explanations.len(), 2);
    for explanation in &report.explanations {
        assert_eq!(explanation.answer.advice, [Advice::RecoverKubelet]);
    }
    assert_eq!(report.impact(), Impact::Unusable);
}

#[test]
fn a_missing_file_is_restored() {
    let tree = TreeBuilder::kubeadm().without(FileSlot::LeafCertificate(LeafSlot::ApiServer)).build();
    let line = "open /etc/kubernetes/pki/apiserver.crt: no such file or directory";
    let report = explained(None, &[line], &tree.inventory(), VALID);
    let file = FileSlot::LeafCertificate(LeafSlot::ApiServer);
    assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::Restore(file))]);
}

#[test]
fn a_time_without_a_year_is_the_last_one_that_there_was() {
    let inventory = healthy();
    for (now, first) in [(VALID, "2025-12-31T23:59:58Z"), ("2027-01-01T00:00:00Z", "2026-12-31T23:59:58Z")] {
        let line = "E1231 23:59:58.000000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized";
        let report = explained(None, &[line], &inventory, now);
        assert_eq!(only(&report).first, Some(at(first)));
    }
}

#[test]
fn a_log_over_new_year_begins_in_the_old_year() {
    let mut explainer = Explainer::new();
    for time in ["1231 23:59:58", "0101 00:00:01", "0102 10:00:00"] {
        let line = format!(
            "E{time}.000000 1 leaderelection.go:330] error retrieving resource lock kube-system/kube-scheduler: Unauthorized"
        );
        explainer.line(line.as_bytes());
    }
    let report = explainer.finish(&healthy(), at("2027-01-03T00:00:00Z"));
    let span = (only(&report).first, only(&report).last);
    assert_eq!(span, (Some(at("2026-12-31T23:59:58Z")), Some(at("2027-01-02T10:00:00Z"))));
}

#[test]
fn who_cannot_authenticate_a_request_need_not_be_the_api_server() {
    let inventory = healthy();
    let line = authentication("7385935559219004232", "", "2026-01-01T00:00:00Z");
    assert_eq!(only(&explained(None, &[&line], &inventory, VALID)).evidence.program, None);
    let of = |source| {
        let report = explained(Some(source), &[&line], &inventory, VALID);
        only(&report).evidence.program.as_ref().map(|program| program.name().to_owned())
    };
    assert_eq!(of("kube-apiserver.log").as_deref(), Some("kube-apiserver"));
    assert_eq!(of("metrics-server.log").as_deref(), Some("metrics-server"));
}

#[test]
fn the_key_that_signed_it_tells_whose_clients_are_meant() {
    let inventory = healthy();
    let line = |ca| authentication("7385935559219004232", &key_of(&inventory, ca), "2026-01-01T00:00:00Z");
    let report = explained(None, &[&line(CaSlot::FrontProxy)], &inventory, VALID);
    let earlier = Culprit::Earlier { slot: Some(FRONT_PROXY), file: None };
    assert_eq!(only(&report).answer.culprit, earlier);
    let report = explained(None, &[&line(CaSlot::Etcd)], &inventory, VALID);
    let healthcheck = Slot::Leaf(LeafSlot::EtcdHealthcheckClient);
    assert_eq!(only(&report).answer.culprit, Culprit::OneOf(vec![ETCD_CLIENT, healthcheck, ETCD_PEER]));
}

#[test]
fn where_no_kubeconfig_is_involved_none_is_blamed() {
    let inventory = healthy();
    for (source, line, setting) in [
        (
            "kube-apiserver.log",
            "W0601 00:00:00.000000 1 logging.go:59] [core] grpc: addrConn.createTransport failed to connect to {Addr: \"127.0.0.1:2379\"}. Err: connection error: desc = \"transport: authentication handshake failed: x509: certificate signed by unknown authority\"",
            "--etcd-cafile of kube-apiserver names has another authority than etcd-ca",
        ),
        (
            "kube-apiserver.log",
            "E0601 00:00:00.000000 1 status.go:71] apiserver received an error: Get \"https://cp-1:10250/containerLogs/a/b/c\": x509: certificate signed by unknown authority",
            "--kubelet-certificate-authority of kube-apiserver",
        ),
        (
            "etcd.log",
            "{\"level\":\"warn\",\"msg\":\"health check for peer failed\",\"error\":\"x509: certificate signed by unknown authority\"}",
            "--peer-trusted-ca-file of etcd names has another authority than etcd-ca",
        ),
    ] {
        let report = explained(Some(source), &[line], &inventory, VALID);
        let answer = &only(&report).answer;
        assert!(answer.meaning.contains(setting), "{}", answer.meaning);
        assert!(!answer.advice.contains(&Advice::Mend(Remedy::UpdateTrust)), "{:?}", answer.advice);
    }
}

#[test]
fn an_administrator_who_may_do_nothing_is_seen_in_json_too() {
    let line = r#"{"ts":1780272000000.0,"msg":"failed","err":"nodes is forbidden: User \"kubernetes-admin\" cannot list"}"#;
    assert_eq!(only(&explained(None, &[line], &healthy(), VALID)).evidence.symptom, Symptom::AdminForbidden);
}

#[test]
fn what_ends_later_is_not_said_to_have_expired() {
    let inventory = healthy();
    let leaf = inventory.credential(SCHEDULER).and_then(|found| found.leaf()).expect("the tree has it");
    let key = key_of(&inventory, CaSlot::Cluster);
    for (serial, end) in [
        (leaf.serial().to_decimal(), "2026-04-01T00:00:00Z".to_owned()),
        ("7385935559219004232".to_owned(), leaf.not_after().to_string()),
    ] {
        let line = authentication(&serial, &key, &end);
        let report = explained(None, &[&line], &inventory, VALID);
        assert!(!only(&report).answer.meaning.contains("expired 2027"), "{}", only(&report).answer.meaning);
    }
}

#[test]
fn each_log_may_tell_late_who_writes_it() {
    let mut explainer = Explainer::new();
    explainer.source("a.log");
    (0..20_000).for_each(|_| explainer.line(b"nothing"));
    explainer.source("b.log");
    explainer.line(b"I0601 00:00:00.000000 1 garbagecollector.go:151] Starting garbage collector controller");
    explainer.line(b"E0601 00:00:00.000000 1 reflector.go:138] failed to list *v1.Node: Unauthorized");
    let report = explainer.finish(&healthy(), at(VALID));
    assert_eq!(only(&report).answer.culprit, current(MANAGER));
}

#[test]
fn a_backup_that_still_has_an_earlier_certificate_is_named() {
    let mut tree = TreeBuilder::kubeadm().made(at("2025-06-01T00:00:00Z")).build();
    let kept = path("/etc/kubernetes/scheduler.conf.bak");
    tree.copy("/etc/kubernetes/scheduler.conf", kept.as_str());
    let old = tree.inventory();
    let leaf = old.credential(SCHEDULER).and_then(|found| found.leaf()).expect("the tree has it").clone();
    let request = PlanRequest::with_selection(Selection::All);
    tree.renew(&request, at("2026-05-01T00:00:00Z"), &mut Seeded::provider(3));
    let inventory = tree.inventory_around();
    let key = key_of(&inventory, CaSlot::Cluster);
    let line = authentication(&leaf.serial().to_decimal(), &key, &leaf.not_after().to_string());
    let report = explained(None, &[&line], &inventory, "2026-06-02T00:00:00Z");
    let answer = &only(&report).answer;
    let file = Some((kubecerts_core::inventory::FoundKind::Backup, kept));
    assert_eq!(answer.culprit, Culprit::Earlier { slot: Some(SCHEDULER), file });
    assert!(answer.advice.contains(&restart(Component::Scheduler)), "{:?}", answer.advice);
}
