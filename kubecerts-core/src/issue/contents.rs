//! The contents of the files that a step writes.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};
use zeroize::{Zeroize, Zeroizing};

use super::IssueError;
use crate::catalog::FileKind;
use crate::kubeconfig::{self, Edit, EditError, Kubeconfig, Source};
use crate::path::TreePath;
use crate::plan::KubeconfigSpec;
use crate::secret::SecretBytes;
use crate::x509::{Certificate, PrivateKey, encode_certificate, encode_public_key};

/// What a step has to write: a key, its certificate, and the certificates of its authority.
pub(super) struct Material<'a> {
    pub(super) key: &'a PrivateKey,
    pub(super) certificate: Option<&'a [u8]>,
    /// The certificates between that one and its authority, in DER.
    pub(super) intermediates: &'a [Vec<u8>],
    /// The certificates in the authority's file, in DER.
    pub(super) authority: &'a [Vec<u8>],
}

impl Material<'_> {
    /// Returns the content of a file that is written whole.
    pub(super) fn whole_file(&self, kind: FileKind) -> SecretBytes {
        match kind {
            FileKind::PrivateKey => self.key.secret_pem(),
            FileKind::PublicKey => {
                SecretBytes::new(encode_public_key(self.key.public_key().as_der()).into_bytes())
            }
            FileKind::CertificateAndKey => certificate_and_key(&self.certificate_pem(), self.key),
            FileKind::Certificate | FileKind::Kubeconfig => {
                SecretBytes::new(self.certificate_pem().into_bytes())
            }
        }
    }

    /// Returns the content of a kubeconfig: the old one with new values, or a new one.
    pub(super) fn kubeconfig(
        &self,
        spec: &KubeconfigSpec,
        path: &TreePath,
        old: &[u8],
    ) -> Result<SecretBytes, IssueError> {
        match spec {
            KubeconfigSpec::Create { cluster, server, user, preferences } => {
                Ok(self.new_kubeconfig(Naming { cluster, server, user }, *preferences))
            }
            KubeconfigSpec::Edit { replace_authority } => {
                let failed = |source| IssueError::Kubeconfig { path: path.clone(), source };
                let parsed = Kubeconfig::parse(old).map_err(|damage| failed(damage.into()))?;
                let Ok(current) = parsed.current() else {
                    let name = parsed.current_context().unwrap_or_default().to_owned();
                    return Err(failed(EditError::NoUser { name }));
                };
                let certificate = self.certificate_pem();
                let authority = self.authority_pem();
                let key = self.key.secret_pem();
                let mut edit = Edit::new().client(certificate.as_bytes(), Some(&key), current.user.name());
                if *replace_authority {
                    edit = edit.authority(authority.as_bytes(), current.cluster.name());
                }
                kubeconfig::edit(old, &edit).map_err(failed)
            }
            KubeconfigSpec::Refer { .. }
            | KubeconfigSpec::CreateReferring { .. }
            | KubeconfigSpec::Trust
            | KubeconfigSpec::TrustExtended => {
                unreachable!("a kubeconfig that refers to a certificate or keeps its own needs none")
            }
        }
    }

    fn certificate_pem(&self) -> String {
        let certificate = self.certificate.map(encode_certificate).unwrap_or_default();
        certificate + &encode_all(self.intermediates)
    }

    fn authority_pem(&self) -> String {
        encode_all(self.authority)
    }

    fn new_kubeconfig(&self, naming: Naming<'_>, preferences: bool) -> SecretBytes {
        let authority = Base64::encode_string(self.authority_pem().as_bytes());
        let credentials = certificate_and_key_data(&self.certificate_pem(), self.key);
        let mut text = whole(&authority, naming, preferences, &credentials);
        let content = SecretBytes::new(text.as_bytes().to_vec());
        text.zeroize();
        content
    }
}

/// A kubeconfig that takes certificate and key from the file `client`.
pub(super) struct Referring<'a> {
    pub(super) path: &'a TreePath,
    pub(super) old: &'a [u8],
    pub(super) client: &'a TreePath,
    /// The certificates in the authority's file, in DER.
    pub(super) authority: &'a [Vec<u8>],
}

impl Referring<'_> {
    /// Returns the old content with a reference to the client certificate.
    pub(super) fn edited(&self, replace_authority: bool) -> Result<SecretBytes, IssueError> {
        let Self { path, old, client, authority } = self;
        let failed = |source| IssueError::Kubeconfig { path: (*path).clone(), source };
        let parsed = Kubeconfig::parse(old).map_err(|damage| failed(damage.into()))?;
        let Ok(current) = parsed.current() else {
            let name = parsed.current_context().unwrap_or_default().to_owned();
            return Err(failed(EditError::NoUser { name }));
        };
        let authority = encode_all(authority);
        let mut edit = Edit::new().reference(client.as_str(), current.user.name());
        if replace_authority {
            edit = edit.authority(authority.as_bytes(), current.cluster.name());
        }
        kubeconfig::edit(old, &edit).map_err(failed)
    }

    /// Returns a new file as kubeadm leaves it once the kubelet has its own certificate
    /// (`cmd/kubeadm/app/phases/kubelet`, `kubelet-finalize`).
    pub(super) fn whole(&self, cluster: &str, server: &str, user: &str) -> SecretBytes {
        let path = self.client.as_str();
        // A path of the caller's may hold what YAML would not take for a text.
        let path = kubeconfig::scalar(path);
        let authority = Base64::encode_string(encode_all(self.authority).as_bytes());
        let credentials = format!("    client-certificate: {path}\n    client-key: {path}\n");
        SecretBytes::new(frame(&authority, cluster, server, user, &credentials).into_bytes())
    }
}

