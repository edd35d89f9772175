//! What was seen of running programs. Public data.

use std::fmt;

use crate::catalog::{Component, Service};
use crate::snapshot::Endpoint;
use crate::time::Moment;
use crate::x509::{Certificate, Damage};

/// What was seen of the programs of one node. What was not looked for is not in it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Observations {
    /// What TLS endpoints have shown, sorted by endpoint.
    pub sightings: Vec<Sighting>,
    /// The programs that run, sorted by component and start.
    pub runs: Vec<Run>,
    /// What programs say about their health, sorted by endpoint.
    pub health: Vec<HealthReport>,
    /// The members of etcd, when this node has one.
    pub etcd: Option<ClusterHealth>,
    /// What could not be asked, such as a container runtime, one line each, sorted.
    pub gaps: Vec<String>,
}

impl Observations {
    /// Returns observations of nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the certificate that is served at `service`, when one was seen.
    #[must_use]
    pub fn served(&self, service: Service) -> Option<&Sighting> {
        self.sightings.iter().find(|sighting| sighting.endpoint.service == service)
    }

    /// Returns the programs of `component` that run; several while one replaces another.
    pub fn runs_of(&self, component: Component) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.component == component)
    }

    /// Sorts everything, so that the same observations are the same data in whatever order they came.
    pub fn sort(&mut self) {
        let Self { sightings, runs, health, etcd: _, gaps } = self;
        sightings.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        runs.sort();
        health.sort_by(|a, b| (&a.endpoint, &a.path).cmp(&(&b.endpoint, &b.path)));
        gaps.sort();
        gaps.dedup();
    }
}

/// What a TLS endpoint has shown.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sighting {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What came of the handshake.
    pub handshake: Handshake,
}

impl Sighting {
    /// Returns a sighting.
    #[must_use]
    pub const fn new(endpoint: Endpoint, handshake: Handshake) -> Self {
        Self { endpoint, handshake }
    }
}

/// What came of a TLS handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a node has a handful of them")]
pub enum Handshake {
    /// The server has shown its certificate, whether or not the handshake went on from there.
    Served(Served),
    /// Nobody listens.
    Down(String),
    /// Somebody listens and does not answer in time.
    Silent,
    /// What answers does not speak TLS, breaks off, or says more than any server has to.
    Broken(String),
}

impl Handshake {
    /// Returns what was served.
    #[must_use]
    pub const fn served(&self) -> Option<&Served> {
        match self {
            Self::Served(served) => Some(served),
            Self::Down(_) | Self::Silent | Self::Broken(_) => None,
        }
    }
}

/// The certificates that a server has shown. Nothing was verified but that it holds the key, where `has_key` says so.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Served {
    /// The server's own certificate.
    pub leaf: Result<Certificate, Damage>,
    /// How many further certificates came with it.
    pub further: usize,
    /// Whether the server has proved that it holds the key of its certificate.
    pub has_key: bool,
    /// Whether the server asks for a client certificate.
    pub asks_for_client: bool,
}

impl Served {
    /// Returns what a server has shown of itself and nothing else.
    #[must_use]
    pub const fn new(leaf: Result<Certificate, Damage>, further: usize) -> Self {
        Self { leaf, further, has_key: false, asks_for_client: false }
    }
}

/// A program that runs.
///
/// The order of the fields is the order of programs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Run {
    /// Which.
    pub component: Component,
    /// When it was started, when that is known.
    pub started: Option<Moment>,
    /// Who says so.
    pub source: RunSource,
}

impl Run {
    /// Returns a program that runs.
    #[must_use]
    pub const fn new(component: Component, started: Option<Moment>, source: RunSource) -> Self {
        Self { component, started, source }
    }
}

/// Who has seen a program run.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum RunSource {
    /// The container runtime: the container with this id.
    Container {
        /// The container's id.
        id: String,
    },
    /// The operating system: the process with this number.
    Process {
        /// The process's number.
        pid: u32,
    },
}

impl fmt::Display for RunSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Thirteen digits of an id are what crictl and docker show.
            Self::Container { id } => write!(f, "container {}", id.get(..13).unwrap_or(id)),
            Self::Process { pid } => write!(f, "process {pid}"),
        }
    }
}

/// What a program says about its health.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct HealthReport {
    /// Where it was asked.
    pub endpoint: Endpoint,
    /// The path, such as `/readyz`.
    pub path: String,
    /// What it says.
    pub health: Health,
}

impl HealthReport {
    /// Returns a report.
    #[must_use]
    pub fn new(endpoint: Endpoint, path: &str, health: Health) -> Self {
        Self { endpoint, path: path.to_owned(), health }
    }
}

/// How a program is.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Health {
    /// It says that it is well.
    Well,
    /// It answers and says that it is not: the status and the beginning of the text.
    Unwell(String),
    /// It answers only to those whom it knows, so it runs: 401 or 403.
    Reserved(u16),
    /// It does not answer.
    Silent(String),
}

impl Health {
    /// Returns whether the program answers as one that is at work.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Well | Self::Reserved(_))
    }
}

/// How the members of an etcd cluster are, as asked from this node.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClusterHealth {
    /// The members by name; one that was never started has none.
    pub members: Vec<(String, WellBeing)>,
}

impl ClusterHealth {
    /// Returns the health of these members.
    #[must_use]
    pub fn new(mut members: Vec<(String, WellBeing)>) -> Self {
        members.sort();
        Self { members }
    }

    /// Returns how many members must be well for the cluster to work.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// Returns how many members are well.
    #[must_use]
    pub fn well(&self) -> usize {
        self.members.iter().filter(|(_, being)| matches!(being, WellBeing::Here | WellBeing::Well)).count()
    }

    /// Returns whether the member of this node is well.
    #[must_use]
    pub fn has_this_one(&self) -> bool {
        self.members.iter().any(|(_, being)| matches!(being, WellBeing::Here))
    }

    /// Returns whether enough members are well.
    #[must_use]
    pub fn has_quorum(&self) -> bool {
        self.well() >= self.quorum()
    }

    /// Returns whether the member of this node may stop without taking the quorum from the others: there are no others, the
    /// quorum is lost already, or the others are enough.
    #[must_use]
    pub fn may_stop_this_one(&self) -> bool {
        let others = self.members.iter().filter(|(_, being)| matches!(being, WellBeing::Well)).count();
        self.members.len() <= 1 || !self.has_quorum() || others >= self.quorum()
    }
}

/// How a member of etcd is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "a member is well or not, here or elsewhere")]
pub enum WellBeing {
    /// It is the one of this node, and well.
    Here,
    /// It is another one, and well.
    Well,
    /// It is not: why.
    Unwell(String),
}
