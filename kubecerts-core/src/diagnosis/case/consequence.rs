//! What comes of a finding, in one sentence: who, on which node, and since when.
//!
//! Who loads a file is in the catalogue ([`Component::reload`]); who shows what to whom, and what is lost when it is refused, is
//! said here for every slot.

use super::super::{Finding, FindingCode, Remedy, Severity};
use super::View;
use super::order::component;
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, Slot};
use crate::inventory::Place;
use crate::observation::usages;
use crate::time::Timestamp;
use crate::x509::Certificate;

/// Returns what comes of `finding`; `None` when nothing does.
pub(super) fn of(finding: &Finding, view: &View<'_>) -> Option<String> {
    use FindingCode as F;
    let node = view.node.as_str();
    let loss = || Some(Loss::of(finding.place.as_ref()?, node));
    let certificate = finding.place.as_ref().and_then(|place| view.certificate(place));
    let begin = certificate.map(Certificate::not_before);
    let end = certificate.map(Certificate::not_after);
    match finding.code {
        F::Expired => Some(loss()?.since(end?)),
        F::ExpiresSoon => Some(loss()?.from(end?)),
        F::NotYetValid => Some(loss()?.before(begin?)),
        F::LeafOutlivesCa => {
            let ca = finding.place.as_ref()?.slot().map_or(Some(CaSlot::Cluster), Slot::issuer)?;
            let end = view.inventory.authority(ca).signer()?.not_after();
            Some(if end < view.now { loss()?.since(end) } else { loss()?.from(end) })
        }
        F::CaEndsBeforeRenewal => Some(format!(
            "what is renewed on {node} ends with its authority, and from {} on nothing that it signed is accepted",
            end?
        )),
        F::ForeignLeaf if finding.severity == Severity::Notice => Some(format!(
            "whoever has it on {node} is above RBAC, whose bindings cannot take its rights away"
        )),
        F::KubeconfigCaStale if finding.place.is_none() => Some(format!(
            "the network plugin of {node} does not trust the API server: no pod is started or stopped there"
        )),
        F::KubeconfigCaStale if trusts_earlier(finding, view) => {
            Some(format!("nothing fails on {node} until the earlier certificate ends"))
        }
        // Whoever uses it does not know the server any more; the server would know it.
        F::KubeconfigCaStale if matches!(finding.place, Some(Place::Copy(_))) => {
            let path = finding.path.as_ref().or(match &finding.place {
                Some(Place::Copy(path)) => Some(path),
                _ => None,
            })?;
            Some(format!(
                "whoever uses {path} on {node} does not trust the API server: certificate signed by unknown authority"
            ))
        }
        F::WrongAuthority | F::ForeignLeaf | F::KubeconfigCaStale | F::NotAnAuthority | F::CaReplaced => {
            Some(loss()?.now())
        }
        F::Damaged | F::Missing | F::KeyMissing | F::KeyMismatch | F::OwnerWrong | F::NotASymlink => {
            unusable(finding, view)
        }
        F::Unreadable => match finding.remedy {
            Remedy::GrantAccess(_) => {
                Some(format!("nothing is known of it, nor of what depends on it on {node}"))
            }
            _ => unusable(finding, view),
        },
        F::KeyReadable => readable(finding, node),
        F::AlternativeNameMissing => Some(match finding.severity {
            Severity::Error => {
                format!("whoever goes by that name cannot connect to {} of {node}", served(finding))
            }
            _ => "nothing fails yet: nobody is known to go by that name".to_owned(),
        }),
        F::StaleInMemory => stale(finding, view),
        F::EndpointDown | F::EndpointBroken | F::Unhealthy => {
            Some(outage(component(finding)?, finding.code, view))
        }
        F::SourceDamaged => {
            let path = finding.path.as_ref()?;
            let runs = Component::ALL.into_iter().find(|component| path.as_str().contains(component.name()));
            let stays = runs
                .map(|component| format!("the kubelet of {node} does not start {component} from it, and "));
            Some(format!("{}other findings may be about the wrong files", stays.unwrap_or_default()))
        }
        F::EtcdUnwell
            if view.observations.etcd.as_ref().is_some_and(|cluster| cluster.well() > cluster.quorum()) =>
        {
            let spare =
                view.observations.etcd.as_ref().map_or(0, |cluster| cluster.well() - cluster.quorum());
            Some(format!(
                "etcd has a quorum, and keeps it if {spare} more of its members stop, one of them on {node} perhaps"
            ))
        }
        F::KubeletConfInline => {
            let end = end.map(|end| format!(" until {end}")).unwrap_or_default();
            Some(format!("the kubelet of {node} can authenticate{end} only: nobody renews what is embedded"))
        }
        F::ManifestDuplicate => {
            Some(format!("the kubelet of {node} may run the program with the old flags, or twice"))
        }
        F::TrustFileStale => Some(format!(
            "when the earlier one ends, whoever reads the file on {node} trusts nobody any more"
        )),
        F::WrongFile => Some(misled(finding, node)),
        F::KubeconfigCopyStale => Some(loss().map_or_else(
            || format!("whoever uses the copy on {node} is Unauthorized once the old credential ends"),
            |loss| {
                end.map_or_else(
                    || loss.now(),
                    |end| if end < view.now { loss.since(end) } else { loss.from(end) },
                )
            },
        )),
        _ => Some(anywhere(finding)?.replace(THIS_NODE, node)),
    }
}

