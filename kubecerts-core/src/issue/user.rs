//! A kubeconfig for one more user, as `kubeadm kubeconfig user` makes it.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::client::{Client, ClientError, Term, new_key};
use super::contents::{Naming, certificate_and_key_data, encode_all, whole};
use super::server::is_server;
use super::session::Issuer;
use super::{IssueError, KeySource, Signer};
use crate::catalog::{CaSlot, KubeconfigSlot, KubernetesVersion, Slot};
use crate::inventory::{Inventory, Reading};
use crate::manifest::KubeadmConfig;
use crate::path::TreePath;
use crate::plan::{ControlPlaneEndpoint, DEFAULT_PORT};
use crate::provider::Entropy;
use crate::secret::SecretBytes;
use crate::snapshot::{ReadProblem, Snapshot};
use crate::x509::{Certificate, DistinguishedName, KeyAlgorithm, KeyUsages, encode_certificate};

/// A user to be, and the cluster that it is for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct User {
    /// The common name, which Kubernetes takes for the user.
    pub name: String,
    /// The organisations, which Kubernetes takes for the groups.
    pub groups: Vec<String>,
    /// The name of the cluster in the kubeconfig.
    pub cluster: String,
    /// The URL of the API server.
    pub server: String,
    /// The algorithm of the key.
    pub algorithm: KeyAlgorithm,
    /// The version whose form the kubeconfig has; that of the newest known when `None`.
    pub version: Option<KubernetesVersion>,
    /// A line about the user at the top of the kubeconfig.
    pub comment: Option<String>,
}

impl User {
    /// Returns a user of the cluster of `inventory`, without groups: server, cluster and algorithm are those of the kubeadm
    /// configuration, and where it says nothing, of admin.conf, super-admin.conf or kubelet.conf; `None` when nothing states a
    /// server.
    #[must_use]
    pub fn of_tree(name: &str, inventory: &Inventory) -> Option<Self> {
        let config = inventory.node().kubeadm();
        let credentials =
            || SOURCES.into_iter().filter_map(|slot| inventory.credential(Slot::Kubeconfig(slot)));
        let stated = credentials().find_map(|credential| {
            let cluster = credential.kubeconfig()?.file.as_ref().ok()?.current().ok()?.cluster;
            Some((cluster.name().to_owned(), cluster.server()?.to_owned()))
        });
        let configured = config.and_then(|config| {
            let port = config.bind_port().unwrap_or(DEFAULT_PORT);
            let endpoint = config.control_plane_endpoint();
            let endpoint = endpoint.and_then(|text| ControlPlaneEndpoint::parse(text, port).ok())?;
            Some(format!("https://{endpoint}"))
        });
        let named = config.and_then(KubeadmConfig::cluster_name).map(str::to_owned);
        let (cluster, server) = match (stated, configured) {
            (stated, Some(server)) => (named.or(stated.map(|(cluster, _)| cluster)), server),
            (Some((cluster, server)), None) => (named.or(Some(cluster)), server),
            (None, None) => return None,
        };
        let mut user = Self::new(name, cluster.as_deref().unwrap_or("kubernetes"), &server);
        let algorithm =
            config.and_then(KubeadmConfig::encryption_algorithm).and_then(|text| text.parse().ok());
        let mut used =
            credentials().filter_map(|credential| credential.leaf()?.public_key().key_type().issuable());
        let signer = inventory.authority(CaSlot::Cluster).signer();
        let own = || signer.and_then(|signer| signer.public_key().key_type().issuable());
        user.version = inventory.node().version();
        user.algorithm = algorithm.or_else(|| used.next()).or_else(own).unwrap_or(user.algorithm);
        Some(user)
    }

    /// Returns the kubeconfig that may state what [`User::of_tree`] has not found, and cannot be read.
    #[must_use]
    pub fn unreadable_source(inventory: &Inventory) -> Option<(&TreePath, &ReadProblem)> {
        SOURCES.into_iter().find_map(|slot| {
            let credential = inventory.credential(Slot::Kubeconfig(slot))?;
            match credential.certificate() {
                Reading::Unreadable(problem) => Some((&credential.certificate_file().path, problem)),
                Reading::Absent | Reading::Damaged(_) | Reading::Present(_) => None,
            }
        })
    }

    /// Returns a user without groups, with an RSA-2048 key.
    #[must_use]
    pub fn new(name: &str, cluster: &str, server: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: Vec::new(),
            cluster: cluster.to_owned(),
            server: server.to_owned(),
            algorithm: KeyAlgorithm::Rsa2048,
            version: None,
            comment: None,
        }
    }
}

/// A kubeconfig with the certificate in it.
#[derive(Debug)]
#[non_exhaustive]
pub struct UserCredential {
    /// The kubeconfig, which holds the private key.
    pub kubeconfig: SecretBytes,
    /// The certificate.
    pub certificate: Certificate,
}

