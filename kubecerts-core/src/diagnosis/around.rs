//! The checks of what lies around the tree: copies of its certificates, what the kubelet and pods hold, what restarts it.

use super::checks::Check;

mod copies;
mod jobs;
mod kubelet;
mod layout;
mod pods;
mod sources;

pub(super) use copies::newer_original;
pub(crate) use copies::replacement;
pub(super) use kubelet::is_broken_link;

/// Every check; the order does not matter. Without a look around the tree, most of them have nothing to say.
pub(super) const ALL: [Check; 10] = [
    copies::kubeconfig_copies,
    copies::network_plugins,
    copies::unmanaged_copies,
    jobs::simultaneous_restarts,
    kubelet::link,
    kubelet::serving,
    layout::other_layouts,
    pods::authorities,
    pods::tokens,
    sources::duplicates,
];
