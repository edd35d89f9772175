use super::*;
use crate::catalog::{CaSlot, Component, KubeconfigSlot, LeafSlot};
use crate::diagnosis::{FindingCode as F, Policy, Remedy};
use crate::snapshot::{FileState, ScanRequest, TreeReader, collect};
use crate::x509::AlternativeName;

/// A disk with nothing on it.
struct Empty;

impl TreeReader for Empty {
    fn read(&mut self, _: &TreePath) -> FileState {
        FileState::Absent
    }

    fn list(&mut self, _: &TreePath) -> Vec<TreePath> {
        Vec::new()
    }
}

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

fn finding(code: F, severity: Severity, place: Option<Place>, remedy: Remedy) -> Finding {
    let message = format!("{code} was found");
    Finding { severity, place, code, impact: Impact::Unusable, path: None, message, remedy }
}

fn at(code: F, slot: Slot) -> Finding {
    finding(code, Severity::Error, Some(Place::Slot(slot)), Remedy::Nothing)
}

fn about(code: F, component: Component) -> Finding {
    finding(code, Severity::Error, None, Remedy::Start(component))
}

fn of_node(code: F, severity: Severity) -> Finding {
    finding(code, severity, None, Remedy::Nothing)
}

/// Returns the cases of a node with these findings, each with what it explains in brackets.
fn told(mut findings: Vec<Finding>) -> String {
    findings.sort();
    let diagnosis = Diagnosis { findings, now: NOW, policy: Policy::default() };
    let inventory = Inventory::parse(&collect(&mut Empty, ScanRequest::default()));
    let found = cases(&diagnosis, &inventory, &Observations::none());
    assert_eq!(found.iter().flat_map(Case::findings).count(), diagnosis.findings.len());
    list(&found)
}

fn list(cases: &[Case]) -> String {
    let one = |case: &Case| {
        let name = match (&case.finding.place, order::component(&case.finding)) {
            (Some(place), _) => format!("{place} {}", case.finding.code),
            (None, Some(component)) => format!("{component} {}", case.finding.code),
            (None, None) => case.finding.code.to_string(),
        };
        if case.explains.is_empty() { name } else { format!("{name} ({})", list(&case.explains)) }
    };
    cases.iter().map(one).collect::<Vec<_>>().join(", ")
}

const CA: Slot = Slot::Ca(CaSlot::Cluster);
const ETCD_CA: Slot = Slot::Ca(CaSlot::Etcd);
const APISERVER: Slot = Slot::Leaf(LeafSlot::ApiServer);
const ETCD_CLIENT: Slot = Slot::Leaf(LeafSlot::ApiServerEtcdClient);
const SCHEDULER: Slot = Slot::Kubeconfig(KubeconfigSlot::Scheduler);
const KUBELET_CONF: Slot = Slot::Kubeconfig(KubeconfigSlot::Kubelet);