/// Returns what comes of `finding` when it is not about one node; `None` when nothing does.
pub(super) fn of_fleet(finding: &Finding) -> Option<String> {
    Some(anywhere(finding)?.replace(THIS_NODE, "a node"))
}

/// Returns what comes of `finding` wherever it is found; `None` when nothing does, or when that depends on the node.
fn anywhere(finding: &Finding) -> Option<&'static str> {
    use FindingCode as F;
    Some(match finding.code {
        F::AdminRbac => "if the binding of kubeadm:cluster-admins is lost, admin.conf of NODE is Forbidden and nothing here restores it",
        F::CaMismatch if is_of(finding, CaSlot::Etcd) => "members of etcd refuse each other, and API servers the member whose certificate the other authority has signed",
        F::CaMismatch if is_of(finding, CaSlot::FrontProxy) => "extension API servers refuse the API server of every node whose authority they were not told",
        F::CaMismatch => "what one node has signed another one refuses: behind a load balancer requests fail at random",
        F::CaReuse => "whoever has a client certificate of the one authority passes for a client of the other on NODE",
        F::ClockSkew => "nothing that NODE says about dates can be trusted, and what it signs now may be refused",
        F::EtcdUnwell => match finding.severity {
            Severity::Error => "etcd has no quorum: nothing can be written, and the API server of NODE is not ready",
            _ => "etcd has a quorum, and loses it with the next member: none may be restarted on NODE",
        },
        F::ExternalCa if is_of(finding, CaSlot::Etcd) => "nothing that it signs can be renewed on NODE, and kubeadm certs renew all stops at the first of these, when others are renewed already",
        F::ExternalCa => "nothing that it signs can be renewed on NODE, and kubeadm certs renew says so and ends successfully",
        F::FrontProxyRefused => "metrics.k8s.io and other aggregated APIs refuse the API server of NODE",
        F::LateLeaf => "it ends by itself while all others go on: whoever renews by their date is late on NODE",
        F::LayoutMismatch => "whoever renews those files on NODE renews nothing that is used",
        F::LeafShared if finding.severity == Severity::Notice => "nothing fails: whoever has the key of one of these nodes passes for each of them",
        F::LeafShared => "a node-bound certificate is refused on every node but its own",
        F::NamesDiffer => "clients that go by that name succeed or fail as the load balancer decides",
        F::NodesOutOfStep => "nothing fails yet: the nodes will have to be renewed at different times",
        F::NotObserved => "what depends on it is unknown on NODE: whether programs use what is on disk, or run at all",
        F::ParamDrift => "nothing fails yet: the last renewal on NODE did not go by the parameters of this site",
        F::RootCaStale => "pods on NODE do not trust the API server: x509: certificate signed by unknown authority",
        F::SaKeyMismatch => "the API server of NODE rejects the tokens that are signed here: pods are Unauthorized",
        F::SaKeyUnused => "tokens are signed or verified with another key than the one that is kept on NODE",
        F::SaKeysDiffer => "a token that one node has signed another one rejects: pods are Unauthorized at random",
        F::SaTokenInvalid => "those pods on NODE are Unauthorized until they get a new token",
        F::ServedExpired => "whoever verifies it refuses it: clients that read the metrics of NODE, and nothing of the control plane by default",
        F::SimultaneousRestart if finding.message.contains("etcd together with the rest") => {
            "all members of etcd stop at once: the whole control plane is away for that long"
        }
        F::SimultaneousRestart => "what it restarts is away on all nodes at once that run it at that moment",
        F::UnmanagedCopy => "whoever uses it on NODE goes on with the old one after the next renewal, until that ends",
        F::Unverifiable => "it may work or not: Go refuses old algorithms as well",
        F::WeakAlgorithm => "Go 1.18 and later refuse a signature with SHA-1, and scanners complain about a key that small",
        F::AlternativeNameMissing
        | F::CaEndsBeforeRenewal
        | F::CaReplaced
        | F::Damaged
        | F::EndpointBroken
        | F::EndpointDown
        | F::Expired
        | F::ExpiresSoon
        | F::ForeignLeaf
        | F::KeyMismatch
        | F::KeyMissing
        | F::KeyReadable
        | F::KubeconfigCaStale
        | F::KubeconfigCopyStale
        | F::KubeletConfInline
        | F::LeafOutlivesCa
        | F::ManifestDuplicate
        | F::Missing
        | F::NotASymlink
        | F::NotAnAuthority
        | F::NotYetValid
        | F::OwnerWrong
        | F::SourceDamaged
        | F::StaleInMemory
        | F::TrustFileStale
        | F::Unhealthy
        | F::Unreadable
        | F::WrongAuthority
        | F::WrongFile
        // Whoever has the key can pass for that name, which is nothing for the cluster.
        | F::AlternativeNameUnexpected => return None,
    })
}

