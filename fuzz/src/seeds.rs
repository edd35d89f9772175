//! What fuzzing starts from: the files that real kubeadm made, and the plans for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kubecerts_core::kubeconfig::Kubeconfig;
use kubecerts_core::plan::{ClusterIntent, KeyChoice, Plan, PlanRequest, Selection, create, plan};
use kubecerts_core::x509::decode_blocks;
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, RequestMaker, Seeded, at};

use crate::bulk::cluster_of;

/// Returns the seeds of the target `name`, sorted and each once.
///
/// # Panics
/// When a fixture is broken.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let trees: Vec<MemoryTree> = FIXTURES.iter().map(|name| Fixture::named(name).tree()).collect();
    let files = |suffix: &'static str| {
        let all = trees.iter().flat_map(MemoryTree::files);
        all.filter(move |(path, ..)| path.as_str().ends_with(suffix)).map(|(_, bytes, _)| bytes.to_vec())
    };
    let ders = |suffix| {
        let blocks = files(suffix).flat_map(|bytes| decode_blocks(&bytes)).flatten();
        blocks.map(|block| block.secret_bytes().to_vec())
    };
    let others = |suffix: &'static str| {
        let directories = FIXTURES.iter().map(|name| Fixture::named(name).directory().to_owned());
        directories.flat_map(move |directory| files_below(&directory, suffix))
    };
    let mut seeds = BTreeSet::from([Vec::new()]);
    match name {
        "archive" => seeds.extend(crate::archive::seeds()),
        "bulk_requests" => seeds.extend(requests()),
        "cluster_line" => {
            let texts = others("kubeadm-config.yaml").filter_map(|bytes| String::from_utf8(bytes).ok());
            seeds.extend(texts.flat_map(|text| [cluster_of(&text), text]).map(String::into_bytes));
            seeds.extend(CLUSTERS.map(|line| line.as_bytes().to_vec()));
        }
        "pem" => seeds.extend(files(".crt").chain(files(".key")).chain(files(".pub"))),
        "certificate" => seeds.extend(ders(".crt").chain(files(".crt")).chain(others(".csr"))),
        "explain" => {
            seeds.extend(logs());
            seeds.extend(LINES.map(|line| line.as_bytes().to_vec()));
        }
        "key" => seeds.extend(ders(".key").chain(files(".key")).chain(files(".pub"))),
        "kubeadm_config" => seeds.extend(others("kubeadm-config.yaml")),
        "kubeconfig" => {
            seeds.extend(files(".conf").map(|bytes| shorten(&bytes)));
            seeds.extend(KUBECONFIGS.map(|text| text.as_bytes().to_vec()));
        }
        "manifest" => seeds.extend(files(".yaml").chain(others("kubeadm-config.yaml"))),
        "plan_document" => seeds.extend(trees.iter().flat_map(plans).map(|plan| plan.to_json().into_bytes())),
        other => panic!("there is no target {other}"),
    }
    assert!(seeds.len() > 1, "there are seeds for {name}");
    seeds.into_iter().collect()
}

