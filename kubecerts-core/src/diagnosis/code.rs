//! The names of findings, how grave they are, and what they mean for the tree.

use std::fmt;
use std::str::FromStr;

/// How grave a finding is; the graver sorts first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "every front end renders each of them")]
pub enum Severity {
    /// Something does not work, or will not when it is next used.
    Error,
    /// Something will fail if nobody acts.
    Warning,
    /// Something to know.
    Notice,
}

impl Severity {
    /// Returns the name: `error`, `warning`, `notice`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// What a finding means for the health of the tree as a whole; the gravest sorts last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "every front end maps each of them to an exit code")]
pub enum Impact {
    /// Nothing is due.
    None,
    /// Something is due.
    Due,
    /// Something could not be looked at.
    Incomplete,
    /// Something is expired or cannot be used.
    Unusable,
    /// Things do not belong together.
    Inconsistent,
}

/// The name of a check, in kebab-case; the entries of `docs/findings.md`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum FindingCode {
    /// admin.conf depends on a binding that nothing on this node could restore.
    AdminRbac,
    /// A certificate of a server lacks a name or an address by which it is reached.
    AlternativeNameMissing,
    /// A certificate of a server has a name that nothing asks for.
    AlternativeNameUnexpected,
    /// An authority ends before certificates that are renewed now would.
    CaEndsBeforeRenewal,
    /// Nodes of one cluster have different authorities.
    CaMismatch,
    /// An authority was made anew under its old name, and what it had signed was not.
    CaReplaced,
    /// Two authorities of the tree have one key.
    CaReuse,
    /// The clock of the node cannot be right.
    ClockSkew,
    /// The content of a file is not what it should be.
    Damaged,
    /// What listens where a component should does not speak TLS as a server does.
    EndpointBroken,
    /// Nobody listens where a component should.
    EndpointDown,
    /// Members of etcd are not well.
    EtcdUnwell,
    /// The validity is over.
    Expired,
    /// The validity ends within the window.
    ExpiresSoon,
    /// The authority's key is not on this node.
    ExternalCa,
    /// A certificate that belongs to one node is of another node.
    ForeignLeaf,
    /// Extension API servers are told not to accept the API server's client certificate.
    FrontProxyRefused,
    /// The private key belongs to another certificate.
    KeyMismatch,
    /// There is a certificate and no private key.
    KeyMissing,
    /// Others can read the private key.
    KeyReadable,
    /// The kubeconfig trusts other authorities than the tree has.
    KubeconfigCaStale,
    /// A copy of a kubeconfig is older than its original.
    KubeconfigCopyStale,
    /// kubelet.conf embeds a certificate that nobody rotates.
    KubeletConfInline,
    /// A certificate ends at another time than those that are renewed with it.
    LateLeaf,
    /// Files lie where kubeadm would put them, and nothing refers to them.
    LayoutMismatch,
    /// The certificate ends after its authority.
    LeafOutlivesCa,
    /// Nodes have a certificate in common that belongs to one of them.
    LeafShared,
    /// The kubelet is given two manifests of one component.
    ManifestDuplicate,
    /// A file that should exist does not.
    Missing,
    /// A certificate has a name on one node that it lacks on another.
    NamesDiffer,
    /// Nodes differ in their versions, or in when their certificates end.
    NodesOutOfStep,
    /// The kubelet's current certificate is not a link to the newest good one.
    NotASymlink,
    /// An authority's certificate does not allow it to sign certificates.
    NotAnAuthority,
    /// Something that runs could not be looked at.
    NotObserved,
    /// The validity has not begun.
    NotYetValid,
    /// A component may not read its private key, or a user may who should not.
    OwnerWrong,
    /// A certificate differs from those beside it in the kind of its key or in its lifetime.
    ParamDrift,
    /// Pods were given another authority than the tree has.
    RootCaStale,
    /// sa.key and sa.pub are not a pair.
    SaKeyMismatch,
    /// Components do not use the service account pair of the tree, or not the same one.
    SaKeyUnused,
    /// Nodes of one cluster have different service account keys.
    SaKeysDiffer,
    /// Pods hold tokens that were signed with another key.
    SaTokenInvalid,
    /// A server shows a certificate of its own that is over.
    ServedExpired,
    /// A timer or a script restarts the control plane without regard to other nodes.
    SimultaneousRestart,
    /// A manifest or configuration that should tell where files lie cannot be understood.
    SourceDamaged,
    /// A program uses something older than what is on disk.
    StaleInMemory,
    /// A file of trusted certificates holds an earlier one of an authority.
    TrustFileStale,
    /// A program says that it is not well.
    Unhealthy,
    /// A certificate of the tree is used from a place that no renewal reaches.
    UnmanagedCopy,
    /// A file exists and cannot be read.
    Unreadable,
    /// The signature is of a kind that cannot be verified.
    Unverifiable,
    /// A key is too small, or a signature is by an algorithm that is no longer accepted.
    WeakAlgorithm,
    /// The authority on disk did not sign the certificate.
    WrongAuthority,
    /// A flag or a field names a file that is not what the program needs.
    WrongFile,
}