/// Returns whether a kubeconfig trusts what the authority's key signs, by an earlier certificate of it.
fn trusts_earlier(finding: &Finding, view: &View<'_>) -> bool {
    let mut credentials = view.inventory.credentials();
    let credential = credentials.find(|(place, _)| finding.place.as_ref() == Some(*place));
    let Some(facts) = credential.and_then(|(_, credential)| credential.kubeconfig()) else { return false };
    facts.trusts_earlier_until(view.inventory.authority(CaSlot::Cluster), view.now).is_some()
}

fn is_of(finding: &Finding, ca: CaSlot) -> bool {
    finding.place == Some(Place::Slot(Slot::Ca(ca)))
}

/// Stands for the node's name.
const THIS_NODE: &str = "NODE";

/// What cannot be done any more when what is in a place is refused.
struct Loss {
    who: String,
    what: String,
    so: &'static str,
}

impl Loss {
    fn of(place: &Place, node: &str) -> Self {
        let loss =
            |who: &str, what: &str, so| Self { who: format!("{who} of {node}"), what: what.to_owned(), so };
        let api = "authenticate to the API server";
        let slot = match place {
            Place::Slot(slot) => *slot,
            Place::Copy(path) => {
                let who = format!("whoever uses {path} on {node}");
                return Self { who, what: api.to_owned(), so: "Unauthorized" };
            }
        };
        match slot {
            Slot::Ca(CaSlot::Cluster) => loss(
                "whoever trusts the cluster's authority",
                "verify anything that it signed",
                "the API server, kubelets and every kubeconfig are refused",
            ),
            Slot::Ca(CaSlot::Etcd) => loss(
                "whoever trusts the authority of etcd",
                "verify anything that it signed",
                "the API server loses etcd, and its members each other",
            ),
            Slot::Ca(CaSlot::FrontProxy) => loss(
                "whoever trusts the front proxy's authority",
                "verify anything that it signed",
                "metrics.k8s.io and other aggregated APIs fail",
            ),
            Slot::Leaf(LeafSlot::EtcdServer) => {
                loss("whoever connects to etcd", "verify it", "the API server loses etcd and answers nothing")
            }
            Slot::Leaf(LeafSlot::EtcdPeer) => loss(
                "the etcd member",
                "authenticate to the other members",
                "the cluster is one member short",
            ),
            Slot::Leaf(LeafSlot::EtcdHealthcheckClient) => {
                loss("etcdctl", "authenticate to etcd", "nobody can ask etcd how it is")
            }
            Slot::Leaf(LeafSlot::ApiServerEtcdClient) => {
                loss("the API server", "authenticate to etcd", "it loses etcd and answers nothing")
            }
            Slot::Leaf(LeafSlot::ApiServer) => loss(
                "whoever connects to the API server",
                "verify it",
                "kubectl, kubelets, controllers and the scheduler are cut off",
            ),
            Slot::Leaf(LeafSlot::ApiServerKubeletClient) => {
                loss("the API server", "authenticate to kubelets", "kubectl logs, exec and port-forward fail")
            }
            Slot::Leaf(LeafSlot::FrontProxyClient) => loss(
                "the API server",
                "authenticate to extension API servers",
                "metrics.k8s.io and other aggregated APIs fail",
            ),
            Slot::Kubeconfig(KubeconfigSlot::ControllerManager) => loss(
                "kube-controller-manager",
                api,
                "deployments, nodes and tokens are not looked after by it",
            ),
            Slot::Kubeconfig(KubeconfigSlot::Scheduler) => {
                loss("kube-scheduler", api, "it gives no pod a node")
            }
            Slot::Kubeconfig(KubeconfigSlot::Admin) => {
                loss("kubectl with admin.conf", api, "administrators and kubeadm are locked out")
            }
            Slot::Kubeconfig(KubeconfigSlot::SuperAdmin) => {
                loss("kubectl with super-admin.conf", api, "the way past RBAC is closed")
            }
            Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet) => loss(
                "the kubelet",
                api,
                "the node goes NotReady, and a kubelet that ends starts no static pod either",
            ),
            Slot::KubeletServing => loss(
                "whoever verifies the kubelet",
                "connect to it",
                "kubectl logs and metrics of the node fail",
            ),
            Slot::ServiceAccount => {
                loss("the API server", "verify the tokens of service accounts", "pods are Unauthorized")
            }
        }
    }

    fn since(&self, moment: Timestamp) -> String {
        let Self { who, what, so } = self;
        format!("{who} has not been able to {what} since {moment}: {so}")
    }

    fn from(&self, moment: Timestamp) -> String {
        let Self { who, what, so } = self;
        format!("{who} will not be able to {what} after {moment}: {so}")
    }

    fn before(&self, moment: Timestamp) -> String {
        let Self { who, what, so } = self;
        format!("{who} cannot {what} before {moment}: {so}")
    }

    fn now(&self) -> String {
        let Self { who, what, so } = self;
        format!("{who} cannot {what}: {so}")
    }
}

