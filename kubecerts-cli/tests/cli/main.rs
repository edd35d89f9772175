//! Runs the real binary as a user would: real trees, wrong input, no terminal.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests start the binary and look at files"
)]

mod apply;
mod backup;
mod bad_input;
mod bench;
mod bulk;
mod ca;
mod check;
mod doctor;
mod documents;
mod etcd;
mod explain;
mod external;
mod forecast;
mod foreign;
mod hints;
mod init;
mod inspect;
mod interrupted;
mod join;
mod kubeadm_output;
mod kubelet;
mod links;
mod odd_trees;
mod renew;
mod safety;
mod san;
mod snapshot;
mod support;
mod trees;
mod user;
mod validity;
mod words;
