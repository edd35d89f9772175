//! The stand-in does what real kubelets were seen to do with static pods. The back-off runs at a tenth of its time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so, and the others what they saw")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_standins::{Containerd, Image, Kubelet, KubeletOptions, PAUSE, Parts, Pods, Suite};
use tempfile::TempDir;

#[test]
fn a_pod_is_made_for_a_manifest_and_anew_whenever_nothing_is_left_of_it() {
    let Some(node) = Node::start(Suite::Bookworm) else { return };
    let kubelet = node.kubelet();
    let mut running = node.appears("the manifest is there", None);
    for number in 1..=4 {
        node.pods.stop(&running.0);
        node.pods.remove(&running.0);
        running = node.appears(&format!("stop and remove {number}"), Some(&running));
    }
    let mut stream = TcpStream::connect(kubelet.healthz()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");

    let address = kubelet.healthz();
    kubelet.stop();
    assert!(TcpStream::connect(address).is_err());
    node.pods.remove(&running.0);
    sleep(Duration::from_secs(3));
    assert_eq!(node.pods.running(), [], "a kubelet that is stopped makes nothing");
    let _again = node.kubelet();
    node.appears("the kubelet is back", None);
}

#[test]
fn a_pod_that_is_only_stopped_comes_back_later_and_later() {
    let Some(node) = Node::start(Suite::Trixie) else { return };
    let kubelet = node.kubelet();
    let mut running = node.appears("the manifest is there", None);
    let mut waits = Vec::new();
    for number in 1..=3 {
        let begun = Instant::now();
        node.pods.stop(&running.0);
        running = node.appears(&format!("stop {number}"), Some(&running));
        waits.push(begun.elapsed());
    }
    // A wait cannot be shorter than the back-off; how much longer it is, is the machine's affair.
    assert!(waits[1] >= UNIT && waits[2] >= UNIT * 2, "{waits:?}");
    assert!(kubelet.log().iter().any(|line| line.contains("back-off for")), "{:?}", kubelet.log());
}

#[test]
fn a_manifest_that_is_moved_away_ends_its_pod_until_it_is_back() {
    let Some(node) = Node::start(Suite::Bookworm) else { return };
    let _kubelet = node.kubelet();
    let first = node.appears("the manifest is there", None);
    let (file, aside) = (node.manifest(), node.directory.path().join("aside.yaml"));
    fs::rename(&file, &aside).unwrap();
    let begun = Instant::now();
    until("the pod is gone", || node.pods.ready().is_empty());
    eprintln!("manifest moved away: gone after {:.1?}", begun.elapsed());
    fs::rename(&aside, &file).unwrap();
    let second = node.appears("manifest moved back", Some(&first));

    let text = fs::read_to_string(&file).unwrap();
    let hidden = file.with_file_name(".kube-scheduler.yaml");
    fs::write(&hidden, text.replace("tier: control-plane", "tier: changed")).unwrap();
    fs::rename(&hidden, &file).unwrap();
    let third = node.appears("manifest changed", Some(&second));
    until("the old pod is gone", || node.pods.ready() == [third.0.clone()]);
}

/// A node: a runtime with an image, and a manifest.
struct Node {
    // Dropped in this order.
    pods: Pods,
    containerd: Containerd,
    directory: TempDir,
}

impl Node {
    fn start(suite: Suite) -> Option<Self> {
        let parts = match Parts::find() {
            Ok(parts) => parts,
            Err(reason) => {
                eprintln!("SKIPPED kubelet: {reason}");
                return None;
            }
        };
        let containerd = Containerd::start(&parts, suite);
        containerd.import(&Image::of_busybox(&parts), &[PAUSE, "registry.k8s.io/kube-scheduler:v1.36.2"]);
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("manifests")).unwrap();
        let pods = Pods::new(&containerd, "cp-1", directory.path());
        let node = Self { pods, containerd, directory };
        fs::write(node.manifest(), MANIFEST).unwrap();
        Some(node)
    }

    fn manifest(&self) -> PathBuf {
        self.directory.path().join("manifests/kube-scheduler.yaml")
    }

    fn kubelet(&self) -> Kubelet {
        let manifests = self.directory.path().join("manifests");
        let mut options = KubeletOptions::new(&manifests, &self.containerd.socket());
        options.root = self.directory.path().to_owned();
        options.unit = UNIT;
        Kubelet::start(options).unwrap()
    }

    /// Returns the ids of the sandbox and the container that run and are not `old`, once there are such.
    fn appears(&self, after: &str, old: Option<&Running>) -> Running {
        let begun = Instant::now();
        let mut found = None;
        until(after, || {
            found = self.pods.running().into_iter().find(|running| old.is_none_or(|old| old.1 != running.1));
            found.is_some()
        });
        eprintln!("{after}: runs after {:.1?}", begun.elapsed());
        found.unwrap()
    }
}

/// The ids of a sandbox and of its container.
type Running = (String, String);

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited too long until {what}");
        sleep(Duration::from_millis(50));
    }
}

const UNIT: Duration = Duration::from_secs(1);

const MANIFEST: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: kube-scheduler
  namespace: kube-system
  labels:
    component: kube-scheduler
    tier: control-plane
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: kube-scheduler
    image: registry.k8s.io/kube-scheduler:v1.36.2
    command: [/bin/sleep, "1000"]
    volumeMounts:
    - {name: pki, mountPath: /etc/kubernetes/pki, readOnly: true}
  volumes:
  - name: pki
    hostPath: {path: /etc/kubernetes/pki, type: DirectoryOrCreate}
"#;
