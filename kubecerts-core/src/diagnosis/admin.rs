//! The check whether the administrator can still get in.

use super::checks::{Context, about, at};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, Slot};
use crate::inventory::{ChainFact, Custody, Place};

/// `admin-rbac`
pub(super) fn admin(context: &Context<'_>, out: &mut Vec<Finding>) {
    let inventory = context.inventory;
    let place = Place::Slot(Slot::Kubeconfig(KubeconfigSlot::Admin));
    let Some(credential) = inventory.credential(Slot::Kubeconfig(KubeconfigSlot::Admin)) else { return };
    let Some(leaf) = credential.leaf() else { return };
    // What the API server does not accept at all has no groups.
    if matches!(credential.chain(), Some(ChainFact::OtherIssuer(_) | ChainFact::OtherKey(_))) {
        return;
    }
    let groups: Vec<&str> = leaf.subject().organisations().collect();
    if groups.contains(&MASTERS) {
        return;
    }
    let super_admin = inventory.file(FileSlot::Kubeconfig(KubeconfigSlot::SuperAdmin));
    let is_bound = groups.contains(&BOUND);
    if is_bound && super_admin.exists {
        return;
    }
    let remedy = match inventory.authority(CaSlot::Cluster).custody() {
        Custody::Held => Remedy::BreakGlass,
        Custody::External => Remedy::SignElsewhere(CaSlot::Cluster),
        Custody::Absent | Custody::Broken => Remedy::Nothing,
    };
    let (severity, message) = if is_bound {
        let message = format!(
            "its group {BOUND} has its rights from a binding in the cluster, and there is no {} to restore that with",
            super_admin.path
        );
        (Severity::Notice, message)
    } else {
        let groups = match groups.is_empty() {
            true => "no group".to_owned(),
            false => format!("the groups {}", groups.join(", ").escape_debug()),
        };
        (Severity::Warning, format!("it is for {groups}, to which kubeadm binds no rights"))
    };
    let finding = about(&place, severity, FindingCode::AdminRbac, Impact::None, message, remedy);
    out.push(at(credential.certificate_file(), finding));
}

/// Has all rights without any binding; admin.conf's group before 1.29.
const MASTERS: &str = "system:masters";

/// admin.conf's group since 1.29, bound to `cluster-admin` (`cmd/kubeadm/app/constants/constants.go`).
const BOUND: &str = "kubeadm:cluster-admins";
