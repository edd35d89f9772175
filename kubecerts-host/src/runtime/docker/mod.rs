//! Docker Engine over its own HTTP API, for nodes whose kubelet runs containers through dockershim or cri-dockerd.

mod api;

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hyper::Method;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::http::{Answer, NoAnswer, exchange};
use super::{Pod, Runtime, RuntimeError};
use api::{ApiVersion, Inspected, Listed, Version};

/// A Docker Engine. Nothing is kept open between calls.
#[derive(Clone, Debug)]
pub struct Docker {
    endpoint: String,
    socket: PathBuf,
    deadline: Duration,
    version: String,
    api: ApiVersion,
}

impl Docker {
    /// Where Docker Engine listens by default.
    pub const SOCKET: &str = "/var/run/docker.sock";

    /// Asks the engine behind `endpoint`, a path or `unix://` and a path, for its version and agrees on one of the API.
    ///
    /// `deadline` bounds this and later each method of [`Runtime`] as a whole.
    ///
    /// # Errors
    /// [`RuntimeError`] when nothing answers in time, or what answers is no Docker Engine whose API is known.
    pub fn connect(endpoint: &str, deadline: Duration) -> Result<Self, RuntimeError> {
        let socket = socket_path(endpoint)?;
        let mut docker = Self {
            endpoint: format!("unix://{}", socket.display()),
            socket,
            deadline,
            version: String::new(),
            api: ApiVersion::OLDEST,
        };
        // The path has no version yet: a version that the engine does not know would be refused.
        let call = Call { what: "version", until: Instant::now() + deadline };
        let answer = docker.send(&call, Method::GET, "/version")?;
        let Version { version, api_version, min_api_version } = docker.understand(&call, &answer)?;
        docker.api = ApiVersion::agree(min_api_version.as_deref(), &api_version)
            .map_err(|detail| docker.refused(&call, detail))?;
        docker.version = api::plain(version.as_bytes());
        Ok(docker)
    }

    /// Returns when `id` runs and since when; `None` when it is gone.
    fn inspect(&self, call: &Call, id: &str) -> Result<Option<Inspected>, RuntimeError> {
        let answer = self.send(call, Method::GET, &format!("/v{}/containers/{id}/json", self.api))?;
        if answer.status == 404 { Ok(None) } else { self.understand(call, &answer).map(Some) }
    }

    /// Kills the container `id` and removes it, and returns once it is gone.
    fn delete(&self, call: &Call, id: &str) -> Result<(), RuntimeError> {
        if !api::is_id(id) {
            return Err(self.refused(call, format!("{id:?} is not the id of a container")));
        }
        let path = format!("/v{}/containers/{id}?force=1&v=1", self.api);
        let answer = self.send(call, Method::DELETE, &path)?;
        match answer.status {
            200..300 | 304 | 404 => Ok(()),
            // The kubelet, or an earlier run, is at it. Whether it is done only a look tells.
            409 if api::is_in_progress(&answer.body) => loop {
                match self.inspect(call, id)? {
                    None => break Ok(()),
                    Some(_) => sleep(POLL.min(call.left())),
                }
            },
            _ => Err(self.refused(call, api::message(answer.status, &answer.body))),
        }
    }

    fn send(&self, call: &Call, method: Method, path: &str) -> Result<Answer, RuntimeError> {
        let connect = UnixStream::connect(&self.socket);
        exchange(method, path, BODY_LIMIT, call.left(), connect).map_err(|error| match error {
            NoAnswer::Broken(detail) => RuntimeError::Unreachable {
                endpoint: self.endpoint.clone(),
                detail: api::plain(detail.as_bytes()),
            },
            NoAnswer::Late => RuntimeError::Deadline {
                endpoint: self.endpoint.clone(),
                call: call.what,
                deadline: self.deadline,
            },
        })
    }

    /// Returns what an answer of success says.
    fn understand<T: DeserializeOwned>(&self, call: &Call, answer: &Answer) -> Result<T, RuntimeError> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(call, api::message(answer.status, &answer.body)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.refused(call, format!("its answer is not Docker's: {error}")))
    }

    fn refused(&self, call: &Call, detail: String) -> RuntimeError {
        RuntimeError::Refused { endpoint: self.endpoint.clone(), call: call.what, detail }
    }
}

impl Runtime for Docker {
    fn describe(&self) -> String {
        format!("Docker Engine {}, API {} at {}", self.version, self.api, self.endpoint)
    }

    fn pods(&mut self) -> Result<Vec<Pod>, RuntimeError> {
        let call = Call { what: "list containers", until: Instant::now() + self.deadline };
        let path = format!("/v{}/containers/json?all=1&filters={}", self.api, api::FILTER);
        let listed: Vec<Listed> = self.understand(&call, &self.send(&call, Method::GET, &path)?)?;
        let mut pods = api::pods(listed);
        let call = Call { what: "inspect container", ..call };
        for pod in &mut pods {
            let mut containers = Vec::new();
            for mut container in std::mem::take(&mut pod.containers) {
                if let Some(inspected) = self.inspect(&call, &container.id)? {
                    container.started = inspected.started();
                    container.is_running = inspected.is_running();
                    containers.push(container);
                }
            }
            pod.containers = containers;
        }
        Ok(pods)
    }

    fn remove(&mut self, pod: &Pod) -> Result<(), RuntimeError> {
        let call = Call { what: "remove container", until: Instant::now() + self.deadline.max(REMOVAL) };
        // The containers live in the sandbox's namespaces, so it goes last.
        for container in &pod.containers {
            self.delete(&call, &container.id)?;
        }
        self.delete(&call, &pod.sandbox)
    }
}

/// Returns the path of a socket that is named as the kubelet takes it: `unix:///run/x.sock`, `unix:/run/x.sock` or the path.
fn socket_path(endpoint: &str) -> Result<PathBuf, RuntimeError> {
    let invalid =
        |detail: &str| RuntimeError::Endpoint { endpoint: endpoint.to_owned(), detail: detail.to_owned() };
    let path = match endpoint.split_once(':') {
        Some(("unix", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some((_, rest)) if rest.starts_with("//") => return Err(invalid("only sockets of Unix are used")),
        _ => endpoint,
    };
    if !path.starts_with('/') {
        return Err(invalid("it is no absolute path"));
    }
    Ok(Path::new(path).to_owned())
}

/// What is asked, for errors, and until when.
struct Call {
    what: &'static str,
    until: Instant,
}

impl Call {
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// How long a removal may take at least: a busy disk takes longer than an answer does, and the engine goes on all the same.
const REMOVAL: Duration = Duration::from_secs(120);

/// An answer above this is not read on. A list of a thousand containers has about 2 MiB.
const BODY_LIMIT: usize = 16 << 20;

/// How often a removal by somebody else is looked at.
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
