//! What is wrong between the control-plane nodes of one cluster, each of which may be well by itself.
//!
//! Input is the inventory of each node, of its disk or of a snapshot; output are findings with the nodes that they are about.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{CaSlot, FileSlot, KubeconfigSlot, LeafSlot, NodeName, Slot};
use crate::diagnosis::{Finding, FindingCode, Impact, Policy, Remedy, Severity};
use crate::digest::Digest;
use crate::inventory::{Credential, Inventory, KeyFacts, Place};
use crate::time::{Seconds, Timestamp};
use crate::x509::{AlternativeName, Certificate, PublicKey};

/// One node among others.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Member<'a> {
    /// The node's name, by which findings speak of it.
    pub name: &'a str,
    /// What is there.
    pub inventory: &'a Inventory,
}

impl<'a> Member<'a> {
    /// Returns a node among others.
    #[must_use]
    pub const fn new(name: &'a str, inventory: &'a Inventory) -> Self {
        Self { name, inventory }
    }
}

/// Something that is wrong between nodes.
///
/// The order of the fields is the order of findings.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct FleetFinding {
    /// What is wrong; its path is one of the first of the nodes.
    pub finding: Finding,
    /// The nodes that it is about: those that differ from most, or all of them when there is no majority.
    pub nodes: Vec<String>,
}

/// Returns what is wrong between `members` at `now`, the severe first. Who is alone differs from nobody.
///
/// Nodes that have no authority in common with the others are of another cluster; that is said first, and they are compared no
/// further. Of a worker only the authority of the cluster is compared, and its kubelet's certificates.
#[must_use]
pub fn compare(members: &[Member<'_>], policy: Policy, now: Timestamp) -> Vec<FleetFinding> {
    let mut found = Vec::new();
    let members = one_cluster(members, &mut found);
    authorities(&members, &mut found);
    service_accounts(&members, &mut found);
    shared_leaves(&members, &mut found);
    names(&members, &mut found);
    versions(&members, &mut found);
    ends(&members, policy, now, &mut found);
    found.sort();
    found
}

/// Leaves the nodes of the cluster that most are of. Two nodes are of one cluster when they have an authority in common, or
/// nothing says that they have not.
fn one_cluster<'a>(members: &[Member<'a>], out: &mut Vec<FleetFinding>) -> Vec<Member<'a>> {
    let mut clusters: Vec<(BTreeSet<Digest>, Vec<Member<'a>>)> = Vec::new();
    for member in members {
        let mut keys: BTreeSet<Digest> = CaSlot::ALL
            .into_iter()
            .filter_map(|ca| authority_key(member, ca))
            .map(PublicKey::fingerprint)
            .collect();
        keys.extend(service_account_key(member).map(PublicKey::fingerprint));
        let mut joined = vec![*member];
        // A node may show that two others, which seemed strangers, are of one cluster.
        clusters.retain_mut(|(known, nodes)| {
            let is_same = keys.is_empty() || known.is_empty() || !known.is_disjoint(&keys);
            if is_same {
                keys.append(known);
                joined.append(nodes);
            }
            !is_same
        });
        clusters.push((keys, joined));
    }
    for (_, nodes) in &mut clusters {
        nodes.sort_by_key(|member| member.name);
    }
    clusters
        .sort_by_key(|(_, nodes)| (std::cmp::Reverse(nodes.len()), nodes.first().map(|member| member.name)));
    let mut clusters = clusters.into_iter().map(|(_, nodes)| nodes);
    let largest = clusters.next().unwrap_or_default();
    for strangers in clusters {
        let (those, others) = (listed(&strangers), listed(&largest));
        out.push(FleetFinding {
            nodes: names_of(&strangers),
            ..about(
                None,
                FindingCode::CaMismatch,
                format!("another cluster: {those} and {others} have no authority in common"),
                Remedy::Nothing,
            )
        });
    }
    largest
}

