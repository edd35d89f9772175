//! The flags that kubeadm passes to the kubelet, `/var/lib/kubelet/kubeadm-flags.env`.

/// What `KUBELET_KUBEADM_ARGS` says, with which kubeadm's systemd unit starts the kubelet
/// (`cmd/kubeadm/app/phases/kubelet/flags.go`).
///
/// The file is a shell's: one assignment to a line, its value in double quotes. A file that says something else has no flags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KubeletFlags {
    flags: Vec<(String, String)>,
}

impl KubeletFlags {
    /// Parses the file. What cannot be understood is left out.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix("KUBELET_KUBEADM_ARGS="));
        let words = lines.next_back().unwrap_or_default().trim().trim_matches(['"', '\'']);
        let mut flags = Vec::new();
        let mut words = words.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else { continue };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => {
                    let value = words.next_if(|next| !next.starts_with('-')).unwrap_or("true");
                    (name, value.to_owned())
                }
            };
            flags.push((name.to_owned(), value));
        }
        Self { flags }
    }

    /// Returns the value of the flag `name`, given without dashes; of several the last.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_kubeadm_is_understood() {
        let flags = KubeletFlags::parse(
            b"KUBELET_KUBEADM_ARGS=\"--container-runtime=remote --container-runtime-endpoint=unix:///run/crio/crio.sock \
              --pod-infra-container-image registry.k8s.io/pause:3.9 --fail\"\n",
        );
        assert_eq!(flags.flag("container-runtime-endpoint"), Some("unix:///run/crio/crio.sock"));
        assert_eq!(flags.flag("pod-infra-container-image"), Some("registry.k8s.io/pause:3.9"));
        assert_eq!(flags.flag("fail"), Some("true"));
        assert_eq!(flags.flag("network-plugin"), None);
    }

    #[test]
    fn another_file_has_no_flags() {
        for bytes in [&b""[..], b"\xff\x00", b"KUBELET_KUBEADM_ARGS", b"PATH=--container-runtime=docker"] {
            assert_eq!(KubeletFlags::parse(bytes), KubeletFlags::default());
        }
    }
}
