//! A control plane that is dead comes back with one command.

use std::env;
use std::fs;
use std::path::Path;
use std::time::Instant;

use kubecerts_standins::{Parts, Suite};

use crate::boxed::boxed;
use crate::node::{Node, expired, identity, is_let_in, write};

#[test]
fn an_expired_node_whose_kubelet_is_dead_comes_back_with_one_command() {
    boxed(|parts| recover(parts, Suite::Bookworm, Before::ContainersRun));
}

#[test]
fn an_expired_node_on_which_nothing_has_started_after_a_reboot_comes_back_with_one_command() {
    boxed(|parts| recover(parts, Suite::Trixie, Before::NothingRuns));
}

/// What of the node is left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    /// The kubelet has died, what it had started goes on.
    ContainersRun,
    /// The node was booted, and the kubelet did not start.
    NothingRuns,
}

fn recover(parts: &Parts, suite: Suite, before: Before) {
    let tree = expired();
    let node = Node::of(&tree, parts, suite, &[]);
    write(KUBECONFIG, with_another_cluster(tree.read_file("/etc/kubernetes/admin.conf")).as_bytes(), 0o600);
    if before == Before::ContainersRun {
        node.start_pods();
    }
    node.start_kubelet();
    node.kubelet_says("the client certificate has expired");

    let (down, was) = node.tell(&["verify"]);
    assert!(matches!(down, Some(4 | 6)), "{down:?}");
    let begun = Instant::now();
    let (code, told) = node.tell(&["recover", "--yes"]);
    let took = begun.elapsed();
    assert_eq!(code, Some(0));
    let (code, is) = node.tell(&["verify"]);
    assert_eq!(code, Some(0));
    node.run(&["check"]).exits(0);

    for kubeconfig in ["/etc/kubernetes/admin.conf", KUBECONFIG] {
        assert_eq!(identity(kubeconfig)["user"], "kubernetes-admin", "{kubeconfig}");
    }
    is_let_in(10257);
    is_let_in(10259);
    let kubeconfig = fs::read_to_string(KUBECONFIG).unwrap();
    assert!(kubeconfig.contains("name: elsewhere") && kubeconfig.contains("token: kept"), "{kubeconfig}");
    let kubelet = fs::read_to_string("/etc/kubernetes/kubelet.conf").unwrap();
    assert!(
        kubelet.contains("client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem"),
        "{kubelet}"
    );
    let target = fs::read_link("/var/lib/kubelet/pki/kubelet-client-current.pem").unwrap();
    let dated = Path::new("/var/lib/kubelet/pki").join(target);
    assert!(dated.is_file() && dated.to_str().unwrap().contains("kubelet-client-20"), "{dated:?}");
    assert!(told.contains("left for other nodes"), "{told}");

    eprintln!(
        "live: recover of an expired node with {} ({before:?}): 0 manual steps, {:.0} s",
        node.runtime(),
        took.as_secs_f64()
    );
    if let Some(path) = env::var_os("KUBECERTS_TRANSCRIPT").filter(|_| before == Before::ContainersRun) {
        fs::write(path, [was, told, is].join("\n")).unwrap();
    }
}

/// Returns a kubeconfig with another cluster besides, as administrators put theirs together.
fn with_another_cluster(kubeconfig: &[u8]) -> String {
    let text = String::from_utf8(kubeconfig.to_vec()).unwrap();
    text.replace(
        "\ncontexts:\n",
        "\n- cluster: {server: \"https://10.0.0.1:6443\"}\n  name: elsewhere\ncontexts:\n\
         - context: {cluster: elsewhere, user: elsewhere}\n  name: elsewhere\n",
    )
    .replace("\nusers:\n", "\nusers:\n- name: elsewhere\n  user: {token: kept}\n")
}

const KUBECONFIG: &str = "/root/.kube/config";
