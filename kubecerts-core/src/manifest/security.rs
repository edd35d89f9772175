//! As whom the program of a static pod runs.

use std::collections::BTreeSet;

use crate::yaml::{Node, YamlError};

/// As whom a program runs, as far as the `securityContext` of its pod and of its container say; what they do not say is
/// the image's choice, which is root for the images of Kubernetes and of etcd.
///
/// kubeadm writes these for control planes that do not run as root (feature gate `RootlessControlPlane`,
/// `cmd/kubeadm/app/util/users/users_linux.go`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RunsAs {
    /// `runAsUser`.
    pub user: Option<u32>,
    /// `runAsGroup`.
    pub group: Option<u32>,
    /// `supplementalGroups` and `fsGroup`.
    pub further_groups: BTreeSet<u32>,
}

impl RunsAs {
    /// Reads what the pod's specification and the container say; the container wins.
    pub(super) fn parse(spec: Node<'_>, container: Node<'_>) -> Result<Self, YamlError> {
        let mut found = Self::default();
        for holder in [spec, container] {
            let Some(context) = holder.mapping("securityContext")? else { continue };
            found.user = number(context, "runAsUser")?.or(found.user);
            found.group = number(context, "runAsGroup")?.or(found.group);
            // Containers have none of these two.
            found.further_groups.extend(number(context, "fsGroup")?);
            for group in context.texts("supplementalGroups")? {
                found.further_groups.extend(group.parse::<u32>());
            }
        }
        Ok(found)
    }

    /// Returns every group that the program is in; root's own when no primary group is stated.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<u32> {
        self.further_groups.iter().copied().chain([self.group.unwrap_or(0)]).collect()
    }
}

/// Returns a number of a user or a group; the kubelet refuses what is none, so it says nothing.
fn number(mapping: Node<'_>, field: &str) -> Result<Option<u32>, YamlError> {
    Ok(mapping.text(field)?.and_then(|text| text.parse().ok()))
}
