//! Whether a kubelet's own credential is one with which a real kubelet starts.

use std::fs;
use std::path::Path;

use kubecerts_core::kubeconfig::{KeySource, Kubeconfig, Source, user_key};
use kubecerts_core::time::Timestamp;
use kubecerts_core::x509::{PrivateKey, certificates};

use crate::pod::host_path;

/// Checks the client certificate and key of a kubeconfig; paths in it begin at `root`.
///
/// # Errors
/// The reason why a kubelet without a bootstrap kubeconfig would exit.
pub(crate) fn check(kubeconfig: &Path, root: &Path, now: Timestamp) -> Result<(), String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let bytes = read(kubeconfig)?;
    let config = Kubeconfig::parse(&bytes).map_err(|error| error.to_string())?;
    let user = config.current().map_err(|error| error.to_string())?.user;
    let certificate = match user.client_certificate() {
        Source::Data(data) => data.clone(),
        Source::File(path) => read(&host_path(Path::new(path), root))?,
        _ => return Err("there is no client certificate".to_owned()),
    };
    let key = match user.client_key() {
        KeySource::Data => user_key(&bytes, user.name()).map(|key| PrivateKey::parse(key.secret_bytes())),
        KeySource::File(path) => Some(PrivateKey::parse(&read(&host_path(Path::new(path), root))?)),
        _ => None,
    };
    let key = key.ok_or("there is no client key")?.map_err(|damage| damage.to_string())?;
    let chain = certificates(&certificate).map_err(|damage| damage.to_string())?;
    let chain = chain.into_iter().collect::<Result<Vec<_>, _>>().map_err(|damage| damage.to_string())?;
    let leaf = chain.first().ok_or("there is no client certificate")?;
    if *leaf.public_key() != key.public_key() {
        return Err("the client key is not that of the client certificate".to_owned());
    }
    match chain.iter().find(|certificate| certificate.not_after() < now) {
        Some(expired) => Err(format!("the client certificate has expired at {}", expired.not_after())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kubecerts_testkit::{TreeBuilder, at};

    use super::*;

    #[test]
    fn a_credential_is_of_use_until_its_last_second() {
        let tree = TreeBuilder::kubeadm().made(at("2030-01-01T00:00:00Z")).build();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubelet.conf");
        fs::write(&file, tree.read_file("/etc/kubernetes/admin.conf")).unwrap();
        let check = |now| check(&file, directory.path(), at(now));
        assert_eq!(check("2030-12-31T00:00:00Z"), Ok(()));
        let reason = check("2031-01-02T00:00:00Z").unwrap_err();
        assert!(reason.starts_with("the client certificate has expired at 2031-01-01T"), "{reason}");
    }

    #[test]
    fn a_credential_in_files_is_looked_for_below_the_root_and_has_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubelet.conf");
        fs::write(&file, KUBECONFIG).unwrap();
        let reason = check(&file, directory.path(), at("2030-01-01T00:00:00Z")).unwrap_err();
        let wanted = directory.path().join("var/lib/kubelet/pki/kubelet-client-current.pem");
        assert!(reason.starts_with(&wanted.display().to_string()), "{reason}");
    }

    const KUBECONFIG: &str = r#"
current-context: node
contexts: [{name: node, context: {cluster: kubernetes, user: node}}]
clusters: [{name: kubernetes, cluster: {server: "https://127.0.0.1:6443"}}]
users:
- name: node
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem
"#;
}
