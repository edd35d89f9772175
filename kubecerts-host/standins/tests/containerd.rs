//! Both generations of containerd run here, with pods of an image made from scratch.
#![expect(clippy::print_stderr, reason = "a skipped test says so, and the others what they saw")]

use std::time::Instant;

use kubecerts_standins::{Containerd, Image, PAUSE, Parts, Pods, Suite};

#[test]
fn a_static_pod_runs_in_containerd_and_nothing_is_left_of_it() {
    let parts = match Parts::find() {
        Ok(parts) => parts,
        Err(reason) => return eprintln!("SKIPPED containerd: {reason}"),
    };
    for suite in Suite::ALL {
        let begun = Instant::now();
        let containerd = Containerd::start(&parts, suite);
        eprintln!("{} answers after {:?}", containerd.version(), begun.elapsed());
        containerd.import(&Image::of_busybox(&parts), &[PAUSE, "registry.k8s.io/kube-scheduler:v1.36.2"]);
        let root = tempfile::tempdir().unwrap();
        let pods = Pods::new(&containerd, "cp-1", root.path());
        let begun = Instant::now();
        let pod = pods.start(MANIFEST.as_bytes());
        eprintln!("{} runs after {:?}", pod.name, begun.elapsed());
        assert_eq!(pods.ready(), std::slice::from_ref(&pod.sandbox));
        assert_eq!(pod.containers.len(), 1);
        pods.stop(&pod.sandbox);
        assert_eq!(pods.ready(), [""; 0]);
        pods.remove(&pod.sandbox);

        let _running = pods.start(MANIFEST.as_bytes());
        let socket = containerd.socket();
        let begun = Instant::now();
        drop(containerd);
        eprintln!("all is gone after {:?}", begun.elapsed());
        let directory = socket.parent().unwrap();
        assert!(!directory.exists());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(directory.to_str().unwrap()), "{mounts}");
        let group = directory.file_name().unwrap();
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap() {
            assert!(!hierarchy.unwrap().path().join(group).exists());
        }
    }
}

const MANIFEST: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: kube-scheduler
  namespace: kube-system
  labels: {component: kube-scheduler, tier: control-plane}
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
