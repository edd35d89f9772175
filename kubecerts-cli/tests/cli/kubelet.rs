//! `kubecerts kubelet`: from a worker to where the authority's key is, and back.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use kubecerts_testkit::{MemoryTree, TreeBuilder, at};
use tempfile::TempDir;

use crate::support::{Outcome, Tree, command, kubecerts, kubecerts_with_input};

const CA: &str = "/etc/kubernetes/pki/ca.crt";
const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
const CONF: &str = "/etc/kubernetes/kubelet.conf";
const CLIENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
const TOKEN: &str = "abcdef.0123456789abcdef";
const SERVER: &str = "https://192.168.10.11:6443";

/// A control plane whose authority is valid for years, and what else is needed to take something to a worker.
struct World {
    control_plane: Tree,
    worker: Tree,
    /// What is carried about.
    bag: TempDir,
}

impl World {
    /// The kubelet.conf of the worker still embeds the expired credential of `cp-1`, which is its name.
    fn new() -> Self {
        let tree = expired();
        let mut worker = MemoryTree::default();
        for (path, mode) in [(CA, 0o644), (CONF, 0o600)] {
            worker.write(&kubecerts_testkit::path(path), tree.read_file(path), mode);
        }
        let worker = Tree::of(&worker);
        fs::create_dir_all(worker.path(CLIENT).parent().unwrap()).unwrap();
        Self { control_plane: Tree::of(&tree), worker, bag: tempfile::tempdir().unwrap() }
    }

