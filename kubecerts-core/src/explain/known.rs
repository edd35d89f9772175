//! The certificates of a node in every role in which a line may speak of them.

use super::{Address, Advice, Bearer, Evidence, Program, Scene, facts};
use crate::catalog::{CaSlot, Component, FileSlot, KubeconfigSlot, LeafSlot, Reload, Slot};
use crate::diagnosis::Remedy;
use crate::inventory::{Custody, FoundCertificates, Inventory, Place};
use crate::time::Timestamp;
use crate::x509::{Certificate, SerialNumber};

/// A certificate and where it was found.
#[derive(Clone, Debug)]
pub(super) struct Known<'i> {
    pub(super) certificate: &'i Certificate,
    pub(super) spot: Spot<'i>,
}

#[derive(Clone, Debug)]
pub(super) enum Spot<'i> {
    Current(&'i Place),
    Authority(CaSlot),
    Around(&'i FoundCertificates),
}

/// Returns every certificate of the node: those in use first, then authorities, then what lies around.
pub(super) fn all(inventory: &Inventory) -> Vec<Known<'_>> {
    let mut known: Vec<Known<'_>> = inventory
        .credentials()
        .filter_map(|(place, credential)| {
            Some(Known { certificate: credential.leaf()?, spot: Spot::Current(place) })
        })
        .collect();
    // What a slot holds comes before a copy of it.
    known.sort_by_key(|known| matches!(known.spot, Spot::Current(Place::Copy(_))));
    for ca in CaSlot::ALL {
        let bundle = inventory.authority(ca).certificate().present();
        let certificates = bundle.into_iter().flat_map(|bundle| bundle.certificates());
        known.extend(certificates.map(|certificate| Known { certificate, spot: Spot::Authority(ca) }));
    }
    for found in &inventory.surroundings().certificates {
        let certificates = found.certificates.certificates().iter();
        known.extend(certificates.map(|certificate| Known { certificate, spot: Spot::Around(found) }));
    }
    known
}

/// Returns whether two serial numbers are the same number; the encoding of one may be longer than it has to be.
pub(super) fn is_same(left: &SerialNumber, right: &SerialNumber) -> bool {
    let bare = |serial: &SerialNumber| {
        let bytes = serial.as_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    };
    bare(left) == bare(right)
}

/// Returns the authority of the tree whose key has the identifier `key`.
pub(super) fn authority_with(key: &[u8], inventory: &Inventory) -> Option<CaSlot> {
    CaSlot::ALL.into_iter().find(|ca| {
        let bundle = inventory.authority(*ca).certificate().present();
        bundle.is_some_and(|bundle| {
            bundle.certificates().iter().any(|certificate| certificate.subject_key_identifier() == Some(key))
        })
    })
}

/// Returns the authority of the tree that goes by `name`.
pub(super) fn authority_called(name: &str, inventory: &Inventory) -> Option<CaSlot> {
    let of_tree = CaSlot::ALL.into_iter().find(|ca| {
        inventory.authority(*ca).signer().and_then(|signer| signer.subject().common_name()) == Some(name)
    });
    of_tree.or_else(|| CaSlot::ALL.into_iter().find(|ca| ca.spec().common_name == name))
}

/// Where a host is, seen from the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whereabouts {
    Here,
    /// A name or an address that any control-plane node may answer to.
    Shared,
    Elsewhere,
}

/// Returns where `host` is.
pub(super) fn whereabouts(host: &str, inventory: &Inventory) -> Whereabouts {
    let node = inventory.node();
    // What listens at all addresses is reached at one of its own.
    let is_any = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified());
    let own_name = node.node_name().is_some_and(|name| name.value == host);
    let own_address = node.addresses().advertised.is_some_and(|address| host.parse() == Ok(address));
    if facts::is_loopback(host) || is_any || own_name || own_address {
        return Whereabouts::Here;
    }
    let name = crate::x509::AlternativeName::parse_host(host).ok();
    let covers = |leaf: LeafSlot| {
        let leaf = inventory.credential(Slot::Leaf(leaf)).and_then(|credential| credential.leaf());
        name.as_ref().is_some_and(|name| leaf.is_some_and(|leaf| leaf.alternative_names().covers(name)))
    };
    if covers(LeafSlot::EtcdServer) {
        Whereabouts::Here
    } else if covers(LeafSlot::ApiServer) || name.is_none() {
        Whereabouts::Shared
    } else {
        Whereabouts::Elsewhere
    }
}

