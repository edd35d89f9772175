//! Which member of etcd to ask, and as whom.

use std::fmt;
use std::net::IpAddr;

use kubecerts_core::catalog::{CaSlot, FileSlot, LeafSlot};
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::{EtcdPlacement, FileContent, FileState, Snapshot};
use tonic::codegen::http::Uri;

use super::NoMember;

/// A member of etcd and the credentials with which it is asked.
///
/// Whatever client certificate etcd's authority has signed may do everything, as long as etcd's own users are not switched
/// on, which kubeadm never does.
pub struct EtcdMember {
    pub(super) endpoint: String,
    pub(super) authority: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: SecretBytes,
}

impl EtcdMember {
    /// Returns the member at the `https` URL `endpoint`.
    ///
    /// `authority` are the certificates, in PEM, of which one must have signed the member's; the member's must also name
    /// the host of `endpoint`. `certificate` is the client's own with its chain, `key` the key of it, both in PEM. None of
    /// them is looked at before [`snapshot`](super::snapshot).
    #[must_use]
    pub fn new(
        endpoint: impl Into<String>,
        authority: Vec<u8>,
        certificate: Vec<u8>,
        key: SecretBytes,
    ) -> Self {
        Self { endpoint: endpoint.into(), authority, certificate, key }
    }

    /// Returns the member that runs on the node of `snapshot`, asked as kubeadm's `etcd-healthcheck-client`.
    ///
    /// The URL is the first of `--listen-client-urls` that is on the loopback, else the first; kubeadm writes
    /// `https://127.0.0.1:2379`, which is also what is assumed when the manifest is silent.
    ///
    /// # Errors
    /// [`NoMember`] when etcd runs elsewhere, or a file that the client needs is missing.
    pub fn of_node(snapshot: &Snapshot) -> Result<Self, NoMember> {
        match snapshot.node().etcd() {
            EtcdPlacement::Local => {}
            EtcdPlacement::External(endpoints) => {
                return Err(NoMember::External { endpoints: endpoints.clone() });
            }
            // Whether one runs here is not known, so none is claimed.
            _ => {
                let manifests = snapshot.node().directories().manifests.clone();
                return Err(NoMember::NoManifest { manifests });
            }
        }
        let public = |file| Ok::<_, NoMember>(content(snapshot, file)?.secret_bytes().to_vec());
        let key = content(snapshot, FileSlot::LeafKey(LeafSlot::EtcdHealthcheckClient))?;
        Ok(Self {
            endpoint: endpoint(snapshot.node().etcd_client_urls())?,
            authority: public(FileSlot::CaCertificate(CaSlot::Etcd))?,
            certificate: public(FileSlot::LeafCertificate(LeafSlot::EtcdHealthcheckClient))?,
            key: SecretBytes::new(key.secret_bytes().to_vec()),
        })
    }

    /// Returns the URL of the member.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl fmt::Debug for EtcdMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdMember").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

fn content(snapshot: &Snapshot, file: FileSlot) -> Result<&FileContent, NoMember> {
    let detail = match snapshot.file(file) {
        FileState::Present(content) => return Ok(content),
        FileState::Absent => "there is no such file".to_owned(),
        FileState::Unreadable(problem) => problem.to_string(),
    };
    Err(NoMember::File { file, path: snapshot.layout().path(file).clone(), detail })
}

/// Returns the URL for clients on the node itself among those at which etcd listens.
fn endpoint(urls: &[String]) -> Result<String, NoMember> {
    if urls.is_empty() {
        return Ok(KUBEADM_ENDPOINT.to_owned());
    }
    let reachable: Vec<String> = urls.iter().filter_map(|url| reachable(url)).collect();
    let first = reachable.iter().find(|url| is_on_loopback(url)).or(reachable.first());
    first.cloned().ok_or_else(|| NoMember::NoTls { urls: urls.to_vec() })
}

/// Returns `url` as a client has to write it, or `None` when it is not `https`.
pub(super) fn reachable(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("https"))?;
    // One cannot connect to every address, and no certificate names that.
    let host = match uri.host()? {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Some(format!("https://{host}:{}", uri.port_u16().unwrap_or(CLIENT_PORT)))
}

fn is_on_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The URL for clients on the node that kubeadm writes into every manifest of etcd
/// (`cmd/kubeadm/app/util/etcd/etcd.go`, `GetClientURLByIP`).
const KUBEADM_ENDPOINT: &str = "https://127.0.0.1:2379";

/// etcd's port for clients, registered with IANA.
pub(super) const CLIENT_PORT: u16 = 2379;

#[cfg(test)]
mod tests {
    use kubecerts_testkit::{Fixture, MemoryTree};

