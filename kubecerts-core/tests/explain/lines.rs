//! One line at a time, against the default tree.

use crate::support::*;
use kubecerts_core::catalog::{CaSlot, Component, KubeconfigSlot, Slot};
use kubecerts_core::diagnosis::{Impact, Remedy};
use kubecerts_core::explain::{Advice, Culprit, Symptom};
use kubecerts_testkit::path;

/// A line, when it is looked at, and what becomes of it.
pub(crate) type Case = (&'static str, &'static str, Symptom, Culprit, Advice);

/// Lines as the programs write them, against the default tree: what is meant, and the first thing to do.
pub(crate) fn table() -> Vec<Case> {
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
            Advice::TrustInCopy,
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
            Advice::TrustInCopy,
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
            elsewhere("what the plugin of the pod network trusts"),
            Advice::PublishAuthority,
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
            Advice::TrustInCopy,
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