/// Returns whether `node`, a name that a line gives its writer's host, is another node than that of `inventory`. The names of
/// hosts may have a domain where those of nodes have none.
pub(super) fn is_other_node(node: &str, inventory: &Inventory) -> bool {
    let known = inventory.known_node_name().map(|name| name.to_string());
    let Some(own) = known.or_else(|| Some(inventory.node().node_name()?.value.clone())) else { return false };
    if node.parse::<std::net::IpAddr>().is_ok() {
        return whereabouts(node, inventory) == Whereabouts::Elsewhere;
    }
    let label = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    label(node) != label(&own)
        && label(node) != "localhost"
        && whereabouts(node, inventory) == Whereabouts::Elsewhere
}

/// Returns what is served at `address`, which `writer` connects to; `None` for a server that is not of the control plane.
pub(super) fn served_at(
    address: Option<&Address>,
    writer: Option<&Program>,
    inventory: &Inventory,
) -> Option<Slot> {
    let component = writer.and_then(Program::component);
    let Some(address) = address else {
        // A client of gRPC does not name its endpoint, but each program connects to few.
        return Some(Slot::Leaf(match component {
            Some(Component::ApiServer) => LeafSlot::EtcdServer,
            Some(Component::Etcd) => LeafSlot::EtcdPeer,
            _ if writer.is_some_and(|program| program.name() == "etcdctl") => LeafSlot::EtcdServer,
            _ => LeafSlot::ApiServer,
        }));
    };
    let stated = inventory.node().endpoints().iter().find(|endpoint| Some(endpoint.port) == address.port);
    if let Some(endpoint) = stated {
        return match endpoint.service.component() {
            Component::Kubelet => Some(Slot::KubeletServing),
            _ => endpoint.service.leaf().map(Slot::Leaf),
        };
    }
    let is_api_service = || {
        let service = inventory.node().addresses().service;
        service.is_some_and(|service| address.host.parse() == Ok(service))
            || address.host == "kubernetes"
            || address.host.starts_with("kubernetes.default")
    };
    match address.port {
        Some(6443 | 8443) => Some(Slot::Leaf(LeafSlot::ApiServer)),
        Some(2379) => Some(Slot::Leaf(LeafSlot::EtcdServer)),
        Some(2380) => Some(Slot::Leaf(LeafSlot::EtcdPeer)),
        Some(10250) => Some(Slot::KubeletServing),
        Some(443) | None if component == Some(Component::ApiServer) => None,
        Some(443) | None if is_api_service() => Some(Slot::Leaf(LeafSlot::ApiServer)),
        Some(443) | None if whereabouts(&address.host, inventory) != Whereabouts::Elsewhere => {
            Some(Slot::Leaf(LeafSlot::ApiServer))
        }
        _ => None,
    }
}

