//! Versions of Kubernetes, as image tags and configuration files write them.

use std::fmt;
use std::str::FromStr;

/// A version of Kubernetes; pre-release and build suffixes are dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a Kubernetes version has three numbers")]
pub struct KubernetesVersion {
    /// The major number, 1 so far.
    pub major: u16,
    /// The minor number, which is the release.
    pub minor: u16,
    /// The patch number.
    pub patch: u16,
}

impl KubernetesVersion {
    /// Returns version `major.minor.0`.
    #[must_use]
    pub const fn release(major: u16, minor: u16) -> Self {
        Self { major, minor, patch: 0 }
    }
}

impl FromStr for KubernetesVersion {
    type Err = InvalidVersion;

    /// Parses `v1.36.2`, `1.36.2`, `v1.36.2-rc.0`, `v1.30.4_vmware.1` and `v1.36`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersion(text.to_owned());
        let bare = text.strip_prefix('v').unwrap_or(text);
        let end = bare.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(bare.len());
        let mut numbers = bare[..end].trim_end_matches('.').splitn(3, '.').map(str::parse);
        let mut next = || numbers.next().transpose().map_err(|_| invalid());
        let major = next()?.ok_or_else(invalid)?;
        let minor = next()?.ok_or_else(invalid)?;
        let patch = next()?.unwrap_or(0);
        Ok(Self { major, minor, patch })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "v{major}.{minor}.{patch}")
    }
}

/// A text that is not a version of Kubernetes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a version of Kubernetes, such as v1.36.2")]
pub struct InvalidVersion(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_vendors_are_understood() {
        for text in ["v1.30.4", "1.30.4", "v1.30.4-rc.0", "v1.30.4_vmware.1", "v1.30.4+k3s1"] {
            assert_eq!(text.parse(), Ok(KubernetesVersion { major: 1, minor: 30, patch: 4 }), "{text}");
        }
        assert_eq!("v1.36".parse(), Ok(KubernetesVersion::release(1, 36)));
        for text in ["", "latest", "v1", "1.x", "v1..2", "v99999.1.1"] {
            assert!(text.parse::<KubernetesVersion>().is_err(), "{text:?}");
        }
    }
}
