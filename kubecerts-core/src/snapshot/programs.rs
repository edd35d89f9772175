//! What the manifests say about their programs beside where the files of the tree lie.

use std::collections::BTreeMap;

use crate::catalog::Component;
use crate::manifest::{RunsAs, StaticPod};
use crate::path::TreePath;

/// What the manifests say about their programs beside where files lie. Public data.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Programs {
    /// How the API server and extension API servers are to know each other; `None` without a manifest of the API server.
    pub front_proxy: Option<FrontProxy>,
    /// The files of keys for service account tokens: of the API server first, then of the controller-manager.
    pub token_keys: Vec<TokenKeyFile>,
    /// Whether there are keys for tokens that no file of the host holds: behind `--service-account-signing-endpoint`, or in a volume.
    pub has_other_token_keys: bool,
    /// As whom each program runs that has a manifest.
    pub users: BTreeMap<Component, RunsAs>,
}

/// The flags of the API server by which extension API servers are reached, and by which these know it.
///
/// The API server publishes those of the second kind in the ConfigMap `extension-apiserver-authentication`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FrontProxy {
    /// Those of `--proxy-client-cert-file`, `--proxy-client-key-file` and `--requestheader-client-ca-file` that are not given,
    /// without dashes.
    pub absent: Vec<&'static str>,
    /// `--requestheader-allowed-names`; none when every name is allowed.
    pub allowed_names: Vec<String>,
}

/// A file with a key for service account tokens, and who is told to use it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenKeyFile {
    /// The file, on the host.
    pub path: TreePath,
    /// Who uses it.
    pub component: Component,
    /// The flag that names it, without dashes.
    pub flag: &'static str,
}

impl TokenKeyFile {
    /// Returns whether tokens are signed with the key, and not verified.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.flag != VERIFICATION
    }
}

impl Programs {
    pub(super) fn of(pods: &BTreeMap<Component, StaticPod>) -> Self {
        let server = pods.get(&Component::ApiServer);
        let mut has_other_token_keys =
            server.is_some_and(|pod| pod.flag("service-account-signing-endpoint").is_some());
        let mut token_keys = Vec::new();
        for (component, flag) in TOKEN_FLAGS {
            let Some(pod) = pods.get(&component) else { continue };
            let values = pod.flag_values(flag);
            // Of a flag that signs the last value counts.
            let unused = if flag == VERIFICATION { 0 } else { values.len().saturating_sub(1) };
            for value in values.into_iter().skip(unused).filter(|value| !value.is_empty()) {
                match pod.host_path(value) {
                    Some(path) => token_keys.push(TokenKeyFile { path, component, flag }),
                    None => has_other_token_keys = true,
                }
            }
        }
        Self {
            front_proxy: server.map(FrontProxy::of),
            token_keys,
            has_other_token_keys,
            users: pods.iter().map(|(component, pod)| (*component, pod.runs_as().clone())).collect(),
        }
    }
}

impl FrontProxy {
    fn of(pod: &StaticPod) -> Self {
        let names = pod.flag_values("requestheader-allowed-names");
        let names = names.into_iter().flat_map(|names| names.split(','));
        let names = names.map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty());
        let is_absent = |flag: &&str| pod.flag(flag).is_none_or(str::is_empty);
        Self {
            absent: FRONT_PROXY_FLAGS.into_iter().filter(is_absent).collect(),
            allowed_names: names.map(str::to_owned).collect(),
        }
    }
}

/// Without any of these extension API servers do not know the API server.
const FRONT_PROXY_FLAGS: [&str; 3] =
    ["proxy-client-cert-file", "proxy-client-key-file", "requestheader-client-ca-file"];

const VERIFICATION: &str = "service-account-key-file";

/// The flags that name keys for service account tokens.
const TOKEN_FLAGS: [(Component, &str); 3] = [
    (Component::ApiServer, VERIFICATION),
    (Component::ApiServer, "service-account-signing-key-file"),
    (Component::ControllerManager, "service-account-private-key-file"),
];