/// Says what a program does that finds nothing usable in the file that the finding is about.
fn unusable(finding: &Finding, view: &View<'_>) -> Option<String> {
    let node = view.node.as_str();
    let place = finding.place.as_ref()?;
    let file = finding.path.as_ref().and_then(|path| {
        FileSlot::all()
            .find(|file| Place::Slot(file.slot()) == *place && view.inventory.file(*file).path == *path)
    });
    if let (Some(FileSlot::CaKey(ca)), Some(Slot::Ca(_))) = (file, place.slot()) {
        return Some(format!(
            "nothing that {ca} signs can be renewed on {node}, and no node can join with it"
        ));
    }
    if finding.code == FindingCode::Missing && *place == Place::Slot(Slot::KubeletServing) {
        return Some(format!(
            "the kubelet of {node} has nothing to serve with: kubectl logs and exec fail, and so do metrics of the node"
        ));
    }
    if finding.code == FindingCode::Missing && finding.severity != Severity::Error {
        return Some(format!("it is not known how whoever uses it on {node} authenticates"));
    }
    match (finding.severity, finding.code) {
        (Severity::Error, _) => {}
        (_, FindingCode::NotASymlink) => {
            return Some(format!(
                "the kubelet of {node} works until its certificate ends: what it is given at a rotation is not used"
            ));
        }
        (_, FindingCode::OwnerWrong) => {
            return Some(format!("who should not use or replace it on {node} can"));
        }
        _ => return Some(format!("nothing fails on {node} yet")),
    }
    let version = view.inventory.node().version();
    let loads = |component: &Component| {
        let mut files = FileSlot::all()
            .filter(|known| file.map_or(Place::Slot(known.slot()) == *place, |file| file == *known));
        files.any(|file| component.reload(file, version).is_some())
    };
    let loaders: Vec<Component> = view.inventory.components().filter(loads).collect();
    if loaders.is_empty() {
        return Some(Loss::of(place, node).now());
    }
    let down = |component: &Component| {
        let mut sightings = view.observations.sightings.iter();
        sightings.any(|sighting| {
            sighting.endpoint.service.component() == *component && sighting.handshake.served().is_none()
        })
    };
    let (down, up): (Vec<Component>, Vec<Component>) = loaders.into_iter().partition(down);
    let names = |components: &[Component]| {
        components.iter().map(|component| component.name()).collect::<Vec<_>>().join(", ")
    };
    let verb = |components: &[Component], one: &'static str, more: &'static str| {
        if components.len() == 1 { one } else { more }
    };
    let mut parts = Vec::new();
    if !down.is_empty() {
        parts.push(format!("{} of {node} {} not run", names(&down), verb(&down, "does", "do")));
    }
    if !up.is_empty() {
        let running = up.iter().filter_map(|component| {
            view.observations.runs_of(*component).filter_map(|run| run.started).min()
        });
        let since = running.min().map(|started| format!(", having run since {}", started.timestamp()));
        let again = verb(&up, "does not start again", "do not start again");
        parts.push(format!("{} of {node}{} {again} once stopped", names(&up), since.unwrap_or_default()));
    }
    Some(parts.join("; "))
}