/// Makes a key and a certificate for `user`, signed by the cluster's authority in `snapshot`, and a kubeconfig with both
/// (`cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go`).
///
/// # Errors
/// [`UserError`] when the user has no name, the authority cannot sign here, or the provider fails or answers wrongly.
pub fn user_credential<P: KeySource + Signer + ?Sized>(
    user: &User,
    snapshot: &Snapshot,
    term: Term,
    entropy: &mut dyn Entropy,
    provider: &mut P,
) -> Result<UserCredential, UserError> {
    check(user)?;
    let key = new_key(SLOT, user.algorithm, provider).map_err(ClientError::from)?;
    let groups: Vec<&str> =
        user.groups.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
    let subject = DistinguishedName::kubeadm(&user.name, &groups);
    let client = Client { slot: SLOT, subject, key_usages: KeyUsages::LEAF };
    let certificate = client.certify(&key.public_key(), snapshot, term, entropy, provider)?;
    let credentials = certificate_and_key_data(&encode_certificate(certificate.as_der()), &key);
    let kubeconfig = kubeconfig(user, snapshot, &credentials)?;
    Ok(UserCredential { kubeconfig, certificate })
}

/// Returns a kubeconfig in which `user` has `token` and no certificate, as with `kubeadm kubeconfig user --token`.
///
/// # Errors
/// [`UserError`] when the user has no name, the token is not one word of plain characters, or the authority's certificate is
/// not there.
pub fn user_with_token(
    user: &User,
    token: &SecretBytes,
    snapshot: &Snapshot,
) -> Result<SecretBytes, UserError> {
    check(user)?;
    let token = std::str::from_utf8(token.secret_bytes()).unwrap_or_default();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UserError::Token);
    }
    // In quotes, with what quotes would take for their own escaped.
    let quoted = Zeroizing::new(token.replace('\\', "\\\\").replace('"', "\\\""));
    let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let text = if plain && crate::kubeconfig::reads_as_text(token) {
        Zeroizing::new(format!("    token: {token}\n"))
    } else {
        Zeroizing::new(format!("    token: \"{}\"\n", quoted.as_str()))
    };
    kubeconfig(user, snapshot, &text)
}

/// Why there is no kubeconfig for a user.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// A name, a group or the cluster's name is empty or holds control characters.
    #[error("{what} {value:?} is not usable")]
    #[non_exhaustive]
    Unusable {
        /// What it is.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// The server is not a URL of a host over TLS.
    #[error("{0:?} is not a server, such as https://10.0.0.1:6443")]
    Server(String),
    /// The token is not one word. It is not quoted, because it may nearly be one.
    #[error("the token is not one word of printable ASCII characters")]
    Token,
    /// The certificate could not be issued.
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn check(user: &User) -> Result<(), UserError> {
    let User { name, groups, cluster, server, algorithm: _, version: _, comment } = user;
    let groups = groups.iter().map(|group| ("the organisation", group));
    let comment = comment.iter().map(|comment| ("the comment", comment));
    for (what, value) in
        [("the name", name), ("the name of the cluster", cluster)].into_iter().chain(groups).chain(comment)
    {
        // Kubernetes compares byte by byte, so blanks at the ends make another user whom nobody can see.
        if value.is_empty() || value.trim() != value || value.chars().any(char::is_control) {
            return Err(UserError::Unusable { what, value: value.clone() });
        }
    }
    if is_server(server) { Ok(()) } else { Err(UserError::Server(server.clone())) }
}

fn kubeconfig(user: &User, snapshot: &Snapshot, credentials: &str) -> Result<SecretBytes, UserError> {
    let authority = Issuer::certificates_of(snapshot, CaSlot::Cluster)
        .ok_or(ClientError::Issue(IssueError::IssuerChanged(CaSlot::Cluster)))?;
    let authority = Base64::encode_string(encode_all(&authority).as_bytes());
    let comment = user.comment.as_ref().map(|comment| format!("# {comment}\n")).unwrap_or_default();
    let naming = Naming { cluster: &user.cluster, server: &user.server, user: &user.name };
    let preferences = KubeconfigSlot::has_preferences(user.version);
    let text = Zeroizing::new(whole(&authority, naming, preferences, credentials));
    // Allocated once at full length: growing would leave a copy of the key behind.
    let mut content = Vec::with_capacity(comment.len() + text.len());
    content.extend_from_slice(comment.as_bytes());
    content.extend_from_slice(text.as_bytes());
    Ok(SecretBytes::new(content))
}

/// The kubeconfigs that state the cluster, the first before the others.
const SOURCES: [KubeconfigSlot; 3] =
    [KubeconfigSlot::Admin, KubeconfigSlot::SuperAdmin, KubeconfigSlot::Kubelet];

/// The slot by which errors and key requests name the user's certificate: it is signed as that of admin.conf.
const SLOT: Slot = Slot::Kubeconfig(KubeconfigSlot::Admin);
