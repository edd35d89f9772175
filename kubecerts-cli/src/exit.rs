//! Exit codes. They are documented in the README and do not change.

use std::process::ExitCode;

use kubecerts_core::diagnosis::Impact;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Done, or nothing is due.
    Fine,
    /// The operation failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Something is due.
    Due,
    /// Something is expired or cannot be used.
    Unusable,
    /// Things do not belong together: wrong authority, wrong key.
    Inconsistent,
    /// Something that was asked for could not be renewed or looked at.
    Incomplete,
    /// A component did not come back with the new files, so the old ones were put back.
    RolledBack,
    /// Somebody ended the run; what is done stays, and it can go on.
    Interrupted,
    /// Refused for safety; nothing was changed.
    Refused,
    /// A state in the codes of Nagios.
    Nagios(NagiosState),
}

/// The states of Nagios plugins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NagiosState {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 2
    Critical,
    /// 3
    Unknown,
}

impl Exit {
    /// Returns how a look at a tree with this impact ends.
    pub(crate) const fn of_impact(impact: Impact) -> Self {
        match impact {
            Impact::None => Self::Fine,
            Impact::Due => Self::Due,
            Impact::Incomplete => Self::Incomplete,
            Impact::Unusable => Self::Unusable,
            Impact::Inconsistent => Self::Inconsistent,
        }
    }

    /// Returns the same in the codes of Nagios.
    pub(crate) const fn nagios(impact: Impact) -> Self {
        Self::Nagios(match impact {
            Impact::None => NagiosState::Ok,
            Impact::Due => NagiosState::Warning,
            Impact::Unusable | Impact::Inconsistent => NagiosState::Critical,
            Impact::Incomplete => NagiosState::Unknown,
        })
    }

    /// Returns the number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Due => 3,
            Self::Unusable => 4,
            Self::Inconsistent => 5,
            Self::Incomplete => 6,
            Self::RolledBack => 7,
            Self::Interrupted => 8,
            Self::Refused => 9,
            Self::Nagios(state) => match state {
                NagiosState::Ok => 0,
                NagiosState::Warning => 1,
                NagiosState::Critical => 2,
                NagiosState::Unknown => 3,
            },
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
