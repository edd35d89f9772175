//! The node's disk: finding files, reading them within bounds, replacing them all or not at all.
//!
//! The room speaks in [`TreePath`](kubecerts_core::path::TreePath)s, as the node itself writes them. A [`Root`]
//! says under which directory of this machine they are looked up, so that a mounted disk or a test tree is
//! handled like a live node. [`Root::read`] never blocks, never follows a link out of the root and never holds
//! more of a file than it was allowed.
//!
//! Writing is a typestate: [`Staged::stage`] checks every target and writes every temporary file,
//! [`Staged::commit`] renames them. All changes of the disk go through the [`Disk`] trait, one operation each,
//! so that tests can fail any of them.
//!
//! Every directory on the way is trusted: whoever can rename `/etc/kubernetes` has already won. Links are
//! therefore resolved once, by name, and only the last component is protected against a swap.

mod error;
pub use error::{DiskError, Operation};

mod operations;
pub use operations::{Disk, Owner, RealDisk};

mod read;
pub use read::FILE_LIMIT;

mod replace;
pub use replace::{Staged, Written};

mod root;
pub use root::{Existence, Resolved, Root};
