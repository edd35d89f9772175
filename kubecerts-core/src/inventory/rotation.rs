//! How the kubelet keeps its own certificates from expiring.

use crate::manifest::{KubeletConfig, KubeletFlags};
use crate::snapshot::{NodeFacts, Stated};

/// Returns what the node says about the rotation of its kubelet's certificates.
///
/// A flag in `kubeadm-flags.env` wins over the kubelet's configuration, as for the kubelet; other flags of its service are
/// not known here.
#[must_use]
pub fn rotation(node: &NodeFacts) -> Rotation {
    let (config, flags) = (node.kubelet(), node.kubelet_flags());
    let configured = |field: fn(&KubeletConfig) -> Option<bool>| config.map(field);
    Rotation {
        client: setting(flags, "rotate-certificates", configured(KubeletConfig::rotate_certificates)),
        serving: setting(
            flags,
            "rotate-server-certificates",
            configured(KubeletConfig::server_tls_bootstrap),
        ),
        signing_duration: node.signing_duration().cloned(),
    }
}

/// What a node says about the rotation of its kubelet's certificates.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rotation {
    /// `rotateCertificates`: whether the kubelet renews its client certificate; `None` when nothing of the kubelet is known.
    pub client: Option<Setting>,
    /// `serverTLSBootstrap`: whether the kubelet asks the cluster for its serving certificate.
    pub serving: Option<Setting>,
    /// `--cluster-signing-duration` of kube-controller-manager: for how long the certificates are valid that it signs for
    /// kubelets, as written; one year when `None`. Only control-plane nodes know.
    pub signing_duration: Option<Stated<String>>,
}

/// A switch of the kubelet, and who has set it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// Whether it is on.
    pub is_on: bool,
    /// Who says so.
    pub source: SettingSource,
}

/// Who sets a switch of the kubelet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SettingSource {
    /// A flag in `kubeadm-flags.env`, which wins.
    Flag,
    /// The kubelet's configuration.
    Config,
    /// Nobody: the kubelet's default, which is off.
    Default,
}

fn setting(flags: &KubeletFlags, flag: &str, configured: Option<Option<bool>>) -> Option<Setting> {
    // The spellings of Go's `strconv.ParseBool`; with any other the kubelet does not start.
    let flag = flags.flag(flag).and_then(|text| match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    });
    match (flag, configured) {
        (Some(is_on), _) => Some(Setting { is_on, source: SettingSource::Flag }),
        (None, Some(Some(is_on))) => Some(Setting { is_on, source: SettingSource::Config }),
        (None, Some(None)) => Some(Setting { is_on: false, source: SettingSource::Default }),
        (None, None) => None,
    }
}
