use kubecerts_testkit::{MemoryTree, path};

use super::*;

/// A node whose kubelet has these flags and this configuration, and whose API server is of this version.
fn node(flags: &str, config: &str, version: Option<&str>) -> NodeFacts {
    let mut tree = MemoryTree::default();
    let flags = format!("KUBELET_KUBEADM_ARGS=\"{flags}\"\n");
    tree.write(&path("/var/lib/kubelet/kubeadm-flags.env"), flags, 0o644);
    tree.write(&path("/var/lib/kubelet/config.yaml"), config.to_owned(), 0o644);
    if let Some(version) = version {
        let manifest = format!(
            "kind: Pod\nspec: {{containers: [{{command: [kube-apiserver], image: 'registry.k8s.io/kube-apiserver:{version}'}}]}}\n"
        );
        tree.write(&path("/etc/kubernetes/manifests/kube-apiserver.yaml"), manifest, 0o600);
    }
    tree.snapshot().node().clone()
}

/// What is chosen where these sockets exist, as one line.
fn chosen(arguments: &RuntimeArguments, node: &NodeFacts, sockets: &[&str]) -> String {
    match select(arguments, node, &|path| sockets.contains(&path)) {
        Ok(RuntimeChoice { kind, endpoint, reason }) => {
            format!("{kind:?} {} ({reason})", endpoint.as_deref().unwrap_or("-"))
        }
        Err(error) => format!("error: {error}"),
    }
}

fn unasked(node: &NodeFacts, sockets: &[&str]) -> String {
    chosen(&RuntimeArguments::default(), node, sockets)
}

const CONTAINERD: &str = "/run/containerd/containerd.sock";
const EVERYTHING: [&str; 5] = [
    CONTAINERD,
    "/var/run/containerd/containerd.sock",
    "/var/run/crio/crio.sock",
    "/run/crio/crio.sock",
    Docker::SOCKET,
];

#[test]
fn the_kubelet_s_own_runtime_is_taken_whatever_else_is_there() {
    let stated = node("--container-runtime-endpoint=unix:///run/mine.sock", "{}", Some("v1.36.2"));
    for sockets in [&[][..], &EVERYTHING[..]] {
        assert_eq!(unasked(&stated, sockets), "Cri unix:///run/mine.sock (the kubelet's own)");
    }
    let configured = node("", "containerRuntimeEndpoint: unix:///run/crio/crio.sock", Some("v1.36.2"));
    assert_eq!(unasked(&configured, &EVERYTHING), "Cri unix:///run/crio/crio.sock (the kubelet's own)");
}

#[test]
fn the_caller_s_word_is_above_the_kubelet_s() {
    let node = node("--container-runtime-endpoint=unix:///run/mine.sock", "{}", Some("v1.36.2"));
    let asked = |kind, socket: Option<&str>| {
        let arguments = RuntimeArguments { kind, cri_socket: socket.map(str::to_owned) };
        chosen(&arguments, &node, &EVERYTHING)
    };
    let (cri, docker, manifest) =
        (Some(RuntimeKind::Cri), Some(RuntimeKind::Docker), Some(RuntimeKind::Manifest));
    assert_eq!(asked(None, Some("/run/x.sock")), "Cri /run/x.sock (as asked for)");
    assert_eq!(
        asked(None, Some("unix:///var/run/dockershim.sock")),
        "Docker /var/run/docker.sock (as asked for)"
    );
    assert_eq!(asked(None, Some("/srv/docker.sock")), "Docker /srv/docker.sock (as asked for)");
    assert_eq!(asked(cri, Some("/srv/docker.sock")), "Cri /srv/docker.sock (as asked for)");
    assert_eq!(asked(docker, Some("/run/x.sock")), "Docker /run/x.sock (as asked for)");
    assert_eq!(asked(docker, None), "Docker /var/run/docker.sock (as asked for)");
    assert_eq!(asked(cri, None), "Cri unix:///run/mine.sock (the kubelet's own)");
    assert_eq!(asked(manifest, None), "Manifest - (as asked for)");
    assert_eq!(
        asked(manifest, Some("/run/x.sock")),
        "error: --cri-socket cannot be used where manifests are moved"
    );
}

