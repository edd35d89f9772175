//! What pods were given to reach the API server.

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::inventory::{CertificateBundle, Reading};
use crate::path::TreePath;
use crate::secret::SecretBytes;
use crate::snapshot::{Area, Snapshot};
use crate::x509::PublicKey;
use crate::yaml;

/// A volume of a pod, as the kubelet has written it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PodVolume {
    /// The directory of the volume.
    pub path: TreePath,
    /// The authorities that the pod is told to trust, `ca.crt`.
    pub authorities: Reading<CertificateBundle>,
    /// What its token says about itself; `None` without a token that can be read.
    pub token: Option<TokenFacts>,
}

/// What a service account token says about itself; the token is a secret and not kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenFacts {
    /// Which key signed it, `kid` in its header: the SHA-256 digest of its subject public key info in base64url.
    pub key_id: Option<String>,
    /// Who issued it, `iss`.
    pub issuer: Option<String>,
}

impl TokenFacts {
    /// Reads a JSON Web Token ([RFC 7519 §3]); `None` when it is none.
    ///
    /// [RFC 7519 §3]: https://www.rfc-editor.org/rfc/rfc7519#section-3
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        if text.len() > LONGEST_TOKEN {
            return None;
        }
        Some(Self { key_id: field(header, "kid")?, issuer: field(claims, "iss")? })
    }
}

/// Returns the identifier that Kubernetes gives a key in the tokens that it signs: the SHA-256 digest of the subject public key
/// info in base64url without padding (`pkg/serviceaccount/jwt.go`, `keyIDFromPublicKey`).
#[must_use]
pub(crate) fn token_key_id(key: &PublicKey) -> String {
    Base64UrlUnpadded::encode_string(key.fingerprint().as_bytes())
}

pub(super) fn volumes(snapshot: &Snapshot) -> Vec<PodVolume> {
    let mut volumes: Vec<PodVolume> = Vec::new();
    for (path, state) in snapshot.surroundings_in(Area::PodVolume) {
        let directory = path.parent();
        if volumes.last().is_none_or(|volume| volume.path != directory) {
            let authorities = Reading::Absent;
            volumes.push(PodVolume { path: directory, authorities, token: None });
        }
        let Some(volume) = volumes.last_mut() else { continue };
        if path.file_name() == "token" {
            volume.token = state.content().and_then(|content| TokenFacts::parse(content.secret_bytes()));
        } else {
            volume.authorities = Reading::certificates(state);
        }
    }
    volumes
}

/// Returns a text in a part of a token; the outer `None` means that the part is not what it should be.
fn field(part: &str, name: &str) -> Option<Option<String>> {
    let decoded = SecretBytes::new(Base64UrlUnpadded::decode_vec(part).ok()?);
    let stream = yaml::parse_first(decoded.secret_bytes()).ok()?;
    let text = stream.first_mapping().ok()?.get(name).and_then(|value| value.as_str());
    // It is shown on terminals.
    let is_fit =
        |text: &&str| !text.is_empty() && text.len() <= LONGEST_TEXT && !text.contains(char::is_control);
    Some(text.filter(is_fit).map(str::to_owned))
}

/// The longest token that is read, in bytes; Kubernetes' own take about one kibibyte.
const LONGEST_TOKEN: usize = 16 << 10;

/// The longest identifier or issuer that is kept, in bytes.
const LONGEST_TEXT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let [header, claims] = [header, claims].map(|json| Base64UrlUnpadded::encode_string(json.as_bytes()));
        format!("{header}.{claims}.c2lnbmF0dXJl\n")
    }

    #[test]
    fn a_token_says_who_signed_it() {
        let text =
            token(r#"{"alg":"RS256","kid":"abc-_"}"#, r#"{"iss":"https://kubernetes.default.svc","exp":1}"#);
        let facts = TokenFacts::parse(text.as_bytes()).unwrap();
        assert_eq!(facts.key_id.as_deref(), Some("abc-_"));
        assert_eq!(facts.issuer.as_deref(), Some("https://kubernetes.default.svc"));
        let without = token(r#"{"alg":"RS256"}"#, "{}");
        assert_eq!(TokenFacts::parse(without.as_bytes()), Some(TokenFacts::default()));
    }

    #[test]
    fn what_is_no_token_is_passed_over() {
        let long = format!("{}.e30.x", "A".repeat(1 << 20));
        let bare =
            ["", "a.b", "a.b.c.d", "!.e30.x", "e30.!.x", "..", "bnVsbA.e30.x", "\u{fffd}.e30.x", &long];
        for text in bare {
            assert_eq!(TokenFacts::parse(text.as_bytes()), None, "{:.20}", text);
        }
        assert_eq!(TokenFacts::parse(&[0xff, b'.', b'.']), None);
        // What would garble a terminal is not kept.
        let garbled = token("{\"kid\":\"\\u001b[2J\"}", "{}");
        assert_eq!(TokenFacts::parse(garbled.as_bytes()).unwrap().key_id, None);
    }
}