    fn bag(&self, name: &str) -> String {
        self.bag.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes the key `worker.key` and the request `worker.csr`.
    fn request(&self) -> (String, String) {
        let (key, csr) = (self.bag("worker.key"), self.bag("worker.csr"));
        self.worker.run(&["kubelet", "request", "--key-out", &key, "--out", &csr]).exits(0);
        (key, csr)
    }
}

fn expired() -> MemoryTree {
    TreeBuilder::kubeadm().made(at("2024-01-01T00:00:00Z")).build()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Runs `program`, and returns what it writes; `None` without it.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn judge(test: &str, program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(Outcome::of(output).exits(0).stdout),
        Err(error) => {
            eprintln!("SKIPPED {test}: {program}: {error}");
            None
        }
    }
}

/// Runs the command with a umask that takes nothing away.
fn with_open_umask(command: &Command) -> Outcome {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    Outcome::of(shell.env_clear().output().unwrap())
}

#[test]
fn a_request_goes_to_the_authority_and_its_certificate_comes_back() {
    let world = World::new();
    let (key, csr) = world.request();
    let certificate = world.bag("worker.crt");
    let signed = world
        .control_plane
        .run(&[
            "kubelet",
            "credential",
            "--node",
            "cp-1",
            "--csr",
            &csr,
            "--out",
            &certificate,
            "--validity",
            "48h",
        ])
        .exits(0);
    assert!(signed.stderr.contains("install --certificate worker.crt --key KEY"), "{}", signed.stderr);

    let before = world.worker.files();
    let install = ["kubelet", "install", "--certificate", &certificate, "--key", &key];
    world.worker.run(&[&install[..], &["--dry-run"]].concat()).exits(0);
    world.worker.run(&install).exits(9).explains("no terminal");
    assert_eq!(world.worker.files(), before);
    let installed = world.worker.run(&[&install[..], &["--yes"]].concat()).exits(0);
    assert!(installed.stderr.contains("hint: systemctl restart kubelet\n"), "{}", installed.stderr);

    let files = world.worker.files();
    let (_, link) = &files[CLIENT.trim_start_matches('/')];
    let link = String::from_utf8(link.clone()).unwrap();
    let name =
        link.strip_prefix("/var/lib/kubelet/pki/kubelet-client-20").expect("the link holds a whole path");
    assert!(name.ends_with(".pem"), "{link}");
    let (mode, pem) = &files[link.trim_start_matches('/')];
    assert_eq!(*mode, 0o600);
    let pem = String::from_utf8(pem.clone()).unwrap();
    assert!(pem.starts_with(&fs::read_to_string(&certificate).unwrap()), "{pem}");
    assert!(pem.ends_with(&fs::read_to_string(&key).unwrap()), "the certificate comes first, then the key");
    let conf = String::from_utf8(files[CONF.trim_start_matches('/')].1.clone()).unwrap();
    assert!(conf.contains(&format!("client-certificate: {CLIENT}")), "{conf}");
    assert!(conf.contains(&format!("client-key: {CLIENT}")) && !conf.contains("client-key-data"), "{conf}");

    let authority = world.worker.path(CA);
    let arguments = ["verify", "-purpose", "sslclient", "-CAfile", authority.to_str().unwrap(), &certificate];
    let test = "a_request_goes_to_the_authority_and_its_certificate_comes_back";
    let Some(verified) = judge(test, "openssl", &arguments) else { return };
    assert!(verified.ends_with(": OK\n"), "{verified}");
    let shown = judge(test, "openssl", &["x509", "-in", &certificate, "-noout", "-text"]).unwrap();
    for line in [
        "Subject: O = system:nodes, CN = system:node:cp-1",
        "TLS Web Client Authentication",
        "Digital Signature",
    ] {
        assert!(shown.replace("O=", "O = ").replace("CN=", "CN = ").contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("Server Authentication") && !shown.contains("Key Encipherment"), "{shown}");
}

#[test]
fn key_and_certificate_come_in_one_file() {
    let world = World::new();
    let pem = world.bag("cp-1.pem");
    let made = world.control_plane.run(&["kubelet", "credential", "--node", "cp-1", "--out", &pem]).exits(0);
    for part in [
        "kubecerts kubelet install --pem cp-1.pem",
        "install -m 0600 cp-1.pem /var/lib/kubelet/pki/kubelet-client-",
        "ln -sfn /var/lib/kubelet/pki/kubelet-client-",
        "systemctl restart kubelet",
    ] {
        assert!(made.stderr.contains(part), "{part}\n{}", made.stderr);
    }
    assert_eq!((mode(&pem), made.stdout.as_str()), (0o600, ""));
    let installed = world.worker.run(&["kubelet", "install", "--pem", &pem, "--yes"]).exits(0);
    assert!(installed.stdout.contains("system:node:cp-1"), "{}", installed.stdout);
    assert!(!world.worker.run(&["check"]).stdout.contains("kubelet-client-expired"));

    // Once more, over what is there: kubelet.conf refers already.
    let conf = world.worker.files()[CONF.trim_start_matches('/')].clone();
    let piped =
        world.control_plane.run(&["kubelet", "credential", "--node", "cp-1", "--out", "-"]).exits(0).stdout;
    let root = world.worker.root().to_str().unwrap();
    let arguments = ["kubelet", "install", "--pem", "-", "--yes", "--rootfs", root];
    // Two files of one second have one name, and none is written over.
    let again = kubecerts_with_input(&arguments, piped.as_bytes());
    assert!([0, 9].contains(&again.code), "{again:?}");
    assert_eq!(world.worker.files()[CONF.trim_start_matches('/')], conf);
}

#[test]
fn the_certificate_of_a_request_goes_to_standard_output() {
    let world = World::new();
    let (_, csr) = world.request();
    let signed =
        world.control_plane.run(&["kubelet", "credential", "--node", "cp-1", "--csr", &csr]).exits(0);
    assert!(signed.stdout.starts_with("-----BEGIN CERTIFICATE-----\n"), "{}", signed.stdout);
    assert_eq!(signed.stdout.matches("-----BEGIN").count(), 1);

    let key = world.bag("other.key");
    let made = world.worker.run(&["kubelet", "request", "--node", "worker-7", "--key-out", &key]).exits(0);
    assert!(made.stdout.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"), "{}", made.stdout);
    assert!(made.stderr.contains("credential --node worker-7 --csr worker-7.csr"), "{}", made.stderr);
    assert!(
        made.stderr.contains("--key") && made.stderr.contains(" --node worker-7 --rootfs"),
        "{}",
        made.stderr
    );
}

#[test]
fn what_belongs_to_another_node_is_refused() {
    let world = World::new();
    let (key, csr) = world.request();
    let certificate = world.bag("worker.crt");
    let sign = |node| {
        let arguments = ["kubelet", "credential", "--node", node, "--csr", &csr, "--out", &certificate];
        world.control_plane.run(&arguments)
    };
    sign("worker-2").exits(9).explains("CN = system:node:cp-1");
    assert!(!Path::new(&certificate).exists());
    sign("cp-1").exits(0);
    let before = world.worker.files();
    let install = ["kubelet", "install", "--certificate", &certificate, "--yes"];
    world
        .worker
        .run(&[&install[..], &["--key", &key, "--node", "worker-2"]].concat())
        .exits(9)
        .explains("worker-2");
    let other = world.bag("other.key");
    world.worker.run(&["kubelet", "request", "--key-out", &other]).exits(0);
    world.worker.run(&[&install[..], &["--key", &other]].concat()).exits(9).explains("another key");
    world.worker.run(&[&install[..], &["--key", &csr]].concat()).exits(1).explains("private key");

    // An authority of the same name, as the neighbouring cluster has one.
    let elsewhere = Tree::of(&TreeBuilder::kubeadm().made(at("2024-01-01T00:00:00Z")).seed(2).build());
    let pem = world.bag("elsewhere.pem");
    elsewhere.run(&["kubelet", "credential", "--node", "cp-1", "--out", &pem]).exits(0);
    world.worker.run(&["kubelet", "install", "--pem", &pem, "--yes"]).exits(9).explains("CN = kubernetes");
    assert_eq!(world.worker.files(), before);
}

#[test]
fn without_the_key_of_the_authority_nothing_is_made() {
    let world = World::new();
    let pem = world.bag("worker.pem");
    for tree in [&world.worker, &world.control_plane] {
        let _ = fs::remove_file(tree.path(CA_KEY));
        let outcome = tree.run(&["kubelet", "credential", "--node", "worker-1", "--out", &pem]).exits(6);
        outcome.explains("ca").explains("key");
        assert!(!Path::new(&pem).exists());
    }
}

#[test]
fn no_file_is_written_over() {
    let world = World::new();
    let (key, csr) = world.request();
    let victim = world.bag("victim");
    fs::write(&victim, "mine").unwrap();
    let link = world.bag("link");
    symlink("nowhere", &link).unwrap();
    let root = world.control_plane.root().to_str().unwrap().to_owned();
    let own = world.control_plane.path(CA);
    let (own, pin) = (own.to_str().unwrap(), pin(&world));
    let token = world.bag("token");
    fs::write(&token, TOKEN).unwrap();
    for out in [&victim, &link, &key] {
        let before = fs::symlink_metadata(out).unwrap().mtime_nsec();
        for arguments in [
            &["credential", "--node", "w", "--out", out, "--rootfs", &root][..],
            &["credential", "--node", "cp-1", "--csr", &csr, "--out", out, "--rootfs", &root],
            &["request", "--node", "w", "--key-out", out],
            &[
                "bootstrap",
                "--server",
                SERVER,
                "--token-file",
                &token,
                "--ca",
                own,
                "--ca-cert-hash",
                &pin,
                "--out",
                out,
            ],
        ] {
            let outcome = kubecerts(&[&["kubelet"], arguments].concat()).exits(1).explains(out);
            assert!(outcome.stderr.contains("hint: nothing was changed; name a file"), "{}", outcome.stderr);
        }
        assert_eq!(fs::symlink_metadata(out).unwrap().mtime_nsec(), before);
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(!world.bag.path().join("nowhere").exists());

    // The request is not written over either, and the error says where its key is.
    let fresh = world.bag("fresh.key");
    let outcome = world.worker.run(&["kubelet", "request", "--key-out", &fresh, "--out", &csr]).exits(1);
    assert!(outcome.stderr.contains(&format!("hint: the key was made: rm {fresh}")), "{}", outcome.stderr);
    world
        .worker
        .run(&["kubelet", "request", "--key-out", &fresh, "--out", &fresh])
        .exits(2)
        .explains("its own");
}

#[test]
fn secrets_are_closed_whatever_the_umask() {
    let world = World::new();
    let bag = |name: &str| PathBuf::from(world.bag(name));
    let [key, csr, pem, crt, token, boot] =
        ["a.key", "a.csr", "a.pem", "a.crt", "token", "boot.conf"].map(|name| world.bag(name));
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let pin = pin(&world);
    let worker = |arguments: &[&str]| with_open_umask(&world.worker.command(arguments)).exits(0);
    let signer = |arguments: &[&str]| with_open_umask(&world.control_plane.command(arguments)).exits(0);
    worker(&["kubelet", "request", "--key-out", &key, "--out", &csr]);
    signer(&["kubelet", "credential", "--node", "cp-1", "--out", &pem]);
    signer(&["kubelet", "credential", "--node", "cp-1", "--csr", &csr, "--out", &crt]);
    let given = ["--server", SERVER, "--token-file", &token, "--ca-cert-hash", &pin, "--out", &boot];
    worker(&[&["kubelet", "bootstrap"], &given[..]].concat());
    for (name, expected) in
        [("a.key", 0o600), ("a.pem", 0o600), ("boot.conf", 0o600), ("a.csr", 0o644), ("a.crt", 0o644)]
    {
        assert_eq!(mode(bag(name)), expected, "{name}");
    }
    worker(&["kubelet", "install", "--pem", &pem, "--yes"]);
    assert_eq!(mode(world.worker.path(CONF)), 0o600);
    for (path, (mode, _)) in world.worker.files() {
        assert!(!path.contains("kubelet-client-2") || mode == 0o600, "{path}: {mode:o}");
    }
}

/// Returns the hash of the authority's public key, as `kubeadm token create --print-join-command` says it.
fn pin(world: &World) -> String {
    let shown = kubecerts(&["inspect", world.control_plane.path(CA).to_str().unwrap()]).exits(0).stdout;
    let line = shown.lines().find(|line| line.contains("public key sha256")).unwrap();
    format!("sha256:{}", line.split_whitespace().last().unwrap())
}

#[test]
fn a_bootstrap_kubeconfig_is_written_for_the_right_authority() {
    let world = World::new();
    let (out, pin) = (world.bag("boot.conf"), pin(&world));
    let root = world.worker.root().to_str().unwrap();
    let given = ["kubelet", "bootstrap", "--server", SERVER, "--ca-cert-hash", &pin, "--out", &out];
    let from_stdin = [&given[..], &["--token-file", "-", "--rootfs", root]].concat();
    let made = kubecerts_with_input(&from_stdin, format!("{TOKEN}\n").as_bytes()).exits(0);
    assert!(!made.stderr.contains("abcdef") && made.stdout.is_empty(), "{made:?}");
    assert!(made.stderr.contains("/etc/kubernetes/bootstrap-kubelet.conf"), "{}", made.stderr);
    let conf = fs::read_to_string(&out).unwrap();
    assert!(
        conf.contains(&format!("server: {SERVER}\n")) && conf.contains(&format!("token: {TOKEN}\n")),
        "{conf}"
    );

    let authority = world.worker.path(CA);
    let more = ["--out", "-", "--token", TOKEN, "--ca", authority.to_str().unwrap()];
    let piped = [&given[..6], &more].concat();
    let piped = kubecerts(&piped).exits(0);
    assert_eq!(piped.stdout, conf);
    assert!(piped.stderr.contains("warning: --token shows the token"), "{}", piped.stderr);
}

#[test]
fn no_token_goes_to_a_stranger_and_no_wrong_one_is_quoted() {
    let world = World::new();
    let (out, pin) = (world.bag("boot.conf"), pin(&world));
    let other = format!("sha256:{}", "0".repeat(64));
    let run = |server: &str, hash: &str, token: &str| {
        let given = ["--server", server, "--ca-cert-hash", hash, "--token", token, "--out", &out];
        world.worker.run(&[&["kubelet", "bootstrap"], &given[..]].concat())
    };
    run(SERVER, &other, TOKEN).exits(9).explains(&pin);
    run("http://10.0.0.1", &pin, TOKEN).exits(2).explains("http://10.0.0.1");
    run(SERVER, "sha256:12", TOKEN).exits(2);
    for token in ["abcdef.0123456789abcdeF", "secret-of-mine", ""] {
        let refused = run(SERVER, &pin, token).exits(2).explains("the token is not of the form");
        assert!(token.is_empty() || !refused.stderr.contains(token), "{}", refused.stderr);
    }
    fs::remove_file(world.worker.path(CA)).unwrap();
    run(SERVER, &pin, TOKEN).exits(1).explains(CA);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_node_without_a_name_or_a_kubeconfig_says_so() {
    let world = World::new();
    let pem = world.bag("cp-1.pem");
    world.control_plane.run(&["kubelet", "credential", "--node", "cp-1", "--out", &pem]).exits(0);
    fs::remove_file(world.worker.path(CONF)).unwrap();
    let install = ["kubelet", "install", "--pem", &pem, "--yes"];
    world.worker.run(&install).exits(1).explains("the name of this node");
    let outcome = world.worker.run(&[&install[..], &["--node", "cp-1"]].concat()).exits(6);
    outcome.explains("kubelet.conf will not refer");
    assert!(world.worker.path(CLIENT).symlink_metadata().unwrap().is_symlink());
}

#[test]
fn lines_that_make_no_sense_end_with_2() {
    let world = World::new();
    for arguments in [
        &["credential", "--node", "w"][..],
        &["credential", "--node", "Not_A_Name", "--out", "x"],
        &["credential", "--node", "w", "--out", "x", "--validity", "0h"],
        &["request"],
        &["request", "--key-out", "-"],
        &["request", "--key-out", "x", "--node", "a", "--node-name", "b"],
        &["install"],
        &["install", "--certificate", "x"],
        &["install", "--pem", "x", "--key", "y"],
        &["bootstrap", "--server", SERVER, "--out", "x", "--token", TOKEN],
        &[],
    ] {
        let mut command = command(&[&["kubelet"], arguments].concat());
        command.current_dir(world.bag.path()).arg("--rootfs").arg(world.control_plane.root());
        assert_eq!(Outcome::of(command.output().unwrap()).code, 2, "{arguments:?}");
        assert_eq!(fs::read_dir(world.bag.path()).unwrap().count(), 0, "{arguments:?}");
    }
    for verb in ["credential", "request", "install", "bootstrap"] {
        kubecerts(&["kubelet", verb, "--help"]).exits(0);
    }
}
