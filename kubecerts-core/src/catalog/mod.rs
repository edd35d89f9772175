//! The closed world of kubeadm's artefacts: which exist, who signs them, where they lie, who loads them.
//!
//! Everything here is data, read from `cmd/kubeadm/app/phases/certs/certlist.go` and
//! `cmd/kubeadm/app/phases/kubeconfig/kubeconfig.go` of kubeadm 1.20 and 1.36. There is no parsing but of names, no
//! policy and no date. The enums are closed on purpose: a new artefact must break every `match` that has to think about it.

mod component;
mod file;
mod label;
mod layout;
mod node;
mod service;
mod slot;
mod spec;
mod version;

pub use component::{Component, Reload};
pub use file::{FileKind, FileSlot};
pub use label::{DnsLabel, InvalidLabel};
pub use layout::{Directories, Layout, Located, PathSource};
pub use node::{InvalidNodeName, NodeName};
pub use service::Service;
pub use slot::{CaSlot, KubeconfigSlot, LeafSlot, Slot, UnknownName};
pub use spec::{AuthoritySpec, ClientSpec, Era, ExtendedUsage, NameRule, SanRule};
pub use version::KubernetesVersion;
