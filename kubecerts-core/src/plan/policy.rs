//! The site's policy: how long certificates are valid.
//!
//! ```toml
//! version = 1
//! [validity]
//! default = "365d"
//! authorities = "10y"
//! apiserver = "90d"
//! "admin.conf" = "30d"
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike};

use super::{ClusterIntent, ExtendRequest, LifetimeSource, PlanRequest};
use crate::catalog::{CaSlot, Slot};
use crate::snapshot::FileMeta;
use crate::time::Seconds;

/// How long the certificates of a site are valid, as its policy file says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LifetimePolicy {
    default: Option<Seconds>,
    authorities: Option<Seconds>,
    slots: BTreeMap<Slot, Seconds>,
}

impl LifetimePolicy {
    /// Parses the policy file, TOML in UTF-8.
    ///
    /// `[validity]` holds spans as text, such as `"8760h"`, `"90d"`, `"10y"` with years of 365 days: `default` for leaves and
    /// kubeconfigs, `authorities` for the three authorities, and the names of single certificates. A key that is not known is an
    /// error, because a policy that is not followed is worse than none.
    ///
    /// # Errors
    /// [`PolicyError`] with line and column, both from 1, of the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            PolicyError::at(
                &valid,
                Some(valid.len()..valid.len()),
                PolicyProblem::Syntax("is not UTF-8".to_owned()),
            )
        })?;
        let fail = |span: Option<Range<usize>>, problem| PolicyError::at(text, span, problem);
        let document = Document::parse(text).map_err(|error| {
            // Further lines of the message quote the file.
            let message = error.message().lines().next().unwrap_or_default().trim().to_owned();
            fail(error.span(), PolicyProblem::Syntax(message))
        })?;
        let mut has_version = false;
        let mut policy = Self::default();
        for (key, item) in entries(document.as_table()) {
            match key.get() {
                "version" => {
                    let version = item.as_integer();
                    if version != Some(VERSION) {
                        return Err(fail(item.span(), PolicyProblem::Version));
                    }
                    has_version = true;
                }
                "validity" => {
                    let Some(table) = item.as_table_like() else {
                        return Err(fail(item.span(), PolicyProblem::NotATable(key.get().to_owned())));
                    };
                    policy.read(table).map_err(|(span, problem)| fail(span, problem))?;
                }
                other => return Err(fail(key.span(), PolicyProblem::UnknownKey(other.to_owned()))),
            }
        }
        if has_version { Ok(policy) } else { Err(fail(None, PolicyProblem::Version)) }
    }

    fn read(&mut self, validity: &dyn TableLike) -> Result<(), (Option<Range<usize>>, PolicyProblem)> {
        for (key, item) in entries(validity) {
            let name = key.get();
            let slot = name.parse::<Slot>().ok().filter(|slot| slot.name() == name && is_issued(*slot));
            if slot.is_none() && name != "default" && name != "authorities" {
                return Err((key.span(), PolicyProblem::UnknownKey(name.to_owned())));
            }
            let Some(text) = item.as_str() else {
                return Err((item.span(), PolicyProblem::NotASpan(name.to_owned())));
            };
            let lifetime = text.parse::<Seconds>().ok().filter(|lifetime| lifetime.0 > 0);
            let Some(lifetime) = lifetime else {
                return Err((item.span(), PolicyProblem::NotASpan(name.to_owned())));
            };
            match slot {
                Some(slot) => _ = self.slots.insert(slot, lifetime),
                None if name == "default" => self.default = Some(lifetime),
                None => self.authorities = Some(lifetime),
            }
        }
        Ok(())
    }

    /// Checks that nobody but its owner and root's group can write the policy file, of which the host says `meta`.
    ///
    /// # Errors
    /// [`PolicyError`] otherwise: whoever writes it decides how long credentials live.
    pub fn check_mode(meta: &FileMeta) -> Result<(), PolicyError> {
        let by_others = meta.mode & 0o002 != 0;
        let by_group = meta.mode & 0o020 != 0 && meta.gid != 0;
        if by_others || by_group {
            return Err(PolicyError { place: None, problem: PolicyProblem::OpenMode(meta.mode & 0o7777) });
        }
        Ok(())
    }

    /// Returns how long the certificate of `slot` is to be valid, if the policy says so.
    #[must_use]
    pub fn lifetime_of(&self, slot: Slot) -> Option<Seconds> {
        let usual = if matches!(slot, Slot::Ca(_)) { self.authorities } else { self.default };
        self.slots.get(&slot).copied().or(usual)
    }

    /// Lets the policy state the lifetimes of `request`, before what a configuration has stated. What the caller states goes
    /// before the policy: see [`PlanRequest::insist_on_lifetime`].
    pub fn fill_request(&self, request: &mut PlanRequest) {
        if let Some(lifetime) = self.default {
            request.lifetime = lifetime;
            request.lifetime_source = LifetimeSource::Policy;
        }
        for (slot, lifetime) in &self.slots {
            request.lifetimes.insert(*slot, *lifetime);
            request.lifetime_sources.insert(*slot, LifetimeSource::Policy);
        }
    }

    /// Lets the policy state the lifetimes of `intent`, before what a configuration has stated.
    pub fn fill_intent(&self, intent: &mut ClusterIntent) {
        intent.lifetime = self.default.unwrap_or(intent.lifetime);
        intent.authority_lifetime = self.authorities.unwrap_or(intent.authority_lifetime);
        intent.lifetimes.extend(&self.slots);
    }

    /// Lets the policy state for how long authorities are extended, before what a configuration has stated.
    pub fn fill_extension(&self, request: &mut ExtendRequest) {
        let stated = |ca: CaSlot| Some((ca, self.lifetime_of(Slot::Ca(ca))?));
        request.lifetimes.extend(CaSlot::ALL.into_iter().filter_map(stated));
    }
}

