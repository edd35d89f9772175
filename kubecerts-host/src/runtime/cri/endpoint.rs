//! Where a runtime listens, as the kubelet is told.

use std::fmt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::super::RuntimeError;

/// The path of a unix socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Socket(PathBuf);

impl Socket {
    /// Returns the socket of `unix:///path`, `unix:/path` or a bare absolute path, which the kubelet takes as well.
    pub(super) fn parse(endpoint: &str) -> Result<Self, RuntimeError> {
        let refused = |detail: &str| RuntimeError::Endpoint {
            endpoint: endpoint.to_owned(),
            detail: detail.to_owned(),
        };
        let path = match endpoint.split_once(':') {
            _ if endpoint.is_empty() => return Err(refused("it is empty")),
            _ if endpoint.starts_with('/') => endpoint,
            // `//` begins the name of a host, which has to be empty.
            Some(("unix", rest)) => rest.strip_prefix("//").unwrap_or(rest),
            Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                return Err(refused("only unix sockets are supported"));
            }
            _ => endpoint,
        };
        if !path.starts_with('/') {
            return Err(refused("the path is not absolute"));
        }
        // The system takes no path with a zero byte, and none above 107 bytes.
        SocketAddr::from_pathname(path).map_err(|error| refused(&error.to_string()))?;
        Ok(Self(PathBuf::from(path)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns that there is no connection, because of `detail`.
    pub(super) fn unreachable(&self, detail: String) -> RuntimeError {
        RuntimeError::Unreachable { endpoint: self.to_string(), detail }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(endpoint: &str) -> String {
        match Socket::parse(endpoint) {
            Err(RuntimeError::Endpoint { endpoint: named, detail }) if named == endpoint => detail,
            other => panic!("{endpoint:?} became {other:?}"),
        }
    }

    #[test]
    fn the_forms_that_a_kubelet_takes_name_the_same_socket() {
        for endpoint in ["unix:///run/crio/crio.sock", "unix:/run/crio/crio.sock", "/run/crio/crio.sock"] {
            let socket = Socket::parse(endpoint).unwrap();
            assert_eq!(socket.to_string(), "unix:///run/crio/crio.sock", "{endpoint}");
        }
    }

    #[test]
    fn what_is_no_path_of_a_unix_socket_is_refused() {
        assert_eq!(refusal(""), "it is empty");
        for endpoint in ["tcp://127.0.0.1:3735", "npipe:////./pipe/containerd", "http://localhost", "UNIX:/x"]
        {
            assert_eq!(refusal(endpoint), "only unix sockets are supported", "{endpoint}");
        }
        for endpoint in ["unix://run/x.sock", "unix://", "unix:", "run/x.sock", "unix:@x", " /run/x.sock"] {
            assert_eq!(refusal(endpoint), "the path is not absolute", "{endpoint}");
        }
        refusal("/run/\0");
        refusal(&format!("unix:///{}", "x".repeat(107)));
    }
}
