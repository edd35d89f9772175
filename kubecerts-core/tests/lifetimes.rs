//! How long renewed certificates are valid: who states it, and what a site's own lifetimes are worth.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use kubecerts_core::catalog::{KubeconfigSlot, LeafSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::plan::{
    BACKDATE, DEFAULT_LIFETIME, LifetimePolicy, LifetimeSource, Note, Permission, Plan, PlanRequest,
    Selection, plan,
};
use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_testkit::{FIXTURES, Fixture, MemoryTree, Seeded, TreeBuilder, at};

const API_SERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);
const ADMIN: Slot = Slot::Kubeconfig(KubeconfigSlot::Admin);

/// A vendor's tree: leaves for 99 years, authorities for 100.
fn vendor() -> MemoryTree {
    let days = Seconds::from_days;
    TreeBuilder::kubeadm().lifetime(days(99 * 365)).authority_lifetime(days(100 * 365)).build()
}

/// The same, a year before its leaves end.
const NEXT_YEAR: &str = "2027-01-01T00:00:00Z";
/// Within the last days of the vendor's leaves.
const AT_THE_END: &str = "2124-12-01T00:00:00Z";
/// After the last day of the vendor's leaves, while its authorities are valid.
const AFTERWARDS: &str = "2125-02-01T00:00:00Z";

fn all() -> PlanRequest {
    PlanRequest::with_selection(Selection::All)
}

fn planned(tree: &MemoryTree, request: &PlanRequest, now: &str) -> Plan {
    plan(&tree.inventory(), request, at(now), &mut Seeded::new(1)).unwrap()
}

/// Returns how many days the new certificate of `slot` is valid.
fn days(plan: &Plan, slot: Slot) -> Option<i64> {
    let step = plan.steps().iter().find(|step| step.slot() == slot)?;
    let validity = step.certificate()?.validity;
    Some(Seconds(validity.not_after().since(validity.not_before()).0 - BACKDATE.0).days())
}

fn policy(text: &str) -> LifetimePolicy {
    LifetimePolicy::parse(format!("version = 1\n[validity]\n{text}").as_bytes()).unwrap()
}

fn refusals(plan: &Plan) -> BTreeSet<Slot> {
    let refused = plan
        .deferred()
        .iter()
        .filter(|deferred| deferred.reason().permission() == Some(Permission::Validity));
    refused.map(|deferred| deferred.slot()).collect()
}

#[test]
fn without_a_word_ninety_nine_years_stay_ninety_nine_years() {
    for now in [NEXT_YEAR, "2110-01-01T00:00:00Z"] {
        let plan = planned(&vendor(), &all(), now);
        assert!(!plan.is_incomplete());
        for step in plan.steps() {
            // As long as it was, or as long as its authority can.
            let end = step.certificate().unwrap().validity.not_after();
            let kept = at(now)
                .plus(Seconds::from_days(99 * 365))
                .min(at("2026-01-01T00:00:00Z").plus(Seconds::from_days(36_500)));
            assert_eq!(end, kept, "{} at {now}", step.slot());
            assert!(step.notes().iter().any(|note| matches!(note, Note::LifetimeKept { .. })));
        }
    }
}

#[test]
fn a_kept_lifetime_does_not_grow_from_one_renewal_to_the_next() {
    let tree = TreeBuilder::kubeadm()
        .lifetime(Seconds::from_days(730))
        .authority_lifetime(Seconds::from_days(36_500));
    let mut tree = tree.build();
    let span = |tree: &MemoryTree| {
        let leaf = tree.certificate("/etc/kubernetes/pki/apiserver.crt");
        leaf.not_after().since(leaf.not_before())
    };
    let before = span(&tree);
    for year in [2027, 2028, 2029] {
        tree.renew(&all(), at(&format!("{year}-01-01T00:00:00Z")), &mut Seeded::provider(year));
        assert_eq!(span(&tree), before);
    }
}