#[test]
fn kubelets_up_to_1_23_take_docker_unless_told_otherwise() {
    let old = |flags| node(flags, "{}", Some("v1.23.17"));
    let default = "Docker /var/run/docker.sock (the default of this kubelet)";
    assert_eq!(unasked(&old("--network-plugin=cni"), &EVERYTHING), default);
    assert_eq!(
        unasked(&old(""), &[CONTAINERD]),
        "Cri /run/containerd/containerd.sock (the only one found)",
        "without Docker it cannot be it"
    );
    assert_eq!(
        unasked(&old("--container-runtime=docker"), &[]),
        "Docker /var/run/docker.sock (the kubelet's own)"
    );
    assert_eq!(
        unasked(&old("--container-runtime=docker --docker-endpoint=unix:///srv/d.sock"), &EVERYTHING),
        "Docker unix:///srv/d.sock (the kubelet's own)"
    );
    assert_eq!(
        unasked(&old("--container-runtime=remote --container-runtime-endpoint=/run/c.sock"), &EVERYTHING),
        "Cri /run/c.sock (the kubelet's own)"
    );
    assert_eq!(
        unasked(&old("--container-runtime-endpoint=unix:///var/run/dockershim.sock"), &["/run/docker.sock"]),
        "Docker /var/run/docker.sock (the kubelet's own)"
    );
    assert_eq!(
        unasked(&old(""), &["/run/docker.sock"]),
        "Docker /run/docker.sock (the default of this kubelet)"
    );
}

#[test]
fn where_nobody_states_one_the_only_socket_is_taken() {
    let new = node("", "{}", Some("v1.36.2"));
    assert_eq!(
        unasked(&new, &[CONTAINERD, "/var/run/containerd/containerd.sock", Docker::SOCKET]),
        "Cri /run/containerd/containerd.sock (the only one found)",
        "two paths of one socket are one, and kubelets of 1.24 and later have no use for Docker's"
    );
    assert_eq!(
        unasked(&new, &["/var/run/cri-dockerd.sock"]),
        "Cri /var/run/cri-dockerd.sock (the only one found)"
    );
    assert_eq!(
        unasked(&new, &EVERYTHING),
        "error: several container runtimes were found, /run/containerd/containerd.sock and /var/run/crio/crio.sock: \
         state one with --cri-socket"
    );
    for sockets in [&[][..], &[Docker::SOCKET]] {
        assert!(unasked(&new, sockets).starts_with("error: no container runtime was found"));
    }
    let asked = RuntimeArguments { kind: Some(RuntimeKind::Cri), cri_socket: None };
    assert_eq!(
        chosen(&asked, &node("", "{}", Some("v1.23.0")), &[CONTAINERD, Docker::SOCKET]),
        "Cri /run/containerd/containerd.sock (the only one found)"
    );
}

#[test]
fn where_the_version_is_unknown_docker_is_one_of_several() {
    let unknown = node("", "{}", None);
    assert_eq!(unasked(&unknown, &[Docker::SOCKET]), "Docker /var/run/docker.sock (the only one found)");
    assert!(unasked(&unknown, &[CONTAINERD, Docker::SOCKET]).starts_with("error: several"));
    let damaged = node("--network-plugin=cni", "{}", Some("latest"));
    assert!(unasked(&damaged, &[CONTAINERD, Docker::SOCKET]).starts_with("error: several"));
}

#[test]
fn only_a_socket_is_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, file) = (dir.path().join("socket"), dir.path().join("file"));
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::write(&file, "").unwrap();
    assert!(is_socket(socket.to_str().unwrap()));
    assert!(!is_socket(file.to_str().unwrap()));
    assert!(!is_socket("/nowhere/at.sock"));
}
