//! From a certificate over intermediates to an authority of the tree.

use crate::x509::{Certificate, SignatureVerdict};

/// The certificates between a leaf and the tree's authority, and that authority.
#[derive(Debug)]
pub(super) struct Path<'a> {
    /// Those that came along, the leaf's issuer first; none when the authority itself signed.
    pub(super) intermediates: Vec<&'a Certificate>,
    /// The certificate in the authority's file.
    pub(super) root: &'a Certificate,
}

/// Why there is no path.
#[derive(Debug)]
pub(super) enum NoPath {
    /// The issuer of this name is neither in the tree nor came along.
    UnknownIssuer(String),
    /// An issuer that has signed it writes its own name in other bytes.
    OtherEncoding(String),
    /// An issuer has the right name and another key.
    OtherKey(String),
    /// A signature is of a kind that is not accepted.
    Unsupported(String),
    /// There are too many candidates to try.
    TooMany,
}

impl NoPath {
    /// Returns which of two problems says more; of two of a kind the later one, which is nearer to the root.
    fn or(self, other: Self) -> Self {
        let rank = |problem: &Self| match problem {
            Self::UnknownIssuer(_) => 0,
            Self::OtherKey(_) => 1,
            Self::OtherEncoding(_) => 2,
            Self::Unsupported(_) => 3,
            Self::TooMany => 4,
        };
        if rank(&other) >= rank(&self) { other } else { self }
    }
}

/// Certificates among which a path is sought.
pub(super) struct Candidates<'a> {
    /// The certificates in the authority's file.
    pub(super) roots: &'a [Certificate],
    /// Certificates of authorities that came along.
    pub(super) intermediates: &'a [&'a Certificate],
}

impl<'a> Candidates<'a> {
    /// Finds the shortest way that begins with `leaf`: names agree byte for byte, and every signature was verified.
    pub(super) fn path(&self, leaf: &'a Certificate) -> Result<Path<'a>, NoPath> {
        let mut budget = BUDGET;
        // Deeper and deeper, so that a way of one link is found before one of two.
        let mut problem = NoPath::UnknownIssuer(leaf.issuer().to_string());
        for depth in 0..=LONGEST {
            let mut way = Vec::new();
            match self.search(leaf, depth, &mut way, &mut budget) {
                Ok(root) => return Ok(Path { intermediates: way, root }),
                Err(worse) => problem = problem.or(worse),
            }
        }
        Err(problem)
    }

    fn search(
        &self,
        certificate: &'a Certificate,
        depth: usize,
        way: &mut Vec<&'a Certificate>,
        budget: &mut u32,
    ) -> Result<&'a Certificate, NoPath> {
        let issuer = certificate.issuer();
        let mut problem = NoPath::UnknownIssuer(issuer.to_string());
        if depth == 0 {
            for root in self.roots.iter().filter(|root| root.subject() == issuer) {
                match signed(certificate, root, budget) {
                    Ok(()) => return Ok(root),
                    Err(worse) => problem = problem.or(worse),
                }
            }
            // Programs compare the bytes of names, so this is no way, but it says what went wrong.
            let reads_alike = |root: &&Certificate| {
                root.subject() != issuer && root.subject().attributes() == issuer.attributes()
            };
            for root in self.roots.iter().filter(reads_alike) {
                if signed(certificate, root, budget).is_ok() {
                    problem = problem.or(NoPath::OtherEncoding(issuer.to_string()));
                }
            }
            return Err(problem);
        }
        let named = self.intermediates.iter().filter(|candidate| candidate.subject() == issuer);
        for candidate in named {
            if way.contains(candidate) || *candidate == certificate {
                continue;
            }
            match signed(certificate, candidate, budget) {
                Ok(()) => {
                    way.push(candidate);
                    match self.search(candidate, depth - 1, way, budget) {
                        Ok(root) => return Ok(root),
                        Err(worse) => problem = problem.or(worse),
                    }
                    way.pop();
                }
                Err(worse) => problem = problem.or(worse),
            }
        }
        Err(problem)
    }
}

fn signed(certificate: &Certificate, issuer: &Certificate, budget: &mut u32) -> Result<(), NoPath> {
    *budget = budget.checked_sub(1).ok_or(NoPath::TooMany)?;
    match certificate.verify_signature(issuer.public_key()) {
        SignatureVerdict::Valid => Ok(()),
        SignatureVerdict::Invalid => Err(NoPath::OtherKey(issuer.subject().to_string())),
        SignatureVerdict::Unsupported(kind) => Err(NoPath::Unsupported(kind)),
    }
}

/// More intermediates than this come with no leaf.
const LONGEST: usize = 6;

/// So many signatures are verified for one leaf; files may hold thousands of authorities of one name.
const BUDGET: u32 = 200;
