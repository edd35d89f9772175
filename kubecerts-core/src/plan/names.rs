//! Other alternative names for a serving certificate, and what makes them stay.

use super::intent::{ClusterIntent, IntentError};
use super::{NeededName, Note, Permission, PlanError, PlanRequest, Reason, Selection};
use crate::catalog::{LeafSlot, SanRule, Slot};
use crate::inventory::{ExpectedName, Inventory, NameReason};
use crate::manifest::KubeadmConfig;
use crate::x509::{AlternativeName, AlternativeNames, Certificate, InvalidHost};

/// How the alternative names of a certificate change with its renewal.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NameChange {
    /// Some are added and some are taken away; a name that is there is not added again, one that is not there is not missed.
    #[non_exhaustive]
    Edit {
        /// The names to add.
        add: Vec<AlternativeName>,
        /// The names to take away.
        remove: Vec<AlternativeName>,
    },
    /// They become exactly these.
    Exactly(Vec<AlternativeName>),
}

impl NameChange {
    /// Returns the change that adds `add` and takes `remove` away.
    #[must_use]
    pub const fn edit(add: Vec<AlternativeName>, remove: Vec<AlternativeName>) -> Self {
        Self::Edit { add, remove }
    }

    /// Parses the names that somebody asks for, as [`AlternativeName::parse_host`] reads them.
    ///
    /// # Errors
    /// [`InvalidNameChange`] when a text is no name, or one is to be added and taken away.
    pub fn parse(add: &[String], remove: &[String]) -> Result<Self, InvalidNameChange> {
        let parse = |texts: &[String]| {
            texts.iter().map(|text| AlternativeName::parse_host(text)).collect::<Result<Vec<_>, _>>()
        };
        let (add, remove) = (parse(add)?, parse(remove)?);
        match add.iter().find(|name| contains(&remove, name)) {
            Some(name) => Err(InvalidNameChange::Both(name.clone())),
            None => Ok(Self::Edit { add, remove }),
        }
    }

    /// Returns what becomes of `old`.
    ///
    /// When the same names are left, they keep their order. Otherwise it is kubeadm's: DNS names sorted, then addresses in
    /// their order, new ones last (`cmd/kubeadm/app/util/pkiutil/pki_helpers.go`); names of other kinds follow. None is there
    /// twice. DNS names that differ in capitals only are the same.
    #[must_use]
    pub fn apply(&self, old: &AlternativeNames) -> AlternativeNames {
        let mut names: Vec<AlternativeName> = Vec::new();
        let mut push = |name: &AlternativeName| {
            if !contains(&names, name) {
                names.push(name.clone());
            }
        };
        match self {
            Self::Exactly(exactly) => exactly.iter().for_each(&mut push),
            Self::Edit { add, remove } => {
                let kept = old.as_slice().iter().filter(|name| !contains(remove, name));
                kept.chain(add).for_each(&mut push);
            }
        }
        let old_names = old.as_slice();
        if names.iter().all(|name| contains(old_names, name))
            && old_names.iter().all(|name| contains(&names, name))
        {
            return old.clone();
        }
        let rank = |name: &AlternativeName| match name {
            AlternativeName::Dns(_) => 0,
            AlternativeName::Ip(_) => 1,
            _ => 2,
        };
        let dns = |name: &AlternativeName| match name {
            AlternativeName::Dns(text) => Some(text.clone()),
            _ => None,
        };
        // The sort is stable: what is no DNS name keeps its order.
        names.sort_by_key(|name| (rank(name), dns(name)));
        AlternativeNames::new(names)
    }
}

/// Why names that were asked for make no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNameChange {
    /// A text is no name.
    #[error(transparent)]
    Name(#[from] InvalidHost),
    /// A name is to be added and taken away.
    #[error("{} is to be added and to be taken away", .0.host())]
    Both(AlternativeName),
}

impl PlanRequest {
    /// Asks for other names for every selected certificate.
    ///
    /// # Errors
    /// [`PlanError`] unless all of them serve and are selected by name.
    pub fn change_names(&mut self, change: &NameChange) -> Result<(), PlanError> {
        for leaf in self.named_servers()? {
            self.names.insert(leaf, change.clone());
        }
        Ok(())
    }

