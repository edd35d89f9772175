//! What a message complains of.

use super::facts::{self, after};

/// What a line complains of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Symptom {
    /// A certificate is over.
    Expired,
    /// A certificate is not valid yet: a clock is wrong.
    NotYetValid,
    /// A certificate was signed by somebody who is not trusted.
    UnknownAuthority,
    /// A certificate lacks the name by which its server was reached.
    NameMismatch,
    /// A certificate is used for what it was not made for.
    WrongUsage,
    /// A private key belongs to another certificate.
    KeyMismatch,
    /// The peer refused a certificate, and says so in the handshake.
    Refused,
    /// The API server does not accept a credential.
    Unauthorized,
    /// The API server does not accept a token.
    InvalidToken,
    /// The credential of a kubelet is over, so that it looks for a bootstrap kubeconfig.
    BootstrapExpired,
    /// A kubelet has neither a credential nor a bootstrap kubeconfig.
    BootstrapMissing,
    /// A kubelet waits for somebody to sign its request.
    RequestUnsigned,
    /// The public key of the authority is not the one that a join command pins.
    NotPinned,
    /// A file of authorities holds more certificates than its reader can take.
    TrailingData,
    /// An extension API server does not accept the name of the API server's client certificate.
    FrontProxyRefused,
    /// A certificate signs others and may not.
    NotAnAuthority,
    /// A signature is by an algorithm that is no longer accepted.
    WeakSignature,
    /// A file does not exist.
    FileMissing,
    /// A file may not be read.
    FileDenied,
    /// A file is not what it should be.
    FileDamaged,
    /// A handshake failed, and nothing says why.
    HandshakeFailed,
    /// The administrator is known and may do nothing.
    AdminForbidden,
    /// A client wants of a certificate what it does not have, beside names and dates.
    NotCompliant,
    /// One side speaks TLS and the other one does not.
    PlainText,
    /// A kubeconfig has another authority or another server than kubeadm expects.
    KubeconfigStale,
    /// What a new node joins with has ended: a bootstrap token, or the certificates that were uploaded.
    JoinExpired,
    /// A kubelet acts for another node than its credential is for.
    NodeForbidden,
    /// The API server is known to the kubelet and may do nothing there.
    KubeletForbidden,
    /// A client's certificate ends soon, as an alert says.
    EndsSoon,
    /// Nobody listens: a consequence of something else.
    ConnectionRefused,
    /// An extension API server does not answer: a consequence of something else.
    AggregationDown,
}

impl Symptom {
    /// Returns the name in kebab-case, such as `unknown-authority`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::UnknownAuthority => "unknown-authority",
            Self::NameMismatch => "name-mismatch",
            Self::WrongUsage => "wrong-usage",
            Self::KeyMismatch => "key-mismatch",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::InvalidToken => "invalid-token",
            Self::BootstrapExpired => "bootstrap-expired",
            Self::BootstrapMissing => "bootstrap-missing",
            Self::RequestUnsigned => "request-unsigned",
            Self::NotPinned => "not-pinned",
            Self::TrailingData => "trailing-data",
            Self::FrontProxyRefused => "front-proxy-refused",
            Self::NotAnAuthority => "not-an-authority",
            Self::WeakSignature => "weak-signature",
            Self::FileMissing => "file-missing",
            Self::FileDenied => "file-denied",
            Self::FileDamaged => "file-damaged",
            Self::HandshakeFailed => "handshake-failed",
            Self::AdminForbidden => "admin-forbidden",
            Self::NotCompliant => "not-compliant",
            Self::PlainText => "plain-text",
            Self::KubeconfigStale => "kubeconfig-stale",
            Self::JoinExpired => "join-expired",
            Self::NodeForbidden => "node-forbidden",
            Self::KubeletForbidden => "kubelet-forbidden",
            Self::EndsSoon => "ends-soon",
            Self::ConnectionRefused => "connection-refused",
            Self::AggregationDown => "aggregation-down",
        }
    }

    /// Returns whether it only follows from something else that is wrong.
    #[must_use]
    pub const fn is_consequence(self) -> bool {
        matches!(self, Self::ConnectionRefused | Self::AggregationDown)
    }
}

/// What a message comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Complaint(Symptom),
    /// It speaks of certificates, and what it says is not known here.
    Unknown,
    /// It is about something else, or of no importance.
    Nothing,
}

