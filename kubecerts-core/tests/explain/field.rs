//! Lines of other programs, other hosts and other servers than those of this node's control plane.

use crate::lines::Case;
use crate::support::*;
use kubecerts_core::catalog::{CaSlot, Component, Slot};
use kubecerts_core::diagnosis::Remedy;
use kubecerts_core::explain::{Advice, Culprit, Symptom};
use kubecerts_core::inventory::Place;
use kubecerts_testkit::path;

const SA_PUB: &str = "/etc/kubernetes/pki/sa.pub";

#[test]
fn a_certificate_of_another_member_of_etcd_is_not_given_a_name_here() {
    let other = elsewhere("192.168.10.12");
    check(vec![
        (
            r#"{"level":"warn","ts":"2026-05-25T07:12:38.620Z","caller":"rafthttp/probing_status.go:68","msg":"prober detected unhealthy status","round-tripper-name":"ROUND_TRIPPER_RAFT_MESSAGE","remote-peer-id":"5d4216b387405380","rtt":"0s","error":"x509: certificate is valid for 192.168.10.11, 127.0.0.1, ::1, not 192.168.10.12"}"#,
            VALID,
            Symptom::NameMismatch,
            other.clone(),
            look_at("192.168.10.12"),
        ),
        (
            "2026-03-13 16:19:49.046488 E | rafthttp: failed to dial 5d4216b387405380 on stream MsgApp v2 (x509: certificate is valid for 192.168.10.11, 127.0.0.1, ::1, not 192.168.10.12)",
            VALID,
            Symptom::NameMismatch,
            other,
            look_at("192.168.10.12"),
        ),
        (
            r#"{"level":"warn","ts":"2026-05-25T02:20:00.000Z","caller":"rafthttp/stream.go:653","msg":"lost TCP streaming connection with remote peer","error":"tls: failed to verify certificate: x509: certificate is valid for cp-1, localhost, not cp-2"}"#,
            VALID,
            Symptom::NameMismatch,
            elsewhere("cp-2"),
            look_at("cp-2"),
        ),
        (
            "2026-03-13 16:19:49.046488 W | rafthttp: health check for peer 5d4216b387405380 could not connect: x509: certificate has expired or is not yet valid (prober \"ROUND_TRIPPER_RAFT_MESSAGE\")",
            OVER,
            Symptom::Expired,
            elsewhere("the other members of etcd"),
            look_at("the other members of etcd"),
        ),
        (
            r#"W0601 19:32:12.443121    3194 clientconn.go:1120] grpc: addrConn.createTransport failed to connect to {https://192.168.10.12:2379 0  <nil>}. Err :connection error: desc = "transport: authentication handshake failed: x509: certificate is valid for 127.0.0.1, 192.168.10.12, not 192.168.10.11". Reconnecting..."#,
            VALID,
            Symptom::NameMismatch,
            Culprit::Unknown,
            Advice::Verify,
        ),
    ]);
}

