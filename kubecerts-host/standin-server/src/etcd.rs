//! What a member of etcd shows, and its health; there is no store.

use std::sync::Arc;

use hyper::StatusCode;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;

use crate::answer::Answer;
use crate::authority::strict;
use crate::listen::{Site, configuration};
use crate::pair::{Habit, Pair, Serving};
use crate::{Command, Mode, StartError};

/// One of a member's listeners.
pub(crate) struct Etcd {
    tls: Option<(Serving, Option<Arc<dyn ClientCertVerifier>>)>,
    has_health: bool,
    modes: Vec<Mode>,
}

impl Etcd {
    /// Starts what clients talk to.
    pub(crate) fn for_clients(command: &Command) -> Result<Self, StartError> {
        let pair = Pair::of(command, "cert-file", "key-file")?;
        Self::secure(command, pair, "client-cert-auth", "trusted-ca-file", true)
    }

    /// Starts what other members talk to.
    pub(crate) fn for_peers(command: &Command) -> Result<Self, StartError> {
        let pair = Pair::of(command, "peer-cert-file", "peer-key-file")?;
        Self::secure(command, pair, "peer-client-cert-auth", "peer-trusted-ca-file", false)
    }

    /// Starts what the kubelet's probes talk to, without TLS.
    pub(crate) fn for_metrics(command: &Command) -> Self {
        Self { tls: None, has_health: true, modes: command.modes().to_vec() }
    }

    fn secure(
        command: &Command,
        pair: Pair,
        demand: &str,
        authority: &'static str,
        has_health: bool,
    ) -> Result<Self, StartError> {
        let modes = command.modes().to_vec();
        let serving = Serving::start(pair, Habit::Fails, &modes).map_err(StartError::credentials)?;
        // etcd reads its authorities once.
        let clients = match command.is_set(demand, false) {
            true => Some(strict(&command.file(authority)?).map_err(StartError::credentials)?),
            false => None,
        };
        Ok(Self { tls: Some((serving, clients)), has_health, modes })
    }
}

impl Site for Etcd {
    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, String> {
        let Some((serving, clients)) = &self.tls else { return Ok(None) };
        Ok(Some(configuration(&*serving.current()?, clients.clone())))
    }

    fn answer(&self, path: &str, _: &[CertificateDer<'_>]) -> Answer {
        let is_down = self.modes.contains(&Mode::EtcdDown) || self.modes.contains(&Mode::NeverReady);
        match path {
            _ if self.modes.contains(&Mode::Answers401) => Answer::unauthorized(),
            "/health" if self.has_health && is_down => {
                let body = r#"{"health":"false","reason":"RAFT NO LEADER"}"#;
                Answer::json(StatusCode::SERVICE_UNAVAILABLE, body)
            }
            "/health" if self.has_health => Answer::json(StatusCode::OK, r#"{"health":"true","reason":""}"#),
            _ => Answer::not_found(),
        }
    }
}
