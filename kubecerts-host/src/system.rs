//! The clock and the random source of the operating system.

use std::time::{SystemTime, UNIX_EPOCH};

use kubecerts_core::provider::{Entropy, ProviderError};
use kubecerts_core::time::Timestamp;

/// Returns the time of the system's clock, in whole seconds.
#[must_use]
pub fn now() -> Timestamp {
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_unix(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => seconds(after),
        // A clock that was reset may stand before 1970.
        Err(before) => -seconds(before.duration()),
    })
}

/// The random source of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemEntropy;

impl SystemEntropy {
    /// Returns the random source of the operating system.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        getrandom::fill(out)
            .map_err(|error| ProviderError::new(format!("the system gives no random bytes: {error}")))
    }
}

/// Returns the host's own name, in lower case as kubeadm takes it (`cmd/kubeadm/app/util/config/common.go`).
pub(crate) fn hostname() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.trim().to_lowercase();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_gives_different_bytes_each_time() {
        let mut draws = [[0; 32]; 2];
        for draw in &mut draws {
            SystemEntropy::new().fill(draw).unwrap();
        }
        assert_ne!(draws[0], draws[1]);
    }
}