/// Why a policy file cannot be followed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct PolicyError {
    place: Option<(u32, u32)>,
    problem: PolicyProblem,
}

impl PolicyError {
    fn at(text: &str, span: Option<Range<usize>>, problem: PolicyProblem) -> Self {
        let place = span.map(|span| {
            let before = text.get(..span.start.min(text.len())).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            (count(line), count(column))
        });
        Self { place, problem }
    }

    /// Returns line and column, both from 1, when the problem has a place.
    #[must_use]
    pub const fn position(&self) -> Option<(u32, u32)> {
        self.place
    }

    /// Returns what is wrong.
    #[must_use]
    pub const fn problem(&self) -> &PolicyProblem {
        &self.problem
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        self.problem.fmt(f)
    }
}

/// What is wrong with a policy file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// It is not TOML.
    Syntax(String),
    /// It has no `version = 1`.
    Version,
    /// It has a key that means nothing.
    UnknownKey(String),
    /// The value of this key is not a table.
    NotATable(String),
    /// The value of this key is not a span of time.
    NotASpan(String),
    /// Others can write it, with this mode.
    OpenMode(u32),
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(reason) => f.write_str(reason),
            Self::Version => f.write_str("version is not 1, the only one that there is"),
            Self::UnknownKey(key) => write!(f, "{key:?} is neither a key of the policy nor a certificate"),
            Self::NotATable(key) => write!(f, "{key} is not a table"),
            Self::NotASpan(key) => {
                write!(f, "{key} is not a span of time in quotes, such as \"90d\", \"8760h\" or \"10y\"")
            }
            Self::OpenMode(mode) => write!(f, "others can write it, its mode is {mode:04o}"),
        }
    }
}

/// Returns the entries of `table` in the order of the file.
fn entries(table: &dyn TableLike) -> Vec<(&Key, &Item)> {
    table.iter().filter_map(|(name, _)| table.get_key_value(name)).collect()
}

/// Returns whether kubecerts issues certificates for `slot`.
const fn is_issued(slot: Slot) -> bool {
    match slot {
        Slot::Ca(_) | Slot::Leaf(_) | Slot::Kubeconfig(_) | Slot::KubeletClient => true,
        Slot::ServiceAccount | Slot::KubeletServing => false,
    }
}

/// The version of the format.
const VERSION: i64 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{CaSlot, KubeconfigSlot, LeafSlot};

    const WHOLE: &str = "\
# our policy
version = 1

