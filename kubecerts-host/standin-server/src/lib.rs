//! Stands in for the programs of a control plane: the same flags, ports, paths and habits, and nothing behind them.
//!
//! [`StandIn::start`] takes the command line of a static pod (`kube-apiserver --secure-port=6443 …`) and serves in this
//! process; the binary `standin-server` does the same as PID 1 of a container. What the real components do with their
//! credentials was seen on real ones: the API server serves a renewed pair by itself and keeps the old one while the new
//! one cannot be used, etcd reads its pair at every handshake and fails it when key and certificate differ,
//! controller-manager and scheduler keep the client certificate that they started with. `--stand-in=MODE` bends that: see
//! [`Mode`]. The servers of [`hostile`] are what a probe may meet instead.
//!
//! Nothing here is published. Keys come from seeds, so none of it may guard anything.

#![deny(unsafe_code)]

mod answer;
mod apiserver;
mod authority;
mod client;
mod command;
mod controller;
mod etcd;
pub mod hostile;
mod kubelet;
mod listen;
mod mode;
mod pair;
mod standin;
mod throwaway;

pub use command::{Command, Component, InvalidCommand};
pub use mode::Mode;
pub use standin::{StandIn, StartError};