fn readable(finding: &Finding, node: &str) -> Option<String> {
    let who = match finding.place.as_ref()? {
        Place::Slot(Slot::Ca(ca)) => format!("make itself a certificate of {ca} for anybody"),
        Place::Slot(Slot::ServiceAccount) => "make itself a token of any service account".to_owned(),
        Place::Slot(slot) => format!("act as {slot}"),
        Place::Copy(path) => format!("act as the user of {path}"),
    };
    Some(format!("every process on {node} can {who}"))
}

fn served(finding: &Finding) -> &'static str {
    match finding.place.as_ref().and_then(Place::slot) {
        Some(Slot::Leaf(LeafSlot::EtcdServer | LeafSlot::EtcdPeer)) => "etcd",
        Some(Slot::KubeletServing) => "the kubelet",
        _ => "the API server",
    }
}

/// Says until when a program goes on with what it has read, if that can be seen.
fn stale(finding: &Finding, view: &View<'_>) -> Option<String> {
    let (component, node) = (component(finding)?, view.node.as_str());
    let slot = finding.place.as_ref()?.slot()?;
    let usage = usages(view.inventory, view.observations)
        .into_iter()
        .find(|usage| usage.component == component && usage.slot() == slot)?;
    let since = usage.changed.map(|changed| format!(" since {}", changed.timestamp())).unwrap_or_default();
    let sightings = view.observations.sightings.iter();
    let end = sightings
        .filter(|sighting| sighting.endpoint.service.leaf().map(Slot::Leaf) == Some(slot))
        .find_map(|sighting| Some(sighting.handshake.served()?.leaf.as_ref().ok()?.not_after()));
    let until = match end {
        Some(end) if end < view.now => format!(", which has been refused since {end}"),
        Some(end) => format!(", which ends {end}"),
        None => ", and fails when that ends although everything looks renewed".to_owned(),
    };
    Some(format!("{component} of {node} has gone on with the earlier {slot}{since}{until}"))
}