    /// Asks for the names that follow from the kubeadm configuration, for every selected certificate.
    ///
    /// # Errors
    /// [`ConfiguredNamesError`] when none follow, or unless all selected ones serve and are selected by name.
    pub fn take_configured_names(&mut self, inventory: &Inventory) -> Result<(), ConfiguredNamesError> {
        for leaf in self.named_servers()? {
            self.names.insert(leaf, NameChange::Exactly(configured_names(inventory, leaf)?));
        }
        Ok(())
    }

    fn named_servers(&self) -> Result<Vec<LeafSlot>, PlanError> {
        let Selection::Named(slots) = &self.selection else { return Err(PlanError::NamesOfNobody) };
        let serving = |slot: &Slot| match slot {
            Slot::Leaf(leaf) if has_names(*leaf) => Ok(*leaf),
            slot => Err(PlanError::Names(*slot)),
        };
        slots.iter().map(serving).collect()
    }
}

/// Returns whether kubeadm gives alternative names to `leaf`, so that it may have others.
#[must_use]
pub const fn has_names(leaf: LeafSlot) -> bool {
    !matches!(leaf.spec().sans, SanRule::None)
}

/// Returns the names that kubeadm would put into the certificate of `leaf` by the node's kubeadm configuration, in its order.
///
/// The node's name and the advertised address are those of the node itself, when it states them: a configuration is often that
/// of the first node.
///
/// # Errors
/// [`ConfiguredNamesError`] when there is no configuration, or nothing follows from it.
pub fn configured_names(
    inventory: &Inventory,
    leaf: LeafSlot,
) -> Result<Vec<AlternativeName>, ConfiguredNamesError> {
    let config = inventory.node().kubeadm().ok_or(ConfiguredNamesError::NoConfiguration)?;
    let address = inventory.advertised().map(|(address, _)| address);
    let intent = ClusterIntent::from_config(config, inventory.known_node_name(), address)?;
    Ok(intent.alternative_names(leaf))
}

/// Why no names follow from a configuration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfiguredNamesError {
    /// There is none.
    #[error("there is no kubeadm configuration")]
    NoConfiguration,
    /// It is nothing that could be made.
    #[error("the kubeadm configuration cannot be used")]
    Unusable(#[from] IntentError),
    /// A certificate cannot get other names.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Returns the names of the certificate that succeeds `old`: the same, unless `request` asks for others.
///
/// # Errors
/// [`Reason`] when nothing would change, or a name would be lost by which somebody connects.
pub(crate) fn successor(
    inventory: &Inventory,
    request: &PlanRequest,
    slot: Slot,
    old: &Certificate,
) -> Result<(AlternativeNames, Option<Note>), Reason> {
    let names = old.alternative_names();
    let Slot::Leaf(serving) = slot else { return Ok((names.clone(), None)) };
    let Some(change) = request.names.get(&serving) else { return Ok((names.clone(), None)) };
    let new = change.apply(names);
    if new == *names {
        return Err(Reason::NamesUnchanged);
    }
    let needed = needed(inventory, serving, old, &new);
    if !needed.is_empty() && !request.permissions.contains(&Permission::San) {
        return Err(Reason::NamesNeeded(needed.iter().map(NeededName::of).collect()));
    }
    let (added, removed) = (only(&new, names), only(names, &new));
    Ok((new, Some(Note::NamesChanged { added, removed })))
}

fn only(these: &AlternativeNames, those: &AlternativeNames) -> Vec<AlternativeName> {
    these.as_slice().iter().filter(|name| !those.as_slice().contains(name)).cloned().collect()
}

/// Returns the names that `old` has, the node needs, and `new` lacks.
fn needed(
    inventory: &Inventory,
    leaf: LeafSlot,
    old: &Certificate,
    new: &AlternativeNames,
) -> Vec<ExpectedName> {
    let is_lost = |expected: &ExpectedName| {
        old.alternative_names().covers(&expected.name) && !new.covers(&expected.name)
    };
    inventory.expected_names(leaf).into_iter().filter(is_lost).collect()
}

/// What the kubeadm configuration has to say, so that kubeadm gives a certificate the same names the next time.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConfigurationEdit {
    /// The list in the `ClusterConfiguration`: `apiServer.certSANs`, `etcd.local.serverCertSANs` or `etcd.local.peerCertSANs`.
    pub list: &'static str,
    /// The whole list: what it has already and still wants, as written, then what is new. Empty when nothing is needed.
    pub names: Vec<String>,
    /// Whether the list that is there was known. If it was not, it may hold more, for other nodes.
    pub is_known: bool,
}