#[test]
fn what_a_cause_explains_is_below_it() {
    for (findings, expected) in [
        (
            vec![of_node(F::ClockSkew, Severity::Error), at(F::Expired, CA), at(F::NotYetValid, APISERVER)],
            "clock-skew (apiserver not-yet-valid), ca expired",
        ),
        (
            vec![
                at(F::WrongAuthority, APISERVER),
                at(F::KubeconfigCaStale, SCHEDULER),
                at(F::CaReplaced, CA),
                at(F::RootCaStale, CA),
                at(F::SaTokenInvalid, Slot::ServiceAccount),
            ],
            "ca ca-replaced (apiserver wrong-authority, scheduler.conf kubeconfig-ca-stale, ca root-ca-stale, sa sa-token-invalid)",
        ),
        (
            vec![at(F::Expired, ETCD_CLIENT), at(F::Expired, ETCD_CA), at(F::Expired, APISERVER)],
            "etcd-ca expired (apiserver-etcd-client expired), apiserver expired",
        ),
        (
            vec![
                about(F::EndpointDown, Component::ApiServer),
                about(F::EndpointDown, Component::Etcd),
                of_node(F::NotObserved, Severity::Warning),
                about(F::Unhealthy, Component::ApiServer),
            ],
            "etcd endpoint-down (kube-apiserver endpoint-down, kube-apiserver unhealthy), not-observed",
        ),
        (
            vec![
                about(F::EndpointDown, Component::ApiServer),
                at(F::Expired, ETCD_CLIENT),
                about(F::Unhealthy, Component::Scheduler),
            ],
            "apiserver-etcd-client expired (kube-apiserver endpoint-down (kube-scheduler unhealthy))",
        ),
        (
            vec![
                about(F::EndpointDown, Component::Scheduler),
                at(F::Expired, Slot::KubeletClient),
                about(F::EndpointDown, Component::Kubelet),
            ],
            "kubelet-client expired (kubelet endpoint-down, kube-scheduler endpoint-down)",
        ),
        (
            vec![
                at(F::Expired, KUBELET_CONF),
                finding(
                    F::KubeletConfInline,
                    Severity::Warning,
                    Some(Place::Slot(KUBELET_CONF)),
                    Remedy::Renew(KUBELET_CONF),
                ),
            ],
            "kubelet.conf kubelet-conf-inline (kubelet.conf expired)",
        ),
        (
            vec![
                at(F::Expired, KUBELET_CONF),
                at(F::Expired, CA),
                finding(
                    F::KubeletConfInline,
                    Severity::Warning,
                    Some(Place::Slot(KUBELET_CONF)),
                    Remedy::Renew(KUBELET_CONF),
                ),
            ],
            "ca expired (kubelet.conf expired), kubelet.conf kubelet-conf-inline",
        ),
        (
            vec![
                at(F::Damaged, Slot::KubeletClient),
                at(F::NotASymlink, Slot::KubeletClient),
                about(F::Unhealthy, Component::Kubelet),
            ],
            "kubelet-client not-a-symlink (kubelet-client damaged, kubelet unhealthy)",
        ),
        (
            vec![
                at(F::ForeignLeaf, APISERVER),
                at(F::LeafShared, APISERVER),
                at(F::AlternativeNameMissing, APISERVER),
            ],
            "apiserver leaf-shared (apiserver foreign-leaf, apiserver alternative-name-missing)",
        ),
        (
            vec![at(F::Damaged, APISERVER), about(F::EndpointDown, Component::Etcd)],
            "apiserver damaged, etcd endpoint-down",
        ),
        (
            vec![at(F::ExternalCa, ETCD_CA), at(F::LateLeaf, ETCD_CLIENT), at(F::Expired, APISERVER)],
            "etcd-ca external-ca (apiserver-etcd-client late-leaf), apiserver expired",
        ),
        (
            vec![at(F::ExternalCa, ETCD_CA), at(F::Expired, ETCD_CLIENT)],
            "etcd-ca external-ca, apiserver-etcd-client expired",
        ),
    ] {
        assert_eq!(told(findings), expected);
    }
}

#[test]
fn what_to_do_first_is_first() {
    let of = |code, severity, slot| finding(code, severity, Some(Place::Slot(slot)), Remedy::Nothing);
    let copy = Place::Copy(TreePath::parse("/root/.kube/config").unwrap());
    let findings = vec![
        finding(F::ExpiresSoon, Severity::Warning, Some(copy), Remedy::Nothing),
        of(F::ExternalCa, Severity::Notice, Slot::Ca(CaSlot::FrontProxy)),
        of(F::KeyReadable, Severity::Warning, APISERVER),
        about(F::Unhealthy, Component::Kubelet),
        at(F::StaleInMemory, SCHEDULER),
        at(F::Expired, SCHEDULER),
        at(F::WrongAuthority, APISERVER),
        at(F::Expired, Slot::Leaf(LeafSlot::EtcdServer)),
        at(F::NotAnAuthority, Slot::Ca(CaSlot::FrontProxy)),
        at(F::Damaged, Slot::Kubeconfig(KubeconfigSlot::Admin)),
        of_node(F::SourceDamaged, Severity::Warning),
        of_node(F::ClockSkew, Severity::Warning),
    ];
    // The clock is slow, so what is over is over indeed.
    let expected = "clock-skew, source-damaged, admin.conf damaged, front-proxy-ca not-an-authority, etcd-server expired, \
        apiserver wrong-authority (kubelet unhealthy), scheduler.conf expired, scheduler.conf stale-in-memory, \
        apiserver key-readable, /root/.kube/config expires-soon, front-proxy-ca external-ca";
    assert_eq!(told(findings), expected);
}

