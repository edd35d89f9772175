//! Certificates in the files that an authority sent.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::x509::{Certificate, Damage, delivered_certificates};

/// A file that may hold answers.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a file is a name and a content")]
pub struct AnswerFile<'a> {
    /// How people know the file.
    pub name: &'a str,
    /// What is in it.
    pub content: &'a [u8],
}

/// Everything that was found in the files of an authority.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answers {
    certificates: Vec<(String, Certificate)>,
    damaged: Vec<(String, Damage)>,
    empty: Vec<String>,
}

impl Answers {
    /// Reads `files` in their order: PEM with any text around it, DER, PKCS#7, several certificates in one file. The names of the
    /// files mean nothing, and a certificate that occurs again counts once.
    #[must_use]
    pub fn read(files: &[AnswerFile<'_>]) -> Self {
        let mut answers = Self::default();
        let mut seen: BTreeSet<Digest> = BTreeSet::new();
        for AnswerFile { name, content } in files {
            let found = delivered_certificates(content);
            if found.is_empty() {
                answers.empty.push((*name).to_owned());
            }
            for certificate in found {
                match certificate {
                    Ok(certificate) => {
                        if seen.insert(certificate.fingerprint()) {
                            answers.certificates.push(((*name).to_owned(), certificate));
                        }
                    }
                    Err(damage) => answers.damaged.push(((*name).to_owned(), damage)),
                }
            }
        }
        answers
    }

    /// Returns the certificates, each with the name of its file.
    #[must_use]
    pub fn certificates(&self) -> &[(String, Certificate)] {
        &self.certificates
    }

    /// Returns what could not be understood, each with the name of its file.
    #[must_use]
    pub fn damaged(&self) -> &[(String, Damage)] {
        &self.damaged
    }

    /// Returns the names of the files without any certificate.
    #[must_use]
    pub fn empty(&self) -> &[String] {
        &self.empty
    }
}
