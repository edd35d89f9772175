//! What was seen of a node's programs, in the words of the index.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};

use super::index::{IndexError, to_nanosecond, wrong};
use crate::catalog::{Component, PathSource, Service};
use crate::observation::{
    ClusterHealth, Handshake, Health, HealthReport, Observations, Run, RunSource, Served, Sighting, WellBeing,
};
use crate::snapshot;
use crate::time::Moment;
use crate::x509::{Certificate, Damage};

#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Seen {
    handshakes: Vec<Shaken>,
    runs: Vec<Running>,
    health: Vec<Reported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etcd: Option<Vec<Member>>,
    gaps: Vec<String>,
}

impl Seen {
    pub(super) fn of(observations: &Observations) -> Self {
        let Observations { sightings, runs, health, etcd, gaps } = observations;
        let member =
            |(name, being): &(String, WellBeing)| Member { name: name.clone(), being: Being::of(being) };
        Self {
            handshakes: sightings.iter().map(Shaken::of).collect(),
            runs: runs.iter().map(Running::of).collect(),
            health: health.iter().map(Reported::of).collect(),
            etcd: etcd.as_ref().map(|cluster| cluster.members.iter().map(member).collect()),
            gaps: gaps.clone(),
        }
    }

    pub(super) fn parse(self) -> Result<Observations, IndexError> {
        let Self { handshakes, runs, health, etcd, gaps } = self;
        let mut seen = Observations::none();
        seen.sightings = handshakes.into_iter().map(Shaken::parse).collect::<Result<_, _>>()?;
        seen.runs = runs.into_iter().map(Running::parse).collect::<Result<_, _>>()?;
        seen.health = health.into_iter().map(Reported::parse).collect::<Result<_, _>>()?;
        seen.etcd = etcd.map(|members| {
            let members = members.into_iter().map(|Member { name, being }| (name, being.parse()));
            ClusterHealth::new(members.collect())
        });
        seen.gaps = gaps;
        seen.sort();
        Ok(seen)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Endpoint {
    service: String,
    host: String,
    port: u16,
    source: String,
}

impl Endpoint {
    fn of(endpoint: &snapshot::Endpoint) -> Self {
        let snapshot::Endpoint { service, host, port, source } = endpoint;
        Self {
            service: service.name().to_owned(),
            host: host.clone(),
            port: *port,
            source: source.to_string(),
        }
    }

    fn parse(self) -> Result<snapshot::Endpoint, IndexError> {
        let Self { service, host, port, source } = self;
        let known = Service::ALL.into_iter().find(|known| known.name() == service);
        let service = known.ok_or_else(|| wrong("service", &service, "there is no such service"))?;
        let known = SOURCES.into_iter().find(|known| known.to_string() == source);
        let source = known.ok_or_else(|| wrong("source", &source, "there is no such source"))?;
        Ok(snapshot::Endpoint { service, host, port, source })
    }
}

const SOURCES: [PathSource; 6] = [
    PathSource::Argument,
    PathSource::Manifest,
    PathSource::KubeletConfig,
    PathSource::KubeadmConfig,
    PathSource::Sibling,
    PathSource::Default,
];

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Shaken {
    endpoint: Endpoint,
    outcome: Outcome,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Outcome {
    Served {
        /// In DER, base64.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        damage: Option<String>,
        further: usize,
        has_key: bool,
        asks_for_client: bool,
    },
    Down {
        reason: String,
    },
    Silent,
    Broken {
        reason: String,
    },
}

impl Shaken {
    fn of(sighting: &Sighting) -> Self {
        let Sighting { endpoint, handshake } = sighting;
        let outcome = match handshake {
            Handshake::Served(Served { leaf, further, has_key, asks_for_client }) => Outcome::Served {
                certificate: leaf.as_ref().ok().map(|leaf| Base64::encode_string(leaf.as_der())),
                damage: leaf.as_ref().err().map(ToString::to_string),
                further: *further,
                has_key: *has_key,
                asks_for_client: *asks_for_client,
            },
            Handshake::Down(reason) => Outcome::Down { reason: reason.clone() },
            Handshake::Silent => Outcome::Silent,
            Handshake::Broken(reason) => Outcome::Broken { reason: reason.clone() },
        };
        Self { endpoint: Endpoint::of(endpoint), outcome }
    }

    fn parse(self) -> Result<Sighting, IndexError> {
        let Self { endpoint, outcome } = self;
        let handshake = match outcome {
            Outcome::Served { certificate, damage, further, has_key, asks_for_client } => {
                let leaf = match certificate {
                    Some(text) => {
                        let der = Base64::decode_vec(&text)
                            .map_err(|error| wrong("certificate", &text, &error.to_string()))?;
                        Certificate::parse_der(&der)
                    }
                    None => Err(Damage::der("certificate", damage.unwrap_or_default())),
                };
                Handshake::Served(Served { leaf, further, has_key, asks_for_client })
            }
            Outcome::Down { reason } => Handshake::Down(reason),
            Outcome::Silent => Handshake::Silent,
            Outcome::Broken { reason } => Handshake::Broken(reason),
        };
        Ok(Sighting::new(endpoint.parse()?, handshake))
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Running {
    component: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<u32>,
}

impl Running {
    fn of(run: &Run) -> Self {
        let Run { component, started, source } = run;
        let (container, process) = match source {
            RunSource::Container { id } => (Some(id.clone()), None),
            RunSource::Process { pid } => (None, Some(*pid)),
        };
        Self {
            component: component.name().to_owned(),
            started: started.map(to_nanosecond),
            container,
            process,
        }
    }

    fn parse(self) -> Result<Run, IndexError> {
        let Self { component, started, container, process } = self;
        let known = Component::ALL.into_iter().find(|known| known.name() == component);
        let component = known.ok_or_else(|| wrong("component", &component, "there is no such component"))?;
        let moment = |text: String| {
            Moment::parse_rfc3339(&text).map_err(|error| wrong("started", &text, &error.to_string()))
        };
        let source = match (container, process) {
            (Some(id), None) => RunSource::Container { id },
            (None, Some(pid)) => RunSource::Process { pid },
            _ => return Err(wrong("runs", component.name(), "it is a container, or a process")),
        };
        Ok(Run::new(component, started.map(moment).transpose()?, source))
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Reported {
    endpoint: Endpoint,
    path: String,
    health: State,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum State {
    Well,
    Unwell { answer: String },
    Reserved { status: u16 },
    Silent { reason: String },
}

impl Reported {
    fn of(report: &HealthReport) -> Self {
        let HealthReport { endpoint, path, health } = report;
        let health = match health {
            Health::Well => State::Well,
            Health::Unwell(answer) => State::Unwell { answer: answer.clone() },
            Health::Reserved(status) => State::Reserved { status: *status },
            Health::Silent(reason) => State::Silent { reason: reason.clone() },
        };
        Self { endpoint: Endpoint::of(endpoint), path: path.clone(), health }
    }

    fn parse(self) -> Result<HealthReport, IndexError> {
        let Self { endpoint, path, health } = self;
        let health = match health {
            State::Well => Health::Well,
            State::Unwell { answer } => Health::Unwell(answer),
            State::Reserved { status } => Health::Reserved(status),
            State::Silent { reason } => Health::Silent(reason),
        };
        Ok(HealthReport { endpoint: endpoint.parse()?, path, health })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Member {
    name: String,
    being: Being,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Being {
    Here,
    Well,
    Unwell { reason: String },
}

impl Being {
    fn of(being: &WellBeing) -> Self {
        match being {
            WellBeing::Here => Self::Here,
            WellBeing::Well => Self::Well,
            WellBeing::Unwell(reason) => Self::Unwell { reason: reason.clone() },
        }
    }

    fn parse(self) -> WellBeing {
        match self {
            Self::Here => WellBeing::Here,
            Self::Well => WellBeing::Well,
            Self::Unwell { reason } => WellBeing::Unwell(reason),
        }
    }
}