#[test]
fn the_command_line_needs_a_permission_to_shorten_them() {
    let mut request = all();
    request.insist_on_lifetime(Seconds::from_days(365));
    let plan = planned(&vendor(), &request, NEXT_YEAR);
    assert!(plan.is_empty() && plan.is_incomplete());
    assert_eq!(refusals(&plan).len(), 11);
    let said = plan.deferred().iter().find(|deferred| deferred.slot() == API_SERVER).unwrap();
    assert_eq!(
        said.reason().to_string(),
        "is valid for 36135d, and would be for 365d only, as the command line says"
    );
    request.permissions.insert(Permission::Validity);
    let plan = planned(&vendor(), &request, NEXT_YEAR);
    assert_eq!((days(&plan, API_SERVER), plan.is_incomplete()), (Some(365), false));
}

#[test]
fn the_permission_alone_makes_a_year_of_them() {
    let mut request = all();
    request.permissions.insert(Permission::Validity);
    assert_eq!(days(&planned(&vendor(), &request, NEXT_YEAR), API_SERVER), Some(365));
}

#[test]
fn once_they_are_over_the_command_line_is_obeyed() {
    let mut request = PlanRequest::default();
    request.insist_on_lifetime(Seconds::from_days(90));
    // kubelet.conf is among what is due, since it embeds its certificate.
    assert_eq!(refusals(&planned(&vendor(), &request, AT_THE_END)).len(), 12);
    assert_eq!(days(&planned(&vendor(), &request, AFTERWARDS), API_SERVER), Some(90));
}

#[test]
fn a_policy_neither_shortens_them_unasked_nor_keeps_them_from_coming_back() {
    let mut request = all();
    policy("default = '365d'\napiserver = '90d'").fill_request(&mut request);
    assert_eq!(refusals(&planned(&vendor(), &request, NEXT_YEAR)).len(), 11);
    for now in [AT_THE_END, AFTERWARDS] {
        let mut due = request.clone();
        due.selection = Selection::Due;
        let plan = planned(&vendor(), &due, now);
        assert_eq!((plan.steps().len(), plan.is_incomplete()), (12, false), "{now}");
    }
    request.permissions.insert(Permission::Validity);
    let plan = planned(&vendor(), &request, NEXT_YEAR);
    assert_eq!((days(&plan, API_SERVER), days(&plan, ADMIN)), (Some(90), Some(365)));
}

#[test]
fn a_policy_shortens_and_lengthens_kubeadm_s_year_without_a_permission() {
    let mut request = all();
    policy("apiserver = '90d'\n'admin.conf' = '2y'").fill_request(&mut request);
    let plan = planned(&TreeBuilder::kubeadm().build(), &request, "2026-06-01T00:00:00Z");
    assert!(!plan.is_incomplete());
    let found = [API_SERVER, ADMIN, Slot::Leaf(LeafSlot::EtcdPeer)].map(|slot| days(&plan, slot));
    assert_eq!(found, [Some(90), Some(730), Some(365)]);
    let notes = plan.steps().iter().find(|step| step.slot() == API_SERVER).unwrap().notes().to_vec();
    let stated = Note::LifetimeStated { lifetime: Seconds::from_days(90), source: LifetimeSource::Policy };
    assert_eq!(notes, [stated]);
}

#[test]
fn the_command_line_goes_before_the_policy_and_that_before_the_configuration() {
    let fixture = Fixture::named("kubeadm-v136-validity");
    let inventory = Inventory::parse(&fixture.tree().snapshot_with(fixture.with_config()));
    let mut request = PlanRequest::for_node(inventory.node());
    let stated = |request: &PlanRequest| {
        (request.lifetime_of(API_SERVER).days(), request.lifetime_source_of(API_SERVER))
    };
    assert_eq!(stated(&request), (30, LifetimeSource::Configuration));
    policy("default = '60d'").fill_request(&mut request);
    assert_eq!(stated(&request), (60, LifetimeSource::Policy));
    policy("apiserver = '50d'").fill_request(&mut request);
    assert_eq!(stated(&request), (50, LifetimeSource::Policy));
    request.insist_on_lifetime(Seconds::from_days(365));
    assert_eq!(stated(&request), (365, LifetimeSource::Argument));
}