#[test]
fn what_the_api_server_dials_is_a_kubelet() {
    let ask = |node: &str| Advice::AskForServing(node.to_owned());
    check(vec![
        (
            "Error from server: error dialing backend: x509: certificate is valid for system:node:aug-worker1, not aug-worker1",
            VALID,
            Symptom::NameMismatch,
            elsewhere("aug-worker1"),
            look_at("aug-worker1"),
        ),
        (
            "Error from server: error dialing backend: x509: certificate has expired or is not yet valid",
            OVER,
            Symptom::Expired,
            elsewhere("the node that was asked"),
            ask("the node that was asked"),
        ),
        (
            "error: error upgrading connection: error dialing backend: x509: certificate signed by unknown authority",
            VALID,
            Symptom::UnknownAuthority,
            elsewhere("the node that was asked"),
            ask("the node that was asked"),
        ),
        (
            "Error from server: error dialing backend: tls: failed to verify certificate: x509: certificate is valid for 127.0.0.1, not 192.168.10.11",
            VALID,
            Symptom::NameMismatch,
            current(Slot::KubeletServing),
            ask("192.168.10.11"),
        ),
        (
            "Error from server: error dialing backend: remote error: tls: internal error",
            VALID,
            Symptom::Refused,
            Culprit::Unknown,
            Advice::ApproveRequests,
        ),
        (
            "Error from server: Get \"https://192.168.10.11:10250/containerLogs/kube-system/x/y\": tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \"crypto/rsa: verification error\" while trying to verify candidate authority certificate \"cp-1-ca@1690000000\")",
            VALID,
            Symptom::UnknownAuthority,
            current(Slot::KubeletServing),
            ask("192.168.10.11"),
        ),
        (
            "E0518 07:12:42.090952       1 server.go:132] unable to fully scrape metrics: [unable to fully scrape metrics from node cp-1: unable to fetch metrics from node cp-1: Get \"https://192.168.10.11:10250/stats/summary?only_cpu_and_memory=true\": x509: cannot validate certificate for 192.168.10.11 because it doesn't contain any IP SANs]",
            VALID,
            Symptom::NameMismatch,
            current(Slot::KubeletServing),
            ask("192.168.10.11"),
        ),
        (
            r#"E0511 21:57:06.607078       1 scraper.go:140] "Failed to scrape node" err="Get \"https://192.168.203.181:10250/metrics/resource\": x509: cannot validate certificate for 192.168.203.181 because it doesn't contain any IP SANs" node="lke60627""#,
            VALID,
            Symptom::NameMismatch,
            elsewhere("192.168.203.181"),
            look_at("192.168.203.181"),
        ),
        (
            "Nov 29 11:37:04 cp-1 kubelet[14961]: I1129 11:37:04.940673   14961 logs.go:49] http: TLS handshake error from 172.16.10.202:41160: no serving certificate available for the kubelet",
            VALID,
            Symptom::RequestUnsigned,
            Culprit::Unknown,
            Advice::ApproveRequests,
        ),
        (
            "Error from server (Forbidden): Forbidden (user=kube-apiserver-kubelet-client, verb=get, resource=nodes, subresource=proxy) ( pods/log etcd-cp-1)",
            VALID,
            Symptom::KubeletForbidden,
            current(KUBELET_CLIENT),
            Advice::BindKubeletClient,
        ),
    ]);
}

#[test]
fn a_pod_that_does_not_trust_the_api_server_has_an_old_root_ca() {
    let (pod, network) =
        (elsewhere("what a pod trusts"), elsewhere("what the plugin of the pod network trusts"));
    let lines = [
        (
            "  Warning  FailedCreatePodSandBox  18m                   kubelet            Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"759c\": error getting ClusterInformation: Get \"https://[10.96.0.1]:443/apis/crd.projectcalico.org/v1/clusterinformations/default\": x509: certificate signed by unknown authority",
            &network,
        ),
        (
            "time=\"2026-05-08T09:00:00Z\" level=error msg=\"error getting ClusterInformation\" error=\"Get \\\"https://10.96.0.1:443/apis/crd.projectcalico.org/v1/clusterinformations/default\\\": x509: certificate signed by unknown authority\"",
            &network,
        ),
        (
            "Failed to create SubnetManager: error retrieving pod spec for 'kube-system/kube-flannel-ds-pvpzc': Get https://10.96.0.1:443/api/v1/namespaces/kube-system/pods/kube-flannel-ds-pvpzc: x509: certificate signed by unknown authority",
            &network,
        ),
        (
            "[pod/coredns-558bd4d5db-abcde/coredns] E0507 09:11:02.000000       1 reflector.go:138] pkg/mod/k8s.io/client-go@v0.20.2/tools/cache/reflector.go:167: Failed to watch *v1.Service: failed to list *v1.Service: Get \"https://10.96.0.1:443/api/v1/services?limit=500&resourceVersion=0\": x509: certificate signed by unknown authority",
            &pod,
        ),
        (
            "[pod/kube-proxy-abcde/kube-proxy] E0107 09:11:02.123456       1 reflector.go:147] Failed to list *v1.EndpointSlice: Get \"https://192.168.10.11:6443/apis/discovery.k8s.io/v1/endpointslices\": x509: certificate signed by unknown authority",
            &pod,
        ),
        (
            "level=error ts=2026-01-01T00:00:00Z caller=klog.go:96 component=k8s_client_runtime func=ErrorDepth msg=\"Failed to watch *v1.Pod: failed to list *v1.Pod: Get \\\"https://10.96.0.1:443/api/v1/pods\\\": x509: certificate signed by unknown authority\"",
            &pod,
        ),
        (
            "F0525 13:11:24.000000       1 cmd.go:97] unable to load configmap based request-header-client-ca-file: Get \"https://10.96.0.1:443/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication\": x509: certificate signed by unknown authority",
            &pod,
        ),
    ];
    let case = |(line, culprit): (_, &Culprit)| {
        (line, VALID, Symptom::UnknownAuthority, culprit.clone(), Advice::PublishAuthority)
    };
    check(lines.map(case).to_vec());
}