impl FindingCode {
    /// Every code, sorted by name.
    pub const ALL: [Self; 54] = [
        Self::AdminRbac,
        Self::AlternativeNameMissing,
        Self::AlternativeNameUnexpected,
        Self::CaEndsBeforeRenewal,
        Self::CaMismatch,
        Self::CaReplaced,
        Self::CaReuse,
        Self::ClockSkew,
        Self::Damaged,
        Self::EndpointBroken,
        Self::EndpointDown,
        Self::EtcdUnwell,
        Self::Expired,
        Self::ExpiresSoon,
        Self::ExternalCa,
        Self::ForeignLeaf,
        Self::FrontProxyRefused,
        Self::KeyMismatch,
        Self::KeyMissing,
        Self::KeyReadable,
        Self::KubeconfigCaStale,
        Self::KubeconfigCopyStale,
        Self::KubeletConfInline,
        Self::LateLeaf,
        Self::LayoutMismatch,
        Self::LeafOutlivesCa,
        Self::LeafShared,
        Self::ManifestDuplicate,
        Self::Missing,
        Self::NamesDiffer,
        Self::NodesOutOfStep,
        Self::NotASymlink,
        Self::NotAnAuthority,
        Self::NotObserved,
        Self::NotYetValid,
        Self::OwnerWrong,
        Self::ParamDrift,
        Self::RootCaStale,
        Self::SaKeyMismatch,
        Self::SaKeyUnused,
        Self::SaKeysDiffer,
        Self::SaTokenInvalid,
        Self::ServedExpired,
        Self::SimultaneousRestart,
        Self::SourceDamaged,
        Self::StaleInMemory,
        Self::TrustFileStale,
        Self::Unhealthy,
        Self::UnmanagedCopy,
        Self::Unreadable,
        Self::Unverifiable,
        Self::WeakAlgorithm,
        Self::WrongAuthority,
        Self::WrongFile,
    ];

    /// Returns the name, such as `expires-soon`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminRbac => "admin-rbac",
            Self::AlternativeNameMissing => "alternative-name-missing",
            Self::AlternativeNameUnexpected => "alternative-name-unexpected",
            Self::CaEndsBeforeRenewal => "ca-ends-before-renewal",
            Self::CaMismatch => "ca-mismatch",
            Self::CaReplaced => "ca-replaced",
            Self::CaReuse => "ca-reuse",
            Self::ClockSkew => "clock-skew",
            Self::Damaged => "damaged",
            Self::EndpointBroken => "endpoint-broken",
            Self::EndpointDown => "endpoint-down",
            Self::EtcdUnwell => "etcd-unwell",
            Self::Expired => "expired",
            Self::ExpiresSoon => "expires-soon",
            Self::ExternalCa => "external-ca",
            Self::ForeignLeaf => "foreign-leaf",
            Self::FrontProxyRefused => "front-proxy-refused",
            Self::KeyMismatch => "key-mismatch",
            Self::KeyMissing => "key-missing",
            Self::KeyReadable => "key-readable",
            Self::KubeconfigCaStale => "kubeconfig-ca-stale",
            Self::KubeconfigCopyStale => "kubeconfig-copy-stale",
            Self::KubeletConfInline => "kubelet-conf-inline",
            Self::LateLeaf => "late-leaf",
            Self::LayoutMismatch => "layout-mismatch",
            Self::LeafOutlivesCa => "leaf-outlives-ca",
            Self::LeafShared => "leaf-shared",
            Self::ManifestDuplicate => "manifest-duplicate",
            Self::Missing => "missing",
            Self::NamesDiffer => "names-differ",
            Self::NodesOutOfStep => "nodes-out-of-step",
            Self::NotASymlink => "not-a-symlink",
            Self::NotAnAuthority => "not-an-authority",
            Self::NotObserved => "not-observed",
            Self::NotYetValid => "not-yet-valid",
            Self::OwnerWrong => "owner-wrong",
            Self::ParamDrift => "param-drift",
            Self::RootCaStale => "root-ca-stale",
            Self::SaKeyMismatch => "sa-key-mismatch",
            Self::SaKeyUnused => "sa-key-unused",
            Self::SaKeysDiffer => "sa-keys-differ",
            Self::SaTokenInvalid => "sa-token-invalid",
            Self::ServedExpired => "served-expired",
            Self::SimultaneousRestart => "simultaneous-restart",
            Self::SourceDamaged => "source-damaged",
            Self::StaleInMemory => "stale-in-memory",
            Self::TrustFileStale => "trust-file-stale",
            Self::Unhealthy => "unhealthy",
            Self::UnmanagedCopy => "unmanaged-copy",
            Self::Unreadable => "unreadable",
            Self::Unverifiable => "unverifiable",
            Self::WeakAlgorithm => "weak-algorithm",
            Self::WrongAuthority => "wrong-authority",
            Self::WrongFile => "wrong-file",
        }
    }
}