#[test]
fn a_finding_of_any_code_at_any_place_can_be_told() {
    let slots = Slot::ALL.into_iter().map(|slot| Some(Place::Slot(slot)));
    let copy = Place::Copy(TreePath::parse("/home/kim/.kube/config").unwrap());
    let places: Vec<Option<Place>> = slots.chain([Some(copy), None]).collect();
    let names = vec![AlternativeName::Dns("a".to_owned())];
    for code in F::ALL {
        let mut findings = Vec::new();
        for place in &places {
            for remedy in
                [Remedy::Nothing, Remedy::Start(Component::Etcd), Remedy::AddNames(APISERVER, names.clone())]
            {
                let path = TreePath::parse("/etc/kubernetes/pki/apiserver.key").unwrap();
                let found = finding(code, Severity::Warning, place.clone(), remedy);
                findings.push(Finding { path: Some(path), ..found.clone() });
                findings.push(found);
            }
        }
        assert!(!told(findings).is_empty());
    }
}

#[test]
fn every_code_but_one_has_a_consequence_somewhere() {
    let inventory = Inventory::parse(&collect(&mut Empty, ScanRequest::default()));
    let diagnosis = Diagnosis { findings: Vec::new(), now: NOW, policy: Policy::default() };
    let seen = Observations::none();
    let view = View::of(&diagnosis, &inventory, &seen);
    // These tell dates of certificates, and there is none on an empty disk.
    let dated = [
        F::Expired,
        F::ExpiresSoon,
        F::NotYetValid,
        F::LeafOutlivesCa,
        F::CaEndsBeforeRenewal,
        F::StaleInMemory,
    ];
    for code in F::ALL {
        let remedy = if code.is_of_running() { Remedy::Start(Component::Etcd) } else { Remedy::Nothing };
        let path = TreePath::parse("/etc/kubernetes/pki/apiserver.crt").unwrap();
        let found = finding(code, Severity::Error, Some(Place::Slot(APISERVER)), remedy);
        let told = consequence::of(&Finding { path: Some(path), ..found }, &view);
        let is_told = code != F::AlternativeNameUnexpected && !dated.contains(&code);
        assert_eq!(told.is_some(), is_told, "{code}: {told:?}");
        assert!(!told.unwrap_or_default().contains("NODE"), "{code}");
    }
}

#[test]
fn what_an_unwanted_cause_explains_takes_its_place() {
    let diagnosis = Diagnosis {
        findings: vec![at(F::Expired, ETCD_CLIENT), at(F::Expired, ETCD_CA), at(F::Damaged, APISERVER)],
        now: NOW,
        policy: Policy::default(),
    };
    let inventory = Inventory::parse(&collect(&mut Empty, ScanRequest::default()));
    let all = cases(&diagnosis, &inventory, &Observations::none());
    let is_leaf = |case: &Case| case.finding.place == Some(Place::Slot(ETCD_CLIENT));
    assert_eq!(list(&narrow(all.clone(), &is_leaf)), "apiserver-etcd-client expired");
    assert_eq!(list(&narrow(all.clone(), &|_| true)), list(&all));
    assert_eq!(narrow(all, &|_| false), []);
}
