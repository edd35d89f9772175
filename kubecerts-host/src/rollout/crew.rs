//! Whom a rollout works with: somebody who restarts, somebody who looks, and a clock.

use std::fmt;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::Component;

/// Somebody who can restart the programs of a node.
pub trait Restarter {
    /// Takes the running program of `component` away and sees to it that a new one comes; returns how, as soon as the old one is
    /// gone for sure. Whether the new one is well is not looked at.
    ///
    /// # Errors
    /// [`RestartError`]; when nothing was stopped, it says so.
    fn restart(&mut self, component: Component, deadline: Duration) -> Result<Method, RestartError>;
}

/// How a program was restarted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Method {
    /// Its pod was stopped and removed; the kubelet makes it anew.
    PodRemoved {
        /// The sandboxes that were removed.
        sandboxes: Vec<String>,
    },
    /// Its manifest was moved away until the container was gone, and back.
    ManifestMoved,
    /// Its unit of systemd was restarted.
    Unit(String),
    /// Nothing ran that had to be stopped first.
    NothingRan,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodRemoved { .. } => f.write_str("its pod was removed"),
            Self::ManifestMoved => f.write_str("its manifest was moved away and back"),
            Self::Unit(unit) => write!(f, "its unit {unit} was restarted"),
            Self::NothingRan => f.write_str("nothing ran that had to be stopped"),
        }
    }
}

/// Why a program could not be restarted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// The kubelet does not run, so that nothing would come back. Nothing was stopped.
    #[error("the kubelet does not run, so {component} would not come back: {detail}")]
    NoKubelet {
        /// What was to be restarted.
        component: Component,
        /// How that was seen.
        detail: String,
    },
    /// The container runtime cannot be reached. Nothing was stopped.
    #[error("cannot restart {component}: {detail}")]
    NoRuntime {
        /// What was to be restarted.
        component: Component,
        /// Why not.
        detail: String,
    },
    /// There is nothing that could be restarted.
    #[error("no running {component} was found to restart: {detail}")]
    NotFound {
        /// What was to be restarted.
        component: Component,
        /// Where it was looked for.
        detail: String,
    },
    /// Something was in the way. Nothing was stopped.
    #[error("cannot restart {component}: {detail}")]
    NotStopped {
        /// What was to be restarted.
        component: Component,
        /// What was in the way.
        detail: String,
    },
    /// It did not stop in time.
    #[error("{component} did not stop within {deadline:?}: {detail}")]
    Deadline {
        /// What was to be restarted.
        component: Component,
        /// How long was waited.
        deadline: Duration,
        /// What is still there.
        detail: String,
    },
    /// The container runtime.
    #[error(transparent)]
    Runtime(#[from] crate::runtime::RuntimeError),
    /// A command of the system, or a manifest that could not be moved.
    #[error("cannot restart {component}: {detail}")]
    Failed {
        /// What was to be restarted.
        component: Component,
        /// Why not.
        detail: String,
    },
}

impl RestartError {
    /// Returns whether the program may have been stopped.
    #[must_use]
    pub const fn has_stopped(&self) -> bool {
        match self {
            Self::NoKubelet { .. }
            | Self::NoRuntime { .. }
            | Self::NotFound { .. }
            | Self::NotStopped { .. } => false,
            Self::Deadline { .. } | Self::Runtime(_) | Self::Failed { .. } => true,
        }
    }
}

/// Time as a rollout sees it.
pub trait Clock {
    /// Returns the time since some fixed point; it never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn pause(&mut self, span: Duration);
}

/// The clock of the system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    begun: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { begun: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn pause(&mut self, span: Duration) {
        std::thread::sleep(span);
    }
}