[validity]
default = \"365d\"
apiserver = \"90d\" # short
\"admin.conf\" = \"30d\"
ca = \"10y\"
authorities = \"5y\"
";

    #[test]
    fn a_policy_states_lifetimes_by_slot() {
        let policy = LifetimePolicy::parse(WHOLE.as_bytes()).unwrap();
        for (slot, days) in [
            (Slot::Leaf(LeafSlot::ApiServer), 90),
            (Slot::Leaf(LeafSlot::EtcdPeer), 365),
            (Slot::Kubeconfig(KubeconfigSlot::Admin), 30),
            (Slot::Ca(CaSlot::Cluster), 3_650),
            (Slot::Ca(CaSlot::Etcd), 5 * 365),
        ] {
            assert_eq!(policy.lifetime_of(slot), Some(Seconds::from_days(days)), "{slot}");
        }
        assert_eq!(LifetimePolicy::parse(b"version = 1"), Ok(LifetimePolicy::default()));
        let inline = LifetimePolicy::parse(b"version = 1\nvalidity = {apiserver = '1h30m'}").unwrap();
        assert_eq!(inline.lifetime_of(Slot::Leaf(LeafSlot::ApiServer)), Some(Seconds(5_400)));
        assert_eq!(inline.lifetime_of(Slot::Leaf(LeafSlot::EtcdPeer)), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, said) in [
            ("", "version is not 1, the only one that there is"),
            ("version = 2", "line 1, column 11: version is not 1, the only one that there is"),
            ("version = \"1\"", "line 1, column 11: version is not 1, the only one that there is"),
            ("[validity]\napiserver = \"1d\"", "version is not 1, the only one that there is"),
            (
                "version = 1\n[valdity]\n",
                "line 2, column 2: \"valdity\" is neither a key of the policy nor a certificate",
            ),
            ("version = 1\nvalidity = 3", "line 2, column 12: validity is not a table"),
            (
                "version = 1\n[validity]\n  api-server = \"1d\"",
                "line 3, column 3: \"api-server\" is neither a key of the policy nor a certificate",
            ),
            (
                "version = 1\n[validity]\nsa = \"1d\"",
                "line 3, column 1: \"sa\" is neither a key of the policy nor a certificate",
            ),
            (
                "version = 1\n[validity]\nadmin.conf = \"1d\"",
                "line 3, column 1: \"admin\" is neither a key of the policy nor a certificate",
            ),
            (
                "version = 1\n[validity]\ndefault = 365",
                "line 3, column 11: default is not a span of time in quotes, such as \"90d\", \"8760h\" or \"10y\"",
            ),
            (
                "version = 1\n[validity]\ndefault = \"0d\"",
                "line 3, column 11: default is not a span of time in quotes, such as \"90d\", \"8760h\" or \"10y\"",
            ),
            (
                "version = 1\n[validity]\nca = \"ten years\"",
                "line 3, column 6: ca is not a span of time in quotes, such as \"90d\", \"8760h\" or \"10y\"",
            ),
        ] {
            let error = LifetimePolicy::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), said, "{text:?}");
        }
        for (text, place) in [
            ("version = 1\nversion = 1", (2, 1)),
            ("version = 1\n[validity]\ndefault = \"1d\"\ndefault = \"2d\"", (4, 1)),
            ("version = 1\n[validity", (2, 10)),
            ("version = 1\n= 3", (2, 1)),
            ("version = 1\n\"\u{fc}\" = 3 3", (2, 7)),
        ] {
            let error = LifetimePolicy::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.position(), Some(place), "{text:?}: {error}");
        }
        let error = LifetimePolicy::parse(b"version = 1\n\xff").unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 1: is not UTF-8");
    }

    #[test]
    fn only_the_owner_and_root_s_group_may_write_it() {
        for (mode, gid, fine) in
            [(0o644, 0, true), (0o664, 0, true), (0o664, 7, false), (0o646, 0, false), (0o400, 7, true)]
        {
            let mut meta = FileMeta::with_mode(mode);
            meta.gid = gid;
            assert_eq!(LifetimePolicy::check_mode(&meta).is_ok(), fine, "{mode:o} {gid}");
        }
    }

    #[test]
    fn an_intent_and_a_request_follow_the_policy() {
        let policy = LifetimePolicy::parse(WHOLE.as_bytes()).unwrap();
        let mut request = PlanRequest::default();
        policy.fill_request(&mut request);
        let mut intent = ClusterIntent::new("cp-1".parse().unwrap(), [10, 0, 0, 1].into());
        policy.fill_intent(&mut intent);
        for slot in Slot::ALL.into_iter().filter(|slot| is_issued(*slot)) {
            assert_eq!(Some(intent.lifetime_of(slot)), policy.lifetime_of(slot), "{slot}");
            if !matches!(slot, Slot::Ca(_)) {
                assert_eq!(Some(request.lifetime_of(slot)), policy.lifetime_of(slot), "{slot}");
                assert_eq!(request.lifetime_source_of(slot), LifetimeSource::Policy);
            }
        }
        request.insist_on_lifetime(Seconds::from_days(7));
        let slot = Slot::Leaf(LeafSlot::ApiServer);
        assert_eq!(request.lifetime_of(slot), Seconds::from_days(7));
        assert_eq!(request.lifetime_source_of(slot), LifetimeSource::Argument);
    }

    proptest! {
        #[test]
        fn mutated_policies_are_parsed_or_refused(
            at in 0..WHOLE.len(), cut in 0..20_usize, junk in "\\PC{0,6}",
        ) {
            let mut bytes = WHOLE.as_bytes().to_vec();
            bytes.splice(at..(at + cut).min(WHOLE.len()), junk.into_bytes());
            if let Err(error) = LifetimePolicy::parse(&bytes) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
