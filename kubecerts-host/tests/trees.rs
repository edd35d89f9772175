//! The trees of many clusters: directories, archives and Secrets on a real disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use kubecerts_core::catalog::DnsLabel;
use kubecerts_host::crypto::Threads;
use kubecerts_host::trees::{
    Clusters, Destination, OnError, TreeForm, TreesError, TreesEvent, TreesRequest, TreesSummary, make_trees,
};

fn line(name: &str) -> String {
    format!(
        r#"{{"name": "{name}", "config": [{{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "nodeRegistration": {{"name": "cp-1"}}, "localAPIEndpoint": {{"advertiseAddress": "10.0.0.1"}}}}, {{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "kubernetesVersion": "v1.36.2", "clusterName": "{name}", "encryptionAlgorithm": "ECDSA-P256"}}]}}"#
    )
}

fn list(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        writeln!(text, "{}", line(name)).unwrap();
    }
    text
}

fn request(threads: usize) -> TreesRequest {
    let mut request = TreesRequest::default();
    request.threads = Threads::new(NonZeroUsize::new(threads).unwrap());
    request
}

/// What a run told.
struct Run {
    result: Result<TreesSummary, TreesError>,
    events: Vec<String>,
}

impl Run {
    fn of(clusters: Clusters, destination: Destination<'_>, request: &TreesRequest) -> Self {
        let mut events = Vec::new();
        let result = make_trees(clusters, destination, request, &mut |event| {
            events.push(match event {
                TreesEvent::Begun(total) => format!("begun {total:?}"),
                TreesEvent::Removed(path) => {
                    format!("removed {}", path.file_name().unwrap().to_str().unwrap())
                }
                TreesEvent::Remark { line, name, remark, .. } => format!("{line} {name} remark {remark}"),
                TreesEvent::Made { line, name, .. } => format!("{line} {name} made"),
                TreesEvent::Kept { line, name, .. } => format!("{line} {name} kept"),
                TreesEvent::Failed(failure) => {
                    let name = failure.name.as_ref().map(DnsLabel::as_str);
                    let mut text = format!("{} {name:?} {}", failure.line, failure.problem);
                    let mut source = std::error::Error::source(&failure.problem);
                    while let Some(error) = source {
                        write!(text, ": {error}").unwrap();
                        source = error.source();
                    }
                    text
                }
                TreesEvent::Ended(_) => return,
                _ => String::new(),
            });
        });
        Self { result, events }
    }

    /// Returns how many were made, kept, failed.
    #[track_caller]
    fn counts(&self) -> (u64, u64, u64) {
        let summary = self.result.as_ref().unwrap();
        (summary.made, summary.kept, summary.failed)
    }
}

struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes the trees of a file with `text`.
    fn make(&self, text: &str, out: &str, form: TreeForm, request: &TreesRequest) -> Run {
        let file = self.path("clusters.jsonl");
        fs::write(&file, text).unwrap();
        let destination = Destination::at(&self.path(out), form).unwrap();
        Run::of(Clusters::open(&file).unwrap(), destination, request)
    }

    fn names(&self, directory: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Returns the mode and the length class of everything below `directory`: structure without what differs by chance.
fn structure(directory: &Path) -> BTreeMap<String, u32> {
    fn walk(top: &Path, directory: &Path, found: &mut BTreeMap<String, u32>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            if meta.is_dir() {
                walk(top, &path, found);
            }
            found.insert(name, meta.mode());
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, &mut found);
    found
}

/// Asks OpenSSL about every chain below `root`; returns how many were asked about, 0 when there is no OpenSSL.
fn verified(root: &Path) -> usize {
    let pki = root.join("etc/kubernetes/pki");
    let mut count = 0;
    for (ca, leaf) in [
        ("ca.crt", "apiserver.crt"),
        ("ca.crt", "apiserver-kubelet-client.crt"),
        ("etcd/ca.crt", "etcd/server.crt"),
        ("etcd/ca.crt", "apiserver-etcd-client.crt"),
        ("front-proxy-ca.crt", "front-proxy-client.crt"),
    ] {
        let asked = Command::new("openssl")
            .arg("verify")
            .arg("-CAfile")
            .arg(pki.join(ca))
            .arg(pki.join(leaf))
            .output();
        match asked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return 0,
            asked => assert!(asked.unwrap().status.success(), "{leaf}"),
        }
        count += 1;
    }
    count
}

fn skipped(name: &str, reason: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED {name}: {reason}");
}

