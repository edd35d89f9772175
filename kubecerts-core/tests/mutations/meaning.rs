//! What the files of a tree mean, apart from how they are written.
//!
//! It is decided by what the files decode to, and not by the checks under test: certificates by their DER, private keys by
//! the whole key and not its public half, kubeconfigs and everything else by their text without comments and blanks at the ends of lines,
//! with what is in base64 decoded.

use std::collections::BTreeMap;

use kubecerts_core::x509::{Certificate, PrivateKey, PublicKey, SignatureVerdict, certificates};
use kubecerts_testkit::MemoryTree;

/// Returns whether `damaged` means the same as `healthy`, and lets nobody use a key who could not before.
pub(crate) fn is_harmless(healthy: &MemoryTree, damaged: &MemoryTree) -> bool {
    let mut expected = of_tree(healthy);
    let found = of_tree(damaged);
    // It is on the first node of a control plane only, and none of the node's programs reads it.
    if !found.contains_key(SUPER_ADMIN) {
        expected.remove(SUPER_ADMIN);
    }
    let others: Vec<Vec<Piece>> = expected
        .iter()
        .filter(|(path, _)| path.ends_with(".conf"))
        .map(|(_, pieces)| pieces.clone())
        .collect();
    healthy.links().eq(damaged.links())
        && expected.keys().eq(found.keys())
        && expected.iter().all(|(path, pieces)| {
            let other = &found[path];
            pieces == other || is_doubled(pieces, other, &others) || is_as_good(path, healthy, damaged)
        })
        && is_closed(damaged)
}

/// Returns whether `found` is a kubeconfig with another one, or itself, before it: of a key of YAML that is there twice the last counts,
/// since neither kubectl nor any component is strict there (`sigs.k8s.io/yaml`, `Unmarshal`).
fn is_doubled(own: &[Piece], found: &[Piece], kubeconfigs: &[Vec<Piece>]) -> bool {
    let is_text = own.iter().any(|piece| matches!(piece, Piece::Text(_)));
    is_text && kubeconfigs.iter().any(|other| *found == [other, own].concat())
}

/// Returns whether the pair to which the file at `path` belongs is another one of the same identity, by the same authority and for
/// as long, as other nodes of the cluster have it: only what is bound to a node cannot be exchanged.
fn is_as_good(path: &str, healthy: &MemoryTree, damaged: &MemoryTree) -> bool {
    let Some(stem) = path.strip_suffix(".crt").or_else(|| path.strip_suffix(".key")) else { return false };
    let leaf = |tree: &MemoryTree| {
        let content = tree.files().find(|(path, ..)| path.as_str() == format!("{stem}.crt"))?.1;
        let mut found = certificates(content).ok()?;
        if found.len() == 1 { found.remove(0).ok() } else { None }
    };
    let (Some(one), Some(other)) = (leaf(healthy), leaf(damaged)) else { return false };
    let key = damaged.files().find(|(path, ..)| path.as_str() == format!("{stem}.key"));
    let key = key.and_then(|(_, content, _)| PrivateKey::parse(content).ok());
    let identity = |certificate: &Certificate| {
        let identifier = certificate.authority_key_identifier().map(<[u8]>::to_vec);
        let usages = certificate.extended_key_usages().clone();
        let names = certificate.alternative_names().clone();
        let ends = (certificate.not_before(), certificate.not_after());
        (certificate.subject().clone(), certificate.issuer().clone(), identifier, usages, names, ends)
    };
    !one.is_authority()
        && identity(&one) == identity(&other)
        && key.is_some_and(|key| key.public_key() == *other.public_key())
        && AUTHORITIES.iter().any(|ca| {
            let issuer = healthy.certificate(ca);
            other.issuer() == issuer.subject()
                && other.verify_signature(issuer.public_key()) == SignatureVerdict::Valid
        })
}

const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";

const AUTHORITIES: [&str; 3] = [
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
];

/// Returns whether nobody but owner and group may read what is secret, and nobody but they may write what is trusted.
fn is_closed(tree: &MemoryTree) -> bool {
    tree.files().all(|(_, content, mode)| {
        let is_secret = [&b"PRIVATE KEY"[..], b"client-key-data"]
            .iter()
            .any(|mark| content.windows(mark.len()).any(|window| window == *mark));
        mode & if is_secret { 0o007 } else { 0o002 } == 0
    })
}