/// Returns the slots whose certificate, or an earlier one of theirs, `evidence` can be about.
pub(super) fn suspects(evidence: &Evidence, inventory: &Inventory) -> Vec<Slot> {
    use KubeconfigSlot as K;
    use LeafSlot as L;
    let writer = evidence.program.as_ref();
    let component = writer.and_then(Program::component);
    let signer = evidence.authority_key.as_ref().and_then(|key| authority_with(key, inventory));
    let is_other = writer.is_some_and(|program| program.is_in_pod() || program.is_network());
    let slots: Vec<Slot> = match &evidence.bearer {
        _ if evidence.slot == Some(Slot::Kubeconfig(K::Kubelet)) => vec![kubelet_credential(inventory)],
        _ if evidence.slot.is_some() => evidence.slot.into_iter().collect(),
        Bearer::Server(_) if evidence.scene == Scene::Kubelet => vec![Slot::KubeletServing],
        Bearer::Server(_) if evidence.scene == Scene::Member => vec![Slot::Leaf(L::EtcdPeer)],
        Bearer::Server(_) if evidence.scene == Scene::Etcd => vec![Slot::Leaf(L::EtcdServer)],
        Bearer::Server(_) | Bearer::WriterAsClient(_)
            if matches!(evidence.scene, Scene::Extension(_) | Scene::Registry) =>
        {
            Vec::new()
        }
        Bearer::Server(address) => served_at(address.as_ref(), writer, inventory).into_iter().collect(),
        Bearer::WriterAsServer(_) => match component {
            Some(Component::Etcd) => vec![Slot::Leaf(L::EtcdServer), Slot::Leaf(L::EtcdPeer)],
            Some(Component::Kubelet) => vec![Slot::KubeletServing],
            Some(Component::ControllerManager | Component::Scheduler) => Vec::new(),
            None if is_other => Vec::new(),
            Some(Component::ApiServer) | None => vec![Slot::Leaf(L::ApiServer)],
        },
        Bearer::Client(peer) => match component {
            Some(Component::Etcd) if evidence.symptom == super::Symptom::NameMismatch => {
                vec![Slot::Leaf(L::EtcdPeer)]
            }
            Some(Component::Etcd) if evidence.symptom == super::Symptom::WrongUsage => {
                // etcd's own gateway is a client of it, with the server's certificate.
                [L::EtcdServer, L::ApiServerEtcdClient, L::EtcdHealthcheckClient].map(Slot::Leaf).to_vec()
            }
            Some(Component::Etcd) => {
                // Another member comes from elsewhere; what comes from here is the API server, or a probe.
                let is_here =
                    peer.as_ref().is_none_or(|host| whereabouts(host, inventory) == Whereabouts::Here);
                let mut slots =
                    vec![Slot::Leaf(L::ApiServerEtcdClient), Slot::Leaf(L::EtcdHealthcheckClient)];
                if !is_here {
                    slots.push(Slot::Leaf(L::EtcdPeer));
                }
                slots
            }
            Some(Component::Kubelet) => vec![Slot::Leaf(L::ApiServerKubeletClient)],
            _ if evidence.symptom == super::Symptom::FrontProxyRefused => {
                vec![Slot::Leaf(L::FrontProxyClient)]
            }
            Some(Component::ApiServer) | None => match signer {
                // It went to the wrong door, or it is not the API server that says so.
                Some(CaSlot::FrontProxy) => vec![Slot::Leaf(L::FrontProxyClient)],
                Some(CaSlot::Etcd) => {
                    [L::ApiServerEtcdClient, L::EtcdHealthcheckClient, L::EtcdPeer].map(Slot::Leaf).to_vec()
                }
                _ => vec![
                    Slot::Kubeconfig(K::ControllerManager),
                    Slot::Kubeconfig(K::Scheduler),
                    Slot::KubeletClient,
                    Slot::Kubeconfig(K::Kubelet),
                    Slot::Kubeconfig(K::Admin),
                    Slot::Kubeconfig(K::SuperAdmin),
                ],
            },
            Some(Component::ControllerManager | Component::Scheduler) => Vec::new(),
        },
        Bearer::WriterAsClient(address) => match component {
            Some(Component::Scheduler) => vec![Slot::Kubeconfig(K::Scheduler)],
            Some(Component::ControllerManager) => vec![Slot::Kubeconfig(K::ControllerManager)],
            Some(Component::Kubelet) => vec![kubelet_credential(inventory)],
            Some(Component::ApiServer) if evidence.scene == Scene::Kubelet => {
                vec![Slot::Leaf(L::ApiServerKubeletClient)]
            }
            Some(Component::ApiServer) => match served_at(address.as_ref(), writer, inventory) {
                Some(Slot::Leaf(L::EtcdServer | L::EtcdPeer)) => vec![Slot::Leaf(L::ApiServerEtcdClient)],
                Some(Slot::KubeletServing) => vec![Slot::Leaf(L::ApiServerKubeletClient)],
                _ => vec![Slot::Leaf(L::FrontProxyClient)],
            },
            // Its own gateway shows the certificate that it serves with.
            Some(Component::Etcd) => match served_at(address.as_ref(), writer, inventory) {
                Some(Slot::Leaf(L::EtcdServer)) => vec![Slot::Leaf(L::EtcdServer)],
                _ => vec![Slot::Leaf(L::EtcdPeer)],
            },
            None if writer.is_none() && evidence.scene == Scene::Etcd => {
                [L::ApiServerEtcdClient, L::EtcdHealthcheckClient].map(Slot::Leaf).to_vec()
            }
            None if evidence.scene == Scene::Etcd => vec![Slot::Leaf(L::EtcdHealthcheckClient)],
            None if is_other => Vec::new(),
            None => match served_at(address.as_ref(), writer, inventory) {
                Some(Slot::Leaf(L::EtcdServer | L::EtcdPeer)) => vec![Slot::Leaf(L::EtcdHealthcheckClient)],
                _ => vec![Slot::Kubeconfig(K::Admin)],
            },
        },
    };
    slots.into_iter().filter(|slot| fits(*slot, evidence, inventory)).collect()
}

/// Returns the slot that holds what the kubelet authenticates with.
pub(super) fn kubelet_credential(inventory: &Inventory) -> Slot {
    let conf = Slot::Kubeconfig(KubeconfigSlot::Kubelet);
    let is_embedded = inventory
        .credential(conf)
        .and_then(|credential| credential.kubeconfig())
        .is_some_and(|facts| facts.is_embedded);
    if is_embedded { conf } else { Slot::KubeletClient }
}

/// Returns whether what `evidence` says of key identifiers and subject can be said of `slot`.
fn fits(slot: Slot, evidence: &Evidence, inventory: &Inventory) -> bool {
    let ca = evidence.authority_key.as_ref().and_then(|key| authority_with(key, inventory));
    if let (Some(ca), Some(issuer)) = (ca, slot.issuer())
        && ca != issuer
    {
        return false;
    }
    let name =
        evidence.common_name.as_deref().filter(|_| evidence.symptom != super::Symptom::UnknownAuthority);
    let own = inventory.credential(slot).and_then(|credential| credential.leaf()?.subject().common_name());
    match (name, own) {
        (Some(name), Some(own)) => name == own,
        _ => true,
    }
}

