//! What a single file holds, whatever it is.

use crate::inventory::KeyFacts;
use crate::kubeconfig::{self, KeySource, Kubeconfig, Source};
use crate::x509::{self, Certificate, CertificateRequest, Damage, PublicKey};

/// One thing that was found in a file. Public data: of a private key only the public half.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Inspection {
    /// A certificate.
    Certificate(Box<Certificate>),
    /// A private key.
    PrivateKey(KeyFacts),
    /// A public key.
    PublicKey(PublicKey),
    /// A request for a certificate.
    Request(Box<CertificateRequest>),
    /// A kubeconfig.
    Kubeconfig(Box<KubeconfigInspection>),
    /// Something that cannot be understood.
    Damaged {
        /// What it seems to be.
        what: String,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// A kubeconfig with what it embeds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KubeconfigInspection {
    /// The file.
    pub file: Kubeconfig,
    /// What each cluster embeds as its authorities, by the cluster's name, in the order of the file.
    pub authorities: Vec<(String, Vec<Inspection>)>,
    /// What each user embeds as certificate and key, by the user's name, in the order of the file.
    pub credentials: Vec<(String, Vec<Inspection>)>,
}

/// Returns everything in `bytes`, in order: PEM blocks of every kind, or one kubeconfig, or one thing in DER.
///
/// An empty result means that there is nothing of the kind in the file.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Vec<Inspection> {
    let blocks = x509::decode_blocks(bytes);
    if !blocks.is_empty() {
        return blocks.into_iter().filter_map(inspect_block).collect();
    }
    if bytes.first() == Some(&0x30)
        && let Some(found) = inspect_der(bytes)
    {
        return vec![found];
    }
    match Kubeconfig::parse(bytes) {
        Ok(file) if !file.clusters().is_empty() || !file.users().is_empty() => {
            vec![Inspection::Kubeconfig(Box::new(KubeconfigInspection::new(file, bytes)))]
        }
        Err(damage) if looks_like_kubeconfig(bytes) => {
            vec![Inspection::Damaged {
                what: "kubeconfig".to_owned(),
                damage: Damage::der("kubeconfig", damage),
            }]
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

impl KubeconfigInspection {
    fn new(file: Kubeconfig, bytes: &[u8]) -> Self {
        let embedded = |source: &Source| match source {
            Source::Data(data) => inspect_blocks(data),
            Source::Damaged(reason) => vec![damaged("embedded data", Damage::der("embedded data", reason))],
            Source::Absent | Source::File(_) => Vec::new(),
        };
        let authorities = file
            .clusters()
            .iter()
            .map(|cluster| (cluster.name().to_owned(), embedded(cluster.certificate_authority())))
            .collect();
        let credentials = file
            .users()
            .iter()
            .map(|user| {
                let mut found = embedded(user.client_certificate());
                match user.client_key() {
                    KeySource::Data => {
                        let key = kubeconfig::user_key(bytes, user.name()).unwrap_or_default();
                        found.push(key_or_damage(key.secret_bytes()));
                    }
                    KeySource::Damaged(reason) => {
                        found.push(damaged("private key", Damage::der("embedded data", reason)));
                    }
                    KeySource::Absent | KeySource::File(_) => {}
                }
                (user.name().to_owned(), found)
            })
            .collect();
        Self { file, authorities, credentials }
    }
}

fn inspect_blocks(bytes: &[u8]) -> Vec<Inspection> {
    let found: Vec<_> = x509::decode_blocks(bytes).into_iter().filter_map(inspect_block).collect();
    if found.is_empty() { vec![damaged("embedded data", Damage::Nothing("PEM block"))] } else { found }
}

fn inspect_block(block: Result<x509::Block, Damage>) -> Option<Inspection> {
    let block = match block {
        Ok(block) => block,
        Err(damage) => return Some(damaged("PEM block", damage)),
    };
    let result = match block.label() {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
            Certificate::parse_der(block.secret_bytes())
                .map(|certificate| Inspection::Certificate(Box::new(certificate)))
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => CertificateRequest::parse(block.secret_bytes())
            .map(|request| Inspection::Request(Box::new(request))),
        "PUBLIC KEY" => PublicKey::parse_der(block.secret_bytes()).map(Inspection::PublicKey),
        label if label.ends_with("PRIVATE KEY") => KeyFacts::of_block(&block).map(Inspection::PrivateKey),
        // Parameters and lists of revoked certificates are nothing that kubeadm uses.
        _ => return None,
    };
    Some(result.unwrap_or_else(|damage| damaged(block.label(), damage)))
}

fn inspect_der(der: &[u8]) -> Option<Inspection> {
    let certificate =
        Certificate::parse_der(der).map(|certificate| Inspection::Certificate(Box::new(certificate)));
    certificate
        .or_else(|_| CertificateRequest::parse(der).map(|request| Inspection::Request(Box::new(request))))
        .or_else(|_| KeyFacts::parse_der(der).map(Inspection::PrivateKey))
        .or_else(|_| PublicKey::parse_der(der).map(Inspection::PublicKey))
        .ok()
}

fn key_or_damage(bytes: &[u8]) -> Inspection {
    KeyFacts::parse(bytes).map_or_else(|damage| damaged("private key", damage), Inspection::PrivateKey)
}

fn damaged(what: &str, damage: Damage) -> Inspection {
    Inspection::Damaged { what: what.to_owned(), damage }
}

fn looks_like_kubeconfig(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["kind: Config", "current-context", "clusters:", "users:"].iter().any(|mark| text.contains(mark))
}