/// Returns what is worth being put into an input of the target `name`.
pub fn tokens(name: &str) -> &'static [&'static str] {
    match name {
        "pem" | "key" => &["-----BEGIN ", "-----END ", "-----", "PRIVATE KEY", "\r\n", "=", "ENCRYPTED", ":"],
        "archive" => &[
            "-----BEGIN PRIVATE KEY-----\n",
            "-----END PRIVATE KEY-----\n",
            "-----",
            "password: ",
            "tokens:\n- ",
            "[",
            "]",
            "{",
            "'",
            "\\\"",
            "\n",
            "\n    ",
            "\u{feff}",
            "\0",
            "ustar\x0000",
            "files/etc/x",
            "\"state\": \"absent\"",
            "../",
            "exec:",
            "https://me:",
            "@",
            "|\n",
        ],
        "bulk_requests" => &[
            "-----BEGIN CERTIFICATE REQUEST-----\n",
            "-----END CERTIFICATE REQUEST-----\n",
            "-----BEGIN ",
            "-----",
            "\n",
            "\r\n",
            "{\"csr\":\"",
            "\"}\n",
            "\",\"name\":\"x\"}\n",
            "\\n",
            "\u{feff}",
            "{",
            "=",
        ],
        "explain" => &[
            "x509: certificate has expired or is not yet valid",
            "certificate signed by unknown authority",
            "current time 2026-06-01T00:00:00+08:00 is after ",
            "SN=",
            "AKID=9A:A4",
            "Unauthorized",
            "https://[::1]:6443/",
            "certificate is valid for a, not b",
            "\n",
            "\\\"",
            "{\"log\":\"",
            "E0601 00:00:00.000000 1 x.go:1] ",
            "time=\"2026-06-01T00:00:00Z\" msg=\"",
            "remote error: tls: ",
            "\u{1b}[31m",
            "\u{202e}",
            "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30",
        ],
        "certificate" => {
            &["\x30\0", "\x06\x03\x55", "\x01\x01\x7f", "\x02\x01", "\x0c\x01", "\x17\x0d", "\\\""]
        }
        "kubeadm_config" | "cluster_line" => &[
            "{\"name\": \"a\", \"config\": ",
            "\\n",
            "\\u000a",
            "\"",
            "}",
            "[",
            "v1beta1",
            "v1beta3",
            "kind: JoinConfiguration\n",
            "\n---\n",
            "certSANs",
            "serviceSubnet: ",
            "fd00::/108",
            ",",
            "*.",
            "::1",
            "/128",
            "encryptionAlgorithm: ",
        ],
        "kubeconfig" | "manifest" => &[
            "- ",
            ": ",
            "|-\n",
            ">+\n",
            "#",
            "\"",
            "'",
            "&a ",
            "*a",
            "!!str ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\n  ",
            "\r\n",
            "---\n",
            "...\n",
            "\\",
            "<<: ",
            "? ",
            "name: ",
            "client-key-data: ",
            "users:\n",
            "hostPath: ",
            "/../",
            "subPath: ",
            "--tls-cert-file=",
            "\u{feff}",
            "\t",
            "~",
            "null",
        ],
        _ => &[
            "\"",
            "\\u0000",
            "null",
            "{}",
            "[]",
            ",",
            "-1",
            "1e999",
            "true",
            "/../",
            "\"slot\": ",
            "\"ca\"",
            "\"apiserver\"",
            "\"etcd-ca\"",
            "0644",
            "\"mode\": ",
            "DNS:",
            "\\\"",
            "\"reuse\"",
        ],
    }
}

/// Returns streams of requests in both forms, whole and with something wrong.
fn requests() -> Vec<Vec<u8>> {
    let maker = RequestMaker::with_keys(2);
    let pem = |number| maker.pem(number);
    let line = |number| format!("{{\"csr\":\"{}\",\"name\":\"n\"}}\n", pem(number).replace('\n', "\\n"));
    let base64 = |number| {
        let digits: String = pem(number).lines().filter(|line| !line.starts_with('-')).collect();
        format!("{{\"csr\":\"{digits}\"}}\n")
    };
    let torn = pem(1).split_at(200).0.to_owned();
    let streams = [
        pem(1),
        [pem(1), pem(2), pem(1)].concat(),
        [torn.clone(), pem(2), "text\n".to_owned(), pem(1).trim_end().to_owned(), pem(2)].concat(),
        [line(1), base64(2), "\n".to_owned(), line(2)].concat(),
        [base64(1), torn, "\n{}\n".to_owned()].concat(),
        pem(1).replace("CERTIFICATE REQUEST", "PRIVATE KEY"),
    ];
    streams.map(String::into_bytes).into()
}

/// Returns the plans that `tree` gives rise to: what is due, everything with new keys, everything with the old ones,
/// and a new tree.
fn plans(tree: &MemoryTree) -> Vec<Plan> {
    let inventory = tree.inventory();
    let now = at("2026-12-01T00:00:00Z");
    let mut reuse = PlanRequest::with_selection(Selection::All);
    reuse.keys = KeyChoice::Reuse;
    let requests = [PlanRequest::default(), PlanRequest::with_selection(Selection::All), reuse];
    let planned = |request| plan(&inventory, request, now, &mut Seeded::new(1)).expect("a plan can be made");
    let intent = ClusterIntent::new("cp-1".parse().expect("it is a node's name"), [192, 168, 10, 11].into());
    let new = create(&intent, now, &mut Seeded::new(1)).expect("the intent is usable");
    requests.iter().map(planned).chain([new]).collect()
}