#[test]
fn a_pod_that_is_not_accepted_has_a_token_and_no_certificate() {
    let tokens = Advice::RefreshTokens;
    let network = Advice::RewriteNetwork;
    let lines = [
        (
            "Jan 13 00:53:29 cp-1 kubelet[24742]: E0113 00:53:29.569607   24742 kuberuntime_sandbox.go:70] CreatePodSandbox for pod \"coredns-854c77959c-58hnv_kube-system(45d3)\" failed: rpc error: code = Unknown desc = failed to setup network for sandbox \"63e8\": error getting ClusterInformation: connection is unauthorized: Unauthorized",
            &network,
        ),
        ("network: error getting ClusterInformation: connection is unauthorized: Unauthorized", &network),
        ("Multus: [kube-system/coredns]: error getting pod: Unauthorized", &network),
        (
            "[pod/coredns-558bd4d5db-abcde/coredns] 2026-04-07T09:11:02.123456789Z [ERROR] plugin/errors: 2 . HINFO: Unauthorized",
            &tokens,
        ),
        (
            "[INFO] plugin/ready: Still waiting on: \"kubernetes\" [ERROR] plugin/errors: Failed to list *v1.Endpoints: Unauthorized",
            &tokens,
        ),
        (
            "[pod/kube-proxy-abcde/kube-proxy] E0107 09:11:02.123456       1 node.go:152] Failed to retrieve node info: Unauthorized",
            &tokens,
        ),
        (
            "kubernetes.client.exceptions.ApiException: (401) Reason: Unauthorized HTTP response body: {\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}",
            &tokens,
        ),
        (
            "io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: GET at: https://10.96.0.1/api/v1/namespaces/default/pods. Message: Unauthorized! Token may have expired! Please log-in again. Unauthorized.",
            &tokens,
        ),
        (
            "E1130 06:12:55.123456       1 leaderelection.go:330] error retrieving resource lock cert-manager/cert-manager-controller: Unauthorized",
            &tokens,
        ),
    ];
    let case =
        |(line, advice): (_, &Advice)| (line, VALID, Symptom::Unauthorized, file(SA_PUB), advice.clone());
    check(lines.map(case).to_vec());
}

#[test]
fn why_a_token_is_not_accepted_decides_what_to_do() {
    let line = |reason: &str| {
        format!(
            "E0521 10:57:15.066460       1 authentication.go:73] \"Unable to authenticate the request\" err=\"[invalid bearer token, {reason}]\""
        )
    };
    for (reason, first) in [
        ("service account token is not valid yet", Advice::Mend(Remedy::SetClock)),
        ("Token has been invalidated", Advice::RefreshTokens),
        ("service account token has been invalidated", Advice::RefreshTokens),
        ("serviceaccounts \\\"coredns\\\" not found", Advice::RefreshTokens),
        ("go-jose/go-jose: error in cryptographic primitive", look_at("the other control-plane nodes")),
    ] {
        let report = explained(None, &[&line(reason)], &healthy(), VALID);
        assert_eq!(only(&report).answer.advice.first(), Some(&first), "{reason}");
    }
}

