//! What is wrong with what runs.

use kubecerts_core::catalog::{Component, Service};
use kubecerts_core::diagnosis::FindingCode;
use kubecerts_core::observation::{
    ClusterHealth, Handshake, Health, HealthReport, Run, RunSource, WellBeing,
};
use kubecerts_core::snapshot::Endpoint;
use kubecerts_core::time::Moment;
use kubecerts_testkit::{TreeBuilder, at};

use crate::support::*;

broken_trees! {
    a_port_at_which_nobody_listens_is_found: EndpointDown =>
        codes_seeing(|seen| handshake(seen, Service::ApiServer, Handshake::Down("refused".to_owned())));
    a_server_that_does_not_answer_is_found: EndpointBroken =>
        codes_seeing(|seen| handshake(seen, Service::ApiServer, Handshake::Silent));
    a_server_that_speaks_no_tls_is_found: EndpointBroken =>
        codes_seeing(|seen| handshake(seen, Service::Scheduler, Handshake::Broken("garbage".to_owned())));
    a_member_of_etcd_that_is_not_well_is_found: EtcdUnwell => codes_seeing(|seen| {
        let unwell = WellBeing::Unwell("deadline".to_owned());
        seen.etcd = Some(ClusterHealth::new(vec![("cp-1".to_owned(), unwell)]));
    });
    what_could_not_be_asked_is_found: NotObserved =>
        codes_seeing(|seen| seen.gaps.push("the container runtime does not answer".to_owned()));
    a_self_signed_certificate_that_is_served_and_over_is_found: ServedExpired => {
        let old = TreeBuilder::kubeadm().seed(3).made(at("2024-01-01T00:00:00Z")).build();
        codes_seeing(|seen| serve(seen, Service::Kubelet, &old, APISERVER))
    };
    a_server_that_shows_the_certificate_from_before_the_renewal_is_stale: StaleInMemory =>
        codes_seeing(|seen| serve(seen, Service::ApiServer, &stranger(), APISERVER));
    a_program_that_is_older_than_its_kubeconfig_is_stale: StaleInMemory => codes_seeing(|seen| {
        let before = Some(Moment::from_unix(at("2025-12-31T23:59:59Z").unix(), 0));
        let source = RunSource::Container { id: "0123".to_owned() };
        seen.runs.push(Run::new(Component::Scheduler, before, source));
    });
    a_program_that_says_that_it_is_not_well_is_found: Unhealthy => codes_seeing(|seen| {
        let endpoint = Endpoint::new(Service::ApiServer, "127.0.0.1", 6443);
        seen.health.push(HealthReport::new(endpoint, "/readyz", Health::Unwell("500".to_owned())));
    });
}