/// Returns the kubeconfig `old` with other certificates of authorities for its current cluster: those that `change` makes of the
/// ones that it embeds.
pub(super) fn trusting(
    path: &TreePath,
    old: &[u8],
    change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Result<SecretBytes, IssueError> {
    let failed = |source| IssueError::Kubeconfig { path: path.clone(), source };
    let parsed = Kubeconfig::parse(old).map_err(|damage| failed(damage.into()))?;
    let Ok(current) = parsed.current() else {
        let name = parsed.current_context().unwrap_or_default().to_owned();
        return Err(failed(EditError::NoUser { name }));
    };
    let cluster = current.cluster.name();
    let embedded = match current.cluster.certificate_authority() {
        Source::Data(bytes) => bytes.as_slice(),
        Source::Absent | Source::File(_) | Source::Damaged(_) => &[],
    };
    let authority = change(embedded).ok_or_else(|| {
        failed(EditError::Missing {
            entry: "cluster",
            name: cluster.to_owned(),
            key: "certificate-authority-data",
        })
    })?;
    kubeconfig::edit(old, &Edit::new().authority(&authority, cluster)).map_err(failed)
}

/// Returns the kubeconfig `old` at `path`, in which each cluster for whose embedded authorities `change` has others trusts these.
pub(super) fn trusting_everywhere(
    path: &TreePath,
    old: &[u8],
    change: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Result<SecretBytes, IssueError> {
    let failed = |source| IssueError::Kubeconfig { path: path.clone(), source };
    let parsed = Kubeconfig::parse(old).map_err(|damage| failed(damage.into()))?;
    let mut content = SecretBytes::new(old.to_vec());
    let mut names = BTreeSet::new();
    for cluster in parsed.clusters() {
        // Of entries with the same name the first one counts, for kubectl too.
        if let Source::Data(embedded) = cluster.certificate_authority()
            && names.insert(cluster.name())
            && let Some(authority) = change(embedded)
        {
            let edit = Edit::new().authority(&authority, cluster.name());
            content = kubeconfig::edit(content.secret_bytes(), &edit).map_err(failed)?;
        }
    }
    Ok(content)
}

/// Returns a kubeconfig as kubeadm 1.34 and later write it (`cmd/kubeadm/app/util/kubeconfig/kubeconfig.go`), with the lines
/// `credentials` for its user.
pub(super) fn frame(authority: &str, cluster: &str, server: &str, user: &str, credentials: &str) -> String {
    whole(authority, Naming { cluster, server, user }, false, credentials)
}

/// What a new kubeconfig calls things.
#[derive(Clone, Copy)]
pub(super) struct Naming<'a> {
    pub(super) cluster: &'a str,
    pub(super) server: &'a str,
    pub(super) user: &'a str,
}

/// Returns a kubeconfig, with the empty `preferences` of older versions or without.
pub(super) fn whole(authority: &str, naming: Naming<'_>, preferences: bool, credentials: &str) -> String {
    let Naming { cluster, server, user } = naming;
    let context = format!("{user}@{cluster}");
    let [cluster, server, user, context] = [cluster, server, user, &context].map(kubeconfig::scalar);
    let preferences = if preferences { "preferences: {}\n" } else { "" };
    format!(
        "apiVersion: v1\n\
         clusters:\n\
         - cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  name: {cluster}\n\
         contexts:\n\
         - context:\n    cluster: {cluster}\n    user: {user}\n  name: {context}\n\
         current-context: {context}\n\
         kind: Config\n\
         {preferences}users:\n\
         - name: {user}\n  user:\n{credentials}"
    )
}

/// Returns the lines of a kubeconfig's user with certificate and key in them.
pub(super) fn certificate_and_key_data(certificate: &str, key: &PrivateKey) -> Zeroizing<String> {
    let certificate = Base64::encode_string(certificate.as_bytes());
    let key = Zeroizing::new(Base64::encode_string(key.secret_pem().secret_bytes()));
    Zeroizing::new(format!(
        "    client-certificate-data: {certificate}\n    client-key-data: {}\n",
        key.as_str()
    ))
}

/// Returns certificate and key in one file, in the order of the kubelet's certificate store
/// (`k8s.io/client-go/util/certificate/certificate_store.go`).
pub(super) fn certificate_and_key(certificate: &str, key: &PrivateKey) -> SecretBytes {
    let key = key.secret_pem();
    // Allocated once at full length: growing would leave a copy of the key behind.
    let mut bytes = Vec::with_capacity(certificate.len() + key.len());
    bytes.extend_from_slice(certificate.as_bytes());
    bytes.extend_from_slice(key.secret_bytes());
    SecretBytes::new(bytes)
}

pub(super) fn encode_all(certificates: &[Vec<u8>]) -> String {
    certificates.iter().map(|der| encode_certificate(der)).collect()
}

/// Returns the bytes of every certificate, in order.
pub(super) fn ders(certificates: &[Certificate]) -> Vec<Vec<u8>> {
    certificates.iter().map(|certificate| certificate.as_der().to_vec()).collect()
}