#[test]
fn webhooks_extensions_and_registries_have_certificates_of_their_own() {
    let of = |name: &str| elsewhere(&format!("that of {name}, which kubeadm has not made"));
    check(vec![
        (
            "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed calling webhook \"webhook.cert-manager.io\": Post \"https://cert-manager-webhook.cert-manager.svc:443/mutate?timeout=10s\": x509: certificate signed by unknown authority",
            VALID,
            Symptom::UnknownAuthority,
            of("webhook.cert-manager.io"),
            Advice::UpdateBundle("webhook.cert-manager.io".to_owned()),
        ),
        (
            "Internal error occurred: failed calling webhook \"validate.nginx.ingress.kubernetes.io\": Post \"https://ingress-nginx-controller-admission.ingress-nginx.svc:443/networking/v1/ingresses?timeout=10s\": x509: certificate has expired or is not yet valid: current time 2026-01-02T00:00:00Z is after 2026-01-01T00:00:00Z",
            VALID,
            Symptom::Expired,
            of("validate.nginx.ingress.kubernetes.io"),
            Advice::RenewExtension("validate.nginx.ingress.kubernetes.io".to_owned()),
        ),
        (
            "conversion webhook for cert-manager.io/v1alpha2, Kind=Certificate failed: Post \"https://cert-manager-webhook.cert-manager.svc:443/convert?timeout=30s\": x509: certificate is valid for foo.svc, not cert-manager-webhook.cert-manager.svc",
            VALID,
            Symptom::NameMismatch,
            of("cert-manager.io/v1alpha2"),
            Advice::RenewExtension("cert-manager.io/v1alpha2".to_owned()),
        ),
        (
            "E0401 10:00:00.000000       1 remote_available_controller.go:448] \"Unhandled Error\" err=\"v1beta1.metrics.k8s.io failed with: failing or missing response from https://10.97.217.23:443/apis/metrics.k8s.io/v1beta1: Get \\\"https://10.97.217.23:443/apis/metrics.k8s.io/v1beta1\\\": tls: failed to verify certificate: x509: certificate signed by unknown authority\" logger=\"UnhandledError\"",
            VALID,
            Symptom::UnknownAuthority,
            of("metrics.k8s.io"),
            Advice::UpdateBundle("metrics.k8s.io".to_owned()),
        ),
        (
            "time=\"2026-01-01T00:00:00Z\" level=error msg=\"Failed to pull image\" error=\"failed to do request: Head \\\"https://registry.local/v2/pause/manifests/3.9\\\": x509: certificate signed by unknown authority\"",
            VALID,
            Symptom::UnknownAuthority,
            elsewhere("that of registry.local"),
            Advice::TrustServer("registry.local".to_owned()),
        ),
        (
            "[pod/cert-manager-webhook-6dcc-xyz/cert-manager-webhook] 2026/05/13 17:50:33 http: TLS handshake error from 10.244.0.1:43156: remote error: tls: bad certificate",
            VALID,
            Symptom::Refused,
            elsewhere("that of cert-manager-webhook"),
            Advice::UpdateBundle("cert-manager-webhook".to_owned()),
        ),
        (
            "[WARNING ExternalEtcdVersion]: Get \"https://10.0.1.10:2379/version\": x509: certificate signed by unknown authority",
            VALID,
            Symptom::UnknownAuthority,
            elsewhere("10.0.1.10"),
            look_at("10.0.1.10"),
        ),
    ]);
}

