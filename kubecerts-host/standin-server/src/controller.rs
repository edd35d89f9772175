//! What controller-manager and scheduler do with their kubeconfig: read it once and call the API server for ever.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::sleep;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::answer::Answer;
use crate::client::Client;
use crate::listen::{Site, configuration, log};
use crate::{Command, Mode, StartError, throwaway};

/// A client of the API server whose own certificate is made at its start and proves nothing.
pub(crate) struct Controller {
    config: Arc<ServerConfig>,
    modes: Vec<Mode>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    serial: String,
    answer: String,
    calls: u64,
}

impl Controller {
    /// Starts the component and returns it with the client that [`run`](Self::run) calls with.
    pub(crate) fn start(command: &Command) -> Result<(Self, Calls), StartError> {
        let modes = command.modes().to_vec();
        let address = modes.iter().find_map(|mode| match mode {
            Mode::ApiServer(address) => Some(*address),
            _ => None,
        });
        let kubeconfig = command.file("kubeconfig")?;
        let client = Client::read(&kubeconfig, address).map_err(StartError::credentials)?;
        let reloads = modes.contains(&Mode::Reloads) || client.has_file && !modes.contains(&Mode::Holds);
        let last = Last { serial: client.serial.clone(), ..Last::default() };
        let config = configuration(&throwaway::of_now(), None);
        let controller = Self { config, modes, last: Mutex::new(last) };
        Ok((controller, Calls { kubeconfig, address, reloads, client }))
    }

    /// Calls the API server for ever and remembers what it answers.
    pub(crate) async fn run(self: Arc<Self>, mut calls: Calls) {
        loop {
            if calls.reloads
                && let Ok(client) = Client::read(&calls.kubeconfig, calls.address)
            {
                calls.client = client;
            }
            let answer = calls.client.call(LEASES).await;
            self.remember(&calls.client.serial, answer);
            sleep(PAUSE).await;
        }
    }

    fn remember(&self, serial: &str, answer: String) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.answer != answer {
            log(&format!("resource lock, with client certificate {serial}: {answer}"));
        }
        *last = Last { serial: serial.to_owned(), answer, calls: last.calls + 1 };
    }
}

impl Site for Controller {
    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, String> {
        Ok(Some(Arc::clone(&self.config)))
    }

    fn answer(&self, path: &str, _: &[CertificateDer<'_>]) -> Answer {
        match path {
            _ if self.modes.contains(&Mode::Answers401) => Answer::unauthorized(),
            "/healthz" | "/readyz" if self.modes.contains(&Mode::NeverReady) => {
                let endpoint = path.trim_start_matches('/');
                Answer::text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("[-]leaderElection failed: reason withheld\n{endpoint} check failed\n"),
                )
            }
            // Unauthorized as it may be, it finds itself in good health.
            "/healthz" | "/readyz" | "/livez" => Answer::ok(),
            "/stand-in/credential" => {
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                let Last { serial, answer, calls } = &*last;
                let body = format!("{{\"serial\":{serial:?},\"answer\":{answer:?},\"calls\":{calls}}}");
                Answer::json(StatusCode::OK, body)
            }
            _ => Answer::unauthorized(),
        }
    }
}

/// What is called with.
pub(crate) struct Calls {
    kubeconfig: PathBuf,
    address: Option<SocketAddr>,
    reloads: bool,
    client: Client,
}

/// What leader election asks for.
const LEASES: &str = "/apis/coordination.k8s.io/leases";

/// The pause between two calls: tests wait for an answer that differs.
const PAUSE: Duration = Duration::from_millis(300);
