//! The keys with which components sign and verify service account tokens, as their flags name them.

use super::{FileFacts, KeyFacts, Reading, ServiceAccount};
use crate::snapshot::{FileState, Snapshot, TokenKeyFile};
use crate::x509::{Certificate, Damage, PublicKey, decode_blocks};

/// A file with keys for service account tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenKey {
    /// Who is told to use it, and how.
    pub named: TokenKeyFile,
    /// The file.
    pub file: FileFacts,
    /// The public halves of the keys in it, in their order, at least one.
    pub keys: Reading<Vec<PublicKey>>,
}

pub(super) fn read(snapshot: &Snapshot, pair: &ServiceAccount) -> Vec<TokenKey> {
    let files = snapshot.node().programs().token_keys.iter();
    let read = |named: &TokenKeyFile| {
        let state = snapshot.at(&named.path).unwrap_or(&FileState::Absent);
        let keys = match &pair.key {
            // A private key is slow to read, and this one has been.
            Reading::Present(key) if named.signs() && named.path == pair.key_file.path => {
                Reading::Present(vec![key.public_key().clone()])
            }
            _ if named.signs() => Reading::from_state(state, signing_key),
            _ => Reading::from_state(state, public_keys),
        };
        TokenKey { named: named.clone(), file: FileFacts::of_path(&named.path, state), keys }
    };
    files.map(read).collect()
}

/// Returns the key in a file to verify tokens with, which may be a private one: old control planes are told of sa.key twice.
pub(super) fn public_key(bytes: &[u8]) -> Result<PublicKey, Damage> {
    let private = || KeyFacts::parse(bytes).map(|found| found.public_key().clone());
    PublicKey::parse_pem(bytes).or_else(|damage| private().map_err(|_| damage))
}

/// Returns the public half of the first private key in `bytes`; what is none is passed over (`k8s.io/client-go/util/keyutil`,
/// `ParsePrivateKeyPEM`).
fn signing_key(bytes: &[u8]) -> Result<Vec<PublicKey>, Damage> {
    let mut damage = Damage::Nothing("private key in PEM");
    for block in decode_blocks(bytes) {
        let is_other =
            |label: &str| matches!(label, "CERTIFICATE" | "EC PARAMETERS" | "PUBLIC KEY" | "RSA PUBLIC KEY");
        if block.as_ref().is_ok_and(|block| is_other(block.label())) {
            continue;
        }
        match block.and_then(|block| KeyFacts::of_block(&block)) {
            Ok(key) => return Ok(vec![key.public_key().clone()]),
            Err(found) => damage = found,
        }
    }
    Err(damage)
}

/// Returns the public halves of every key in `bytes`, private or public, and of certificates, as the API server takes them
/// (`k8s.io/client-go/util/keyutil`, `ParsePublicKeysPEM`); what is none of these is passed over.
fn public_keys(bytes: &[u8]) -> Result<Vec<PublicKey>, Damage> {
    let mut keys = Vec::new();
    let mut damage = Damage::Nothing("key in PEM");
    for block in decode_blocks(bytes) {
        let key = block.and_then(|block| match block.label() {
            "PUBLIC KEY" => PublicKey::parse_der(block.secret_bytes()),
            "CERTIFICATE" => {
                Certificate::parse_der(block.secret_bytes()).map(|found| found.public_key().clone())
            }
            _ => KeyFacts::of_block(&block).map(|found| found.public_key().clone()),
        });
        match key {
            Ok(key) => keys.push(key),
            Err(found) => damage = found,
        }
    }
    if keys.is_empty() { Err(damage) } else { Ok(keys) }
}
