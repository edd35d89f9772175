//! What came of a rollout. Public data.

use std::fmt;
use std::time::Duration;

use kubecerts_core::catalog::Component;

use super::Method;

/// What came of a rollout.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[must_use = "the report says whether everything is in use"]
pub struct Rollout {
    /// The components, in order.
    pub steps: Vec<Step>,
    /// What was done about a component that did not come back.
    pub undone: Option<Undone>,
}

impl Rollout {
    /// Returns whether every component uses what is on disk.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.undone.is_none() && self.steps.iter().all(|step| !step.outcome.is_failure())
    }
}

/// What came of one component.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The component.
    pub component: Component,
    /// What came of it.
    pub outcome: Outcome,
}

impl Step {
    /// Returns a step.
    #[must_use]
    pub const fn new(component: Component, outcome: Outcome) -> Self {
        Self { component, outcome }
    }
}

/// What came of one component.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It used what is on disk before anything was done.
    AlreadyInUse,
    /// It has picked up what is on disk by itself.
    PickedUp {
        /// How long that took.
        took: Duration,
    },
    /// It was restarted, is well, and uses what is on disk.
    Restarted {
        /// How.
        method: Method,
        /// How long it took from the stop on.
        took: Duration,
    },
    /// It was not stopped, for this reason.
    Refused {
        /// The reason.
        reason: String,
    },
    /// It was stopped and has not come back as it should.
    Lost {
        /// What is missing.
        reason: String,
    },
    /// It uses what is on disk, but other members of etcd have to be mended before anything can be well.
    WaitsForOthers {
        /// How many are missing.
        reason: String,
    },
    /// An earlier component had failed.
    NotReached,
}

impl Outcome {
    /// Returns whether the component does not use what is on disk, or nobody knows.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::AlreadyInUse | Self::PickedUp { .. } | Self::Restarted { .. } => false,
            Self::Refused { .. } | Self::Lost { .. } | Self::WaitsForOthers { .. } | Self::NotReached => true,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInUse => f.write_str("uses what is on disk already"),
            Self::PickedUp { took } => {
                write!(f, "needs no restart, well and settled after {:.1} s", took.as_secs_f64())
            }
            Self::Restarted { method, took } => {
                write!(f, "restarted: {method}; well and in use after {:.1} s", took.as_secs_f64())
            }
            Self::Refused { reason } => write!(f, "was not restarted: {reason}"),
            Self::Lost { reason } => write!(f, "has not come back: {reason}"),
            Self::WaitsForOthers { reason } => write!(f, "waits for other nodes: {reason}"),
            Self::NotReached => f.write_str("was not reached"),
        }
    }
}

/// What was done about a component that did not come back.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Undone {
    /// The old files were put back, and what had been restarted was restarted again.
    Restored {
        /// What came of each.
        steps: Vec<Step>,
    },
    /// The old files could not be put back; the new ones are in place.
    Failed {
        /// Why not.
        reason: String,
    },
    /// The component was not well before either, so the new files stay.
    WasUnwell,
}
