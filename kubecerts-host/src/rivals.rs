//! Other tools that may be at work on the same control plane.

use std::fmt;
use std::fs;

/// A process of another tool that writes to the same files and takes no lock.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rival {
    /// The number of the process.
    pub process: u32,
    /// Its command line.
    pub command: String,
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.process, self.command)
    }
}

/// Looks for a `kubeadm` on this host that is writing to the control plane: kubeadm itself takes no lock.
pub(crate) fn find_kubeadm() -> Option<Rival> {
    let mut processes: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|process| *process != std::process::id())
        .collect();
    processes.sort_unstable();
    processes.into_iter().find_map(|process| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        if !is_kubeadm(&name) {
            return None;
        }
        let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).escape_debug().to_string())
            .collect();
        writes(&words).then(|| Rival { process, command: words.join(" ") })
    })
}

/// Returns whether a process of this name is a kubeadm; where several versions lie side by side, they are called
/// `kubeadm-1.36` or `kubeadm-v1.36.2`.
fn is_kubeadm(name: &str) -> bool {
    name.starts_with("kubeadm")
}

/// Returns whether a command of kubeadm writes to the control plane; `certs check-expiration`, for one, does not.
fn writes(words: &[String]) -> bool {
    let has = |word: &str| words.iter().any(|found| found == word);
    let certs = has("certs") && (has("renew") || has("generate-csr"));
    certs || ["init", "join", "reset", "upgrade"].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeadm_may_have_its_version_in_its_name() {
        for name in ["kubeadm\n", "kubeadm-1.36\n", "kubeadm-v1.36.2\n"] {
            assert!(is_kubeadm(name), "{name}");
        }
        for name in ["kubelet\n", "kubectl\n", "kubecerts\n"] {
            assert!(!is_kubeadm(name), "{name}");
        }
    }

    #[test]
    fn only_commands_that_write_count() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for line in
            ["kubeadm init", "kubeadm upgrade apply v1.36.2", "/bin/sh /usr/bin/kubeadm certs renew all"]
        {
            assert!(writes(&words(line)), "{line}");
        }
        for line in ["kubeadm version", "kubeadm certs check-expiration", "kubeadm token create"] {
            assert!(!writes(&words(line)), "{line}");
        }
    }
}
