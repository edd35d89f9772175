//! What can go wrong with a member of etcd, and between it and the file of its snapshot.

use std::fmt;
use std::io;
use std::time::Duration;

use kubecerts_core::catalog::FileSlot;
use kubecerts_core::digest::Digest;
use kubecerts_core::path::TreePath;

/// Why a node has no member of etcd that could be asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoMember {
    /// The control plane uses an etcd that kubeadm does not run.
    #[error("etcd does not run on this node but at {}", endpoints.join(", "))]
    External {
        /// The URLs of its members, as written.
        endpoints: Vec<String>,
    },
    /// No static-pod manifest of etcd was found.
    #[error("this node has no manifest of etcd in {manifests}")]
    NoManifest {
        /// The directory of the manifests.
        manifests: TreePath,
    },
    /// etcd's manifest has no URL that a client with TLS could use.
    #[error("etcd listens for clients at {}, which is not https", urls.join(", "))]
    NoTls {
        /// The URLs of `--listen-client-urls`, as written.
        urls: Vec<String>,
    },
    /// A file that a client needs is missing or cannot be read.
    #[error("cannot use {path}: {detail}")]
    File {
        /// Which file of the tree.
        file: FileSlot,
        /// Its path on the node.
        path: TreePath,
        /// Why not.
        detail: String,
    },
}

/// Why a member could not be asked. What has reached the sink of a snapshot until then is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// The endpoint is not an `https` URL with a host.
    #[error("{endpoint:?} is not an https URL of a member of etcd")]
    Endpoint {
        /// The endpoint as given.
        endpoint: String,
    },
    /// The client's certificates or key cannot be used; nothing was sent.
    #[error("the credentials for {endpoint} cannot be used: {detail}")]
    Credentials {
        /// The member's URL.
        endpoint: String,
        /// What is wrong with which of them.
        detail: String,
    },
    /// There is no connection, or it broke.
    #[error("cannot talk to etcd at {endpoint}: {detail}")]
    Unreachable {
        /// The member's URL.
        endpoint: String,
        /// What the network says.
        detail: String,
    },
    /// One side does not accept the other's certificate, or TLS failed otherwise.
    #[error("no TLS with etcd at {endpoint}: {detail}")]
    Tls {
        /// The member's URL.
        endpoint: String,
        /// What TLS says; an alert that was received is the member's word.
        detail: String,
    },
    /// The member did not answer in time.
    #[error("etcd at {endpoint} did not answer within {deadline:?}: {waited_for}")]
    Deadline {
        /// The member's URL.
        endpoint: String,
        /// What was waited for.
        waited_for: Wait,
        /// How long.
        deadline: Duration,
    },
    /// The member answered with an error.
    #[error("etcd at {endpoint} refuses: {message} (gRPC status {code})")]
    Status {
        /// The member's URL.
        endpoint: String,
        /// The number of the gRPC status, such as 7 for a permission that is missing.
        code: i32,
        /// What the member says.
        message: String,
    },
    /// The stream ended before the whole database and its digest had arrived.
    #[error("the snapshot of etcd at {endpoint} is cut: {detail}")]
    Incomplete {
        /// The member's URL.
        endpoint: String,
        /// What is missing.
        detail: String,
    },
    /// The database that arrived is not the one that the member sent.
    #[error("the snapshot of etcd at {endpoint} is damaged: its digest is {actual} and not {expected}")]
    Checksum {
        /// The member's URL.
        endpoint: String,
        /// The SHA-256 digest of the database that arrived.
        actual: Digest,
        /// The digest that the member sent behind it.
        expected: Digest,
    },
    /// The sink takes no more.
    #[error("cannot write the snapshot of etcd at {endpoint}")]
    Write {
        /// The member's URL.
        endpoint: String,
        /// Why not.
        source: io::Error,
    },
    /// The member names more members than a cluster has.
    #[error("etcd at {endpoint} names {count} members, which is more than a cluster has")]
    Members {
        /// The member's URL.
        endpoint: String,
        /// How many.
        count: usize,
    },
    /// The operating system gives no event loop.
    #[error("cannot set up the event loop for a connection")]
    Runtime {
        /// Why not.
        source: io::Error,
    },
}

/// What was waited for when the time was up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Wait {
    /// The connection, with its TLS and HTTP/2 handshakes.
    Connection,
    /// The member's status.
    Status,
    /// The next part of the snapshot.
    Snapshot,
    /// The list of members.
    Members,
    /// A read for which the member needs a quorum.
    Read,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection",
            Self::Status => "status",
            Self::Snapshot => "next part of the snapshot",
            Self::Members => "list of members",
            Self::Read => "read with a quorum",
        })
    }
}
