//! What a run is for, as its journal says it.

use kubecerts_core::plan::Plan;
use serde::{Deserialize, Serialize};

/// What a run is for. Public data.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Purpose {
    command: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<Reissue>,
}

/// A certificate that a run replaces.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reissue {
    /// The name of its slot.
    pub name: String,
    /// The serial number of the old certificate, in hexadecimal; `None` when there was none.
    pub before: Option<String>,
    /// The serial number of the new certificate, in hexadecimal.
    pub after: Option<String>,
}

impl Purpose {
    /// Returns the purpose of a command, such as `renew`.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), certificates: Vec::new() }
    }

    /// Returns the purpose of a command that carries out `plan`.
    #[must_use]
    pub fn of_plan(command: &str, plan: &Plan) -> Self {
        let certificates = plan.steps().iter().map(|step| Reissue {
            name: step.slot().name().to_owned(),
            before: step.replaced().map(|replaced| replaced.serial.to_string()),
            after: step.certificate().map(|certificate| certificate.serial.to_string()),
        });
        Self { command: command.to_owned(), certificates: certificates.collect() }
    }

    /// Returns the command.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns the certificates that are replaced, in the order of the plan.
    #[must_use]
    pub fn certificates(&self) -> &[Reissue] {
        &self.certificates
    }
}
