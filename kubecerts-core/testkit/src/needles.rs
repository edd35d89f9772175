//! What gives a private key away, in every encoding in which somebody might look for it.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use kubecerts_core::kubeconfig::{Kubeconfig, user_key};
use kubecerts_core::x509::{PrivateKey, decode_blocks};

use crate::MemoryTree;

/// What of private keys must not be found where no private key may be.
#[derive(Clone, Debug, Default)]
pub struct Needles {
    keys: usize,
    needles: BTreeSet<(Vec<u8>, &'static str)>,
    /// The public halves in the same encodings, with which keys have bytes in common.
    public: Vec<u8>,
}

impl Needles {
    /// Returns what is secret in the keys of `tree`, in PEM and in kubeconfigs.
    #[must_use]
    pub fn of(tree: &MemoryTree) -> Self {
        let mut needles = Self::default();
        let mut seen = BTreeSet::new();
        for (_, content, _) in tree.files() {
            let mut blocks: Vec<Vec<u8>> = vec![content.to_vec()];
            if let Ok(kubeconfig) = Kubeconfig::parse(content) {
                blocks.extend(kubeconfig.users().iter().filter_map(|user| {
                    user_key(content, user.name()).map(|key| key.secret_bytes().to_vec())
                }));
            }
            for pem in blocks {
                for block in decode_blocks(&pem).into_iter().flatten() {
                    if block.label().ends_with("PRIVATE KEY") && seen.insert(block.secret_bytes().to_vec()) {
                        let key =
                            PrivateKey::parse_der(block.secret_bytes()).expect("the tree's keys are intact");
                        needles.add(block.secret_bytes());
                        needles.add(key.secret_pkcs8_der().secret_bytes());
                        needles.add_text(&pem);
                        needles.keys += 1;
                    }
                }
            }
        }
        needles
    }

    /// Returns how many keys the tree has.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.keys
    }

    /// Adds a key in DER: as a whole, and its secret numbers.
    pub fn add(&mut self, der: &[u8]) {
        self.add_bytes(der, "DER");
        let public = PrivateKey::parse_der(der).expect("it is a private key").public_key();
        for text in shifts(public.as_der()) {
            for nested in shifts(&text) {
                self.public.extend(nested);
                self.public.push(b'\n');
            }
            self.public.extend(text);
            self.public.push(b'\n');
        }
        let hex: String = public.as_der().iter().map(|byte| format!("{byte:02x}")).collect();
        self.public.extend([public.as_der(), hex.as_bytes(), hex.to_uppercase().as_bytes()].concat());
        for part in secret_parts(der) {
            self.add_bytes(&part, "number");
        }
    }

    /// Adds a key in PEM: the lines of its digits, and base64 of it.
    fn add_text(&mut self, pem: &[u8]) {
        let text = String::from_utf8_lossy(pem);
        let mut is_key = false;
        for line in text.lines() {
            if line.starts_with("-----") {
                is_key = line.contains("BEGIN") && line.contains("PRIVATE");
            } else if is_key && line.len() > 40 {
                self.add_bytes(line.as_bytes(), "PEM");
            }
        }
    }

    fn add_bytes(&mut self, bytes: &[u8], kind: &'static str) {
        self.needles.insert((bytes.to_vec(), kind));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.needles.insert((hex.to_uppercase().into_bytes(), "hex"));
        self.needles.insert((hex.into_bytes(), "hex"));
        for digits in shifts(bytes) {
            let url = url_safe(&digits);
            self.needles.insert((digits, "base64"));
            self.needles.insert((url, "base64url"));
        }
    }

    /// Returns which of the needles are in `haystack`, if only with their first 24 bytes, or their 24 in the middle or at the end:
    /// each as its [kind](KINDS), a colon, and the bytes.
    #[must_use]
    pub fn found_in(&self, haystack: &[u8]) -> Vec<String> {
        let mut pieces = BTreeSet::new();
        for (needle, kind) in &self.needles {
            let length = PIECE.min(needle.len());
            // The beginning of a key in DER says which kind of key it is, and is the same for all of that kind.
            for begin in [needle.len() / 2 - length / 2, needle.len() - length] {
                pieces.insert((needle[begin..begin + length].to_vec(), *kind));
            }
            if *kind == "number" {
                pieces.insert((needle[..length].to_vec(), *kind));
            }
        }
        let windows: BTreeSet<&[u8]> = haystack.windows(PIECE).collect();
        let public: BTreeSet<Vec<u8>> = self.public.windows(PIECE).map(url_to_standard).collect();
        pieces
            .into_iter()
            .filter(|(piece, _)| {
                windows.range(piece.as_slice()..).next().is_some_and(|w| w.starts_with(piece))
            })
            .filter(|(piece, _)| !public.contains(&url_to_standard(piece)))
            .map(|(piece, kind)| format!("{kind}: {}", String::from_utf8_lossy(&piece)))
            .collect()
    }
}

/// Returns digits in base64 as those in base64url.
#[must_use]
pub fn url_safe(digits: &[u8]) -> Vec<u8> {
    digits
        .iter()
        .map(|digit| match digit {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect()
}

fn url_to_standard(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect()
}

/// Returns the digits of base64 that `bytes` have wherever they stand among others: what stands before decides about the first
/// digits, and what follows about the last ones, so these are left out.
#[must_use]
pub fn shifts(bytes: &[u8]) -> [Vec<u8>; 3] {
    [0, 1, 2].map(|offset| {
        let shifted = [&vec![0; offset][..], bytes].concat();
        let digits = Base64::encode_string(&shifted).into_bytes();
        digits[(offset * 8).div_ceil(6)..shifted.len() * 8 / 6].to_vec()
    })
}

/// Returns `der` in PEM with `label`.
#[must_use]
pub fn wrapped(label: &str, der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Returns the numbers of a key in DER that are secret: all but the modulus and the exponent of RSA, the scalar of others.
fn secret_parts(der: &[u8]) -> Vec<Vec<u8>> {
    let elements = elements(content(der));
    match elements.get(1) {
        // SEC1.
        Some((0x04, scalar)) => vec![scalar.clone()],
        // PKCS#1.
        Some((0x02, _)) => elements[3..].iter().map(|(_, number)| number[1..].to_vec()).collect(),
        // PKCS#8.
        Some((0x30, _)) => secret_parts(&elements[2].1),
        _ => panic!("it is a private key"),
    }
}

fn elements(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (header, length) = header(bytes);
        found.push((bytes[0], bytes[header..header + length].to_vec()));
        bytes = &bytes[header + length..];
    }
    found
}

fn content(der: &[u8]) -> &[u8] {
    let (header, length) = header(der);
    &der[header..header + length]
}

fn header(bytes: &[u8]) -> (usize, usize) {
    match bytes[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        long => {
            let digits = &bytes[2..2 + usize::from(long & 0x7f)];
            (2 + digits.len(), digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))
        }
    }
}

/// What is looked for: the whole of a key and its secret numbers as bytes, the lines of PEM, and digits of the former.
pub const KINDS: [&str; 6] = ["DER", "number", "PEM", "hex", "base64", "base64url"];

const PIECE: usize = 24;
