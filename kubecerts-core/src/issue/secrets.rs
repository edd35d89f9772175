//! A new tree as Kubernetes Secrets, for control planes that run as pods and for Cluster API.
//!
//! Two namings, both of names that others look for:
//!
//! * [`kubeadm_secret`]: one Secret with every file, by the names that `kubeadm init phase upload-certs` gives
//!   (`cmd/kubeadm/app/phases/copycerts/copycerts.go`): the path below the directory of certificates with `-` for `/`, such as
//!   `etcd-ca.crt`. There are kubeconfigs and leaves too, and nothing is encrypted, unlike in kubeadm's own Secret.
//! * [`cluster_api_secrets`]: what Cluster API looks for before it makes its own (`util/secret/consts.go`,
//!   `util/secret/certificates.go`): the authorities, the service account pair and the administrator's kubeconfig.
//!
//! A manifest is YAML with sorted keys, and the same files give the same bytes. It holds private keys in plain: base64 hides
//! nothing.

use std::collections::BTreeMap;
use std::fmt;

use base64ct::{Base64, Encoding};

use super::{Change, ChangeSet};
use crate::catalog::{CaSlot, DnsLabel, FileSlot, KubeconfigSlot};
use crate::secret::SecretBytes;

/// A Secret as a document of YAML. It holds private keys.
pub struct SecretManifest {
    name: String,
    contents: SecretBytes,
}

impl SecretManifest {
    /// Returns the name of the Secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the document, which begins with `---` and ends with a line break: documents can be put one behind the other.
    #[must_use]
    pub fn secret_bytes(&self) -> &[u8] {
        self.contents.secret_bytes()
    }
}

impl fmt::Debug for SecretManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretManifest({:?}, [secret])", self.name)
    }
}

/// Returns one Secret with every file of a new tree, of the name `CLUSTER-kubeadm-certs` and the type `Opaque`.
///
/// Without a `namespace` it goes to the one in which it is applied.
#[must_use]
pub fn kubeadm_secret(cluster: &DnsLabel, namespace: Option<&DnsLabel>, files: &ChangeSet) -> SecretManifest {
    let data = files.changes().iter().map(|file| (data_key(file.file()), file.secret_bytes())).collect();
    let head =
        Head { name: format!("{cluster}-kubeadm-certs"), namespace, label: None, secret_type: "Opaque" };
    manifest(head, &data)
}

/// Returns the Secrets that Cluster API looks for, sorted by their names: `CLUSTER-ca`, `CLUSTER-etcd`, `CLUSTER-kubeconfig`,
/// `CLUSTER-proxy` and `CLUSTER-sa`.
///
/// An authority that the tree does not have, as that of an external etcd, has none. The kubeconfig is super-admin.conf where there
/// is one: Cluster API's own is of the group `system:masters` too. Without a `namespace` they go to the one in which they are
/// applied, which has to be that of the Cluster.
#[must_use]
pub fn cluster_api_secrets(
    cluster: &DnsLabel,
    namespace: Option<&DnsLabel>,
    files: &ChangeSet,
) -> Vec<SecretManifest> {
    let content =
        |file| files.changes().iter().find(|change| change.file() == file).map(Change::secret_bytes);
    let pair = |certificate, key| {
        let pair = [("tls.crt", content(certificate)), ("tls.key", content(key))];
        pair.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), bytes?))).collect()
    };
    let kubeconfig = [KubeconfigSlot::SuperAdmin, KubeconfigSlot::Admin]
        .into_iter()
        .find_map(|kubeconfig| content(FileSlot::Kubeconfig(kubeconfig)));
    let authority = |ca| pair(FileSlot::CaCertificate(ca), FileSlot::CaKey(ca));
    let purposes: [(&str, BTreeMap<String, &[u8]>); 5] = [
        ("ca", authority(CaSlot::Cluster)),
        ("etcd", authority(CaSlot::Etcd)),
        ("kubeconfig", kubeconfig.map(|bytes| ("value".to_owned(), bytes)).into_iter().collect()),
        ("proxy", authority(CaSlot::FrontProxy)),
        // Cluster API keeps a public key where others have a certificate.
        ("sa", pair(FileSlot::ServiceAccountPublicKey, FileSlot::ServiceAccountKey)),
    ];
    let filled = purposes.into_iter().filter(|(_, data)| !data.is_empty());
    filled
        .map(|(purpose, data)| {
            let head = Head {
                name: format!("{cluster}-{purpose}"),
                namespace,
                label: Some(cluster),
                secret_type: "cluster.x-k8s.io/secret",
            };
            manifest(head, &data)
        })
        .collect()
}

/// Returns the name of a file in kubeadm's Secret.
fn data_key(file: FileSlot) -> String {
    let name = file.to_string();
    name.strip_prefix("pki/").unwrap_or(&name).replace('/', "-")
}

/// What comes before the data.
struct Head<'a> {
    name: String,
    namespace: Option<&'a DnsLabel>,
    /// The cluster by which Cluster API finds the Secret.
    label: Option<&'a DnsLabel>,
    secret_type: &'static str,
}

fn manifest(head: Head<'_>, data: &BTreeMap<String, &[u8]>) -> SecretManifest {
    let Head { name, namespace, label, secret_type } = head;
    // A name such as 123 or null would be something else than a text without the quotes.
    let mut before = format!("---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: \"{name}\"\n");
    if let Some(namespace) = namespace {
        before.push_str(&format!("  namespace: \"{namespace}\"\n"));
    }
    if let Some(label) = label {
        before.push_str(&format!("  labels:\n    cluster.x-k8s.io/cluster-name: \"{label}\"\n"));
    }
    before.push_str(&format!("type: {secret_type}\ndata:\n"));
    let lines = data.iter().map(|(key, bytes)| key.len() + Base64::encoded_len(bytes) + "  : \n".len());
    // Reserved whole, so that no growth leaves a copy of a key behind.
    let length = before.len() + lines.sum::<usize>();
    let mut text = Vec::with_capacity(length);
    text.extend_from_slice(before.as_bytes());
    for (key, bytes) in data {
        text.extend_from_slice(b"  ");
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b": ");
        let start = text.len();
        text.resize(start + Base64::encoded_len(bytes), 0);
        Base64::encode(bytes, &mut text[start..]).expect("the room is as long as the encoding");
        text.push(b'\n');
    }
    debug_assert_eq!(text.len(), length);
    SecretManifest { name, contents: SecretBytes::new(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_kubeadms_names_in_its_secret() {
        for (file, name) in [
            (FileSlot::CaCertificate(CaSlot::Cluster), "ca.crt"),
            (FileSlot::CaKey(CaSlot::FrontProxy), "front-proxy-ca.key"),
            (FileSlot::CaCertificate(CaSlot::Etcd), "etcd-ca.crt"),
            (FileSlot::ServiceAccountPublicKey, "sa.pub"),
            (FileSlot::Kubeconfig(KubeconfigSlot::Admin), "admin.conf"),
        ] {
            assert_eq!(data_key(file), name);
        }
        let names: std::collections::BTreeSet<String> = FileSlot::all().map(data_key).collect();
        assert_eq!(names.len(), FileSlot::all().count());
    }
}