/// `ca-mismatch`
fn authorities(members: &[Member<'_>], out: &mut Vec<FleetFinding>) {
    for ca in CaSlot::ALL {
        let keys = members.iter().filter_map(|member| {
            let compared = ca == CaSlot::Cluster || !member.inventory.is_worker();
            Some((*member, authority_key(member, ca).filter(|_| compared)?.fingerprint()))
        });
        let Some(split) = Split::of(keys.collect()) else { continue };
        let vouched = if split.has_majority { None } else { split.vouched(ca) };
        let split = vouched.as_ref().unwrap_or(&split);
        let (those, others) = (listed(&split.odd), listed(&split.most));
        let message = match (&vouched, split.has_majority) {
            (Some(_), _) => {
                format!("{those}: another key than on {others}, which has signed certificates on {those}")
            }
            (None, true) => format!("{those}: another key than on {others}, the majority"),
            (None, false) => {
                format!("{those} and {others} have different keys, and neither are the majority")
            }
        };
        let remedy = match split.most.first().filter(|_| split.has_majority) {
            Some(right) => Remedy::TakePair {
                slot: Slot::Ca(ca),
                from: names_of(&split.most),
                reissue: signed_by_others(&split.odd, right, ca),
            },
            None => Remedy::RestorePair(Slot::Ca(ca)),
        };
        out.push(FleetFinding {
            nodes: split.nodes(),
            ..about(Some(Slot::Ca(ca)), FindingCode::CaMismatch, message, remedy)
        });
    }
}

/// Returns what has to be made anew on the nodes `odd` once they have the authority of `right`: what that one has not signed, and
/// kubeconfigs that do not trust it.
fn signed_by_others(odd: &[Member<'_>], right: &Member<'_>, ca: CaSlot) -> Vec<Slot> {
    let authority = right.inventory.authority(ca);
    let is_foreign = |credential: &Credential| {
        let leaf = credential.leaf();
        let lacks = credential.kubeconfig().is_some_and(|facts| facts.lacks_authority(authority));
        lacks || leaf.is_some_and(|leaf| !authority.signer().is_some_and(|signer| leaf.is_signed_by(signer)))
    };
    let slots = Slot::ALL.into_iter().filter(|slot| slot.issuer() == Some(ca));
    let of_nodes = |slot: Slot| odd.iter().filter_map(move |member| member.inventory.credential(slot));
    // What kubelet.conf refers to has a slot of its own.
    let is_own = |slot: &Slot, credential: &Credential| {
        *slot != Slot::Kubeconfig(KubeconfigSlot::Kubelet)
            || credential.kubeconfig().is_some_and(|facts| facts.is_embedded)
    };
    // The kubelet's own serving certificate is signed by itself as a rule.
    slots
        .filter(|slot| *slot != Slot::KubeletServing)
        .filter(|slot| of_nodes(*slot).any(|found| is_own(slot, found) && is_foreign(found)))
        .collect()
}

/// `sa-keys-differ`
fn service_accounts(members: &[Member<'_>], out: &mut Vec<FleetFinding>) {
    let keys =
        members.iter().filter_map(|member| Some((*member, service_account_key(member)?.fingerprint())));
    let Some(split) = Split::of(keys.collect()) else { return };
    let (those, others) = (listed(&split.odd), listed(&split.most));
    let message = match split.has_majority {
        true => format!("{those}: another key pair than on {others}, the majority"),
        false => format!("{those} and {others} have different key pairs, and neither are the majority"),
    };
    let slot = Slot::ServiceAccount;
    let remedy = match split.has_majority {
        true => Remedy::TakePair { slot, from: names_of(&split.most), reissue: Vec::new() },
        false => Remedy::RestorePair(slot),
    };
    out.push(FleetFinding {
        nodes: split.nodes(),
        ..about(Some(slot), FindingCode::SaKeysDiffer, message, remedy)
    });
}

/// `leaf-shared`
fn shared_leaves(members: &[Member<'_>], out: &mut Vec<FleetFinding>) {
    let of_node = [LeafSlot::ApiServer, LeafSlot::EtcdServer, LeafSlot::EtcdPeer].map(Slot::Leaf);
    let of_node = of_node.into_iter().chain([Slot::KubeletClient, Slot::KubeletServing]);
    let of_kubeconfigs = KubeconfigSlot::ALL.into_iter().filter(|kubeconfig| {
        // What kubelet.conf refers to has a slot of its own, and that of an administrator may be anywhere.
        matches!(
            kubeconfig,
            KubeconfigSlot::ControllerManager | KubeconfigSlot::Scheduler | KubeconfigSlot::Kubelet
        )
    });
    let slots = of_node.map(|slot| (slot, Severity::Error)).chain(of_kubeconfigs.map(|kubeconfig| {
        (
            Slot::Kubeconfig(kubeconfig),
            match kubeconfig {
                KubeconfigSlot::Kubelet => Severity::Error,
                _ => Severity::Notice,
            },
        )
    }));
    for (slot, severity) in slots {
        let mut holders: BTreeMap<Digest, Vec<Member<'_>>> = BTreeMap::new();
        for member in members {
            let Some(credential) = member.inventory.credential(slot) else { continue };
            if slot == Slot::Kubeconfig(KubeconfigSlot::Kubelet)
                && credential.kubeconfig().is_none_or(|facts| !facts.is_embedded)
            {
                continue;
            }
            if let Some(leaf) = credential.leaf() {
                holders.entry(leaf.public_key().fingerprint()).or_default().push(*member);
            }
        }
        for nodes in holders.into_values().filter(|nodes| nodes.len() > 1) {
            let leaf = |member: &Member<'_>| {
                member.inventory.credential(slot).and_then(Credential::leaf).map(Certificate::fingerprint)
            };
            let same = nodes.iter().all(|member| leaf(member) == leaf(&nodes[0]));
            let what = if same { "the same certificate" } else { "certificates with the same key" };
            let (owners, others): (Vec<Member<'_>>, Vec<Member<'_>>) =
                nodes.iter().partition(|member| is_for(member, slot));
            // With the names of them all it serves each of them.
            let severity = if others.is_empty() { Severity::Notice } else { severity };
            let (severity, impact) = match severity {
                Severity::Notice => (severity, Impact::None),
                severity => (severity, Impact::Inconsistent),
            };
            let message = match owners.is_empty() || others.is_empty() {
                true => format!("{} have {what}, though each node needs its own", listed(&nodes)),
                false => format!(
                    "{} {} the certificate that is valid for {}, though each node needs its own",
                    listed(&others),
                    if others.len() == 1 { "has" } else { "have" },
                    listed(&owners)
                ),
            };
            // Who it is for keeps it.
            let nodes = if others.is_empty() { nodes } else { others };
            let found = about(
                Some(slot),
                FindingCode::LeafShared,
                message,
                // As for what is another node's: its names are to be this node's.
                match slot {
                    slot if severity == Severity::Notice => Remedy::Renew(slot),
                    Slot::Leaf(leaf) => Remedy::Restore(FileSlot::LeafCertificate(leaf)),
                    Slot::Kubeconfig(KubeconfigSlot::Kubelet) => {
                        Remedy::Restore(FileSlot::Kubeconfig(KubeconfigSlot::Kubelet))
                    }
                    Slot::KubeletClient => Remedy::Restore(FileSlot::KubeletClient),
                    // Which the kubelet makes itself.
                    Slot::KubeletServing => Remedy::Nothing,
                    slot => Remedy::Renew(slot),
                },
            );
            let path = nodes[0].inventory.credential(slot).map(|found| found.certificate_file().path.clone());
            out.push(FleetFinding {
                nodes: names_of(&nodes),
                finding: Finding { severity, impact, path, ..found.finding },
            });
        }
    }
}

/// Returns whether the certificate that `member` has in `slot` is for this node by its subject or by its names.
fn is_for(member: &Member<'_>, slot: Slot) -> bool {
    let Some(leaf) = member.inventory.credential(slot).and_then(Credential::leaf) else { return false };
    let name = leaf.subject().common_name().unwrap_or_default();
    let user = NodeName::of_user(name);
    match slot {
        Slot::KubeletClient | Slot::Kubeconfig(KubeconfigSlot::Kubelet) => {
            user.is_some_and(|user| user.as_str() == member.name)
        }
        Slot::Leaf(_) | Slot::KubeletServing => {
            // Every node is 127.0.0.1 to itself.
            let is_loopback = |name: &AlternativeName| match name {
                AlternativeName::Ip(address) => address.is_loopback(),
                name => name.host() == "localhost",
            };
            let names = leaf.alternative_names();
            let own = own_names(member);
            own.iter().filter(|own| !is_loopback(own)).any(|own| names.covers(own))
        }
        _ => false,
    }
}

/// `names-differ`
fn names(members: &[Member<'_>], out: &mut Vec<FleetFinding>) {
    for leaf in [LeafSlot::ApiServer, LeafSlot::EtcdServer, LeafSlot::EtcdPeer] {
        let slot = Slot::Leaf(leaf);
        let servers: Vec<(Member<'_>, &Certificate)> = members
            .iter()
            .filter_map(|member| Some((*member, member.inventory.credential(slot)?.leaf()?)))
            .collect();
        // A certificate that several nodes have has the names of one of them, and a finding of its own.
        let mut seen = BTreeSet::new();
        let servers: Vec<_> =
            servers.into_iter().filter(|(_, leaf)| seen.insert(leaf.fingerprint())).collect();
        // Whoever has a name of its own has it for itself, whatever else is called so.
        let own: Vec<AlternativeName> = servers.iter().flat_map(|(member, _)| own_names(member)).collect();
        let mut common: BTreeMap<String, (&AlternativeName, Vec<&str>)> = BTreeMap::new();
        for (member, certificate) in &servers {
            for name in certificate.alternative_names().as_slice() {
                let is_own = own.iter().any(|own| own.to_string() == name.to_string())
                    || servers.iter().any(|(member, _)| is_below(name, member.name));
                if !is_own {
                    common.entry(name.to_string()).or_insert((name, Vec::new())).1.push(member.name);
                }
            }
        }
        // Where the manifests do not say which addresses are a node's own, those that no other node has are.
        common.retain(|_, (name, nodes)| match (name, nodes.as_slice()) {
            (AlternativeName::Ip(_), [only]) => {
                servers.iter().all(|(member, _)| member.name != *only || knows_addresses(member, leaf))
            }
            _ => true,
        });
        for (member, certificate) in &servers {
            let lacking: Vec<(&AlternativeName, &Vec<&str>)> = common
                .values()
                .filter(|(name, _)| !certificate.alternative_names().covers(name))
                .map(|(name, nodes)| (*name, nodes))
                .collect();
            let Some((_, having)) = lacking.first() else { continue };
            let texts: Vec<String> = lacking.iter().map(|(name, _)| name.to_string()).collect();
            let message = format!(
                "{} lacks {}, which the certificate of {} has",
                member.name,
                texts.join(", "),
                having.join(", ")
            );
            let remedy = Remedy::AddNames(slot, lacking.iter().map(|(name, _)| (*name).clone()).collect());
            let found = about(Some(slot), FindingCode::NamesDiffer, message, remedy);
            let path = member.inventory.credential(slot).map(|found| found.certificate_file().path.clone());
            out.push(FleetFinding {
                nodes: vec![member.name.to_owned()],
                finding: Finding { severity: Severity::Warning, path, ..found.finding },
            });
        }
    }
}

/// Returns whether the manifests say which addresses of `leaf` are the node's own.
fn knows_addresses(member: &Member<'_>, leaf: LeafSlot) -> bool {
    let addresses = member.inventory.node().addresses();
    match leaf {
        LeafSlot::ApiServer => addresses.advertised.is_some(),
        _ => !addresses.etcd_clients.is_empty() || !addresses.etcd_peers.is_empty(),
    }
}

/// Returns whether `name` is that of `node` with its domain.
fn is_below(name: &AlternativeName, node: &str) -> bool {
    match name {
        AlternativeName::Dns(name) => {
            name.split_once('.').is_some_and(|(first, _)| first.eq_ignore_ascii_case(node))
        }
        _ => false,
    }
}

/// Returns what a node is called itself: its name and its addresses, as its manifests and its certificates have them.
fn own_names(member: &Member<'_>) -> Vec<AlternativeName> {
    let node = member.inventory.node();
    let addresses = node.addresses();
    let mut own = vec![AlternativeName::Dns(member.name.to_owned())];
    own.extend(node.node_name().map(|name| AlternativeName::Dns(name.value.clone())));
    own.extend(addresses.advertised.map(AlternativeName::Ip));
    for url in addresses.etcd_clients.iter().chain(&addresses.etcd_peers) {
        let host = url.url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
        own.extend(AlternativeName::parse_host(host).ok());
    }
    own
}

/// `nodes-out-of-step`: versions
fn versions(members: &[Member<'_>], out: &mut Vec<FleetFinding>) {
    let versions = members.iter().filter_map(|member| Some((*member, member.inventory.node().version()?)));
    let Some(split) = Split::of(versions.collect()) else { return };
    let version = |member: &Member<'_>| {
        member.inventory.node().version().map_or_else(String::new, |version| version.to_string())
    };
    let each: Vec<String> = split
        .odd
        .iter()
        .chain(&split.most)
        .map(|member| format!("{} {}", member.name, version(member)))
        .collect();
    let found = about(
        None,
        FindingCode::NodesOutOfStep,
        format!("the API servers are of different versions: {}", each.join(", ")),
        Remedy::Nothing,
    );
    out.push(FleetFinding {
        nodes: split.nodes(),
        finding: Finding { severity: Severity::Warning, impact: Impact::None, ..found.finding },
    });
}

/// `nodes-out-of-step`: ends
fn ends(members: &[Member<'_>], policy: Policy, now: Timestamp, out: &mut Vec<FleetFinding>) {
    let mut behind: BTreeMap<&str, Behind> = BTreeMap::new();
    for leaf in LeafSlot::ALL {
        let slot = Slot::Leaf(leaf);
        let end = |member: &Member<'_>| {
            // What is over is a finding of its node.
            member.inventory.credential(slot)?.leaf().map(Certificate::not_after).filter(|end| *end >= now)
        };
        let ends = members.iter().filter_map(|member| Some((end(member)?, member)));
        let Some((latest, holder)) = ends.max_by_key(|(end, _)| *end) else { continue };
        for member in members {
            let Some(end) = end(member).filter(|end| end.plus(policy.window) < latest) else { continue };
            let entry = behind.entry(member.name).or_insert(Behind {
                end,
                slot,
                latest,
                count: 0,
                others_renewed: false,
            });
            if end < entry.end {
                (entry.end, entry.slot, entry.latest) = (end, slot, latest);
            }
            entry.count += 1;
            entry.others_renewed |= was_renewed(holder, slot);
        }
    }
    for (name, Behind { end, slot, latest, count, others_renewed }) in behind {
        let others = if count == 1 { String::new() } else { format!(" (and {} more)", count - 1) };
        let (severity, what) = match others_renewed {
            true => (Severity::Warning, "was not renewed with the others"),
            // It may as well be older than the others.
            false => (Severity::Notice, "is out of step with the others"),
        };
        let found = about(
            None,
            FindingCode::NodesOutOfStep,
            format!("{name} {what}: {slot} ends {end}, elsewhere {latest}{others}"),
            Remedy::Nothing,
        );
        out.push(FleetFinding {
            nodes: vec![name.to_owned()],
            finding: Finding { severity, impact: Impact::None, ..found.finding },
        });
    }
}

/// A node whose certificates end before those of another one.
#[derive(Clone, Copy)]
struct Behind {
    /// The first of its ends.
    end: Timestamp,
    /// What ends then.
    slot: Slot,
    /// When the same ends elsewhere.
    latest: Timestamp,
    /// How many of its certificates end before those of others.
    count: usize,
    others_renewed: bool,
}

/// Returns whether `slot` of `member` was made anew since the node was made, as far as the beginnings tell: something else that
/// kubeadm or kube-controller-manager makes for a new node begins earlier. A kubeconfig does not tell, since kubeadm lets it
/// begin with the authority (`cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go`).
fn was_renewed(member: &Member<'_>, slot: Slot) -> bool {
    let begin = |slot: Slot| member.inventory.credential(slot)?.leaf().map(Certificate::not_before);
    let Some(renewed) = begin(slot) else { return false };
    let of_node = LeafSlot::ALL.map(Slot::Leaf).into_iter().chain([Slot::KubeletClient]);
    of_node.filter_map(begin).any(|begin| begin.plus(ONE_MAKING) < renewed)
}

/// A node is made within this span, waiting for whoever approves its kubelet included.
const ONE_MAKING: Seconds = Seconds::from_days(1);

fn authority_key<'a>(member: &Member<'a>, ca: CaSlot) -> Option<&'a PublicKey> {
    member.inventory.authority(ca).signer().map(Certificate::public_key)
}

/// Returns the key that verifies tokens, or else the one that signs them.
fn service_account_key<'a>(member: &Member<'a>) -> Option<&'a PublicKey> {
    let account = member.inventory.service_account();
    account.public_key.present().or_else(|| account.key.present().map(KeyFacts::public_key))
}

/// Nodes that do not all have the same.
struct Split<'a> {
    odd: Vec<Member<'a>>,
    most: Vec<Member<'a>>,
    has_majority: bool,
}