/// Returns what `message` complains of: the most precise thing, for messages are wrapped in one another.
pub(super) fn of_message(message: &str) -> Verdict {
    let has = |text: &str| message.contains(text);
    for (symptom, texts) in PHRASES {
        if texts.iter().any(|text| has(text)) {
            return Verdict::Complaint(*symptom);
        }
    }
    let is_expiry = has("certificate has expired or is not yet valid");
    let is_over = has("certificate has expired")
        || has("certificate is expired")
        || has("certificate authority is expired")
        || has("CertificateExpiredException");
    if is_expiry || is_over {
        let is_early = is_expiry && facts::judged(message).begin.is_some() || has(" is before ");
        return Verdict::Complaint(if is_early { Symptom::NotYetValid } else { Symptom::Expired });
    }
    if let Some(file) = of_file(message) {
        return Verdict::Complaint(file);
    }
    for (symptom, texts) in WEAKER_PHRASES {
        if texts.iter().any(|text| has(text)) {
            return Verdict::Complaint(*symptom);
        }
    }
    if has("authentication handshake failed") || has("TLS handshake timeout") {
        return Verdict::Complaint(Symptom::HandshakeFailed);
    }
    if is_unauthorized(message) {
        return Verdict::Complaint(Symptom::Unauthorized);
    }
    let is_refused = has("The connection to the server ") && has("was refused") && !has(":8080 was refused");
    if is_refused || has("connection refused") && PORTS.iter().any(|port| has(port)) {
        return Verdict::Complaint(Symptom::ConnectionRefused);
    }
    let is_aggregated = has("failing or missing response from https://")
        || has("Metrics API not available")
        || has("unable to handle the request") && has("metrics.k8s.io");
    if is_aggregated {
        return Verdict::Complaint(Symptom::AggregationDown);
    }
    // Load balancers and port scanners open connections and say nothing.
    let is_empty_handshake =
        has("TLS handshake error from ") && (message.ends_with(": EOF") || has("connection reset by peer"));
    if is_empty_handshake {
        return Verdict::Nothing;
    }
    let lower = message.to_ascii_lowercase();
    let speaks =
        ["certificate", "x509", "tls handshake", "tls: ", "ssl routines", "ssl alert", "private key"];
    if speaks.iter().any(|word| lower.contains(word)) { Verdict::Unknown } else { Verdict::Nothing }
}

/// Returns whether a line that is not known complains of something: as it says itself, or by its words where it does not.
pub(super) fn sounds_wrong(line: &super::line::Line) -> bool {
    const WORDS: [&str; 14] = [
        "fail", "error", "invalid", "cannot", "can't", "couldn't", "unable", "refus", "denied", "reject",
        "expire", "bad ", "not ", "x509: ",
    ];
    let lower = line.message.to_ascii_lowercase();
    line.is_grave || !line.is_informational && WORDS.iter().any(|word| lower.contains(word))
}

/// A path that could not be opened, if it is one of a certificate, a key or a kubeconfig.
fn of_file(message: &str) -> Option<Symptom> {
    let is_missing = ["no such file or directory", ".crt doesn't exist", ".key doesn't exist"];
    let problem = if is_missing.iter().any(|text| message.contains(text)) {
        Symptom::FileMissing
    } else if message.contains("permission denied") {
        Symptom::FileDenied
    } else {
        return None;
    };
    let path = facts::path(message)?;
    // resolv.conf and the like end so too.
    let is_ours = !path.ends_with(".conf") || path.contains("kube") || path.contains("admin");
    is_ours.then_some(problem)
}

fn is_unauthorized(message: &str) -> bool {
    let has_word = after(message, "Unauthorized").is_some_and(|rest| {
        let next = rest.chars().next();
        next.is_none_or(|c| !c.is_ascii_alphanumeric())
    });
    // An anonymous request that was audited is not one of ours.
    has_word && !message.contains("anonymous")
        || message.contains("the server has asked for the client to provide credentials")
        || message.contains("You must be logged in to the server")
}

