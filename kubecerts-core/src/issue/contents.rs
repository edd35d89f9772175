//! The contents of the files that a step writes.

use base64ct::{Base64, Encoding};
use zeroize::{Zeroize, Zeroizing};

use super::IssueError;
use crate::catalog::FileKind;
use crate::kubeconfig::{self, Edit, Kubeconfig};
use crate::path::TreePath;
use crate::plan::{KubeconfigSpec, Write};
use crate::secret::SecretBytes;
use crate::x509::{Certificate, PrivateKey, encode_certificate, encode_public_key};

/// What a step has to write: a key, its certificate, and the certificates of its authority.
pub(super) struct Material<'a> {
    pub(super) key: &'a PrivateKey,
    pub(super) certificate: Option<&'a [u8]>,
    /// The certificates in the authority's file, in DER.
    pub(super) authority: &'a [Vec<u8>],
}

impl Material<'_> {
    /// Returns the content of a file that is written whole.
    pub(super) fn whole_file(&self, write: &Write) -> SecretBytes {
        match write.file().kind() {
            FileKind::PrivateKey => self.key.secret_pem(),
            FileKind::PublicKey => {
                SecretBytes::new(encode_public_key(self.key.public_key().as_der()).into_bytes())
            }
            FileKind::Certificate | FileKind::CertificateAndKey | FileKind::Kubeconfig => {
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
            KubeconfigSpec::Create { cluster, server, user } => {
                Ok(self.new_kubeconfig(cluster, server, user))
            }
            KubeconfigSpec::Edit { replace_authority } => {
                let failed = |source| IssueError::Kubeconfig { path: path.clone(), source };
                let parsed = Kubeconfig::parse(old).map_err(|damage| failed(damage.into()))?;
                let Ok(current) = parsed.current() else {
                    let name = parsed.current_context().unwrap_or_default().to_owned();
                    return Err(failed(kubeconfig::EditError::NoUser { name }));
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
        }
    }

    fn certificate_pem(&self) -> String {
        self.certificate.map(encode_certificate).unwrap_or_default()
    }

    fn authority_pem(&self) -> String {
        self.authority.iter().map(|der| encode_certificate(der)).collect()
    }

    /// Writes a kubeconfig as kubeadm 1.34 and later do (`cmd/kubeadm/app/util/kubeconfig/kubeconfig.go`).
    fn new_kubeconfig(&self, cluster: &str, server: &str, user: &str) -> SecretBytes {
        let authority = Base64::encode_string(self.authority_pem().as_bytes());
        let certificate = Base64::encode_string(self.certificate_pem().as_bytes());
        let key = Zeroizing::new(Base64::encode_string(self.key.secret_pem().secret_bytes()));
        let mut text = format!(
            "apiVersion: v1\n\
             clusters:\n\
             - cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  name: {cluster}\n\
             contexts:\n\
             - context:\n    cluster: {cluster}\n    user: {user}\n  name: {user}@{cluster}\n\
             current-context: {user}@{cluster}\n\
             kind: Config\n\
             users:\n\
             - name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {}\n",
            key.as_str()
        );
        let content = SecretBytes::new(text.as_bytes().to_vec());
        text.zeroize();
        content
    }
}

/// Returns the bytes of every certificate, in order.
pub(super) fn ders(certificates: &[Certificate]) -> Vec<Vec<u8>> {
    certificates.iter().map(|certificate| certificate.as_der().to_vec()).collect()
}
