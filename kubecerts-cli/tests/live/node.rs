//! A node that runs in a box.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use kubecerts_core::catalog::Component;
use kubecerts_core::kubeconfig::{Kubeconfig, Source, user_key};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_standins::{Containerd, Image, KubeletOptions, KubeletService, PAUSE, Parts, Pods, Suite};
use kubecerts_testkit::{MemoryTree, TreeBuilder, at};
use serde_json::Value;

use crate::manifests::{ADDRESS, HABITS, PODS, image, manifest};
use crate::support::{Outcome, command};

/// A node: a tree, a runtime with images, manifests, and a kubelet that does not run yet.
pub(crate) struct Node {
    // Dropped in this order.
    kubelet: KubeletService,
    pods: Pods,
    containerd: Containerd,
}

impl Node {
    /// Puts a node together from `tree`, whose components have these habits.
    pub(crate) fn of(tree: &MemoryTree, parts: &Parts, suite: Suite, habits: &[(Component, &str)]) -> Self {
        for (path, content, mode) in tree.files() {
            write(path.as_str(), content, mode);
        }
        let containerd = Containerd::start(parts, suite);
        let images = PODS.map(image);
        let mut names: Vec<&str> = images.iter().map(String::as_str).collect();
        names.push(PAUSE);
        containerd.import(&Image::of_server().unwrap(), &names);
        for component in PODS {
            let own = habits.iter().filter(|(of, _)| *of == component).map(|(_, habit)| *habit);
            let text = manifest(component, &own.collect::<Vec<_>>());
            write(&path_of(component), text.as_bytes(), 0o600);
        }
        write("/var/lib/kubelet/config.yaml", configuration(&containerd.socket()).as_bytes(), 0o644);
        // The kubelet makes it when it starts for the first time.
        fs::create_dir_all("/var/lib/kubelet/pki").unwrap();
        let mut options = KubeletOptions::new(Path::new("/etc/kubernetes/manifests"), &containerd.socket());
        options.kubeconfig = Some("/etc/kubernetes/kubelet.conf".into());
        options.healthz = SocketAddr::from((Ipv4Addr::LOCALHOST, 10248));
        options.api = Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 10250)));
        options.unit = Duration::from_secs(1);
        let kubelet = KubeletService::new(&options).unwrap();
        let pods = Pods::new(&containerd, "cp-1", Path::new("/"));
        Self { kubelet, pods, containerd }
    }

    /// Puts a node together whose certificates are valid, and waits until it is well.
    pub(crate) fn well(parts: &Parts, habits: &[(Component, &str)]) -> Self {
        let yesterday = now().minus(Seconds::from_hours(24));
        let tree = TreeBuilder::kubeadm().made(yesterday).build();
        let node = Self::of(&tree, parts, Suite::Bookworm, habits);
        node.start_kubelet();
        node.run(&["verify", "--watch", "--timeout", "60s"]).exits(0);
        node
    }

    /// Starts the kubelet, which ends at once when its credential is over.
    pub(crate) fn start_kubelet(&self) {
        assert!(self.kubelet.systemctl("start"));
    }

    pub(crate) fn stop_kubelet(&self) {
        assert!(self.kubelet.systemctl("stop"));
    }

    /// Waits until the kubelet has logged `text`.
    pub(crate) fn kubelet_says(&self, text: &str) {
        until(|| self.kubelet.log().contains(text), || self.kubelet.log());
    }

    /// Starts the pods without a kubelet, as those that one had started before it died.
    pub(crate) fn start_pods(&self) {
        for component in PODS {
            self.pods.start(&fs::read(path_of(component)).unwrap());
        }
    }

    /// Returns the runtime's name and version.
    pub(crate) fn runtime(&self) -> &str {
        self.containerd.version()
    }

    /// Returns the ids of the containers that run.
    pub(crate) fn running(&self) -> Vec<(String, String)> {
        let mut running = self.pods.running();
        running.sort();
        running
    }

    /// Runs `kubecerts` on this node.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let outcome = Outcome::of(self.command(arguments).output().unwrap());
        eprintln!("$ kubecerts {}\n{}{}", arguments.join(" "), outcome.stdout, outcome.stderr);
        outcome
    }

    /// Runs `kubecerts` on this node, and returns its exit code and everything it says in its order.
    pub(crate) fn tell(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let status = self
            .command(arguments)
            .stdout(Stdio::from(appending(file.path())))
            .stderr(Stdio::from(appending(file.path())))
            .status()
            .unwrap();
        let said = fs::read_to_string(file.path()).unwrap();
        let said = format!("$ kubecerts {}\n{said}", arguments.join(" "));
        eprintln!("{said}");
        (status.code(), said)
    }

    /// Returns what `verify` says in JSON.
    pub(crate) fn usages(&self) -> Usages {
        let outcome = Outcome::of(self.command(&["verify", "-o", "json"]).output().unwrap());
        Usages(serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}")))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        let path = format!("{}:{}", self.kubelet.path().display(), env::var("PATH").unwrap());
        command.env("PATH", path).env("HOME", "/root");
        command
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the kubelet's log:\n{}", self.kubelet.log());
        }
    }
}

