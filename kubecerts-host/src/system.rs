//! The clock and the random source of the operating system.

use std::time::{SystemTime, UNIX_EPOCH};

use kubecerts_core::path::TreePath;
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

/// Returns the kubeconfigs that the variable `KUBECONFIG` names, as `kubectl` takes them: a list with colons between.
pub(crate) fn kubeconfigs_of_user() -> Vec<TreePath> {
    let Some(list) = std::env::var_os("KUBECONFIG") else { return Vec::new() };
    let here = std::env::current_dir().unwrap_or_default();
    let paths = std::env::split_paths(&list).map(|path| here.join(path)).take(MOST_KUBECONFIGS);
    paths.filter_map(|path| TreePath::parse("/").ok()?.join(path.to_str()?).ok()).collect()
}

/// More than this are in no list of somebody who looks after one cluster.
const MOST_KUBECONFIGS: usize = 64;

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
