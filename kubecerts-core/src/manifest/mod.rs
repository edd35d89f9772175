//! What a node's configuration says: static-pod manifests, the kubelet's and kubeadm's configuration, timers, as
//! facts.
//!
//! Each parser takes the bytes of one file, YAML or JSON, and knows no file name. Fields that are not
//! certificates' business are ignored, unknown ones too. Nothing is decided here: which source wins is the
//! caller's question.

mod cluster_line;
pub(crate) mod crontab;
mod kubeadm;
mod kubelet;
mod kubelet_edit;
mod kubelet_flags;
mod pod;
pub(crate) mod script;
mod security;
mod unit;

pub use cluster_line::{ClusterLine, ClusterLineError, ClusterLineProblem};
pub use kubeadm::{ConfigRemark, Contradiction, ExternalEtcd, KubeadmConfig, Place, Statement};
pub use kubelet::KubeletConfig;
pub use kubelet_edit::{RotationEditError, rotate_certificates};
pub use kubelet_flags::KubeletFlags;
pub use pod::StaticPod;
pub use security::RunsAs;
pub(crate) use unit::Unit;

use crate::path::TreePath;
use crate::yaml::{Node, YamlError};

/// A file that is not a static-pod manifest; the message names line and column, both from 1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct DamagedManifest(YamlError);

impl DamagedManifest {
    /// Returns line and column, both from 1, when the damage has a place.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        self.0.position()
    }
}

impl From<YamlError> for DamagedManifest {
    fn from(error: YamlError) -> Self {
        Self(error)
    }
}

/// A file that is not a configuration of the kind asked for; the message names line and column, both from 1.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct DamagedConfig(YamlError);

impl DamagedConfig {
    /// Returns line and column, both from 1, when the damage has a place.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        self.0.position()
    }
}

impl From<YamlError> for DamagedConfig {
    fn from(error: YamlError) -> Self {
        Self(error)
    }
}

/// Returns the absolute path `field` below `mapping`.
fn path(mapping: Node<'_>, field: &str) -> Result<Option<TreePath>, YamlError> {
    let Some(text) = mapping.text(field)? else { return Ok(None) };
    let place = mapping.get(field).unwrap_or(mapping);
    TreePath::parse(text).map(Some).map_err(|error| place.error(format!("{field}: {error}")))
}

/// Returns the port `field` of `mapping`.
fn port(mapping: Node<'_>, field: &str) -> Result<Option<u16>, YamlError> {
    let Some(text) = mapping.text(field)? else { return Ok(None) };
    let place = mapping.get(field).unwrap_or(mapping);
    text.parse().map(Some).map_err(|_| place.error(format!("{field} is not a port")))
}

fn owned(mapping: Node<'_>, field: &str) -> Result<Option<String>, YamlError> {
    Ok(mapping.text(field)?.map(str::to_owned))
}