/// What `verify` found.
pub(crate) struct Usages(Value);

impl Usages {
    /// Returns the containers and processes by the name of their component.
    pub(crate) fn runs(&self) -> BTreeMap<String, String> {
        let usages = self.0["usages"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
        usages.map(|usage| (text(&usage["component"]), text(&usage["run"]))).collect()
    }

    /// Returns the components with this verdict on any of their files.
    pub(crate) fn with(&self, verdict: &str) -> Vec<String> {
        self.of(|usage| usage["verdict"] == verdict)
    }

    /// Returns the components that do not use what is on disk, or of which that is not known.
    pub(crate) fn unsettled(&self) -> Vec<String> {
        self.of(|usage| usage["settled"] == false)
    }

    fn of(&self, filter: impl Fn(&Value) -> bool) -> Vec<String> {
        let usages = self.0["usages"].as_array().unwrap().iter();
        let found = usages.filter(|usage| filter(usage));
        let mut found: Vec<_> = found.map(|usage| usage["component"].as_str().unwrap().to_owned()).collect();
        found.dedup();
        found
    }
}

/// Returns the tree of a node that nobody has looked at for years.
pub(crate) fn expired() -> MemoryTree {
    TreeBuilder::kubeadm().made(at("2024-01-01T00:00:00Z")).build()
}

/// Returns as whom the API server knows the user of the kubeconfig at `path`.
pub(crate) fn identity(path: &str) -> Value {
    let bytes = fs::read(path).unwrap();
    let kubeconfig = Kubeconfig::parse(&bytes).unwrap();
    let user = kubeconfig.current().unwrap().user;
    let Source::Data(certificate) = user.client_certificate() else { panic!("{path} embeds none") };
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        fs::write(directory.path().join(name), content).unwrap();
        directory.path().join(name).display().to_string()
    };
    let certificate = file("certificate", certificate);
    let key = file("key", user_key(&bytes, user.name()).unwrap().secret_bytes());
    let authority = "/etc/kubernetes/pki/ca.crt";
    curl(&[
        "--cacert",
        authority,
        "--cert",
        &certificate,
        "--key",
        &key,
        &format!("https://{ADDRESS}:6443/api"),
    ])
}

/// Waits until the API server accepts the credential that the component at `port` has in memory.
pub(crate) fn is_let_in(port: u16) {
    let credential = || curl(&["--insecure", &format!("https://127.0.0.1:{port}/stand-in/credential")]);
    until(|| credential()["answer"] == "200 OK", || credential().to_string());
}

/// Returns every file below the directories that a renewal writes to.
pub(crate) fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec!["/etc/kubernetes".into(), Path::new("/root/.kube").to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.insert(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Puts a file among those that change habits; returns its path.
pub(crate) fn habit(name: &str, content: &[u8]) -> String {
    let path = format!("{HABITS}/{name}");
    write(&path, content, 0o600);
    path
}

/// Writes a file of the node.
pub(crate) fn write(path: &str, content: &[u8], mode: u32) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Waits until `condition` holds; if it does not, the test fails with `why`.
fn until(condition: impl Fn() -> bool, why: impl Fn() -> String) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited too long: {}", why());
        sleep(Duration::from_millis(100));
    }
}

fn curl(arguments: &[&str]) -> Value {
    let output = Command::new("curl").args(["-sS", "--max-time", "10"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn appending(path: &Path) -> fs::File {
    fs::OpenOptions::new().append(true).open(path).unwrap()
}

fn path_of(component: Component) -> String {
    format!("/etc/kubernetes/manifests/{component}.yaml")
}

fn now() -> Timestamp {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    Timestamp::from_unix(i64::try_from(now).unwrap())
}

fn configuration(socket: &Path) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
containerRuntimeEndpoint: unix://{}
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
",
        socket.display()
    )
}