/// What is said in so many words, the more precise first.
const PHRASES: &[(Symptom, &[&str])] = &[
    (
        Symptom::NotCompliant,
        &[
            "relies on legacy Common Name field",
            "certificate is not standards compliant",
            "verify failed: Missing Authority Key Identifier",
        ],
    ),
    (Symptom::NotPinned, &["none of the public keys"]),
    (Symptom::TrailingData, &["trailing data after first PEM block", "expected 1 certificate, found "]),
    (Symptom::KubeconfigStale, &["got the wrong CA cert", "got the wrong API Server URL"]),
    (
        Symptom::JoinExpired,
        &["could not find a JWS signature in the cluster-info", "Secret \"kubeadm-certs\" was not found"],
    ),
    (Symptom::NodeForbidden, &["is not allowed to modify node"]),
    (Symptom::KubeletForbidden, &["(user=kube-apiserver-kubelet-client, "]),
    (Symptom::EndsSoon, &["KubeClientCertificateExpiration"]),
    (
        Symptom::PlainText,
        &[
            "first record does not look like a TLS handshake",
            "server gave HTTP response to HTTPS client",
            "client sent an HTTP request to an HTTPS server",
        ],
    ),
    // With a capital in kubelets of 1.10 to 1.21.
    (Symptom::BootstrapExpired, &["art of the existing bootstrap client certificate"]),
    (
        Symptom::BootstrapMissing,
        &[
            "unable to load bootstrap kubeconfig",
            "bootstrap-kubelet.conf: no such file",
            "No valid client certificate is found",
        ],
    ),
    (
        Symptom::RequestUnsigned,
        &[
            "certificate request was not signed",
            "csr was not approved",
            "no serving certificate available for the kubelet",
        ],
    ),
    (
        Symptom::KeyMismatch,
        &[
            "private key does not match public key",
            "private key type does not match public key type",
            "PrivateKey doesn't match parent's PublicKey",
            "key values mismatch",
        ],
    ),
    (
        Symptom::FrontProxyRefused,
        &["is not in the allowed list", "metrics.k8s.io is forbidden: User \"kube-apiserver\" cannot"],
    ),
    (
        Symptom::UnknownAuthority,
        &[
            "certificate signed by unknown authority",
            "unable to get local issuer certificate",
            "self signed certificate in certificate chain",
            "self-signed certificate in certificate chain",
            "unable to verify the first certificate",
            "SSL certificate problem: self signed certificate",
            "SSL certificate problem: self-signed certificate",
            "18 (self-signed certificate)",
            "18 (self signed certificate)",
            "not signed by CA certificate",
            "PKIX path building failed",
            "certificate is not trusted",
        ],
    ),
    (
        Symptom::WrongUsage,
        &[
            "incompatible key usage",
            "unsupported certificate purpose",
            "unsuitable certificate purpose",
            "must specify at least one ExtKeyUsage",
        ],
    ),
    (
        Symptom::NameMismatch,
        &[
            "x509: certificate is valid for ",
            "certificate is not valid for any names",
            "does not match any of DNSNames",
            "doesn't contain any IP SANs",
            "no alternative certificate subject name matches",
            "does not match target host name",
            "hostname mismatch",
            "IP address mismatch",
        ],
    ),
    (
        Symptom::NotYetValid,
        &["certificate is not yet valid", "certificate is not valid yet", "CERT_NOT_YET_VALID"],
    ),
    (
        Symptom::WeakSignature,
        &[
            "insecure algorithm",
            "CA signature digest algorithm too weak",
            "ca md too weak",
            "ee key too small",
        ],
    ),
    (
        Symptom::NotAnAuthority,
        &[
            "parent certificate cannot sign this kind of certificate",
            "not authorized to sign other certificates",
            "invalid CA certificate",
        ],
    ),
    (Symptom::AdminForbidden, &["User \"kubernetes-admin\" cannot"]),
];

/// What is said when nothing more precise is.
const WEAKER_PHRASES: &[(Symptom, &[&str])] = &[
    (
        Symptom::FileDamaged,
        &[
            "failed to find any PEM data",
            "failed to find certificate PEM data",
            "failed to find PEM block",
            "does not contain any valid RSA or ECDSA",
            "does not contain a valid RSA or ECDSA private key",
            "malformed certificate",
            "failed to parse private key",
            "asn1: structure error",
            "asn1: syntax error",
            "PEM routines",
            "failed to load key pair",
            "unable to parse bytes as PEM block",
            "unable to set private key file",
            "missing content for CA bundle",
        ],
    ),
    (
        Symptom::Refused,
        &[
            "remote error: tls: ",
            // Go before 1.10
            "remote error: bad certificate",
            "remote error: expired certificate",
            "remote error: unknown certificate",
            "alert certificate expired",
            "alert bad certificate",
            "alert unknown ca",
            "alert certificate unknown",
            "alert certificate required",
            "client didn't provide a certificate",
        ],
    ),
    (
        Symptom::InvalidToken,
        &["invalid bearer token", "error in cryptographic primitive", "service account token has expired"],
    ),
    // Python before 3.7 does not say why.
    (Symptom::HandshakeFailed, &["certificate verify failed (_ssl.c"]),
];

/// The ports of the API server and of etcd.
const PORTS: [&str; 3] = [":6443", ":2379", ":2380"];
