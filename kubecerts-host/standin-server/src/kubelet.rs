//! What a kubelet shows at its port, which is a certificate that it has made itself and no answer.

use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::answer::Answer;
use crate::listen::{Site, configuration};
use crate::throwaway;

/// A kubelet's API for those whom it does not know.
pub(crate) struct Kubelet(Arc<ServerConfig>);

impl Kubelet {
    pub(crate) fn start() -> Self {
        Self(configuration(&throwaway::of_now(), None))
    }
}

impl Site for Kubelet {
    fn tls(&self) -> Result<Option<Arc<ServerConfig>>, String> {
        Ok(Some(Arc::clone(&self.0)))
    }

    fn answer(&self, _: &str, _: &[CertificateDer<'_>]) -> Answer {
        Answer::unauthorized()
    }
}
