//! What an API server shows and answers.

use std::path::PathBuf;
use std::sync::Arc;

use hyper::StatusCode;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::answer::Answer;
use crate::authority::{Asks, authenticate};
use crate::listen::{Site, configuration, log};
use crate::pair::{Habit, Pair, Serving};
use crate::{Command, Mode, StartError};

/// An API server with nothing behind it but the identity of who asks.
pub(crate) struct ApiServer {
    serving: Serving,
    client_authority: PathBuf,
    anonymous: bool,
    modes: Vec<Mode>,
}

impl ApiServer {
    pub(crate) fn start(command: &Command) -> Result<Self, StartError> {
        let pair = Pair::of(command, "tls-cert-file", "tls-private-key-file")?;
        let modes = command.modes().to_vec();
        let started = Self {
            serving: Serving::start(pair, Habit::KeepsOld, &modes).map_err(StartError::credentials)?,
            client_authority: command.file("client-ca-file")?,
            anonymous: command.is_set("anonymous-auth", true),
            modes,
        };
        Asks::for_those_of(&started.client_authority).map_err(StartError::credentials)?;
        Ok(started)
    }

    fn health(&self, path: &str) -> Answer {
        let endpoint = path.trim_start_matches('/');
        if self.modes.contains(&Mode::EtcdDown) {
            return Answer::failed_checks(endpoint, &["etcd", "etcd-readiness"]);
        }
        // A server that is not ready yet lives all the same, or its kubelet would kill it.
        if self.modes.contains(&Mode::NeverReady) && path != "/livez" {
            return Answer::failed_checks(endpoint, &["poststarthook/rbac/bootstrap-roles"]);
        }
        Answer::ok()
    }
}

impl Site for ApiServer {
    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, String> {
        let clients = Asks::for_those_of(&self.client_authority)?;
        Ok(Some(configuration(&*self.serving.current()?, Some(clients))))
    }

    fn answer(&self, path: &str, chain: &[CertificateDer<'_>]) -> Answer {
        if self.modes.contains(&Mode::Answers401) {
            return Answer::unauthorized();
        }
        let identity = authenticate(&self.client_authority, chain);
        if let (Err(reason), false) = (&identity, chain.is_empty()) {
            log(&format!("Unable to authenticate the request: {reason}"));
        }
        match (path, identity) {
            // Whoever shows nothing is anonymous; whoever shows what is not valid is nobody, not even for these paths.
            ("/livez" | "/readyz" | "/healthz", Err(_)) if self.anonymous && chain.is_empty() => {
                self.health(path)
            }
            ("/livez" | "/readyz" | "/healthz", Ok(_)) => self.health(path),
            (_, Ok(identity)) => Answer::json(StatusCode::OK, identity.to_string()),
            (_, Err(_)) => Answer::unauthorized(),
        }
    }
}
