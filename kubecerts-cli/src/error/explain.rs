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
            "join with the hash that this prints: kubecerts ca hash ca{options}; a new token: kubeadm token create --print-join-command; if cluster-info differs, have it written anew: \
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
        other => return beside(other, whereabouts),
    })
}

/// Returns what to do beside the certificates of the node.
fn beside(advice: &Advice, whereabouts: &Whereabouts) -> Option<String> {
    let options = &whereabouts.options;
    let shown = |text: &str| text.escape_debug().to_string();
    Some(match advice {
        Advice::TrustInCopy => format!(
            "kubecerts kubeconfig set-ca --file FILE{options}, where FILE is the kubeconfig that the client uses"
        ),
        Advice::TrustServer(host) => format!(
            "put the authority that has signed the certificate of {} into the file that its client is told to trust",
            shown(host)
        ),
        Advice::PublishAuthority => format!(
            "kubecerts restart kube-controller-manager{options}; when kubectl -n NAMESPACE get configmap kube-root-ca.crt -o yaml shows the \
             authority: kubectl -n NAMESPACE rollout restart the workloads that complain"
        ),
        Advice::RewriteNetwork => {
            "restart the pods of the network plugin, which write its kubeconfig below /etc/cni/net.d anew: \
             kubectl -n NAMESPACE rollout restart daemonset NAME"
                .to_owned()
        }
        Advice::UpdateBundle(name) => format!(
            "write the authority that {} has now into caBundle of its webhook configuration, CRD or APIService; whoever manages it, such as \
             cert-manager, may do so when it is restarted",
            shown(name)
        ),
        Advice::RenewExtension(name) => format!(
            "renew the certificate of {} where it comes from, such as cert-manager or a job of its chart, and restart what serves it",
            shown(name)
        ),
        Advice::RestartExtension(group) => {
            format!("kubectl -n kube-system rollout restart deployment NAME, of what answers for {}", shown(group))
        }
        Advice::AskForServing(host) => format!(
            "on {}: set serverTLSBootstrap: true in /var/lib/kubelet/config.yaml, kubecerts restart kubelet, and for its request: \
             kubectl get csr, kubectl certificate approve NAME",
            shown(host)
        ),
        Advice::IssueKubelet(node) => format!(
            "where the key of ca is: kubecerts kubelet credential --node {0} --out FILE, and on {0}: kubecerts kubelet install --pem FILE",
            quoted(&shown(node))
        ),
        Advice::ReissueOn(host, slots) => {
            let names: Vec<&str> = slots.iter().map(|slot| slot.name()).collect();
            format!(
                "on {}: kubecerts doctor; {} have to be put back there, or made anew with its own names",
                shown(host),
                names.join(" and ")
            )
        }
        Advice::UploadCertificates => {
            "on a control-plane node: kubeadm init phase upload-certs --upload-certs, and join with the key that it prints".to_owned()
        }
        Advice::SetServer(file) => format!(
            "let server in {0} name the endpoint of the control plane, or move {0} away and let kubeadm make it anew",
            shown(file)
        ),
        Advice::BindKubeletClient => {
            "kubectl create clusterrolebinding kubecerts:apiserver-kubelet-client --clusterrole=system:kubelet-api-admin \
             --user=kube-apiserver-kubelet-client"
                .to_owned()
        }
        Advice::CompareSchemes => {
            "see which of the two has http or a port without TLS in its configuration: a probe, a proxy, a load balancer".to_owned()
        }
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
