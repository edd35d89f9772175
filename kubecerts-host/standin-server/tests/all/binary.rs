//! The binary, as a container runs it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::support::{Node, get, tree};

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin-server"));
        command.arg0(program).args(arguments).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn terminate(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn flags(node: &Node) -> Vec<String> {
    vec![
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=0".to_owned(),
        node.flag("tls-cert-file", "etc/kubernetes/pki/apiserver.crt"),
        node.flag("tls-private-key-file", "etc/kubernetes/pki/apiserver.key"),
        node.flag("client-ca-file", "etc/kubernetes/pki/ca.crt"),
    ]
}

#[test]
fn a_component_is_named_either_way_and_ends_well_at_sigterm() {
    let node = Node::new(&tree(0, 1));
    let mut named = vec!["kube-apiserver".to_owned()];
    named.extend(flags(&node));
    for (program, arguments) in [("standin-server", named), ("/usr/bin/kube-apiserver", flags(&node))] {
        let mut process = Process::start(program, &arguments);
        let mut line = String::new();
        BufReader::new(process.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("kube-apiserver listens on ").unwrap().parse().unwrap();
        assert_eq!(get(address, None, "/livez").unwrap(), (200, "ok".to_owned()));
        assert_eq!(process.terminate(), Some(0));
    }
}

#[test]
fn what_cannot_start_ends_with_status_1() {
    for arguments in [&["kube-apiserver".to_owned()][..], &["kube-proxy".to_owned()], &[]] {
        let mut process = Process::start("standin-server", arguments);
        assert_eq!(process.0.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn pause_waits_for_its_end() {
    let mut process = Process::start("standin-server", &["pause".to_owned()]);
    // The signal handler is there before there is anything else to see: wait for the mask that tells it.
    let status = format!("/proc/{}/status", process.0.id());
    crate::support::eventually("the signal handler", || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        (u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << 14 != 0).then_some(())
    });
    assert_eq!(process.terminate(), Some(0));
}
