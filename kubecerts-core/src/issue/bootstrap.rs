//! The kubeconfig with which a kubelet asks for its first certificate.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::contents::frame;
use super::server::is_server;
use crate::digest::Digest;
use crate::secret::SecretBytes;
use crate::x509::{Damage, certificates, encode_certificate};

/// Returns `bootstrap-kubelet.conf` as `kubeadm join` writes it (`cmd/kubeadm/app/discovery/token/token.go`).
///
/// Each certificate of `authorities`, which is PEM from somewhere, must have one of the public keys in `pins`: who holds a
/// token must not hand it to a stranger.
///
/// # Errors
/// [`BootstrapError`] when the server is no URL, or an authority is damaged or not pinned.
pub fn bootstrap_kubeconfig(
    server: &str,
    authorities: &[u8],
    pins: &[KeyPin],
    token: &BootstrapToken,
) -> Result<SecretBytes, BootstrapError> {
    if !is_server(server) {
        return Err(BootstrapError::Server(server.to_owned()));
    }
    let mut pem = String::new();
    for certificate in certificates(authorities).map_err(BootstrapError::Authority)? {
        let certificate = certificate.map_err(BootstrapError::Authority)?;
        let found = KeyPin(certificate.public_key().fingerprint());
        if !pins.contains(&found) {
            let expected = pins.iter().map(ToString::to_string).collect();
            return Err(BootstrapError::OtherAuthority { found, expected });
        }
        pem.push_str(&encode_certificate(certificate.as_der()));
    }
    let credentials = Zeroizing::new(format!("    token: {}\n", token.secret_text()));
    let authority = Base64::encode_string(pem.as_bytes());
    Ok(SecretBytes::new(frame(&authority, CLUSTER, server, USER, &credentials).into_bytes()))
}

/// A bootstrap token: six characters that name it, a full stop, and sixteen that are its secret.
pub struct BootstrapToken(Zeroizing<String>);

impl BootstrapToken {
    pub(super) fn secret_text(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for BootstrapToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_part = |part: &str, length| {
            part.len() == length
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        match text.split_once('.') {
            Some((id, secret)) if is_part(id, 6) && is_part(secret, 16) => {
                Ok(Self(Zeroizing::new(text.to_owned())))
            }
            _ => Err(InvalidToken),
        }
    }
}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A text that is no bootstrap token. It is not quoted, because it may nearly be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the token is not of the form [a-z0-9]{{6}}.[a-z0-9]{{16}}")]
#[non_exhaustive]
pub struct InvalidToken;

/// The public key of an authority, as `kubeadm join --discovery-token-ca-cert-hash` names it: `sha256:` and the digest of its
/// subject public key info.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KeyPin(Digest);

impl KeyPin {
    /// Returns the pin of a public key with this fingerprint.
    #[must_use]
    pub const fn new(fingerprint: Digest) -> Self {
        Self(fingerprint)
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHA256}{}", self.0)
    }
}

impl FromStr for KeyPin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = text.strip_prefix(SHA256).and_then(|digest| digest.parse().ok());
        digest.map(Self).ok_or_else(|| InvalidPin(text.to_owned()))
    }
}

/// A text that is no hash of a public key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not sha256: and 64 hexadecimal digits")]
pub struct InvalidPin(String);

/// Why there is no bootstrap kubeconfig.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The server is not a URL of a host over TLS.
    #[error("{0:?} is not a server, such as https://10.0.0.1:6443")]
    Server(String),
    /// The authority's certificate cannot be understood.
    #[error("the authority's certificate cannot be understood")]
    Authority(#[source] Damage),
    /// The authority has another public key.
    #[error("the authority's public key is {found}, not {}", .expected.join(" or "))]
    OtherAuthority {
        /// What was found.
        found: KeyPin,
        /// What was expected; nothing when no hash was given.
        expected: Vec<String>,
    },
}

const SHA256: &str = "sha256:";

/// kubeadm's names (`cmd/kubeadm/app/discovery/token/token.go`, `cmd/kubeadm/app/cmd/join.go`).
const CLUSTER: &str = "kubernetes";
const USER: &str = "tls-bootstrap-token-user";
