//! The command with which another node joins.

use std::str::FromStr;

use zeroize::Zeroizing;

use super::{BootstrapToken, KeyPin};
use crate::catalog::{CaSlot, KubeconfigSlot, Slot};
use crate::inventory::Inventory;
use crate::plan::ControlPlaneEndpoint;
use crate::secret::SecretBytes;

/// Returns the hash of every public key that a node must find when it joins, as kubeadm computes them: one for each certificate
/// in the file of `ca`, in their order. A certificate with another end has the same hash. None when the file cannot be read.
#[must_use]
pub fn key_pins(inventory: &Inventory, ca: CaSlot) -> Vec<KeyPin> {
    let bundle = inventory.authority(ca).certificate().present();
    let certificates = bundle.map_or(&[][..], |bundle| bundle.certificates());
    let mut pins: Vec<KeyPin> = Vec::new();
    for certificate in certificates {
        let pin = KeyPin::new(certificate.public_key().fingerprint());
        if !pins.contains(&pin) {
            pins.push(pin);
        }
    }
    pins
}

/// Returns where nodes join by what the tree says: the server of admin.conf, as kubeadm has it, or else the endpoint of the
/// kubeadm configuration.
#[must_use]
pub fn join_server(inventory: &Inventory) -> Option<ControlPlaneEndpoint> {
    let admin = inventory
        .credential(Slot::Kubeconfig(KubeconfigSlot::Admin))
        .and_then(|credential| credential.kubeconfig())
        .and_then(|facts| facts.file.as_ref().ok())
        .and_then(|file| file.current().ok()?.cluster.server());
    // Behind the host there may be a path, which kubeadm leaves out too.
    let host = |url: &str| Some(url.strip_prefix("https://")?.split('/').next()?.to_owned());
    let configured = || inventory.node().kubeadm()?.control_plane_endpoint().map(str::to_owned);
    let text = admin.and_then(host).or_else(configured)?;
    ControlPlaneEndpoint::parse(&text, DEFAULT_PORT).ok()
}

/// Returns the command on one line, as `kubeadm token create --print-join-command` prints it
/// (`cmd/kubeadm/app/cmd/util/join.go`), which ends with a blank for workers. It holds the token.
#[must_use]
pub fn join_command(
    server: &ControlPlaneEndpoint,
    pins: &[KeyPin],
    token: &BootstrapToken,
    role: &JoinRole,
) -> SecretBytes {
    let mut text = Zeroizing::new(String::with_capacity(1 << 10));
    text.push_str(&format!("kubeadm join {server} --token "));
    text.push_str(token.secret_text());
    text.push(' ');
    for pin in pins {
        text.push_str(&format!("--discovery-token-ca-cert-hash {pin} "));
    }
    if let JoinRole::ControlPlane(key) = role {
        text.push_str("--control-plane ");
        if let Some(CertificateKey(key)) = key {
            text.push_str("--certificate-key ");
            text.push_str(key);
        }
    }
    SecretBytes::new(text.as_bytes().to_vec())
}

/// What a node joins as.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a node has a control plane or it has none")]
pub enum JoinRole {
    /// A worker.
    Worker,
    /// Another control-plane node, which gets the shared certificates with this key, or has them already.
    ControlPlane(Option<CertificateKey>),
}

/// The key to the certificates that `kubeadm init phase upload-certs` has put into the cluster: 32 bytes in hexadecimal.
pub struct CertificateKey(Zeroizing<String>);

impl FromStr for CertificateKey {
    type Err = InvalidCertificateKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_key { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(InvalidCertificateKey) }
    }
}

impl std::fmt::Debug for CertificateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// A text that is no certificate key. It is not quoted, because it may nearly be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the certificate key is not 64 hexadecimal digits")]
#[non_exhaustive]
pub struct InvalidCertificateKey;

/// The port of the API server where nothing says another one.
const DEFAULT_PORT: u16 = 6443;

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "sha256:4eb77bb5abf037c8643d21efca30062c57862ab15d112e3166e88bf190f9e936";
    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn command(server: &str, role: JoinRole) -> String {
        let server = ControlPlaneEndpoint::parse(server, DEFAULT_PORT).unwrap();
        let token = "fl6bwd.3ube1uwcyk3a5o6b".parse().unwrap();
        let command = join_command(&server, &[PIN.parse().unwrap()], &token, &role);
        String::from_utf8(command.secret_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_command_is_kubeadm_s_to_the_byte() {
        let worker = format!(
            "kubeadm join 172.16.42.39:6443 --token fl6bwd.3ube1uwcyk3a5o6b --discovery-token-ca-cert-hash {PIN} "
        );
        assert_eq!(command("172.16.42.39", JoinRole::Worker), worker);
        assert_eq!(
            command("172.16.42.39:6443", JoinRole::ControlPlane(None)),
            format!("{worker}--control-plane ")
        );
        assert_eq!(
            command("172.16.42.39", JoinRole::ControlPlane(Some(KEY.parse().unwrap()))),
            format!("{worker}--control-plane --certificate-key {KEY}")
        );
        assert!(command("fd00::1", JoinRole::Worker).starts_with("kubeadm join [fd00::1]:6443 "));
    }

    #[test]
    fn a_certificate_key_has_64_digits_and_is_never_shown() {
        for text in ["", "0123", &KEY[1..], &format!("{KEY}0"), &KEY.replace('0', "g")] {
            assert_eq!(text.parse::<CertificateKey>().unwrap_err(), InvalidCertificateKey);
        }
        assert_eq!(format!("{:?}", KEY.parse::<CertificateKey>().unwrap()), "[secret]");
    }
}