impl ConfigurationEdit {
    /// Returns the edit with which kubeadm would give `new` to `leaf`; `None` for leaves without names, and when the
    /// configuration is known and says so already.
    #[must_use]
    pub fn find(inventory: &Inventory, leaf: LeafSlot, new: &AlternativeNames) -> Option<Self> {
        let config = inventory.node().kubeadm();
        let (list, current) = match leaf.spec().sans {
            SanRule::None => return None,
            SanRule::ApiServer => ("apiServer.certSANs", config.map(KubeadmConfig::api_server_cert_sans)),
            SanRule::Etcd if leaf == LeafSlot::EtcdPeer => {
                ("etcd.local.peerCertSANs", config.map(KubeadmConfig::etcd_peer_cert_sans))
            }
            SanRule::Etcd => ("etcd.local.serverCertSANs", config.map(KubeadmConfig::etcd_server_cert_sans)),
        };
        let is_known = current.is_some();
        let current = current.unwrap_or_default();
        let is_kept = |text: &&String| {
            AlternativeName::of_kubeadm(text).is_none_or(|name| contains(new.as_slice(), &name))
        };
        let mut names: Vec<String> = current.iter().filter(is_kept).cloned().collect();
        let computed = computed(inventory, leaf);
        for name in new.as_slice() {
            let is_plain = matches!(name, AlternativeName::Dns(_) | AlternativeName::Ip(_));
            // The domain of services is not always known, but nothing else is called so.
            let is_service = name.host().starts_with("kubernetes.default.svc.");
            let is_listed = names
                .iter()
                .any(|text| AlternativeName::of_kubeadm(text).is_some_and(|listed| is_same(&listed, name)));
            if is_plain && !is_service && !is_listed && !contains(&computed, name) {
                names.push(name.host());
            }
        }
        (!is_known || names != current).then_some(Self { list, names, is_known })
    }

    /// Returns the edit as YAML, as it stands in a `ClusterConfiguration`, with a line end behind each line.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        let mut indent = String::new();
        let mut fields = self.list.split('.').peekable();
        while let Some(field) = fields.next() {
            let value = if fields.peek().is_none() && self.names.is_empty() { " []" } else { "" };
            text.push_str(&format!("{indent}{field}:{value}\n"));
            indent.push_str("  ");
        }
        for name in &self.names {
            // A wildcard would be an alias, and an address of IPv6 a mapping.
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
            let name = if is_plain { name.clone() } else { format!("\"{}\"", name.escape_default()) };
            text.push_str(&format!("{indent}- {name}\n"));
        }
        text
    }
}

/// Returns the names that kubeadm computes, whatever the list says.
fn computed(inventory: &Inventory, leaf: LeafSlot) -> Vec<AlternativeName> {
    let is_computed = |reason: &NameReason| {
        matches!(
            reason,
            NameReason::Advertised(_)
                | NameReason::Endpoint
                | NameReason::EtcdItself
                | NameReason::NodeName
                | NameReason::ServiceAddress(_)
                | NameReason::ServiceName
        )
    };
    let expected = inventory.expected_names(leaf).into_iter();
    let expected = expected.filter(|expected| expected.reasons.iter().any(is_computed));
    // Here a name that is only likely is good enough: it is this node's, and no other's business.
    let likely = super::node_name(inventory).map(|node| AlternativeName::Dns(node.as_str().to_owned()));
    expected.map(|expected| expected.name).chain(likely).collect()
}

fn contains(names: &[AlternativeName], name: &AlternativeName) -> bool {
    names.iter().any(|own| is_same(own, name))
}

