//! What a stand-in does otherwise than the component.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::InvalidCommand;

/// A habit of the stand-in, as `--stand-in=MODE`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// `reloads`: credentials are read again for each handshake or call; what API server and etcd do anyway.
    Reloads,
    /// `holds`: credentials are kept until the restart; what controller-manager and scheduler do anyway.
    Holds,
    /// `never-ready`: listens, but `/readyz` and `/healthz` answer 500.
    NeverReady,
    /// `etcd-down`: etcd is unhealthy, and so is an API server that needs it.
    EtcdDown,
    /// `answers-401`: answers 401 to every request.
    Answers401,
    /// `slow-start=SECONDS`: refuses connections for the first seconds.
    SlowStart(Duration),
    /// `never-comes-back-after=FILE`: ends at once with status 1 when it is started while there is this file.
    NeverComesBackAfter(PathBuf),
    /// `wants-kubeconfig=FILE`: ends at once with status 1 when its kubeconfig is not the same as this file, if that is there.
    WantsKubeconfig(PathBuf),
    /// `serves-old=DIR`: holds the pair in this directory, of the same file names, if it is there at the start.
    ServesOld(PathBuf),
    /// `api-server=ADDRESS:PORT`: calls the API server there; the name in its certificate stays that of the kubeconfig.
    ApiServer(SocketAddr),
}

impl FromStr for Mode {
    type Err = InvalidCommand;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCommand::Value { flag: "stand-in", value: text.to_owned() };
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Ok(match name {
            "reloads" => Self::Reloads,
            "holds" => Self::Holds,
            "never-ready" => Self::NeverReady,
            "etcd-down" => Self::EtcdDown,
            "answers-401" => Self::Answers401,
            "slow-start" => Self::SlowStart(Duration::from_secs(value.parse().map_err(|_| invalid())?)),
            "never-comes-back-after" if !value.is_empty() => Self::NeverComesBackAfter(value.into()),
            "wants-kubeconfig" if !value.is_empty() => Self::WantsKubeconfig(value.into()),
            "serves-old" if !value.is_empty() => Self::ServesOld(value.into()),
            "api-server" => Self::ApiServer(value.parse().map_err(|_| invalid())?),
            _ => return Err(invalid()),
        })
    }
}