/// Returns the file of the certificate in `slot`.
pub(super) const fn file_of(slot: Slot) -> FileSlot {
    match slot {
        Slot::Ca(ca) => FileSlot::CaCertificate(ca),
        Slot::Leaf(leaf) => FileSlot::LeafCertificate(leaf),
        Slot::Kubeconfig(kubeconfig) => FileSlot::Kubeconfig(kubeconfig),
        Slot::ServiceAccount => FileSlot::ServiceAccountKey,
        Slot::KubeletClient => FileSlot::KubeletClient,
        Slot::KubeletServing => FileSlot::KubeletServingCertificate,
    }
}

/// Returns the programs that load what is in `slot`, and whether each has to be restarted to see a new one.
pub(super) fn loaders(slot: Slot, inventory: &Inventory) -> Vec<(Component, Reload)> {
    let version = inventory.node().version();
    let load = |component: Component| Some((component, component.reload(file_of(slot), version)?));
    Component::ALL.into_iter().filter_map(load).collect()
}

/// Returns the restarts after which a new certificate of `slot` is in use.
pub(super) fn restarts(slot: Slot, inventory: &Inventory) -> impl Iterator<Item = Advice> {
    let needed = loaders(slot, inventory).into_iter().filter(|(_, reload)| *reload != Reload::ByItself);
    needed.map(|(component, _)| Advice::Mend(Remedy::Restart(component)))
}

/// Returns what gives `place` a new certificate.
pub(super) fn renewal(place: &Place, inventory: &Inventory, now: Timestamp) -> Advice {
    let slot = match place {
        Place::Copy(path) => return Advice::Mend(Remedy::RefreshCopy(path.clone())),
        Place::Slot(Slot::Ca(ca)) => return Advice::Mend(Remedy::RotateAuthority(*ca)),
        Place::Slot(Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet)) => {
            return Advice::RecoverKubelet;
        }
        Place::Slot(Slot::KubeletServing) => return Advice::RemakeServing,
        Place::Slot(slot) => *slot,
    };
    let Some(ca) = slot.issuer() else { return Advice::Check };
    let authority = inventory.authority(ca);
    Advice::Mend(match authority.custody() {
        Custody::Held if authority.signer().is_some_and(|signer| signer.not_after() < now) => {
            Remedy::RotateAuthority(ca)
        }
        Custody::Held => Remedy::Renew(slot),
        Custody::External => Remedy::SignElsewhere(ca),
        Custody::Absent => Remedy::Restore(FileSlot::CaCertificate(ca)),
        Custody::Broken => Remedy::Restore(FileSlot::CaKey(ca)),
    })
}

/// Says who presents the certificate of `slot`.
pub(super) fn presenter(slot: Slot, bearer: &Bearer) -> String {
    let from = match bearer {
        Bearer::Client(Some(host)) => format!(" from {}", host.escape_debug()),
        Bearer::Server(Some(address)) => format!(" at {address}"),
        _ => String::new(),
    };
    let who = match slot {
        Slot::Leaf(leaf) => match leaf {
            LeafSlot::ApiServer => "kube-apiserver, to its clients",
            LeafSlot::ApiServerEtcdClient => "kube-apiserver, to etcd",
            LeafSlot::ApiServerKubeletClient => "kube-apiserver, to kubelets",
            LeafSlot::EtcdHealthcheckClient => "probes and etcdctl, to etcd",
            LeafSlot::EtcdPeer => "etcd, to its other members",
            LeafSlot::EtcdServer => "etcd, to its clients",
            LeafSlot::FrontProxyClient => "kube-apiserver, to extension API servers",
        },
        Slot::Kubeconfig(kubeconfig) => match kubeconfig {
            KubeconfigSlot::Admin => "whoever uses admin.conf or a copy of it",
            KubeconfigSlot::ControllerManager => "kube-controller-manager, with controller-manager.conf",
            KubeconfigSlot::Kubelet => "kubelet, with kubelet.conf",
            KubeconfigSlot::Scheduler => "kube-scheduler, with scheduler.conf",
            KubeconfigSlot::SuperAdmin => "whoever uses super-admin.conf or a copy of it",
        },
        Slot::KubeletClient => "kubelet, with the certificate that it rotates",
        Slot::KubeletServing => "kubelet, to whoever reads logs and metrics",
        Slot::Ca(_) | Slot::ServiceAccount => "nobody",
    };
    format!("{who}{from}")
}