impl<'a> Split<'a> {
    /// Divides the nodes by who has signed: one authority alone has signed certificates that other nodes have. `None` when that is none,
    /// or several.
    fn vouched(&self, ca: CaSlot) -> Option<Self> {
        let all = || self.most.iter().chain(&self.odd);
        let has_signed = |signer: &Certificate, member: &Member<'_>| {
            let slots = Slot::ALL.into_iter().filter(|slot| slot.issuer() == Some(ca));
            let mut leaves = slots.filter_map(|slot| member.inventory.credential(slot)?.leaf());
            leaves.any(|leaf| leaf.is_signed_by(signer))
        };
        let key = |member: &Member<'a>| authority_key(member, ca);
        let vouching = all().filter(|member| {
            let Some(signer) = member.inventory.authority(ca).signer() else { return false };
            all().any(|other| key(other) != key(member) && has_signed(signer, other))
        });
        let mut keys: Vec<&PublicKey> = vouching.filter_map(key).collect();
        keys.dedup();
        let [right] = keys.as_slice() else { return None };
        let (most, odd) = all().partition(|member| key(member) == Some(right));
        Some(Self { odd, most, has_majority: true })
    }

    /// Divides the nodes into those that have what most have, and the others; `None` when all have the same.
    fn of<T: Ord>(values: Vec<(Member<'a>, T)>) -> Option<Self> {
        let count = values.len();
        let mut groups: BTreeMap<T, Vec<Member<'a>>> = BTreeMap::new();
        for (member, value) in values {
            groups.entry(value).or_default().push(member);
        }
        if groups.len() < 2 {
            return None;
        }
        let mut groups: Vec<Vec<Member<'a>>> = groups.into_values().collect();
        groups.sort_by_key(|nodes| (std::cmp::Reverse(nodes.len()), nodes.iter().map(|m| m.name).min()));
        let most = groups.remove(0);
        let mut odd: Vec<Member<'a>> = groups.into_iter().flatten().collect();
        odd.sort_by_key(|member| member.name);
        let has_majority = most.len() * 2 > count;
        Some(Self { odd, most, has_majority })
    }

    fn nodes(&self) -> Vec<String> {
        let mut nodes = names_of(&self.odd);
        if !self.has_majority {
            nodes.extend(names_of(&self.most));
            nodes.sort();
        }
        nodes
    }
}

fn names_of(members: &[Member<'_>]) -> Vec<String> {
    members.iter().map(|member| member.name.to_owned()).collect()
}

fn listed(members: &[Member<'_>]) -> String {
    names_of(members).join(", ")
}

fn about(slot: Option<Slot>, code: FindingCode, message: String, remedy: Remedy) -> FleetFinding {
    FleetFinding {
        finding: Finding {
            severity: Severity::Error,
            place: slot.map(Place::Slot),
            code,
            impact: Impact::Inconsistent,
            path: None,
            message,
            remedy,
        },
        nodes: Vec::new(),
    }
}
