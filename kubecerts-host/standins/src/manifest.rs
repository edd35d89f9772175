//! Manifests of static pods, as far as a kubelet needs them to start the containers.
//!
//! `kubecerts_core::manifest` reads what certificates need, and is what the tests test: this reader is its own.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A static pod.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) kind: String,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    #[serde(default = "default_namespace")]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) containers: Vec<Program>,
    #[serde(default)]
    pub(crate) volumes: Vec<Volume>,
    #[serde(default = "default_grace")]
    pub(crate) termination_grace_period_seconds: u64,
}

/// What the specification calls a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) image: String,
    #[serde(default)]
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: Vec<Variable>,
    #[serde(default)]
    pub(crate) volume_mounts: Vec<VolumeMount>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    #[serde(default)]
    pub(crate) read_only: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) host_path: Option<HostPath>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct HostPath {
    pub(crate) path: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
}

impl Manifest {
    /// Reads a manifest in YAML or JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let manifest: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        match manifest.kind.as_str() {
            "Pod" => Ok(manifest),
            other => Err(format!("the kind is {other}, not Pod")),
        }
    }
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// Kubernetes' default, in seconds.
fn default_grace() -> u64 {
    30
}