    use super::*;

    fn tree(name: &str) -> MemoryTree {
        Fixture::named(name).tree()
    }

    fn listening_at(urls: &str) -> Result<String, NoMember> {
        endpoint(&urls.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn kubeadms_member_listens_on_the_loopback() {
        for name in ["kubeadm-v120-rsa", "kubeadm-v136-rsa2048", "kubeadm-v136-ecdsa-p256"] {
            let member = EtcdMember::of_node(&tree(name).snapshot()).unwrap();
            assert_eq!(member.endpoint(), "https://127.0.0.1:2379", "{name}");
            assert!(member.authority.starts_with(b"-----BEGIN CERTIFICATE"), "{name}");
        }
    }

    #[test]
    fn an_external_etcd_is_not_the_nodes() {
        let found = EtcdMember::of_node(&tree("kubeadm-v136-external-etcd").snapshot());
        assert!(matches!(found, Err(NoMember::External { .. })), "{found:?}");
    }

    #[test]
    fn without_a_manifest_no_member_is_claimed() {
        let mut tree = tree("kubeadm-v136-rsa2048");
        tree.remove("/etc/kubernetes/manifests/etcd.yaml");
        let found = EtcdMember::of_node(&tree.snapshot()).unwrap_err();
        assert_eq!(found.to_string(), "this node has no manifest of etcd in /etc/kubernetes/manifests");
    }

    #[test]
    fn a_missing_key_is_named() {
        let mut tree = tree("kubeadm-v136-rsa2048");
        tree.remove("/etc/kubernetes/pki/etcd/healthcheck-client.key");
        let found = EtcdMember::of_node(&tree.snapshot()).unwrap_err();
        assert_eq!(
            found.to_string(),
            "cannot use /etc/kubernetes/pki/etcd/healthcheck-client.key: there is no such file"
        );
    }

    #[test]
    fn the_loopback_is_preferred_among_several_urls() {
        let url = |urls| listening_at(urls).unwrap();
        assert_eq!(url("https://10.0.0.1:2379,https://127.0.0.1:4001"), "https://127.0.0.1:4001");
        assert_eq!(url("https://10.0.0.1:2379"), "https://10.0.0.1:2379");
        assert_eq!(url("https://0.0.0.0:2379"), "https://127.0.0.1:2379");
        assert_eq!(url("https://[::]:2379"), "https://[::1]:2379");
        assert_eq!(url("http://127.0.0.1:2379,https://10.0.0.1"), "https://10.0.0.1:2379");
        let plain = listening_at("http://127.0.0.1:2379").unwrap_err();
        assert_eq!(
            plain.to_string(),
            "etcd listens for clients at http://127.0.0.1:2379, which is not https"
        );
    }

    #[test]
    fn a_name_that_begins_like_the_loopback_is_not_it() {
        let url = |urls: &str| listening_at(urls).unwrap();
        for other in ["127.example.org", "127.0.0.1.example.org", "localhost.example.org"] {
            assert_eq!(
                url(&format!("https://{other}:2379,https://[::1]:2379")),
                "https://[::1]:2379",
                "{other}"
            );
        }
        assert_eq!(url("https://10.0.0.1:2379,https://127.0.0.2:2379"), "https://127.0.0.2:2379");
        assert_eq!(url("https://10.0.0.1:2379,https://localhost:2379"), "https://localhost:2379");
    }

    #[test]
    fn debug_shows_no_credentials() {
        let member = EtcdMember::of_node(&tree("kubeadm-v136-rsa2048").snapshot()).unwrap();
        assert_eq!(format!("{member:?}"), r#"EtcdMember { endpoint: "https://127.0.0.1:2379", .. }"#);
    }
}
