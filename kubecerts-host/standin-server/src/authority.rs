//! Who a client is: its certificate as TLS leaves it unjudged, and the judgement after the handshake.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use kubecerts_core::x509::Certificate;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::pair::certificates;

/// The name and the groups in a client certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
}

impl fmt::Display for Identity {
    /// Writes JSON; names of Kubernetes need no escape that Rust and JSON write differently.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"user\":{:?},\"groups\":{:?}}}", self.user, self.groups)
    }
}

/// Returns the verifier that TLS itself refuses strangers with, as etcd's.
pub(crate) fn strict(authority: &Path) -> Result<Arc<dyn ClientCertVerifier>, String> {
    trusting(certificates(authority)?).map_err(|error| format!("{}: {error}", authority.display()))
}

/// Returns the verifier that refuses whomever none of `authorities` vouches for.
pub(crate) fn trusting(
    authorities: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for root in authorities {
        roots.add(root).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())
}

/// Returns whom `chain` shows, if `authority` vouches for it at this moment.
///
/// # Errors
/// The reason, as the API server logs it.
pub(crate) fn authenticate(authority: &Path, chain: &[CertificateDer<'_>]) -> Result<Identity, String> {
    let [leaf, intermediates @ ..] = chain else { return Err("no client certificate".to_owned()) };
    strict(authority)?
        .verify_client_cert(leaf, intermediates, UnixTime::now())
        .map_err(|error| format!("x509: {error}"))?;
    let leaf = Certificate::parse_der(leaf).map_err(|damage| damage.to_string())?;
    Ok(Identity {
        user: leaf.subject().common_name().unwrap_or_default().to_owned(),
        groups: leaf.subject().organisations().map(str::to_owned).collect(),
    })
}

/// Asks for a client certificate and takes any: the API server judges it when it judges the request.
///
/// Go calls this `tls.RequestClientCert`. An expired certificate therefore gets an answer, 401, and not an alert.
#[derive(Debug)]
pub(crate) struct Asks(Arc<dyn ClientCertVerifier>);

impl Asks {
    /// Returns a verifier that asks for certificates of `authority`.
    pub(crate) fn for_those_of(authority: &Path) -> Result<Arc<dyn ClientCertVerifier>, String> {
        Ok(Arc::new(Self(strict(authority)?)))
    }
}

impl ClientCertVerifier for Asks {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