#[test]
fn every_cluster_gets_a_directory_with_a_whole_tree() {
    let world = World::new();
    let run = world.make(&list(&["b", "a", "c-1"]), "out", TreeForm::Files, &request(2));
    assert_eq!(run.counts(), (3, 0, 0));
    assert_eq!(run.events, ["begun Some(3)", "1 b made", "2 a made", "3 c-1 made"]);
    let summary = run.result.unwrap();
    assert_eq!((summary.files, summary.certificates), (81, 45));
    assert_eq!(world.names("out"), ["a", "b", "c-1"].map(str::to_owned).into());
    assert_eq!(fs::metadata(world.path("out")).unwrap().permissions().mode() & 0o7777, 0o700);
    for name in ["a", "b", "c-1"] {
        let root = world.path("out").join(name);
        let modes = structure(&root);
        assert_eq!(modes["etc/kubernetes/pki/ca.key"] & 0o7777, 0o600);
        assert_eq!(modes["etc/kubernetes/pki/ca.crt"] & 0o7777, 0o644);
        assert_eq!(modes["etc/kubernetes/admin.conf"] & 0o7777, 0o600);
        let admin = fs::read_to_string(root.join("etc/kubernetes/admin.conf")).unwrap();
        assert!(admin.contains(&format!("kubernetes-admin@{name}")), "the cluster is called as configured");
        if verified(&root) == 0 {
            skipped("every_cluster_gets_a_directory_with_a_whole_tree", "there is no openssl");
        }
    }
}

#[test]
fn an_archive_is_what_directories_are() {
    let world = World::new();
    let names = ["b", "a", "c", "d", "e"];
    assert_eq!(world.make(&list(&names), "out", TreeForm::Files, &request(2)).counts(), (5, 0, 0));
    assert_eq!(world.make(&list(&names), "out.tar", TreeForm::Files, &request(2)).counts(), (5, 0, 0));
    assert_eq!(fs::metadata(world.path("out.tar")).unwrap().permissions().mode() & 0o7777, 0o600);
    fs::create_dir(world.path("extracted")).unwrap();
    let tar = Command::new("tar")
        .args(["--same-permissions", "-xf"])
        .arg(world.path("out.tar"))
        .arg("-C")
        .arg(world.path("extracted"))
        .output();
    let tar = match tar {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return skipped("an_archive_is_what_directories_are", "there is no tar");
        }
        tar => tar.unwrap(),
    };
    assert!(tar.status.success() && tar.stderr.is_empty(), "{tar:?}");
    assert_eq!(structure(&world.path("out")), structure(&world.path("extracted")));
    verified(&world.path("extracted/a"));
    let mut archive = tar::Archive::new(fs::File::open(world.path("out.tar")).unwrap());
    let mut clusters = Vec::new();
    let mut paths = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let cluster = path.split('/').next().unwrap().to_owned();
        if clusters.last() != Some(&cluster) {
            assert!(paths.is_sorted(), "{paths:?}");
            paths.clear();
            clusters.push(cluster);
        }
        paths.push(path);
    }
    assert_eq!(clusters, names, "the order is that of the list");
}

#[test]
fn a_stream_gets_the_same_archive_as_a_file() {
    let world = World::new();
    let mut bytes = Vec::new();
    let clusters = Clusters::from_stream(io::Cursor::new(list(&["a", "b"])));
    let run = Run::of(clusters, Destination::stream(&mut bytes, TreeForm::Files), &request(1));
    assert_eq!(run.counts(), (2, 0, 0));
    assert_eq!(run.events[0], "begun None");
    world.make(&list(&["a", "b"]), "out.tar", TreeForm::Files, &request(1));
    let paths = |bytes: &[u8]| -> Vec<PathBuf> {
        let mut archive = tar::Archive::new(bytes);
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect()
    };
    assert_eq!(paths(&bytes), paths(&fs::read(world.path("out.tar")).unwrap()));
    assert!(bytes.ends_with(&[0; 1024]));
}

