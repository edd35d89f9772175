//! The kubelet's configuration, `/var/lib/kubelet/config.yaml`.

use super::{DamagedConfig, owned, path, port};
use crate::path::TreePath;
use crate::yaml;

/// What a `KubeletConfiguration` says about certificates and static pods.
///
/// Field names are those of `kubelet.config.k8s.io/v1beta1`. What the file leaves out is `None`: the
/// kubelet's defaults and its command line, which wins over the file, are not applied.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KubeletConfig {
    static_pod_path: Option<TreePath>,
    client_ca_file: Option<TreePath>,
    tls_cert_file: Option<TreePath>,
    tls_private_key_file: Option<TreePath>,
    rotate_certificates: Option<bool>,
    server_tls_bootstrap: Option<bool>,
    container_runtime_endpoint: Option<String>,
    cluster_domain: Option<String>,
    address: Option<String>,
    port: Option<u16>,
    healthz_address: Option<String>,
    healthz_port: Option<u16>,
}

impl KubeletConfig {
    /// Parses the first document of the kubelet's configuration.
    ///
    /// # Errors
    /// [`DamagedConfig`] when the file is not YAML, of another kind, or has a field of the wrong type.
    /// Relative paths are damage too: the kubelet resolves them, but kubeadm writes none and their base is
    /// not known here.
    pub fn parse(bytes: &[u8]) -> Result<Self, DamagedConfig> {
        let stream = yaml::parse_first(bytes)?;
        let root = stream.first_mapping()?;
        if root.text("kind")?.is_some_and(|kind| kind != "KubeletConfiguration") {
            return Err(root.error("the kind is not KubeletConfiguration").into());
        }
        let client_ca_file = match root.mapping("authentication")? {
            Some(authentication) => match authentication.mapping("x509")? {
                Some(x509) => path(x509, "clientCAFile")?,
                None => None,
            },
            None => None,
        };
        Ok(Self {
            static_pod_path: path(root, "staticPodPath")?,
            client_ca_file,
            tls_cert_file: path(root, "tlsCertFile")?,
            tls_private_key_file: path(root, "tlsPrivateKeyFile")?,
            rotate_certificates: root.flag("rotateCertificates")?,
            server_tls_bootstrap: root.flag("serverTLSBootstrap")?,
            container_runtime_endpoint: owned(root, "containerRuntimeEndpoint")?,
            cluster_domain: owned(root, "clusterDomain")?,
            address: owned(root, "address")?,
            port: port(root, "port")?,
            healthz_address: owned(root, "healthzBindAddress")?,
            healthz_port: port(root, "healthzPort")?,
        })
    }

    /// Returns `staticPodPath`: the directory of the manifests, or a single manifest.
    #[must_use]
    pub fn static_pod_path(&self) -> Option<&TreePath> {
        self.static_pod_path.as_ref()
    }

    /// Returns `authentication.x509.clientCAFile`: the authorities of clients of the kubelet.
    #[must_use]
    pub fn client_ca_file(&self) -> Option<&TreePath> {
        self.client_ca_file.as_ref()
    }

    /// Returns `tlsCertFile`: the serving certificate. Without it, the kubelet makes its own.
    #[must_use]
    pub fn tls_cert_file(&self) -> Option<&TreePath> {
        self.tls_cert_file.as_ref()
    }

    /// Returns `tlsPrivateKeyFile`: the key of the serving certificate.
    #[must_use]
    pub fn tls_private_key_file(&self) -> Option<&TreePath> {
        self.tls_private_key_file.as_ref()
    }

    /// Returns `rotateCertificates`: whether the kubelet renews its client certificate.
    #[must_use]
    pub fn rotate_certificates(&self) -> Option<bool> {
        self.rotate_certificates
    }

    /// Returns the same configuration with the rotation of the client certificate switched on.
    pub(super) fn rotating(self) -> Self {
        Self { rotate_certificates: Some(true), ..self }
    }

    /// Returns `serverTLSBootstrap`: whether the kubelet asks the cluster for its serving certificate.
    #[must_use]
    pub fn server_tls_bootstrap(&self) -> Option<bool> {
        self.server_tls_bootstrap
    }

    /// Returns `containerRuntimeEndpoint`, such as `unix:///run/containerd/containerd.sock`, as written.
    #[must_use]
    pub fn container_runtime_endpoint(&self) -> Option<&str> {
        self.container_runtime_endpoint.as_deref()
    }

    /// Returns `clusterDomain`: the domain of services, as written.
    #[must_use]
    pub fn cluster_domain(&self) -> Option<&str> {
        self.cluster_domain.as_deref()
    }

    /// Returns `address`: where the kubelet serves; every address by default.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Returns `port`: where the kubelet serves over TLS; 10250 by default.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns `healthzBindAddress`: where the kubelet tells its health; 127.0.0.1 by default.
    #[must_use]
    pub fn healthz_address(&self) -> Option<&str> {
        self.healthz_address.as_deref()
    }

    /// Returns `healthzPort`: where the kubelet tells its health, without TLS; 10248 by default, 0 switches it off.
    #[must_use]
    pub const fn healthz_port(&self) -> Option<u16> {
        self.healthz_port
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KUBELET: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
authentication:
  anonymous: {enabled: false}
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
containerRuntimeEndpoint: \"\"
kind: KubeletConfiguration
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
";

    #[test]
    fn the_file_of_kubeadm_is_understood() {
        let config = KubeletConfig::parse(KUBELET.as_bytes()).unwrap();
        assert_eq!(config.static_pod_path().unwrap().as_str(), "/etc/kubernetes/manifests");
        assert_eq!(config.client_ca_file().unwrap().as_str(), "/etc/kubernetes/pki/ca.crt");
        assert_eq!(config.rotate_certificates(), Some(true));
        assert_eq!(config.server_tls_bootstrap(), None);
        assert_eq!(config.container_runtime_endpoint(), None);
        assert_eq!((config.tls_cert_file(), config.tls_private_key_file()), (None, None));
    }

    #[test]
    fn damage_names_field_and_place() {
        let damage = |text: &str| KubeletConfig::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            damage("rotateCertificates: maybe"),
            "line 1, column 21: rotateCertificates is neither true nor false"
        );
        assert_eq!(
            damage("a: b\ntlsCertFile: x.crt"),
            "line 2, column 14: tlsCertFile: the path \"x.crt\" is not absolute"
        );
        assert_eq!(damage("kind: Pod"), "line 1, column 1: the kind is not KubeletConfiguration");
    }

    proptest! {
        #[test]
        fn mutated_files_are_parsed_or_refused(
            at in 0..KUBELET.len(), cut in 0..20_usize, junk in "\\PC{0,6}",
        ) {
            let text = format!("{}{junk}{}", &KUBELET[..at], &KUBELET[(at + cut).min(KUBELET.len())..]);
            let _ = KubeletConfig::parse(text.as_bytes());
        }
    }
}
