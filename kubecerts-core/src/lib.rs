//! The certificates of a kubeadm-style Kubernetes control plane: parse, diagnose, plan, issue.
//!
//! This crate is pure. Bytes, a timestamp and a random source come in as arguments; decisions and bytes go out. It
//! touches no file, clock, environment or process; `kubecerts-host` does that, and the `kubecerts` command is a thin
//! front end to both. The flow goes from room to room:
//!
//! | room | from | to |
//! |---|---|---|
//! | [`snapshot`] | the bytes of one node's files | [`Snapshot`](snapshot::Snapshot), which may hold secrets |
//! | [`inventory`] | a snapshot | [`Inventory`](inventory::Inventory), public: what is there |
//! | [`observation`] | what was seen of running programs | whether they use what is on disk |
//! | [`diagnosis`] | an inventory, observations and a moment | [`Diagnosis`](diagnosis::Diagnosis): what is wrong |
//! | [`forecast`] | the same | [`Forecast`](forecast::Forecast): what breaks, and when, if nobody acts |
//! | [`explain`] | the lines of a log and an inventory | which certificates they are about, and what to do |
//! | [`fleet`] | the inventories of several nodes | what is wrong between them |
//! | [`plan`] | an inventory and a request | [`Plan`](plan::Plan): what to do, and what not and why |
//! | [`issue`] | a plan, the snapshot, keys and signatures | [`ChangeSet`](issue::ChangeSet): the bytes to write |
//!
//! They speak of the artefacts in [`catalog`] and use the readers and writers in [`x509`], [`kubeconfig`] and
//! [`manifest`]. Four promises hold throughout:
//!
//! * Secrets live in the snapshot and in the issue room only. Everything between may be logged and mailed.
//! * Reading never fails as a whole: damage becomes a [`Reading`](inventory::Reading) and then a finding.
//! * The plan decides everything but key bits and signature bytes.
//! * The same inputs give the same bytes, on every platform.
//!
//! # Features
//!
//! * `rustcrypto` (default): [`issue::RustCrypto`], keys and signatures in pure Rust.
//! * `serde` (default): the versioned JSON documents of plans, and [`archive`], snapshots that can be taken elsewhere.

#![forbid(unsafe_code)]

#[cfg(feature = "serde")]
pub mod archive;
pub mod catalog;
pub mod diagnosis;
pub mod digest;
pub mod explain;
pub mod fleet;
pub mod forecast;
pub mod inspection;
pub mod inventory;
pub mod issue;
pub mod kubeconfig;
pub mod manifest;
pub mod observation;
pub mod path;
pub mod plan;
pub mod provider;
mod search;
pub mod secret;
pub mod snapshot;
pub mod time;
pub mod x509;
mod yaml;
