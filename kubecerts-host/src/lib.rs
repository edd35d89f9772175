//! The effects of kubecerts: reads and replaces the files of a node, holds the clock and the system's random source.
//!
//! [`Node`] is the way in: it scans a node's disk into a [`Snapshot`](kubecerts_core::snapshot::Snapshot) and applies a
//! [`ChangeSet`](kubecerts_core::issue::ChangeSet) to it. Whatever is to be decided was decided by a plan of
//! `kubecerts-core`; whatever is to be said goes to the caller as an error, a [`Report`] or an [`Event`]. Nothing is
//! printed.

#![deny(unsafe_code)]

mod apply;
pub mod archive;
mod audit;
pub mod bulk;
mod cancel;
mod copies;
pub mod crypto;
mod directory;
pub mod disk;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "etcd")]
mod grpc;
mod hidden;
mod log;
pub mod measure;
mod new_tree;
mod node;
#[cfg(feature = "live")]
mod plant;
mod policy;
#[cfg(feature = "live")]
pub mod probe;
mod rivals;
#[cfg(feature = "live")]
pub mod rollout;
#[cfg(feature = "live")]
pub mod runtime;
mod scratch;
mod session;
mod shard;
#[cfg(feature = "sim")]
pub mod sim;
mod summary;
mod system;
pub mod trees;

pub use apply::{ApplyError, Report, Written, apply};
pub use audit::{AuditError, record_issue};
pub use copies::{Copies, CopyWrite};
pub use directory::{
    FoundFile, is_directory, is_there, make_parents, new_private_directory, read_directory, read_if_there,
};
pub use disk::transaction::Event;
pub use log::{LogError, explain_file, explain_lines};
pub use new_tree::{NewTreeError, make_parent, must_be_new, write_new_tree};
pub use node::{
    NewSecretFile, Node, NodeError, NodeOptions, read_file, write_new_file, write_new_secret_file,
};
#[cfg(feature = "live")]
pub use plant::{Plant, PlantError, PlantOptions};
pub use policy::{POLICY_PATH, PolicyFileError, read_policy};
pub use rivals::Rival;
pub use scratch::{ScratchError, make_directories, new_scratch_directory};
pub use session::{Session, SessionError};
pub use summary::{SummaryError, SummaryFile};
pub use system::{SystemEntropy, now};

/// The example of the README, which has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