fn is_same(one: &AlternativeName, other: &AlternativeName) -> bool {
    match (one, other) {
        (AlternativeName::Dns(one), AlternativeName::Dns(other)) => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(texts: &[&str]) -> Vec<AlternativeName> {
        texts.iter().map(|text| AlternativeName::parse_host(text).unwrap()).collect()
    }

    fn shown(names: &AlternativeNames) -> Vec<String> {
        names.as_slice().iter().map(AlternativeName::host).collect()
    }

    #[test]
    fn names_come_in_the_order_of_kubeadm() {
        let old = AlternativeNames::new(names(&["b", "10.0.0.2", "a", "10.0.0.1"]));
        let change = NameChange::edit(names(&["*.c", "10.0.0.0", "aa", "b"]), names(&["10.0.0.2", "x"]));
        assert_eq!(shown(&change.apply(&old)), ["*.c", "a", "aa", "b", "10.0.0.1", "10.0.0.0"]);
        let same = NameChange::edit(names(&["a", "B"]), names(&["x"]));
        assert_eq!(same.apply(&old), old);
        assert_eq!(NameChange::Exactly(names(&["a", "b", "10.0.0.1", "10.0.0.2"])).apply(&old), old);
        assert_eq!(
            shown(&NameChange::Exactly(names(&["z", "::1", "a", "a"])).apply(&old)),
            ["a", "z", "::1"]
        );
    }

    #[test]
    fn a_name_of_another_kind_stays_last() {
        let uri = AlternativeName::Uri("spiffe://a".to_owned());
        let old = AlternativeNames::new([vec![uri], names(&["b"])].concat());
        let change = NameChange::edit(names(&["a"]), Vec::new());
        assert_eq!(shown(&change.apply(&old)), ["a", "b", "spiffe://a"]);
    }

    #[test]
    fn the_edit_is_yaml_whatever_the_name() {
        let edit = |list, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            ConfigurationEdit { list, names, is_known: true }.to_yaml()
        };
        assert_eq!(
            edit("apiServer.certSANs", &["a.example.com", "*.b.example.com", "10.0.0.1", "fd00::1"]),
            "apiServer:\n  certSANs:\n    - a.example.com\n    - \"*.b.example.com\"\n    - 10.0.0.1\n    - \"fd00::1\"\n"
        );
        assert_eq!(edit("etcd.local.peerCertSANs", &[]), "etcd:\n  local:\n    peerCertSANs: []\n");
    }

    fn any_name() -> impl Strategy<Value = AlternativeName> {
        prop_oneof![
            "[a-c]{1,2}".prop_map(AlternativeName::Dns),
            (0_u8..6).prop_map(|last| AlternativeName::Ip([10, 0, 0, last].into())),
        ]
    }

    proptest! {
        #[test]
        fn what_is_added_and_taken_away_again_leaves_the_same_names(
            old in prop::collection::vec(any_name(), 0..8), added in prop::collection::vec(any_name(), 0..5),
        ) {
            // In kubeadm's order to begin with, as its certificates are.
            let old = NameChange::Exactly(old).apply(&AlternativeNames::default());
            let new: Vec<_> = added.into_iter().filter(|name| !old.as_slice().contains(name)).collect();
            let with = NameChange::edit(new.clone(), Vec::new()).apply(&old);
            prop_assert!(new.iter().all(|name| with.as_slice().contains(name)));
            prop_assert_eq!(NameChange::edit(Vec::new(), new).apply(&with), old);
        }

        #[test]
        fn whatever_changes_is_in_order_and_changes_nothing_twice(
            old in prop::collection::vec(any_name(), 0..8),
            add in prop::collection::vec(any_name(), 0..5),
            remove in prop::collection::vec(any_name(), 0..5),
        ) {
            let old = AlternativeNames::new(old);
            let remove: Vec<_> = remove.into_iter().filter(|name| !add.contains(name)).collect();
            let change = NameChange::edit(add, remove);
            let once = change.apply(&old);
            prop_assert_eq!(change.apply(&once), once.clone());
            if once != old {
                let names = once.as_slice();
                let dns = names.iter().take_while(|name| matches!(name, AlternativeName::Dns(_))).count();
                prop_assert!(names[..dns].windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(names[dns..].iter().all(|name| matches!(name, AlternativeName::Ip(_))));
            }
        }
    }
}