impl FindingCode {
    /// Returns whether it is about what runs, and not about files.
    #[must_use]
    pub const fn is_of_running(self) -> bool {
        matches!(
            self,
            Self::EndpointBroken
                | Self::EndpointDown
                | Self::EtcdUnwell
                | Self::NotObserved
                | Self::ServedExpired
                | Self::StaleInMemory
                | Self::Unhealthy
        )
    }
}

impl FindingCode {
    /// Returns the entry of `docs/findings.md` about it, in Markdown: what it means, how it is detected, what comes of it and what
    /// to do. Its heading is the code.
    #[must_use]
    pub fn documentation(self) -> &'static str {
        let mut entries = DOCUMENTATION.split("\n## ").skip(1);
        let mine = |entry: &&str| entry.lines().next() == Some(self.name());
        entries.find(mine).unwrap_or_default().trim_end()
    }

    /// Returns the codes whose names `text` may have been meant for, the likeliest first: a few letters are wrong, or it is a part
    /// of the name.
    #[must_use]
    pub fn close_to(text: &str) -> Vec<Self> {
        let wanted = text.to_lowercase().replace('_', "-");
        // Longer texts than any name cost time and are close to none.
        if wanted.chars().count() > LONGEST_TEXT {
            return Vec::new();
        }
        let far = |code: &Self| -> Option<usize> {
            let name = code.name();
            let wrong = distance(&wanted, name);
            let is_part = wanted.len() >= SHORTEST_PART && (name.contains(&wanted) || wanted.contains(name));
            let shares_word = || {
                let mut words = wanted.split('-').filter(|word| word.len() >= SHORTEST_PART);
                words.any(|word| name.split('-').any(|other| other == word))
            };
            (wrong <= MOST_WRONG || is_part || shares_word()).then_some(wrong)
        };
        let mut close: Vec<(usize, Self)> =
            Self::ALL.into_iter().filter_map(|code| Some((far(&code)?, code))).collect();
        close.sort();
        close.into_iter().map(|(_, code)| code).take(MOST_CLOSE).collect()
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FindingCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|code| code.name() == text).ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// A text that names no finding.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the code of a finding")]
pub struct UnknownCode(String);

/// Returns how many letters have to be put in, taken out or replaced to make one text of the other (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (position, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = position + 1;
        for (column, other) in other.iter().enumerate() {
            let replaced = before + usize::from(letter != *other);
            before = row[column + 1];
            row[column + 1] = replaced.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// The file beside this one is a link to `docs/findings.md`, so that the entries are part of the packaged crate.
const DOCUMENTATION: &str = include_str!("findings.md");

/// More wrong letters than this make another word.
const MOST_WRONG: usize = 3;
/// Parts with fewer letters than this are in too many names.
const SHORTEST_PART: usize = 3;
/// More names than this are no help.
const MOST_CLOSE: usize = 5;
/// Twice the length of the longest name, in letters.
const LONGEST_TEXT: usize = 52;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        let close = |text| FindingCode::close_to(text).first().map(|code| code.name());
        for (text, name) in [
            ("expird", Some("expired")),
            ("Stale_In_Memory", Some("stale-in-memory")),
            ("stale", Some("root-ca-stale")),
            ("mismatch", Some("ca-mismatch")),
            ("san-missing", Some("key-missing")),
            ("xyzzyxyzzy", None),
            ("", None),
        ] {
            assert_eq!(close(text), name, "{text}");
        }
        assert!(FindingCode::close_to(&"stale".repeat(1_000_000)).is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn an_entry_begins_with_its_code_and_ends_before_the_next() {
        let entry = FindingCode::Expired.documentation();
        assert!(entry.starts_with("expired\n\n* **Means** "), "{entry}");
        assert!(entry.contains("* **Do** ") && !entry.contains("expires-soon"), "{entry}");
    }

    #[test]
    fn codes_are_sorted_and_parse_back() {
        assert!(FindingCode::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
        for code in FindingCode::ALL {
            assert_eq!(code.name().parse(), Ok(code));
        }
    }
}
