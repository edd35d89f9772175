//! The checks of what runs. Without observations there is nothing to find.

use super::checks::{Check, Context};
use super::{Finding, FindingCode, Impact, Remedy, Severity};
use crate::catalog::{Component, Service};
use crate::inventory::Place;
use crate::observation::{Handshake, Health, Verdict, WellBeing, usages};

/// Every check; the order does not matter.
pub(super) const ALL: [Check; 5] = [gaps, memory, endpoints, health, etcd];

/// `not-observed`
fn gaps(context: &Context<'_>, out: &mut Vec<Finding>) {
    for gap in &context.observations.gaps {
        out.push(Finding {
            severity: Severity::Warning,
            impact: Impact::Incomplete,
            ..about_node(FindingCode::NotObserved, gap.clone(), Remedy::Nothing)
        });
    }
}

/// `stale-in-memory`
fn memory(context: &Context<'_>, out: &mut Vec<Finding>) {
    for usage in usages(context.inventory, context.observations) {
        if usage.verdict != Verdict::Stale {
            continue;
        }
        let facts = context.inventory.file(usage.file);
        let (component, proof) = (usage.component, &usage.proof);
        out.push(Finding {
            place: Some(Place::Slot(usage.slot())),
            impact: Impact::Inconsistent,
            path: Some(facts.path.clone()),
            ..about_node(
                FindingCode::StaleInMemory,
                format!("{component} does not use what is on disk: {proof}"),
                Remedy::Restart(component),
            )
        });
    }
}

/// `endpoint-broken`, `endpoint-down`, `served-expired`
fn endpoints(context: &Context<'_>, out: &mut Vec<Finding>) {
    for sighting in &context.observations.sightings {
        let endpoint = &sighting.endpoint;
        let (service, component) = (endpoint.service, endpoint.service.component());
        let (code, what) = match &sighting.handshake {
            Handshake::Down(reason) => {
                (FindingCode::EndpointDown, format!("nobody listens at {endpoint}: {reason}"))
            }
            Handshake::Silent => {
                (FindingCode::EndpointBroken, format!("what listens at {endpoint} does not answer"))
            }
            Handshake::Broken(reason) => {
                (FindingCode::EndpointBroken, format!("no TLS server answers at {endpoint}: {reason}"))
            }
            Handshake::Served(served) => {
                // What is served of the tree is judged by its file, and by whether it is that of the file.
                let own = served.leaf.as_ref().ok().filter(|_| service.leaf().is_none());
                let Some(over) = own.filter(|leaf| leaf.not_after() < context.now) else { continue };
                let end = over.not_after();
                (
                    FindingCode::ServedExpired,
                    format!("the certificate of its own that is served at {endpoint} expired {end}"),
                )
            }
        };
        let message = format!("{service}: {what}");
        out.push(match code {
            // Nothing of the control plane verifies what programs sign for themselves.
            FindingCode::ServedExpired => Finding {
                severity: Severity::Warning,
                impact: Impact::None,
                ..about_node(code, message, Remedy::Restart(component))
            },
            _ => about_node(code, message, Remedy::Start(component)),
        });
    }
}

/// `unhealthy`
fn health(context: &Context<'_>, out: &mut Vec<Finding>) {
    let observations = context.observations;
    for report in &observations.health {
        let (endpoint, path) = (&report.endpoint, &report.path);
        // An endpoint at which TLS fails has its finding already.
        let has_tls = || {
            let mut sightings =
                observations.sightings.iter().filter(|sighting| sighting.endpoint == *endpoint);
            sightings.all(|sighting| sighting.handshake.served().is_some())
        };
        let says = match &report.health {
            Health::Well | Health::Reserved(_) => continue,
            Health::Unwell(text) => format!("answers {text}"),
            Health::Silent(_) if !has_tls() => continue,
            Health::Silent(reason) => format!("does not answer: {reason}"),
        };
        let service: Service = endpoint.service;
        let message = format!("{service}: {path} at {endpoint} {says}");
        out.push(about_node(FindingCode::Unhealthy, message, Remedy::Start(service.component())));
    }
}

/// `etcd-unwell`
fn etcd(context: &Context<'_>, out: &mut Vec<Finding>) {
    let Some(cluster) = &context.observations.etcd else { return };
    let unwell: Vec<String> = cluster
        .members
        .iter()
        .filter_map(|(name, being)| match being {
            WellBeing::Here | WellBeing::Well => None,
            WellBeing::Unwell(reason) => Some(format!("{name} ({reason})")),
        })
        .collect();
    if unwell.is_empty() {
        return;
    }
    let (well, count) = (cluster.well(), cluster.members.len());
    let message = format!(
        "{well} of {count} members of etcd are well, {} are needed; not well: {}",
        cluster.quorum(),
        unwell.join(", ")
    );
    let finding = about_node(FindingCode::EtcdUnwell, message, Remedy::Start(Component::Etcd));
    out.push(match cluster.has_quorum() {
        true => Finding { severity: Severity::Warning, ..finding },
        false => finding,
    });
}

fn about_node(code: FindingCode, message: String, remedy: Remedy) -> Finding {
    Finding {
        severity: Severity::Error,
        place: None,
        code,
        impact: Impact::Unusable,
        path: None,
        message,
        remedy,
    }
}
