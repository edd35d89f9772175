//! Static pods as kubeadm writes them, of images that hold the stand-ins.

use kubecerts_core::catalog::Component;

/// The node's address.
pub(crate) const ADDRESS: &str = "192.168.10.11";

/// Where stand-ins find what changes their habits.
pub(crate) const HABITS: &str = "/var/lib/stand-in";

/// The components that run as static pods.
pub(crate) const PODS: [Component; 4] =
    [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::Scheduler];

/// Returns the image of a component.
pub(crate) fn image(component: Component) -> String {
    let version = if component == Component::Etcd { "3.4.23-0" } else { "v1.36.2" };
    format!("registry.k8s.io/{component}:{version}")
}

/// Returns the manifest of a component, whose stand-in has these `habits` besides.
pub(crate) fn manifest(component: Component, habits: &[&str]) -> String {
    let (name, image) = (component.name(), image(component));
    let flags = flags(component).replace("ADDRESS", ADDRESS);
    let flags = flags.split_whitespace().map(str::to_owned);
    let habits = habits.iter().map(|habit| format!("--stand-in={habit}"));
    let command: String = flags.chain(habits).map(|flag| format!("    - {flag}\n")).collect();
    let (mut mounts, mut volumes) = (String::new(), String::new());
    for (number, (host, inside, kind)) in volumes_of(component).into_iter().enumerate() {
        let is_written = inside == "/var/lib/etcd";
        mounts.push_str(&format!(
            "    - {{name: volume-{number}, mountPath: {inside}, readOnly: {}}}\n",
            !is_written
        ));
        volumes
            .push_str(&format!("  - {{name: volume-{number}, hostPath: {{path: {host}, type: {kind}}}}}\n"));
    }
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  labels:
    component: {name}
    tier: control-plane
  name: {name}
  namespace: kube-system
spec:
  containers:
  - command:
    - {name}
{command}    image: {image}
    imagePullPolicy: IfNotPresent
    name: {name}
    volumeMounts:
{mounts}  hostNetwork: true
  priorityClassName: system-node-critical
  volumes:
{volumes}status: {{}}
"
    )
}

fn flags(component: Component) -> &'static str {
    match component {
        Component::Etcd => {
            "--advertise-client-urls=https://ADDRESS:2379 --cert-file=/etc/kubernetes/pki/etcd/server.crt
            --client-cert-auth=true --data-dir=/var/lib/etcd --initial-advertise-peer-urls=https://ADDRESS:2380
            --initial-cluster=cp-1=https://ADDRESS:2380 --key-file=/etc/kubernetes/pki/etcd/server.key
            --listen-client-urls=https://127.0.0.1:2379,https://ADDRESS:2379
            --listen-metrics-urls=http://127.0.0.1:2381 --listen-peer-urls=https://ADDRESS:2380 --name=cp-1
            --peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt --peer-client-cert-auth=true
            --peer-key-file=/etc/kubernetes/pki/etcd/peer.key
            --peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt --snapshot-count=10000
            --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt"
        }
        Component::ApiServer => {
            "--advertise-address=ADDRESS --allow-privileged=true --authorization-mode=Node,RBAC
            --client-ca-file=/etc/kubernetes/pki/ca.crt --enable-admission-plugins=NodeRestriction
            --enable-bootstrap-token-auth=true --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
            --etcd-certfile=/etc/kubernetes/pki/apiserver-etcd-client.crt
            --etcd-keyfile=/etc/kubernetes/pki/apiserver-etcd-client.key
            --etcd-servers=https://127.0.0.1:2379
            --kubelet-client-certificate=/etc/kubernetes/pki/apiserver-kubelet-client.crt
            --kubelet-client-key=/etc/kubernetes/pki/apiserver-kubelet-client.key
            --proxy-client-cert-file=/etc/kubernetes/pki/front-proxy-client.crt
            --proxy-client-key-file=/etc/kubernetes/pki/front-proxy-client.key
            --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt --secure-port=6443
            --service-account-issuer=https://kubernetes.default.svc.cluster.local
            --service-account-key-file=/etc/kubernetes/pki/sa.pub
            --service-account-signing-key-file=/etc/kubernetes/pki/sa.key --service-cluster-ip-range=10.96.0.0/12
            --tls-cert-file=/etc/kubernetes/pki/apiserver.crt
            --tls-private-key-file=/etc/kubernetes/pki/apiserver.key"
        }
        Component::ControllerManager => {
            "--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf
            --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf --bind-address=127.0.0.1
            --client-ca-file=/etc/kubernetes/pki/ca.crt --cluster-name=kubernetes
            --cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt
            --cluster-signing-key-file=/etc/kubernetes/pki/ca.key --controllers=*,bootstrapsigner,tokencleaner
            --kubeconfig=/etc/kubernetes/controller-manager.conf --leader-elect=true
            --requestheader-client-ca-file=/etc/kubernetes/pki/front-proxy-ca.crt
            --root-ca-file=/etc/kubernetes/pki/ca.crt
            --service-account-private-key-file=/etc/kubernetes/pki/sa.key --use-service-account-credentials=true"
        }
        Component::Scheduler => {
            "--authentication-kubeconfig=/etc/kubernetes/scheduler.conf
            --authorization-kubeconfig=/etc/kubernetes/scheduler.conf --bind-address=127.0.0.1
            --kubeconfig=/etc/kubernetes/scheduler.conf --leader-elect=true"
        }
        Component::Kubelet => panic!("the kubelet is no pod"),
    }
}

/// Returns what is mounted: the path of the host, the path in the container, and the kind.
fn volumes_of(component: Component) -> Vec<(&'static str, &'static str, &'static str)> {
    let pki = ("/etc/kubernetes/pki", "/etc/kubernetes/pki", "DirectoryOrCreate");
    let kubeconfig = |path| vec![(path, path, "FileOrCreate"), (HABITS, HABITS, "DirectoryOrCreate")];
    match component {
        // The host's own etcd, with its libraries.
        Component::Etcd => vec![
            ("/etc/kubernetes/pki/etcd", "/etc/kubernetes/pki/etcd", "DirectoryOrCreate"),
            ("/var/lib/etcd", "/var/lib/etcd", "DirectoryOrCreate"),
            ("/usr", "/usr", "Directory"),
            ("/lib", "/lib", "Directory"),
            ("/lib64", "/lib64", "Directory"),
        ],
        Component::ApiServer => vec![pki, (HABITS, HABITS, "DirectoryOrCreate")],
        Component::ControllerManager => {
            [vec![pki], kubeconfig("/etc/kubernetes/controller-manager.conf")].concat()
        }
        Component::Scheduler => kubeconfig("/etc/kubernetes/scheduler.conf"),
        Component::Kubelet => Vec::new(),
    }
}
