//! A kubeadm that is at work on the same host.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::Outcome;
use crate::support::command;
use crate::watched::{RENEW, Side, Watched};

#[test]
fn a_kubeadm_that_is_upgrading_this_host_is_named_and_waited_for() {
    let mut watched = Watched::within(tempfile::tempdir().unwrap());
    let tree = watched.tree();
    // This host's own files are out of reach: every directory is given.
    let mut options: Vec<String> = RENEW.map(str::to_owned).into();
    for (option, path) in [
        ("--cert-dir", "/etc/kubernetes/pki"),
        ("--kubeconfig-dir", "/etc/kubernetes"),
        ("--manifests-dir", "/etc/kubernetes/manifests"),
        ("--kubelet-dir", "/var/lib/kubelet"),
        ("--state-dir", "/var/lib/kubecerts"),
    ] {
        fs::create_dir_all(tree.path(path)).unwrap();
        options.extend([option.to_owned(), tree.path(path).to_str().unwrap().to_owned()]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let renew = || Outcome::of(command(&options).output().unwrap());

    let script = tempfile::tempdir().unwrap();
    let path = script.path().join("kubeadm");
    // It ends with its input.
    fs::write(&path, "#!/bin/sh\nread line\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut kubeadm =
        Command::new(&path).args(["upgrade", "apply", "v1.36.2"]).stdin(Stdio::piped()).spawn().unwrap();
    let process = kubeadm.id();
    let comm = format!("/proc/{process}/comm");
    let begun = Instant::now();
    while fs::read_to_string(&comm).unwrap() != "kubeadm\n" {
        assert!(begun.elapsed() < Duration::from_secs(10), "the script does not start");
        sleep(Duration::from_millis(1));
    }

    let named = format!("process {process} (/bin/sh {} upgrade apply v1.36.2)", path.display());
    renew().exits(9).explains(&named);
    assert_eq!(watched.settled(), Side::Old);
    // Another node's disk is none of its business.
    watched.tree().run(&RENEW).exits(0);
    assert_eq!(watched.settled(), Side::New);

    drop(kubeadm.stdin.take());
    kubeadm.wait().unwrap();
    let outcome = renew();
    // Another kubeadm may be at work here by chance, but not this one.
    assert!(!outcome.stderr.contains(&named), "{}", outcome.stderr);
    outcome.exits(0);
    assert_eq!(watched.settled(), Side::New);
}