/// Replaces the certificates in a kubeconfig by short texts: mutations should meet structure and not base64.
fn shorten(bytes: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(bytes).expect("kubeadm writes UTF-8");
    let line = |line: &str| match line.split_once("-data: ") {
        Some((key, _)) => format!("{key}-data: LS0tLS1CRUdJTiBPTEQ=\n"),
        None => format!("{line}\n"),
    };
    let short: String = text.lines().map(line).collect();
    Kubeconfig::parse(short.as_bytes()).expect("it still is a kubeconfig");
    short.into_bytes()
}

fn files_below(directory: &Path, suffix: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files_below(&path, suffix));
        } else if path.to_string_lossy().ends_with(suffix) {
            found.extend(fs::read(&path));
        }
    }
    found
}

/// Clusters whose configuration is no text.
const CLUSTERS: [&str; 3] = [
    r#"{"name": "tenant-a", "config": [{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "nodeRegistration": {"name": "cp-1"}, "localAPIEndpoint": {"advertiseAddress": "10.0.0.1"}}, {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "clusterName": "a\u002db"}]}"#,
    r#"{"config": {"apiVersion": "kubeadm.k8s.io/v1beta3", "kind": "ClusterConfiguration", "etcd": {"external": {}}}, "name": "b"}"#,
    r#"{"name": "c", "config": {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration"}}"#,
];

/// Ways to write a kubeconfig that kubeadm does not use and people do.
const KUBECONFIGS: [&str; 3] = [
    r"users:
- name: me
  user:
    client-key-data: |-
      LS0t
      LS0t
    client-certificate-data: >- # why
      LS0t
    exec: {command: [x]}
",
    r#"{"clusters":[{"name":"c","cluster":{"certificate-authority-data":"LS0t","server":"https://c"}}],
"users":[{"name":"u","user":{"client-certificate-data":"LS0t","client-key-data":"LS0t"}}]}"#,
    "# mine\r\nclusters:\r\n- cluster: {certificate-authority-data: 'LS0t', server: x} # c\r\n  name: &n c\r\n\
     users:\r\n- name: u\r\n  user: {client-certificate-data: LS0t, client-key-data: \"LS0t\"}\r\n- name: *n\r\n",
];

/// The logs of a real outage.
fn logs() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kubecerts-core/tests/data/logs");
    files_below(&directory, ".log")
}

/// Lines in the forms of those who hand logs on.
const LINES: [&str; 8] = [
    "{\"log\":\"E0601 00:00:00.5 1 a.go:1] x509: certificate has expired\\n\",\"stream\":\"stderr\",\"time\":\"2026-06-01T00:00:00.5Z\"}",
    "{\"__REALTIME_TIMESTAMP\":\"1780272000000000\",\"SYSLOG_IDENTIFIER\":\"kubelet\",\"MESSAGE\":\"Unauthorized\"}",
    "{\"level\":\"warn\",\"ts\":\"2026-06-01T00:00:00.2Z\",\"msg\":\"rejected connection\",\"remote-addr\":\"[::1]:5\",\"error\":\"remote error: tls: bad certificate\"}",
    "2026-06-01 00:00:00.203956 I | embed: rejected connection from \"192.16.0.3:37664\" (error \"tls: \\\"192.16.0.3\\\" does not match any of DNSNames [\\\"cp-1\\\"]\")",
    "Jun 01 00:00:00 cp-1 kubelet[911]: E0601 00:00:00.000000 911 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2026-05-22 05:11:53 +0000 UTC",
    "[pod/kube-scheduler-cp-1/kube-scheduler] E0601 00:00:00.5 1 reflector.go:138] failed to list *v1.Node: Unauthorized",
    "time=\"2026-06-01T00:00:00Z\" level=error msg=\"x\" error=\"Get \\\"https://10.96.0.1:443/\\\": x509: certificate is valid for a, b, not 10.96.0.1\"",
    "none of the public keys \"sha256:00\" are pinned; trailing data after first PEM block; invalid bearer token; serial=77:57",
];
