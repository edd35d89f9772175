//! The command line of a component, of which only the flags that matter here are looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Mode;

/// A program of the control plane.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Component {
    /// `kube-apiserver`.
    ApiServer,
    /// `kube-controller-manager`.
    ControllerManager,
    /// `kube-scheduler`.
    Scheduler,
    /// `etcd`.
    Etcd,
    /// `kubelet`, of which only the API is here.
    Kubelet,
}

impl Component {
    const ALL: [Self; 5] =
        [Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Etcd, Self::Kubelet];

    /// Returns the name of the program.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Etcd => "etcd",
            Self::Kubelet => "kubelet",
        }
    }

    /// Returns the component whose program `path` names, wherever it lies.
    #[must_use]
    pub fn of_program(path: &str) -> Option<Self> {
        let name = Path::new(path).file_name()?;
        Self::ALL.into_iter().find(|component| name == component.name())
    }

    /// Returns the port that the program serves on when no flag says otherwise.
    const fn port(self) -> u16 {
        match self {
            Self::ApiServer => 6443,
            Self::ControllerManager => 10257,
            Self::Scheduler => 10259,
            Self::Etcd => 2379,
            Self::Kubelet => 10250,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A component, its flags, and the modes of the stand-in.
#[derive(Clone, Debug)]
pub struct Command {
    component: Component,
    flags: BTreeMap<String, String>,
    modes: Vec<Mode>,
}

impl Command {
    /// Parses a command line; a name before that of the component is the stand-in's own.
    ///
    /// Flags are written `--name=value`, `--name value` or, for `true`, `--name`; the last one of a name counts, and
    /// unknown ones are kept and not looked at.
    ///
    /// # Errors
    /// [`InvalidCommand`] when neither the first nor the second argument is a component, or a mode is unknown.
    pub fn parse(arguments: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, InvalidCommand> {
        let mut arguments = arguments.into_iter().map(Into::into).peekable();
        let mut program = || arguments.next().as_deref().and_then(Component::of_program);
        let component = program().or_else(program).ok_or(InvalidCommand::NoComponent)?;
        let (mut flags, mut modes) = (BTreeMap::new(), Vec::new());
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--") else { continue };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (flag, arguments.next_if(|next| !next.starts_with("--")).unwrap_or_default()),
            };
            if name == "stand-in" {
                modes.push(value.parse()?);
            } else {
                flags.insert(name.to_owned(), value);
            }
        }
        Ok(Self { component, flags, modes })
    }

    /// Returns the component.
    #[must_use]
    pub const fn component(&self) -> Component {
        self.component
    }

    /// Returns the modes in their order.
    #[must_use]
    pub fn modes(&self) -> &[Mode] {
        &self.modes
    }

    /// Returns the value of `flag`, empty when it was given without one.
    pub(crate) fn flag(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag).map(String::as_str)
    }

    /// Returns the file that `flag` names.
    pub(crate) fn file(&self, flag: &'static str) -> Result<PathBuf, InvalidCommand> {
        self.flag(flag).map(PathBuf::from).ok_or(InvalidCommand::Missing { flag })
    }

    /// Returns whether `flag` is set; `absent` is what it means not to write it.
    pub(crate) fn is_set(&self, flag: &str, absent: bool) -> bool {
        self.flag(flag).map_or(absent, |value| matches!(value, "" | "true"))
    }

    /// Returns the addresses of the URLs in `flag`.
    pub(crate) fn urls(&self, flag: &'static str) -> Result<Vec<SocketAddr>, InvalidCommand> {
        let urls = self.flag(flag).unwrap_or_default().split(',').filter(|url| !url.is_empty());
        urls.map(|url| parse(flag, url.split_once("://").map_or(url, |(_, address)| address))).collect()
    }

    /// Returns the address of `--bind-address` and `--secure-port`; port 0 means any that is free.
    pub(crate) fn secure_address(&self) -> Result<SocketAddr, InvalidCommand> {
        let address = match self.flag("bind-address") {
            Some(address) => parse("bind-address", address)?,
            None => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        };
        let port = match self.flag("secure-port") {
            Some(port) => parse("secure-port", port)?,
            None => self.component.port(),
        };
        Ok(SocketAddr::new(address, port))
    }
}

fn parse<T: FromStr>(flag: &'static str, value: &str) -> Result<T, InvalidCommand> {
    value.parse().map_err(|_| InvalidCommand::Value { flag, value: value.to_owned() })
}

/// A command line that no component understands.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommand {
    /// The program is none that this one stands in for.
    #[error("neither the first nor the second argument names a component")]
    NoComponent,
    /// A flag that the component cannot do without is missing.
    #[error("--{flag} is missing")]
    Missing {
        /// The flag.
        flag: &'static str,
    },
    /// The value of a flag is not what it should be; addresses are numeric, since there is no resolver.
    #[error("--{flag} is {value:?}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_by_the_program_or_by_its_first_argument() {
        for line in [&["/usr/local/bin/etcd", "--a=b"][..], &["standin-server", "etcd"], &["etcd"]] {
            assert_eq!(Command::parse(line.iter().copied()).unwrap().component(), Component::Etcd);
        }
        for line in [&["standin-server"][..], &[], &["a", "b", "etcd"]] {
            assert_eq!(Command::parse(line.iter().copied()).unwrap_err(), InvalidCommand::NoComponent);
        }
    }

    #[test]
    fn flags_are_read_in_every_form_of_go() {
        let line = ["etcd", "--one=1=1", "--client-cert-auth", "--two", "2", "--off=false"];
        let command = Command::parse(line).unwrap();
        assert_eq!(command.flag("one"), Some("1=1"));
        assert_eq!(command.flag("two"), Some("2"));
        assert!(command.is_set("client-cert-auth", false));
        assert!(!command.is_set("off", true));
        assert!(command.is_set("anonymous-auth", true));
    }

    #[test]
    fn urls_are_addresses() {
        let line = ["etcd", "--listen-client-urls=https://127.0.0.1:2379,https://[::1]:2379"];
        let urls = Command::parse(line).unwrap().urls("listen-client-urls").unwrap();
        assert_eq!(urls, ["127.0.0.1:2379".parse().unwrap(), "[::1]:2379".parse().unwrap()]);
        let named = Command::parse(["etcd", "--listen-client-urls=https://localhost:2379"]).unwrap();
        assert!(named.urls("listen-client-urls").is_err());
    }
}