#[test]
fn secrets_go_into_one_text_or_a_file_for_each_cluster() {
    let world = World::new();
    let mut request = request(2);
    request.namespace = DnsLabel::parse("tenants").ok();
    assert_eq!(world.make(&list(&["b", "a"]), "all.yaml", TreeForm::Secrets, &request).counts(), (2, 0, 0));
    let text = fs::read_to_string(world.path("all.yaml")).unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
    assert_eq!(names, ["\"b-kubeadm-certs\"", "\"a-kubeadm-certs\""]);
    assert_eq!(text.matches("  namespace: \"tenants\"\n").count(), 2);
    assert_eq!(world.make(&list(&["b", "a"]), "each", TreeForm::ClusterApi, &request).counts(), (2, 0, 0));
    assert_eq!(world.names("each"), ["a.yaml", "b.yaml"].map(str::to_owned).into());
    let text = fs::read_to_string(world.path("each/a.yaml")).unwrap();
    assert_eq!(text.matches("type: cluster.x-k8s.io/secret\n").count(), 5);
    assert_eq!(fs::metadata(world.path("each/a.yaml")).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn endings_that_do_not_go_with_the_form_are_refused() {
    for (path, form) in [
        ("a.yaml", TreeForm::Files),
        ("a.yml", TreeForm::Files),
        ("a.tar", TreeForm::Secrets),
        ("a.TAR", TreeForm::ClusterApi),
    ] {
        assert!(Destination::at(Path::new(path), form).is_err(), "{path}");
    }
}

#[test]
fn shards_make_every_cluster_once() {
    let world = World::new();
    let names: Vec<String> = (0..7).map(|number| format!("t-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut made = 0;
    for part in ["0/3", "1/3", "2/3"] {
        let mut request = request(2);
        request.shard = part.parse().ok();
        let run = world.make(&list(&names), "out", TreeForm::Files, &request);
        made += run.counts().0;
        assert_eq!(run.events[0], format!("begun Some({})", run.counts().0));
    }
    assert_eq!((made, world.names("out").len()), (7, 7));
}

#[test]
fn a_name_that_is_there_twice_stops_everything_before_it_begins() {
    let world = World::new();
    let run = world.make(&list(&["a", "b", "a"]), "out", TreeForm::Files, &request(1));
    assert_eq!(run.result.unwrap_err().to_string(), "a is in line 1 and in line 3");
    assert!(!world.path("out").exists());
    // A stream cannot be read twice, so there it is the failure of the later one.
    let clusters = Clusters::from_stream(io::Cursor::new(list(&["a", "b", "a"])));
    let mut request = request(2);
    request.on_error = OnError::Skip;
    let destination = Destination::at(&world.path("out"), TreeForm::Files).unwrap();
    let run = Run::of(clusters, destination, &request);
    assert_eq!(run.counts(), (2, 0, 1));
    assert_eq!(run.events[3], "3 Some(\"a\") the name is that of line 1 already");
}

#[test]
fn damaged_lines_are_named_and_left_out() {
    let world = World::new();
    let joins = r#"{"name": "joins", "config": {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration"}}"#;
    let nameless = line("x")
        .replace("\"nodeRegistration\": {\"name\": \"cp-1\"}, ", "")
        .replace("\"x\"", "\"nodeless\"");
    let contradicts =
        line("contradicts").replace("\"clusterName\"", "\"clusterName\": \"other\", \"clusterName\"");
    let remarkable = line("remarkable").replace("\"clusterName\"", "\"certSans\": [], \"clusterName\"");
    let placed = |name: &str, directory: &str| {
        line(name)
            .replace("\"clusterName\"", &format!("\"certificatesDir\": \"{directory}\", \"clusterName\""))
    };
    let long = format!("{{\"name\": \"long\", \"config\": \"{}\"}}", "x".repeat(1 << 20));
    let text = [
        line("good"),
        "{".to_owned(),
        String::new(),
        "\u{0}\u{7}".to_owned(),
        line("../etc"),
        joins.to_owned(),
        nameless,
        contradicts,
        long,
        remarkable,
        "[]".to_owned(),
        placed("in-a-file", "/etc/kubernetes/admin.conf/pki"),
        placed("deep", &"/directory".repeat(40)),
        placed("elsewhere", "/opt/pki"),
        line("last"),
    ]
    .join("\n");
    let mut request = request(2);
    request.on_error = OnError::Skip;
    let run = world.make(&text, "out", TreeForm::Files, &request);
    assert_eq!(run.counts(), (4, 0, 10), "{:#?}", run.events);
    assert_eq!(world.names("out"), ["elsewhere", "good", "last", "remarkable"].map(str::to_owned).into());
    let find = |start: &str| run.events.iter().find(|event| event.starts_with(start)).unwrap();
    assert!(find("2 None").contains("line 1, column"), "{:?}", run.events);
    assert!(find("5 None").contains("\"../etc\" is not a DNS label"), "{:?}", run.events);
    assert!(find("6 Some(\"joins\")").contains("JoinConfiguration"));
    assert!(find("7 Some(\"nodeless\")").contains("nodeRegistration.name"));
    assert!(find("8 Some(\"contradicts\")").contains("contradicts"));
    assert!(find("9 None").contains("longer than"));
    assert!(find("10 remarkable remark").contains("certSans"));
    assert!(find("12 Some(\"in-a-file\")").contains("certificatesDir"));
    assert!(find("13 Some(\"deep\")").contains("certificatesDir"));
    assert!(world.path("out/elsewhere/opt/pki/etcd/ca.key").exists());
    assert!(!run.result.unwrap().stopped);
    // What is elsewhere is found there again.
    request.resume = true;
    let run = world.make(&placed("elsewhere", "/opt/pki"), "out", TreeForm::Files, &request);
    assert_eq!(run.counts(), (0, 1, 0), "{:#?}", run.events);
}

#[test]
fn a_directory_that_no_archive_can_name_is_the_failure_of_its_cluster() {
    let world = World::new();
    let long = line("long").replace(
        "\"clusterName\"",
        &format!("\"certificatesDir\": \"/{}\", \"clusterName\"", "x".repeat(120)),
    );
    let text = [line("a"), long, line("b")].join("\n");
    let mut request = request(2);
    request.on_error = OnError::Skip;
    for out in ["out.tar", "out"] {
        let run = world.make(&text, out, TreeForm::Files, &request);
        assert!(run.events.iter().any(|event| event.starts_with("2 Some(\"long\") certificatesDir")));
        assert_eq!(run.counts(), (2, 0, 1), "{out}: {:#?}", run.events);
    }
}

#[test]
fn a_damaged_line_stops_a_run_that_is_to_stop() {
    let world = World::new();
    let stopping = |threads| {
        let mut request = request(threads);
        request.on_error = OnError::Stop;
        request
    };
    let text = format!("{}{{}}\n{}", list(&["a", "b"]), list(&["c", "d", "e", "f", "g", "h", "i"]));
    let run = world.make(&text, "out.tar", TreeForm::Files, &stopping(1));
    let summary = run.result.unwrap();
    assert!(summary.stopped);
    assert_eq!((summary.made, summary.failed), (0, 1), "nothing is left of what was made");
    assert_eq!((summary.files, summary.certificates), (0, 0));
    assert_eq!(
        world.names("."),
        ["clusters.jsonl"].map(str::to_owned).into(),
        "nothing is left of the archive"
    );
    let bad = format!("{}{}", "{}\n".repeat(3), list(&["a", "b"]));
    let run = world.make(&bad, "out", TreeForm::Files, &stopping(2));
    assert_eq!(run.result.unwrap().failed, 1, "it stopped at the first one");
    let run = world.make(&text, "more", TreeForm::Files, &stopping(2));
    let summary = run.result.unwrap();
    assert!(summary.stopped);
    assert_eq!(summary.made, world.names("more").len() as u64, "what is there is counted");
    assert!(!world.path("more/i").exists());
}

#[test]
fn what_is_there_and_right_is_kept_and_anything_else_is_refused() {
    let world = World::new();
    let text = list(&["a", "b", "c", "d", "e"]);
    let mut request = request(2);
    request.on_error = OnError::Skip;
    world.make(&list(&["a", "b", "d"]), "out", TreeForm::Files, &request);
    let again = world.make(&text, "out", TreeForm::Files, &request);
    assert_eq!(again.counts(), (2, 0, 3));
    assert!(again.events.iter().any(|event| event.contains("there is something at")), "{:?}", again.events);
    let before = structure(&world.path("out"));
    let ca = fs::read(world.path("out/a/etc/kubernetes/pki/ca.crt")).unwrap();
    request.resume = true;
    assert_eq!(world.make(&text, "out", TreeForm::Files, &request).counts(), (0, 5, 0));
    assert_eq!(structure(&world.path("out")), before);
    assert_eq!(fs::read(world.path("out/a/etc/kubernetes/pki/ca.crt")).unwrap(), ca);

    fs::remove_file(world.path("out/a/etc/kubernetes/pki/sa.key")).unwrap();
    fs::copy(world.path("out/b/etc/kubernetes/pki/ca.crt"), world.path("out/c/etc/kubernetes/pki/ca.crt"))
        .unwrap();
    fs::set_permissions(world.path("out/d/etc/kubernetes/pki/ca.key"), fs::Permissions::from_mode(0o644))
        .unwrap();
    fs::remove_dir_all(world.path("out/e")).unwrap();
    symlink("/nowhere", world.path("out/e")).unwrap();
    let run = world.make(&text, "out", TreeForm::Files, &request);
    assert_eq!(run.counts(), (0, 1, 4), "{:#?}", run.events);
    let find = |start: &str| run.events.iter().find(|event| event.starts_with(start)).unwrap();
    assert!(find("1 Some(\"a\")").contains("/etc/kubernetes/pki/sa.key is not there"), "{:#?}", run.events);
    assert!(find("3 Some(\"c\")").contains("/etc/kubernetes/pki/ca"), "{:#?}", run.events);
    assert!(find("4 Some(\"d\")").contains("open to others"), "{:#?}", run.events);
    assert!(!world.path("out/a/etc/kubernetes/pki/sa.key").exists(), "nothing is mended");
}

#[test]
fn what_an_interrupted_run_has_left_goes_away() {
    let world = World::new();
    fs::create_dir_all(world.path("out/.a.kubecerts-0123456789abcdef/etc")).unwrap();
    fs::write(world.path("out/.a.kubecerts-0123456789abcdef/etc/ca.key"), "secret").unwrap();
    // This one is another run's.
    fs::create_dir_all(world.path("out/.z.kubecerts-0123456789abcdef")).unwrap();
    fs::create_dir_all(world.path("out/.a.kubecerts-mine")).unwrap();
    let run = world.make(&list(&["a"]), "out", TreeForm::Files, &request(1));
    assert_eq!(run.counts(), (1, 0, 0));
    assert!(run.events.contains(&"removed .a.kubecerts-0123456789abcdef".to_owned()));
    let left = [".a.kubecerts-mine", ".z.kubecerts-0123456789abcdef", "a"];
    assert_eq!(world.names("out"), left.map(str::to_owned).into());
}

#[test]
fn what_another_run_is_making_stays() {
    let world = World::new();
    for name in [".a.kubecerts-0123456789abcdef", ".b.kubecerts-0123456789abcdef"] {
        fs::create_dir_all(world.path("out").join(name)).unwrap();
    }
    let lock = fs::File::open(world.path("out/.a.kubecerts-0123456789abcdef")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let run = world.make(&list(&["a", "b"]), "out", TreeForm::Files, &request(1));
    assert_eq!(run.counts(), (2, 0, 0));
    assert_eq!(world.names("out"), [".a.kubecerts-0123456789abcdef", "a", "b"].map(str::to_owned).into());
}

#[test]
fn what_an_interrupted_run_has_left_of_one_file_goes_away() {
    let world = World::new();
    let left = [".out.tar.kubecerts-0123456789abcdef", ".other.tar.kubecerts-0123456789abcdef"];
    for name in left {
        fs::write(world.path(name), "secret").unwrap();
    }
    let run = world.make(&list(&["a"]), "out.tar", TreeForm::Files, &request(1));
    assert_eq!(run.counts(), (1, 0, 0));
    assert!(run.events.contains(&format!("removed {}", left[0])), "{:?}", run.events);
    assert_eq!(world.names("."), ["clusters.jsonl", "out.tar", left[1]].map(str::to_owned).into());
}

#[test]
fn one_file_or_stream_cannot_be_resumed_nor_replaced() {
    let world = World::new();
    let mut request = request(1);
    fs::write(world.path("out.tar"), "mine").unwrap();
    let run = world.make(&list(&["a"]), "out.tar", TreeForm::Files, &request);
    assert!(matches!(run.result, Err(TreesError::Write { .. })));
    assert_eq!(fs::read(world.path("out.tar")).unwrap(), b"mine");
    request.resume = true;
    let run = world.make(&list(&["a"]), "other.tar", TreeForm::Files, &request);
    assert!(matches!(run.result, Err(TreesError::NotResumable)));
}

/// Takes so many bytes and then no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_is_full_ends_the_run() {
    let names: Vec<String> = (0..30).map(|number| format!("t-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let clusters = Clusters::from_stream(io::Cursor::new(list(&names)));
    let mut full = Full(100_000);
    let run = Run::of(clusters, Destination::stream(&mut full, TreeForm::Files), &request(2));
    let Err(TreesError::Write { source, .. }) = run.result else { panic!("{:?}", run.result) };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_list_without_clusters_makes_nothing() {
    let world = World::new();
    for text in ["", "\n\n"] {
        let run = world.make(text, "out", TreeForm::Files, &request(2));
        assert_eq!(run.counts(), (0, 0, 0));
    }
    assert!(world.names("out").is_empty());
    let missing = Clusters::open(&world.path("missing")).unwrap_err();
    assert!(missing.to_string().contains("missing"));
    assert!(Clusters::open(&world.path("out")).is_err(), "a directory is no list");
}
