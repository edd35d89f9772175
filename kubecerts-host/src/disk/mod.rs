//! The node's disk: finding files, reading them within bounds, replacing them all or not at all.
//!
//! The room speaks in [`TreePath`](kubecerts_core::path::TreePath)s, as the node itself writes them. A [`Root`]
//! says under which directory of this machine they are looked up, so that a mounted disk or a test tree is
//! handled like a live node. [`Root::read`] never blocks, never follows a link out of the root and never holds
//! more of a file than it was allowed.
//!
//! # Writing
//!
//! Files are replaced by a transaction that a crash at any moment cannot split: see [`transaction`]. What it needs
//! beside the tree lies in the [`State`] directory: the journal of the run that is under way, the journals of the runs that
//! are done, and the [`backup`]s. One run writes at a time: see [`Lock`].
//!
//! Everything that touches a disk goes through the [`Disk`] trait, one operation each, so that tests can fail any of them, or
//! cut the power.
//!
//! Every directory on the way is trusted once it was seen to be writable by its owner alone: whoever can rename
//! `/etc/kubernetes` has already won. Links are therefore resolved once, by name, and only the last component is protected
//! against a swap. Homes are another matter, because their owners are not trusted: see [`transaction::Reach::Home`].

pub mod backup;

pub(crate) mod directories;

mod error;
pub use error::{DiskError, Operation, Unit};

mod held;
pub use held::Held;

mod home;

mod journal;
pub(crate) use journal::must_be_closed;

mod lock;
pub use lock::{Holder, Lock, LockError};

mod operations;
pub use operations::{Disk, Found, Kind, Labels, Owner, Space, Stat};

mod read;
pub use read::{FILE_LIMIT, Tree};

mod real;
pub use real::RealDisk;

pub mod recovery;

mod root;
pub use root::{Existence, Resolved, Root};

mod safety;

mod state;
pub use state::State;

mod thing;

pub mod transaction;

mod wire;