#[test]
fn lines_of_another_host_are_about_that_host() {
    check(vec![
        (
            "Jan 07 09:11:02 worker-7 kubelet[1233]: E0107 09:11:02.123456    1233 reflector.go:147] k8s.io/client-go/informers/factory.go:150: Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized",
            VALID,
            Symptom::Unauthorized,
            elsewhere("worker-7"),
            look_at("worker-7"),
        ),
        (
            "E0105 09:00:00.000000       1 kubelet_node_status.go:92] Unable to register node \"worker-2\" with API server: Unauthorized",
            VALID,
            Symptom::Unauthorized,
            elsewhere("worker-2"),
            look_at("worker-2"),
        ),
        (
            "[pod/kube-scheduler-cp-2/kube-scheduler] E0107 09:11:02.123456       1 reflector.go:147] Failed to watch *v1.Node: failed to list *v1.Node: Unauthorized",
            VALID,
            Symptom::Unauthorized,
            elsewhere("cp-2"),
            look_at("cp-2"),
        ),
        (
            "Jan 18 17:33:58 aura kubelet[1457370]: F0118 17:33:58.888743 1457370 server.go:271] failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory",
            VALID,
            Symptom::BootstrapMissing,
            elsewhere("aura"),
            look_at("aura"),
        ),
        (
            "May 20 10:00:00 worker-2 kubelet[911]: E0520 10:00:00.000000     911 kubelet_node_status.go:93] \"Unable to register node with API server\" err=\"nodes \\\"cp-1\\\" is forbidden: node \\\"worker-2\\\" is not allowed to modify node \\\"cp-1\\\"\" node=\"cp-1\"",
            VALID,
            Symptom::NodeForbidden,
            elsewhere("worker-2"),
            look_at("worker-2"),
        ),
        // Its own domain, and an address of its own, do not make it another one.
        (
            "Jan 07 09:11:02 cp-1.example.org kubelet[1233]: E0107 09:11:02.123456    1233 kubelet_node_status.go:544] \"Error updating node status, will retry\" err=\"error getting node \\\"cp-1\\\": Unauthorized\"",
            OVER,
            Symptom::Unauthorized,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
        (
            "Jan 07 09:11:02 192.168.10.11 kubelet[1233]: E0107 09:11:02.123456    1233 reflector.go:147] Failed to list *v1.Node: Unauthorized",
            OVER,
            Symptom::Unauthorized,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
    ]);
}

#[test]
fn old_and_new_kubelets_say_that_their_credential_is_over() {
    check(vec![
        (
            "Jul 13 12:37:13 localhost.localdomain kubelet[30147]: E0713 12:37:13.644332   30147 bootstrap.go:263] Part of the existing bootstrap client certificate is expired: 2026-07-11 05:22:03 +0000 UTC",
            OVER,
            Symptom::BootstrapExpired,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
        (
            "Nov 11 00:15:53 cp-1 kubelet[66610]: E1111 00:15:53.851634   66610 transport.go:113] The currently active client certificate has expired, but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
            OVER,
            Symptom::Expired,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
        (
            "Jan 07 09:11:02 cp-1 kubelet[1233]: E0107 09:11:02.123456    1233 transport.go:120] No valid client certificate is found but the server is not responsive. A restart may be necessary to retrieve new initial credentials.",
            OVER,
            Symptom::BootstrapMissing,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
        (
            r#"{"MESSAGE":"E0107 09:11:02.123456    1233 reflector.go:140] vendor/k8s.io/client-go/informers/factory.go:134: Failed to watch *v1.Service: failed to list *v1.Service: Unauthorized","_SYSTEMD_UNIT":"kubelet.service","_COMM":"kubelet","_HOSTNAME":"cp-1","__REALTIME_TIMESTAMP":"1830000000000000"}"#,
            OVER,
            Symptom::Unauthorized,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
    ]);
}

#[test]
fn clients_of_etcd_lead_to_etcd() {
    check(vec![
        (
            r#"{"level":"warn","ts":"2027-01-18T07:12:38.620Z","logger":"etcd-client","caller":"v3/retry_interceptor.go:62","msg":"retrying of unary invoker failed","target":"etcd-endpoints://0xc0004d4000/127.0.0.1:2379","attempt":0,"error":"rpc error: code = DeadlineExceeded desc = latest balancer error: last connection error: connection error: desc = \"transport: authentication handshake failed: x509: certificate has expired or is not yet valid: current time 2027-01-18T07:12:38Z is after 2027-01-01T00:00:00Z\""}"#,
            OVER,
            Symptom::Expired,
            current(ETCD_SERVER),
            renew(ETCD_SERVER),
        ),
        (
            "error #0: x509: certificate has expired or is not yet valid",
            OVER,
            Symptom::Expired,
            current(ETCD_SERVER),
            renew(ETCD_SERVER),
        ),
        (
            "client: etcd cluster is unavailable or misconfigured; error #0: remote error: tls: bad certificate",
            OVER,
            Symptom::Refused,
            current(Slot::Leaf(kubecerts_core::catalog::LeafSlot::EtcdHealthcheckClient)),
            renew(Slot::Leaf(kubecerts_core::catalog::LeafSlot::EtcdHealthcheckClient)),
        ),
        (
            "error execution phase control-plane-join/etcd: error creating local etcd static pod manifest file: failed to get the list of etcd members: rpc error: code = Unavailable desc = connection error: desc = \"transport: authentication handshake failed: x509: certificate signed by unknown authority\"",
            VALID,
            Symptom::UnknownAuthority,
            current(ETCD_SERVER),
            Advice::Check,
        ),
        (
            "Jun 16 09:22:28 cp-1 etcd[10992]: 2026/06/16 09:22:28 WARNING: [core] [Channel #3 SubChannel #4] grpc: addrConn.createTransport failed to connect to {Addr: \"[::]:2379\", ServerName: \"[::]:2379\", }. Err: connection error: desc = \"error reading server preface: remote error: tls: bad certificate\"",
            OVER,
            Symptom::Refused,
            current(ETCD_SERVER),
            renew(ETCD_SERVER),
        ),
        (
            "2026-01-17 21:02:17.4563 I | embed: rejected connection from \"127.0.0.1:12345\" (error \"tls: failed to verify client's certificate: x509: certificate specifies an incompatible key usage\", ServerName \"\")",
            VALID,
            Symptom::WrongUsage,
            Culprit::OneOf(vec![
                ETCD_SERVER,
                ETCD_CLIENT,
                Slot::Leaf(kubecerts_core::catalog::LeafSlot::EtcdHealthcheckClient),
            ]),
            Advice::Verify,
        ),
    ]);
}

#[test]
fn what_kubeadm_says_names_its_files() {
    let cluster = || Culprit::Authority(CaSlot::Cluster);
    check(vec![
        (
            "error execution phase kubeconfig/admin: a kubeconfig file \"/etc/kubernetes/admin.conf\" exists already but has got the wrong CA cert",
            VALID,
            Symptom::KubeconfigStale,
            current(ADMIN),
            Advice::Mend(Remedy::SetAuthority(Place::Slot(ADMIN))),
        ),
        (
            "error execution phase kubeconfig/kubelet: a kubeconfig file \"/etc/kubernetes/kubelet.conf\" exists already but has got the wrong API Server URL",
            VALID,
            Symptom::KubeconfigStale,
            current(KUBELET_CONF),
            Advice::SetServer("/etc/kubernetes/kubelet.conf".to_owned()),
        ),
        (
            "error execution phase certs/apiserver: [certs] certificate apiserver not signed by CA certificate ca: crypto/rsa: verification error",
            VALID,
            Symptom::UnknownAuthority,
            current(APISERVER),
            Advice::Check,
        ),
        (
            "certificate apiserver-kubelet-client not signed by CA certificate ca: crypto/rsa: verification error",
            VALID,
            Symptom::UnknownAuthority,
            current(KUBELET_CLIENT),
            Advice::Check,
        ),
        (
            "error execution phase certs/ca: failure loading ca certificate: the certificate has expired: NotBefore: 2026-01-01 00:00:00 +0000 UTC, NotAfter: 2036-01-01 00:00:00 +0000 UTC",
            "2037-01-01T00:00:00Z",
            Symptom::Expired,
            cluster(),
            Advice::Mend(Remedy::RotateAuthority(CaSlot::Cluster)),
        ),
        (
            "W0101 00:00:00.000000    1234 certs.go:83] WARNING: could not validate bounds for certificate CA: the certificate has expired",
            "2037-01-01T00:00:00Z",
            Symptom::Expired,
            cluster(),
            Advice::Mend(Remedy::RotateAuthority(CaSlot::Cluster)),
        ),
        (
            "[upgrade/apply] FATAL: failed to renew certificate apiserver-etcd-client: unable to sign certificate: the certificate authority is expired",
            "2037-01-01T00:00:00Z",
            Symptom::Expired,
            Culprit::Authority(CaSlot::Etcd),
            Advice::Mend(Remedy::RotateAuthority(CaSlot::Etcd)),
        ),
        (
            "error execution phase certs/ca: failure loading ca certificate: the certificate is not valid yet: NotBefore: 2027-01-01 00:00:00 +0000 UTC",
            VALID,
            Symptom::NotYetValid,
            cluster(),
            Advice::Mend(Remedy::SetClock),
        ),
        (
            "error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID \"753691\"",
            VALID,
            Symptom::JoinExpired,
            Culprit::Unknown,
            Advice::JoinAnew,
        ),
        (
            "error execution phase control-plane-prepare/download-certs: error downloading certs: error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to generate a new one",
            VALID,
            Symptom::JoinExpired,
            Culprit::Unknown,
            Advice::UploadCertificates,
        ),
        (
            "error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get config map: Unauthorized",
            VALID,
            Symptom::Unauthorized,
            Culprit::Unknown,
            Advice::JoinAnew,
        ),
        (
            "error execution phase kubelet-start: error uploading crisocket: Unauthorized",
            OVER,
            Symptom::Unauthorized,
            current(KUBELET_CONF),
            Advice::RecoverKubelet,
        ),
        (
            "[ERROR ExternalEtcdClientCertificates]: /etc/kubernetes/pki/apiserver-etcd-client.crt doesn't exist",
            VALID,
            Symptom::FileMissing,
            current(ETCD_CLIENT),
            Advice::Check,
        ),
        (
            "error execution phase preflight: failed to renew certificate front-proxy-client: unable to sign certificate: must specify at least one ExtKeyUsage",
            VALID,
            Symptom::WrongUsage,
            current(FRONT_PROXY),
            renew(FRONT_PROXY),
        ),
        (
            "E0109 09:00:00.000000       1 controllermanager.go:575] Error starting \"csrsigning\" controller: failed to start certificate controller: error reading CA cert file \"/etc/kubernetes/pki/ca.crt\": expected 1 certificate, found 2",
            VALID,
            Symptom::TrailingData,
            file("/etc/kubernetes/pki/ca.crt"),
            Advice::KeepOne("/etc/kubernetes/pki/ca.crt".to_owned()),
        ),
    ]);
}

#[test]
fn the_end_of_an_authority_is_not_that_of_a_leaf() {
    let inventory = healthy();
    let end = inventory.authority(CaSlot::Cluster).signer().expect("the tree has it").not_after();
    let line = format!(
        "Unable to connect to the server: x509: certificate has expired or is not yet valid: current time 2037-01-01T00:00:00Z is after {end}"
    );
    let report = explained(None, &[&line], &inventory, "2037-01-01T00:00:00Z");
    assert_eq!(only(&report).answer.culprit, Culprit::Authority(CaSlot::Cluster));
    assert_eq!(only(&report).answer.advice, [Advice::Mend(Remedy::RotateAuthority(CaSlot::Cluster))]);
}

#[test]
fn other_words_for_the_same_are_understood() {
    let unknown = || current(APISERVER);
    check(vec![
        (
            "The connection to the server 192.168.10.11:6443 was refused - did you specify the right host or port?",
            VALID,
            Symptom::ConnectionRefused,
            Culprit::Unknown,
            Advice::Check,
        ),
        (
            "Jun 22 22:38:16 cp-1 kube-apiserver[5253]: I0622 22:38:16.699924    5253 logs.go:41] http: TLS handshake error from 10.0.0.7:49486: remote error: bad certificate",
            VALID,
            Symptom::Refused,
            current(APISERVER),
            Advice::Verify,
        ),
        (
            "Caused by: javax.net.ssl.SSLHandshakeException: PKIX path building failed: sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid certification path to requested target",
            VALID,
            Symptom::UnknownAuthority,
            unknown(),
            Advice::TrustInCopy,
        ),
        (
            "Caused by: java.security.cert.CertificateExpiredException: NotAfter: Sat Mar 04 12:00:00 UTC 2026",
            OVER,
            Symptom::Expired,
            current(APISERVER),
            renew(APISERVER),
        ),
        (
            "Unable to connect to the server: x509: “kube-apiserver” certificate is not trusted",
            VALID,
            Symptom::UnknownAuthority,
            unknown(),
            Advice::TrustInCopy,
        ),
        (
            "Unable to connect to the server: tls: failed to verify certificate: x509: “kube-apiserver” certificate is not standards compliant",
            VALID,
            Symptom::NotCompliant,
            Culprit::OneOf(vec![APISERVER]),
            Advice::Verify,
        ),
        (
            "Verify return code: 18 (self-signed certificate)",
            VALID,
            Symptom::UnknownAuthority,
            unknown(),
            Advice::TrustInCopy,
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:579)",
            VALID,
            Symptom::HandshakeFailed,
            Culprit::OneOf(vec![APISERVER]),
            Advice::Verify,
        ),
        (
            "error: unable to load root certificates: unable to parse bytes as PEM block",
            VALID,
            Symptom::FileDamaged,
            Culprit::Unknown,
            Advice::Check,
        ),
        (
            "E0520 09:00:00.000000   12345 memcache.go:265] couldn't get current server API group list: the server has asked for the client to provide credentials",
            OVER,
            Symptom::Unauthorized,
            current(ADMIN),
            renew(ADMIN),
        ),
        (
            "I0526 13:41:58.069838       1 log.go:172] http: TLS handshake error from 10.0.0.5:55114: tls: first record does not look like a TLS handshake",
            VALID,
            Symptom::PlainText,
            Culprit::Unknown,
            Advice::CompareSchemes,
        ),
        (
            "Unable to connect to the server: http: server gave HTTP response to HTTPS client",
            VALID,
            Symptom::PlainText,
            Culprit::Unknown,
            Advice::CompareSchemes,
        ),
        (
            "curl: (58) unable to set private key file: '/etc/kubernetes/pki/apiserver-etcd-client.key' type PEM",
            VALID,
            Symptom::FileDamaged,
            current(ETCD_CLIENT),
            Advice::Mend(Remedy::Inspect(path("/etc/kubernetes/pki/apiserver-etcd-client.key"))),
        ),
        (
            "curl: (56) OpenSSL SSL_read: error:1409445C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required, errno 0",
            VALID,
            Symptom::Refused,
            Culprit::Unknown,
            Advice::Verify,
        ),
        (
            "Error from server (Forbidden): pods.metrics.k8s.io is forbidden: User \"kube-apiserver\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"default\"",
            VALID,
            Symptom::FrontProxyRefused,
            current(FRONT_PROXY),
            Advice::Mend(Remedy::SetFlag(
                Component::ApiServer,
                vec![
                    ("proxy-client-cert-file", "/etc/kubernetes/pki/front-proxy-client.crt".to_owned()),
                    ("proxy-client-key-file", "/etc/kubernetes/pki/front-proxy-client.key".to_owned()),
                ],
            )),
        ),
        (
            "Alert KubeClientCertificateExpiration: A client certificate used to authenticate to kubernetes apiserver is expiring in less than 24.0 hours.",
            VALID,
            Symptom::EndsSoon,
            Culprit::Unknown,
            Advice::Check,
        ),
        (
            "E0101 00:00:00.000000       1 dynamic_cafile_content.go:168] \"Failed to process key\" err=\"missing content for CA bundle \\\"client-ca-bundle::/etc/kubernetes/pki/ca.crt\\\"\" key=\"key\"",
            VALID,
            Symptom::FileDamaged,
            Culprit::Authority(CaSlot::Cluster),
            Advice::Mend(Remedy::Inspect(path("/etc/kubernetes/pki/ca.crt"))),
        ),
    ]);
}

#[test]
fn journald_hands_on_bytes_and_other_calendars() {
    let line = "E0101 09:11:02.123456    1233 reflector.go:140] Failed to watch *v1.Service: Unauthorized";
    let bytes: Vec<String> = line.bytes().map(|byte| byte.to_string()).collect();
    let json = format!("{{\"MESSAGE\":[{}],\"_SYSTEMD_UNIT\":\"kubelet.service\"}}", bytes.join(","));
    let report = explained(None, &[&json], &healthy(), VALID);
    assert_eq!(only(&report).answer.culprit, current(KUBELET_CONF));
    let line = "4月 25 22:29:55 cp-1 kube-controller-manager[1823]: error retrieving resource lock: the server has asked for the client to provide credentials";
    let report = explained(None, &[line], &healthy(), VALID);
    assert_eq!(only(&report).first, Some(kubecerts_testkit::at("2026-04-25T22:29:55Z")));
    assert_eq!(only(&report).answer.culprit, current(MANAGER));
}

#[test]
fn a_log_file_of_another_program_is_about_its_token() {
    let line = "E0101 09:11:02.123456 1 reflector.go:147] Failed to list *v1.EndpointSlice: Unauthorized";
    let report = explained(Some("kube-proxy.log"), &[line], &healthy(), VALID);
    assert_eq!(only(&report).answer.culprit, file(SA_PUB));
}

#[test]
fn a_line_without_a_date_says_nothing_of_the_file_that_is_valid() {
    let line = "Unable to connect to the server: x509: certificate has expired or is not yet valid";
    let report = explained(None, &[line], &healthy(), VALID);
    let answer = &only(&report).answer;
    assert!(!answer.proof.iter().any(|proof| proof.contains("holds it")), "{:?}", answer.proof);
    assert!(answer.meaning.contains("does not say which certificate is meant"), "{}", answer.meaning);
}

/// Holds each line against the default tree: what it is, whose, and what to do first.
#[track_caller]
fn check(cases: Vec<Case>) {
    let inventory = healthy();
    let mut wrong = Vec::new();
    for (line, now, symptom, culprit, first) in cases {
        let report = explained(None, &[line], &inventory, now);
        let found = report.explanations.first().map(|only| {
            (only.evidence.symptom, only.answer.culprit.clone(), only.answer.advice.first().cloned())
        });
        let expected = Some((symptom, culprit, Some(first)));
        if found != expected {
            let meaning = report.explanations.first().map(|only| only.answer.meaning.as_str());
            wrong.push(format!("{line}\n  found    {found:?}\n  expected {expected:?}\n  {meaning:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
