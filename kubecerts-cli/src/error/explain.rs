//! What the lines of a log ask for, in words.

use kubecerts_core::explain::Advice;
use kubecerts_core::inventory::Inventory;
use kubecerts_host::LogError;

use super::{CommandError, mend};
use crate::args::{Whereabouts, quoted};

/// Returns what to do, as a command wherever there is one.
pub(crate) fn log_advice(
    advice: &Advice,
    inventory: &Inventory,
    whereabouts: &Whereabouts,
) -> Option<String> {
    let options = &whereabouts.options;
    Some(match advice {
        Advice::Mend(remedy) => return mend(remedy, None, whereabouts),
        Advice::Verify => format!("kubecerts verify{options}"),
        Advice::Check => format!("kubecerts check{options}"),
        Advice::LookAt(host) => format!("on {}: kubecerts check", host.escape_debug()),
        Advice::RecoverKubelet => {
            let name = inventory.known_node_name().map_or_else(|| "NAME".to_owned(), |name| name.to_string());
            format!(
                "kubecerts recover{options}; or, where the key of ca is on another node, there: kubecerts kubelet credential --node {name} \
                 --out FILE, and here: kubecerts kubelet install --pem FILE{options}"
            )
        }
        Advice::RemakeServing => format!(
            "remove kubelet.crt and kubelet.key in /var/lib/kubelet/pki, or set serverTLSBootstrap, then: kubecerts restart kubelet{options}"
        ),
        Advice::JoinAnew => format!(
            "join with the hash that this prints: kubecerts ca hash ca{options}; if cluster-info differs, have it written anew: \
             kubeadm init phase bootstrap-token"
        ),
        Advice::KeepOne(file) => {
            format!("put the authority that is in use first, or leave it alone, in {}", file.escape_debug())
        }
        Advice::RefreshTokens => {
            "kubectl -n NAMESPACE rollout restart the workloads that complain, so that they get new tokens".to_owned()
        }
        Advice::ApproveRequests => {
            "kubectl get csr, and for each that is legitimate: kubectl certificate approve NAME; if none is signed, see whether \
             kube-controller-manager has the key of ca"
                .to_owned()
        }
        Advice::BindAdministrators => {
            "kubectl --kubeconfig /etc/kubernetes/super-admin.conf create clusterrolebinding kubeadm:cluster-admins \
             --clusterrole=cluster-admin --group=kubeadm:cluster-admins; without that file: kubecerts kubeconfig break-glass"
                .to_owned()
        }
        Advice::AllowFrontProxy(name) => format!(
            "add --requestheader-allowed-names={} to the manifest of kube-apiserver, or take the flag away",
            quoted(&name.escape_debug().to_string())
        ),
        _ => return None,
    })
}

impl From<LogError> for CommandError {
    fn from(error: LogError) -> Self {
        let plain = Self::chain(&error);
        match error {
            LogError::Open { .. } => {
                plain.with_hint("name a file that you may read, or `-` for standard input")
            }
            LogError::Compressed { name } => {
                plain.with_hint(format!("unpack it on the way: zcat {} | kubecerts explain -", quoted(&name)))
            }
            _ => plain.with_hint("name a log that is a file or a pipe"),
        }
    }
}
