//! What can go wrong with the credential of a kubelet elsewhere.

use kubecerts_core::issue::{
    BootstrapError, ClientError, InstallationError, InvalidCertificateKey, InvalidToken, NodeError, UserError,
};
use kubecerts_core::plan::Reason;
use kubecerts_host::AuditError;

use super::CommandError;
use crate::exit::Exit;

impl CommandError {
    /// Returns that kubelet.conf does not refer to the kubelet's certificate, and cannot be made to.
    pub(crate) fn of_kubelet_conf(reason: &Reason) -> Self {
        let message = format!("kubelet.conf will not refer to the kubelet's certificate: {reason}");
        Self { exit: Exit::Incomplete, ..Self::failed(message) }
            .with_hint("put kubelet.conf back from a backup and run this again")
            .with_hint(
                "or have the kubelet ask for another certificate, see `kubecerts kubelet bootstrap --help`",
            )
    }
}

impl From<NodeError> for CommandError {
    fn from(error: NodeError) -> Self {
        let plain = Self::chain(&error);
        let refused = |plain: Self| Self { exit: Exit::Refused, ..plain };
        match error {
            NodeError::Subject { .. } => refused(plain)
                .with_hint("nothing was changed; name the node as kubectl get nodes does, with --node NAME, or bring its own file"),
            NodeError::Request(_)
            | NodeError::NotSignedByItself
            | NodeError::AlternativeNames(_)
            | NodeError::UnsupportedKey(_) => refused(plain)
                .with_hint("make the request on the node with `kubecerts kubelet request --key-out KEY`"),
            NodeError::OtherKey => refused(plain)
                .with_hint("nothing was changed; name the key that was made with the request of this certificate"),
            NodeError::Certificate(_) | NodeError::Key(_) => {
                plain.with_hint("nothing was changed; `kubecerts inspect FILE` says what a file holds")
            }
            NodeError::Client(error @ ClientError::Authority(Reason::ExternalAuthority(_))) => {
                Self::from(error).with_hint(
                    "or have a kubelet ask for its certificate itself, see `kubecerts kubelet bootstrap --help`",
                )
            }
            NodeError::Client(error) => error.into(),
            _ => plain.with_hint("nothing was changed"),
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        let plain = Self::chain(&error);
        match error {
            ClientError::Lifetime(_) => {
                Self { exit: Exit::Usage, ..plain }.with_hint("ask for a span such as --validity 8760h")
            }
            ClientError::Authority(reason) => {
                let incomplete = Self { exit: Exit::Incomplete, ..plain };
                match reason {
                    Reason::ExternalAuthority(ca) => {
                        incomplete.with_hint(format!("run it where the key of {ca} is kept"))
                    }
                    _ => incomplete.with_hint("see what is wrong with: kubecerts check"),
                }
            }
            ClientError::Issue(error) => error.into(),
            _ => plain.with_hint("nothing was changed"),
        }
    }
}

impl From<UserError> for CommandError {
    fn from(error: UserError) -> Self {
        let plain = Self::chain(&error);
        match error {
            UserError::Client(error) => error.into(),
            UserError::Server(_) => Self { exit: Exit::Usage, ..plain }.with_hint(
                "nothing was made; say it with --server, as it is in any kubeconfig of the cluster, such as admin.conf",
            ),
            UserError::Token => Self { exit: Exit::Usage, ..plain }
                .with_hint("nothing was made; is it the right file? A token is one line"),
            _ => Self { exit: Exit::Usage, ..plain }.with_hint(
                "nothing was made; it must not be empty, nor hold control characters or blanks at its ends",
            ),
        }
    }
}

impl From<AuditError> for CommandError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::State(error) => error.into(),
            AuditError::Write(error) => error.into(),
            other => Self::chain(&other)
                .with_hint("nothing was handed out; name another directory with --state-dir DIR"),
        }
    }
}

impl From<InstallationError> for CommandError {
    fn from(error: InstallationError) -> Self {
        let plain = Self::chain(&error);
        let refused = |plain: Self| Self { exit: Exit::Refused, ..plain };
        match error {
            InstallationError::Unreadable { path, .. } => {
                refused(plain).with_file_hint("nothing was changed; see why with: ls -l FILE", path)
            }
            InstallationError::OtherAuthority { .. } => refused(plain)
                .with_hint("nothing was changed; have it made where the key of this cluster's ca is kept"),
            InstallationError::NotValid { .. } => refused(plain)
                .with_hint(
                    "nothing was changed; compare the clock of this node with another one: timedatectl",
                )
                .with_hint(
                    "if the clock is right, have another one made with `kubecerts kubelet credential`",
                ),
            InstallationError::NotForClients => refused(plain)
                .with_hint("nothing was changed; have one made with `kubecerts kubelet credential`"),
            InstallationError::Plan(error) => error.into(),
            InstallationError::Issue(error) => error.into(),
            _ => plain.with_hint("nothing was changed"),
        }
    }
}

impl From<BootstrapError> for CommandError {
    fn from(error: BootstrapError) -> Self {
        let plain = Self::chain(&error);
        match error {
            BootstrapError::Server(_) => Self { exit: Exit::Usage, ..plain }.with_hint(
                "it is `server` in any kubeconfig of the cluster, such as /etc/kubernetes/kubelet.conf",
            ),
            BootstrapError::OtherAuthority { .. } => Self { exit: Exit::Refused, ..plain }
                .with_hint("nothing was written; this is another authority, or the hash is another one's")
                .with_hint(
                    "a control-plane node says the hash with: kubeadm token create --print-join-command",
                ),
            _ => plain.with_hint("nothing was written; name a file of certificates in PEM with --ca FILE"),
        }
    }
}

impl From<InvalidToken> for CommandError {
    fn from(error: InvalidToken) -> Self {
        Self { exit: Exit::Usage, ..Self::chain(&error) }
            .with_hint("nothing was written; make one on a control-plane node with: kubeadm token create")
    }
}

impl From<InvalidCertificateKey> for CommandError {
    fn from(error: InvalidCertificateKey) -> Self {
        Self { exit: Exit::Usage, ..Self::chain(&error) }.with_hint(
            "nothing was written; a control-plane node makes one with: kubeadm init phase upload-certs --upload-certs",
        )
    }
}