#[test]
fn what_is_longer_than_the_authority_is_capped_and_said() {
    let mut request = all();
    policy("default = '20y'").fill_request(&mut request);
    let plan = planned(&TreeBuilder::kubeadm().build(), &request, "2026-06-01T00:00:00Z");
    for step in plan.steps() {
        assert_eq!(step.certificate().unwrap().validity.not_after(), at("2035-12-30T00:00:00Z"));
        assert!(step.notes().iter().any(|note| matches!(note, Note::Capped { .. })), "{}", step.slot());
    }
}

#[test]
fn no_real_tree_of_kubeadm_s_year_ever_needs_a_permission() {
    for name in FIXTURES {
        let fixture = Fixture::named(name);
        for tree in [Some(fixture.tree()), fixture.renewed()].into_iter().flatten() {
            for now in ["2026-11-22T00:05:30Z", "2027-11-10T00:00:00Z", "2030-01-01T00:00:00Z"] {
                let plan = planned(&tree, &all(), now);
                let of_lifetime =
                    |note: &Note| matches!(note, Note::LifetimeKept { .. } | Note::LifetimeShortened { .. });
                let own = plan.steps().iter().any(|step| step.notes().iter().any(of_lifetime));
                // kubeadm was told to make these last for 20000 hours when it renewed them.
                assert!(!own || name.contains("expired-leaves"), "{name} at {now}");
                assert_eq!(refusals(&plan), BTreeSet::new(), "{name} at {now}");
            }
        }
    }
}

#[test]
fn certificates_that_begin_with_their_authority_count_as_kubeadm_s_year() {
    // As kubeadm 1.20 renews them: dated back to the authority's first second, five years ago.
    let mut tree = TreeBuilder::kubeadm().build();
    let begin = tree.certificate("/etc/kubernetes/pki/ca.crt").not_before();
    let admin = tree.certificate("/etc/kubernetes/pki/apiserver.crt");
    assert_eq!(admin.not_before(), begin);
    tree.redraft(
        "/etc/kubernetes/pki/front-proxy-client.crt",
        "/etc/kubernetes/pki/front-proxy-ca.key",
        |leaf| {
            leaf.not_after = at("2031-01-01T00:00:00Z");
        },
    );
    let own = |tree: &MemoryTree, now: &str| {
        days(&planned(tree, &all(), now), Slot::Leaf(LeafSlot::FrontProxyClient))
    };
    // A modern leaf with basic constraints is dated by its issue.
    assert_eq!(own(&tree, "2030-12-20T00:00:00Z"), Some(1_826));
}

/// The moment is not important to this law: no plan ends a certificate sooner than the old one would, unless that was permitted.
#[test]
fn no_plan_shortens_a_lifetime_unasked() {
    for (lifetime, authority) in
        [(366, 3_650), (400, 3_650), (1_826, 3_650), (36_135, 36_500), (36_500, 36_500)]
    {
        let builder = TreeBuilder::kubeadm().lifetime(Seconds::from_days(lifetime));
        let tree = builder.authority_lifetime(Seconds::from_days(authority)).build();
        for month in [1, 6, 12] {
            for year in [2026, 2027, 2030, 2035] {
                let now: Timestamp = at(&format!("{year}-{month:02}-20T00:00:00Z"));
                let plan = planned(&tree, &all(), &now.to_string());
                let inventory = tree.inventory();
                for step in plan.steps() {
                    let old = inventory.credential(step.slot()).unwrap().leaf().unwrap();
                    let new = step.certificate().unwrap().validity;
                    let authority = inventory.authority(step.slot().issuer().unwrap()).signer().unwrap();
                    let span = |begin: Timestamp, end: Timestamp| end.since(begin).0;
                    let shrinks = span(new.not_before(), new.not_after()) + 86_400
                        < span(old.not_before(), old.not_after());
                    let is_default = span(new.not_before(), new.not_after()) >= DEFAULT_LIFETIME.0;
                    assert!(
                        !shrinks || new.not_after() == authority.not_after(),
                        "{} {lifetime} at {now}",
                        step.slot()
                    );
                    assert!(is_default || new.not_after() == authority.not_after());
                }
            }
        }
    }
}
