use super::*;

/// An entry as dockershim marks it.
fn entry(id: &str, state: &str, sandbox: Option<&str>, pod: &str, name: &str, more: &str) -> String {
    let (kind, owner) = match sandbox {
        Some(sandbox) => ("container", format!(r#""io.kubernetes.sandbox.id": "{sandbox}","#)),
        None => ("podsandbox", String::new()),
    };
    format!(
        r#"{{"Id": "{id}", "State": "{state}", "Names": ["/k8s_x"], "Labels": {{
            "io.kubernetes.docker.type": "{kind}", {owner} {more} "io.kubernetes.container.name": "{name}",
            "io.kubernetes.pod.name": "{pod}", "io.kubernetes.pod.namespace": "kube-system", "io.kubernetes.pod.uid": "u1"}}}}"#
    )
}

fn found(entries: &[String]) -> Vec<Pod> {
    pods(serde_json::from_str(&format!("[{}]", entries.join(","))).unwrap())
}

#[test]
fn a_pod_is_its_sandbox_and_the_containers_that_name_it() {
    let pods = found(&[
        entry("c2", "exited", Some("s1"), "kube-apiserver-cp-1", "kube-apiserver", ""),
        entry("c1", "running", Some("s1"), "kube-apiserver-cp-1", "kube-apiserver", ""),
        entry("s1", "running", None, "kube-apiserver-cp-1", "POD", r#""component": "kube-apiserver","#),
    ]);
    let [pod] = pods.as_slice() else { panic!("{pods:?}") };
    assert_eq!((pod.component, pod.sandbox.as_str(), pod.is_ready), (Component::ApiServer, "s1", true));
    assert_eq!((pod.name.as_str(), pod.uid.as_str()), ("kube-apiserver-cp-1", "u1"));
    let containers: Vec<_> = pod.containers.iter().map(|c| (c.id.as_str(), c.is_running)).collect();
    assert_eq!(containers, [("c1", true), ("c2", false)]);
    assert!(pod.containers.iter().all(|container| container.name == "kube-apiserver"));
}

#[test]
fn a_container_without_its_sandbox_is_not_lost() {
    let pods = found(&[entry("c1", "running", Some("s9"), "etcd-cp-1", "etcd", "")]);
    assert_eq!((pods[0].sandbox.as_str(), pods[0].is_ready), ("s9", false));
    assert!(pods[0].containers[0].is_running);
}

#[test]
fn what_is_no_static_pod_of_the_control_plane_is_left_out() {
    let api = r#""annotation.kubernetes.io/config.source": "api","#;
    let file = r#""annotation.kubernetes.io/config.source": "file","#;
    let entries = [
        entry("a1", "running", None, "etcd-operator-0", "POD", r#""component": "etcd-operator","#),
        entry("a2", "running", Some("a1"), "etcd-operator-0", "manager", ""),
        entry("a3", "running", None, "etcd-backup", "POD", api),
        entry("a4", "running", None, "etcdctl", "POD", file),
        entry("a5", "running", None, "kubelet-proxy", "POD", file),
        entry("a6", "running", None, "etcd-cp-1", "POD", file).replace("kube-system", "other"),
        entry("a/7", "running", None, "etcd-cp-1", "POD", file),
        entry("a8", "running", Some(""), "etcd-cp-1", "etcd", ""),
        entry("a9", "running", None, "etcd-cp-1", "POD", file).replace("podsandbox", "else"),
        r#"{"Id": "b1", "State": "running", "Labels": null}"#.to_owned(),
        r#"{"Id": "b2"}"#.to_owned(),
    ];
    assert_eq!(found(&entries), []);
    assert_eq!(found(&[entry("a6", "exited", None, "etcd-cp-1", "POD", file)]).len(), 1);
}

#[test]
fn the_newest_version_of_the_api_that_both_speak_is_taken() {
    let agree = |oldest, newest| ApiVersion::agree(oldest, newest).map(|version| version.to_string());
    assert_eq!(agree(Some("1.12"), "1.41").unwrap(), "1.41");
    assert_eq!(agree(Some("1.24"), "1.51").unwrap(), "1.51");
    assert_eq!(agree(Some("1.44"), "1.60").unwrap(), "1.51");
    assert_eq!(agree(None, "1.24").unwrap(), "1.24");
    assert_eq!(agree(Some(""), "1.40").unwrap(), "1.40");
    assert_eq!(
        agree(Some("1.60"), "1.70").unwrap_err(),
        "it speaks versions 1.60 to 1.70 of its API, and only 1.24 to 1.51 are known"
    );
    assert!(agree(None, "1.9").is_err(), "1.9 is older than 1.24");
    for wrong in ["", "1", "one.two", "1.99999", "1.2.3"] {
        assert!(agree(None, wrong).unwrap_err().contains("no version of its API"), "{wrong}");
    }
}

#[test]
fn the_start_is_told_to_the_nanosecond_and_never_is_no_start() {
    let inspected = |text: &str| -> Inspected { serde_json::from_str(text).unwrap() };
    let runs = inspected(r#"{"State": {"Running": true, "StartedAt": "2026-11-22T07:00:01.123456789Z"}}"#);
    assert!(runs.is_running());
    let start = runs.started().unwrap();
    assert_eq!((start.to_string().as_str(), start.nanosecond()), ("2026-11-22T07:00:01.123Z", 123_456_789));
    let created = inspected(r#"{"State": {"Running": false, "StartedAt": "0001-01-01T00:00:00Z"}}"#);
    assert!(!created.is_running() && created.started().is_none());
    assert!(inspected(r#"{"State": {}}"#).started().is_none());
}

#[test]
fn what_an_engine_says_is_one_line_however_it_says_it() {
    let conflict = br#"{"message": "removal of container x\nis already in progress"}"#;
    assert_eq!(message(409, conflict), "removal of container x is already in progress");
    assert_eq!(
        message(400, b"client version 1.99 is too new.\n\x1b[31m"),
        "client version 1.99 is too new. [31m"
    );
    assert_eq!(message(500, b""), "status 500");
    assert_eq!(message(502, b"\xff\xfe"), "\u{fffd}\u{fffd}");
    assert_eq!(message(500, &[b'x'; 100_000]).len(), 300);
    assert!(is_in_progress(br#"{"message": "removal of container x is already in progress"}"#));
    assert!(!is_in_progress(b"conflict"));
}