fn of_tree(tree: &MemoryTree) -> BTreeMap<&str, Vec<Piece>> {
    tree.files().map(|(path, content, _)| (path.as_str(), of_file(path.as_str(), content))).collect()
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Certificate(Vec<u8>),
    PrivateKey(Vec<u8>),
    PublicKey(String),
    Text(String),
    Damage(Vec<u8>),
}

fn of_file(path: &str, content: &[u8]) -> Vec<Piece> {
    let damage = || vec![Piece::Damage(content.to_vec())];
    match path.rsplit('.').next() {
        // What follows a leaf that its root has signed is sent along, and nobody needs it; of an authority's file all counts.
        Some("crt") => of_certificates(content).map_or_else(damage, |mut pieces| {
            pieces.truncate(if path.ends_with("ca.crt") { usize::MAX } else { 1 });
            pieces
        }),
        Some("key") => of_key(content).map_or_else(damage, |piece| vec![piece]),
        // The API server verifies with the public half of a private key too (`k8s.io/client-go/util/keyutil`,
        // `PublicKeysFromFile`).
        Some("pub") => PublicKey::parse_pem(content)
            .ok()
            .or_else(|| Some(PrivateKey::parse(content).ok()?.public_key()))
            .map_or_else(damage, |key| vec![Piece::PublicKey(key.fingerprint().to_string())]),
        Some("pem") => match (of_certificates(content), of_key(content)) {
            // As in a file of a leaf alone.
            (Some(mut pieces), Some(key)) => {
                pieces.truncate(1);
                pieces.push(key);
                pieces
            }
            _ => damage(),
        },
        _ => match std::str::from_utf8(content) {
            Ok(text) => {
                let lines = text.lines().filter(|line| !path.ends_with(".conf") || !is_passed_over(line));
                lines.filter_map(of_line).flatten().collect()
            }
            Err(_) => damage(),
        },
    }
}

/// A certificate that stands twice means as much as one that stands once.
fn of_certificates(content: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for certificate in certificates(content).ok()? {
        let piece = Piece::Certificate(certificate.ok()?.as_der().to_vec());
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    Some(pieces)
}

fn of_key(content: &[u8]) -> Option<Piece> {
    let key = PrivateKey::parse(content).ok()?;
    Some(Piece::PrivateKey(key.secret_pkcs8_der().secret_bytes().to_vec()))
}

/// Returns whether a line of a kubeconfig says nothing: client-go passes over fields that it does not know, and takes `kind` and
/// `apiVersion` for what they have to be when they are not there (`tools/clientcmd/loader.go`, `Load`).
fn is_passed_over(line: &str) -> bool {
    const KNOWN: [&str; 7] =
        ["apiVersion", "clusters", "contexts", "current-context", "kind", "preferences", "users"];
    let Some((key, value)) = line.split_once(": ") else { return false };
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    matches!((key, value), ("kind", "Config") | ("apiVersion", "v1"))
        || is_plain(key) && is_plain(value) && !KNOWN.contains(&key)
}

/// Returns what a line of YAML means: nothing if it is blank or a comment, and what is in base64 by what it decodes to.
fn of_line(line: &str) -> Option<Vec<Piece>> {
    let line = line.trim_end();
    if line.is_empty() || line.trim_start().starts_with('#') {
        return None;
    }
    // No certificate depends on a port.
    let line = match line.split_once("server: https://") {
        Some((before, server)) => format!("{before}server: https://{}", server.rsplit_once(':')?.0),
        None => line.to_owned(),
    };
    let text = || Some(vec![Piece::Text(line.clone())]);
    let Some((key, value)) = line.split_once("-data: ") else { return text() };
    let Some(decoded) = decode(value) else { return text() };
    let pieces = match key.trim_start() {
        "client-key" => of_key(&decoded).map(|piece| vec![piece]),
        _ => of_certificates(&decoded),
    };
    let Some(mut pieces) = pieces else { return text() };
    pieces.push(Piece::Text(key.to_owned()));
    Some(pieces)
}

/// Decodes base64 as Go does, which pays no heed to the last bits that stand for nothing.
fn decode(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut decoded = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(decoded)
}