/// Says what a program does that is told to use another file than it needs.
fn misled(finding: &Finding, node: &str) -> String {
    use Component as C;
    let (component, flag) = match &finding.remedy {
        Remedy::SetFlag(component, flags) => (*component, flags.first().map_or("", |(flag, _)| *flag)),
        Remedy::SetField(..) => {
            return format!(
                "the kubelet of {node} refuses the API server: kubectl logs, exec and port-forward fail"
            );
        }
        Remedy::KeepCertificate { .. } => (C::ControllerManager, ""),
        _ => return format!("a program of {node} does not find what it needs"),
    };
    let so = match (component, flag) {
        (C::Etcd, "trusted-ca-file") => {
            "refuses the API server and etcdctl, and lets in who has a certificate of the other authority"
        }
        (C::Etcd, "peer-trusted-ca-file") => "refuses the other members, and they do not find it",
        (C::Etcd, _) => "shows a certificate that its clients or the other members refuse, or does not start",
        (C::ApiServer, "etcd-cafile") => "does not accept the certificate of etcd: it answers nothing",
        (C::ApiServer, "etcd-certfile" | "etcd-keyfile") => {
            "is refused by etcd, or does not start: it answers nothing"
        }
        (C::ApiServer, "client-ca-file") => {
            "refuses every client certificate: kubelets, controllers, the scheduler and administrators are Unauthorized"
        }
        (C::ApiServer, "kubelet-client-certificate" | "kubelet-client-key") => {
            "is refused by kubelets, or does not start: kubectl logs, exec and port-forward fail"
        }
        (C::ApiServer, "proxy-client-cert-file" | "proxy-client-key-file") => {
            "is refused by extension API servers, or does not start: metrics.k8s.io and other aggregated APIs fail"
        }
        (C::ApiServer, _) => "shows a certificate that its clients refuse, or does not start",
        (C::ControllerManager, "root-ca-file") => {
            "gives pods an authority by which they do not know the API server"
        }
        (C::ControllerManager, "cluster-signing-cert-file" | "cluster-signing-key-file") => {
            "does not start, or signs certificates for kubelets that nobody accepts"
        }
        (C::ControllerManager, "") => "does not start: it takes a file of one certificate for its authority",
        (_, "client-ca-file" | "requestheader-client-ca-file") => {
            "refuses who asks it for metrics with a certificate"
        }
        _ => "does not do its work, or does it as somebody else",
    };
    format!("{component} of {node} {so}")
}

fn outage(component: Component, code: FindingCode, view: &View<'_>) -> String {
    let node = view.node.as_str();
    let state = match code {
        FindingCode::EndpointDown => "does not run",
        FindingCode::EndpointBroken => "cannot be reached over TLS",
        _ => "may not do its work",
    };
    let so = match component {
        Component::Etcd => "the API server has no etcd here",
        Component::ApiServer => "kubectl, kubelets and controllers that go to this node are cut off",
        Component::ControllerManager => "deployments, nodes and tokens are not looked after by it",
        Component::Scheduler => "it gives no pod a node",
        Component::Kubelet => "the node goes NotReady, and nothing that stops on it comes back",
    };
    format!("{component} of {node} {state}: {so}")
}
