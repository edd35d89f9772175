//! The exclusive right to write to a node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kubecerts_core::catalog::{Directories, FileSlot, Slot};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::ChangeSet;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::check_clock_of;
use kubecerts_core::provider::Entropy;
use kubecerts_core::snapshot::{FileState, Snapshot};

use crate::apply::{ApplyError, Report, Written, dated, dated_files, items};
use crate::copies::CopyWrite;
use crate::crypto::FastHalves;
use crate::disk::backup::{self, Creation, Manifest, Restoration, Scope, Writer};
use crate::disk::directories::{make_directories, remove_directories};
use crate::disk::recovery::{self, Interrupted, Recovered};
use crate::disk::transaction::{self, Done, Event, Item, Purpose, Reach, Request};
use crate::disk::{DiskError, Existence, Lock, LockError, RealDisk, Root, State, must_be_closed};
use crate::node::{Node, NodeError};
use crate::rivals::{Rival, find_kubeadm};
use crate::system::now;

/// The exclusive right to write to a node, until it is dropped.
///
/// A run that was interrupted has to be recovered before anything can be written: see [`Session::interrupted`].
#[derive(Debug)]
#[must_use = "the right is given back when the session is dropped"]
pub struct Session<'n> {
    node: &'n Node,
    /// The scan that showed what there is to lock, as long as nothing was written since.
    scan: Option<Snapshot>,
    _lock: Lock,
}

impl<'n> Session<'n> {
    /// Takes the right to write for `command`, whose name others are told meanwhile.
    ///
    /// # Errors
    /// [`SessionError`] when another run or a `kubeadm` is at work, or the state directory cannot be used.
    pub fn begin(node: &'n Node, command: &str) -> Result<Self, SessionError> {
        let state = node.state();
        if node.is_this_host()
            && let Some(rival) = find_kubeadm()
        {
            return Err(SessionError::Rival(rival));
        }
        state.must_be_private(node.root(), &RealDisk)?;
        let snapshot = node.scan().map_err(SessionError::Scan)?;
        must_not_be_misplaced(state, &snapshot, node.root())?;
        let lock = Lock::take(command, &directories(&snapshot, node.root()), state)?;
        Ok(Self { node, scan: Some(snapshot), _lock: lock })
    }

    /// Looks for a run that was interrupted, and returns what is to be done about it.
    ///
    /// # Errors
    /// As [`recovery::examine`].
    pub fn interrupted(&self) -> Result<Option<Interrupted>, DiskError> {
        recovery::examine(self.node.root(), self.state(), &RealDisk)
    }

    /// Finishes or rolls back a run that was interrupted.
    ///
    /// # Errors
    /// As [`recovery::recover`].
    pub fn recover(&mut self, interrupted: &Interrupted) -> Result<Recovered, DiskError> {
        self.scan = None;
        recovery::recover(interrupted, self.node.root(), self.state(), &mut RealDisk)
    }

    /// Gives up a run that can neither be finished nor be rolled back, and returns the temporary files that stay.
    ///
    /// # Errors
    /// As [`recovery::abandon`].
    pub fn abandon(&mut self) -> Result<Vec<TreePath>, DiskError> {
        recovery::abandon(self.node.root(), self.state(), &mut RealDisk)
    }

    /// Writes everything in `changes`, or nothing, and scans the node again.
    ///
    /// # Errors
    /// [`ApplyError`]; see [`transaction::replace`] for what each leaves behind.
    pub fn apply(
        &mut self,
        changes: &ChangeSet,
        purpose: Purpose,
        entropy: &mut dyn Entropy,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Report, ApplyError> {
        self.apply_with(changes, &[], purpose, entropy, observer)
    }

    /// Writes everything in `changes` and the files `beside` that are no files of the catalogue, or nothing, and scans the node
    /// again. The report is about `changes` alone.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_with(
        &mut self,
        changes: &ChangeSet,
        beside: &[CopyWrite<'_>],
        purpose: Purpose,
        entropy: &mut dyn Entropy,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Report, ApplyError> {
        let scan = |node: &Node| node.scan().map_err(ApplyError::Scan);
        if changes.is_empty() && beside.is_empty() {
            let inventory = Inventory::parse_with(&scan(self.node)?, &FastHalves);
            return Ok(Report { written: Vec::new(), backup: None, leftovers: Vec::new(), inventory });
        }
        // What others wrote since the session began makes the clock no worse, and the digests of the targets are compared.
        let found = self.scan.take().map_or_else(|| scan(self.node), Ok)?;
        check_clock_of(&found, &FastHalves, now())?;
        drop(found);
        let dated = dated_files(changes, dated)?;
        let mut items = items(changes, &dated);
        // Another path to a file that is written already, as a link is, needs nothing.
        let target = |path: &TreePath| self.node.root().resolve(path, &RealDisk).map(|found| found.host);
        let mut targets: BTreeSet<PathBuf> = items.iter().filter_map(|item| target(item.path).ok()).collect();
        let is_new = |write: &&CopyWrite<'_>| target(write.path).map_or(true, |host| targets.insert(host));
        items.extend(beside.iter().filter(is_new).map(|write| write.item(Reach::Links)));
        let Done { id, mut replaced, leftovers } = self.replace(items, purpose, entropy, observer)?;
        // The link to a dated file says nothing that its change does not.
        replaced.retain(|replaced| !replaced.is_link);
        let written = changes.changes().iter().zip(replaced).map(|(change, replaced)| Written {
            file: change.file(),
            path: change.path().clone(),
            target: replaced.target,
            digest: change.digest(),
        });
        let written = written.collect();
        let found = self.node.scan().map_err(ApplyError::Rescan)?;
        let inventory = Inventory::parse_with(&found, &FastHalves);
        Ok(Report { written, backup: Some(id), leftovers, inventory })
    }

    /// Writes everything in `changes`, or nothing, as [`apply`](Self::apply) does, but first makes the directories of files that are
    /// new, as kubeadm makes them: 0755.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply); directories that were made for nothing are removed.
    pub fn create(
        &mut self,
        changes: &ChangeSet,
        purpose: Purpose,
        entropy: &mut dyn Entropy,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Report, ApplyError> {
        let mut made = Vec::new();
        let done = make_directories(changes, self.node.root(), &mut RealDisk, &mut made)
            .map_err(ApplyError::from)
            .and_then(|()| self.apply(changes, purpose, entropy, observer));
        match &done {
            // What was written is in them.
            Ok(_) | Err(ApplyError::Rescan(_)) => {}
            // Its recovery looks for the files in these directories.
            Err(ApplyError::Disk(DiskError::Interrupted { .. } | DiskError::Unclosed { .. })) => {}
            Err(_) => remove_directories(&made, &mut RealDisk),
        }
        done
    }

    /// Makes the files of a backup those of the node again, all or none. What is replaced gets a backup too.
    ///
    /// # Errors
    /// [`ApplyError`], as for [`apply`](Self::apply).
    pub fn restore(
        &mut self,
        restoration: &Restoration,
        entropy: &mut dyn Entropy,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Done, ApplyError> {
        let purpose = Purpose::new(&format!("rollback {}", restoration.manifest().id));
        let mut made = Vec::new();
        let done = restoration
            .make_directories(self.node.root(), &mut RealDisk, &mut made)
            .map_err(ApplyError::from)
            .and_then(|()| self.replace(restoration.items(), purpose, entropy, observer));
        match &done {
            Ok(_) => {}
            // Its recovery looks for the files in these directories.
            Err(ApplyError::Disk(DiskError::Interrupted { .. } | DiskError::Unclosed { .. })) => {}
            Err(_) => Restoration::remove_directories(&made, &mut RealDisk),
        }
        done
    }

    /// Copies files of the node into a new backup, and reads it again.
    ///
    /// [`Scope::Changed`] takes every file of the catalogue that exists, but those that the kubelet rotates;
    /// [`Scope::Full`] also everything else in the directories of the kubeconfigs, the certificates and the manifests, and
    /// the kubelet's certificates.
    ///
    /// # Errors
    /// [`ApplyError`]; what was begun is removed.
    pub fn back_up(&mut self, scope: Scope, reason: &str) -> Result<Manifest, ApplyError> {
        self.back_up_with(scope, reason, |_, _| Ok(()))
    }

    /// Makes a backup to which `more` adds something.
    pub(crate) fn back_up_with<E: From<ApplyError>>(
        &mut self,
        scope: Scope,
        reason: &str,
        more: impl FnOnce(&mut Writer<'_, RealDisk>, &Snapshot) -> Result<(), E>,
    ) -> Result<Manifest, E> {
        let state = self.state();
        // Half of the files might be new and half old.
        must_be_closed(state, &RealDisk).map_err(ApplyError::from)?;
        let snapshot = self.node.scan().map_err(ApplyError::Scan)?;
        let now = now();
        let id = backup::sweep(state, &mut RealDisk).and_then(|()| state.new_id(now, &RealDisk));
        let id = id.map_err(ApplyError::from)?;
        let creation = Creation { id: id.clone(), now, reason: reason.to_owned(), scope };
        let made = self.fill(creation, &snapshot, more);
        if made.is_err() {
            // It has no manifest, so it is no backup; if it stays, the next one sweeps it away.
            let _ = backup::remove(&id, state, &mut RealDisk);
        }
        made
    }

    fn fill<E: From<ApplyError>>(
        &self,
        creation: Creation,
        snapshot: &Snapshot,
        more: impl FnOnce(&mut Writer<'_, RealDisk>, &Snapshot) -> Result<(), E>,
    ) -> Result<Manifest, E> {
        let mut disk = RealDisk;
        let scope = creation.scope;
        self.has_room(snapshot).map_err(ApplyError::from)?;
        let mut writer = Writer::begin(creation, self.state(), &mut disk).map_err(ApplyError::from)?;
        self.copy(scope, snapshot, &mut writer).map_err(ApplyError::from)?;
        more(&mut writer, snapshot)?;
        Ok(writer.finish().map_err(ApplyError::from)?)
    }

    /// Refuses to begin a backup without room for the files of the catalogue.
    fn has_room(&self, snapshot: &Snapshot) -> Result<(), DiskError> {
        let sizes = snapshot.layout().iter().filter_map(|(file, _)| match snapshot.file(file) {
            FileState::Present(content) => Some(content.secret_bytes().len() as u64),
            _ => None,
        });
        Writer::room(sizes, self.state(), self.node.root(), &RealDisk)
    }

    fn copy(
        &self,
        scope: Scope,
        snapshot: &Snapshot,
        writer: &mut Writer<'_, RealDisk>,
    ) -> Result<(), DiskError> {
        let root = self.node.root();
        if scope == Scope::Full {
            let Directories { certificates, kubeconfigs, manifests, kubelet, .. } =
                snapshot.node().directories();
            let kubelet = kubelet.join("pki").ok();
            for directory in [kubeconfigs, certificates, manifests].into_iter().chain(&kubelet) {
                writer.whole(directory, root)?;
            }
        }
        // The kubelet replaces its own file and moves the link to it: to write an old one through the link would be wrong.
        let by_kubelet = |file: FileSlot| matches!(file.slot(), Slot::KubeletClient | Slot::KubeletServing);
        let mut files = snapshot.layout().iter().filter(|(file, _)| !by_kubelet(*file));
        files.try_for_each(|(_, located)| writer.one(&located.path, root))
    }

    /// Removes all backups but the latest `keep`, and returns what was removed.
    ///
    /// # Errors
    /// As [`backup::prune`]; [`DiskError::JournalOpen`] when a run was interrupted.
    pub fn prune(&mut self, keep: usize) -> Result<Vec<String>, DiskError> {
        // The backup of the interrupted run may be needed yet.
        must_be_closed(self.state(), &RealDisk)?;
        backup::prune(keep, self.state(), &mut RealDisk)
    }

    pub(crate) fn replace(
        &mut self,
        items: Vec<Item<'_>>,
        purpose: Purpose,
        entropy: &mut dyn Entropy,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<Done, ApplyError> {
        self.scan = None;
        let mut token = [0; 8];
        entropy.fill(&mut token).map_err(ApplyError::Entropy)?;
        let request = Request { items, purpose, now: now(), token: u64::from_le_bytes(token) };
        Ok(transaction::replace(&request, self.node.root(), self.state(), &mut RealDisk, observer)?)
    }

    const fn state(&self) -> &'n State {
        self.node.state()
    }
}

/// Refuses to keep journals and backups where the kubelet looks for manifests, or right among certificates and kubeconfigs.
fn must_not_be_misplaced(state: &State, snapshot: &Snapshot, root: &Root) -> Result<(), DiskError> {
    let Directories { certificates, kubeconfigs, manifests, .. } = snapshot.node().directories();
    for directory in [manifests, certificates, kubeconfigs] {
        let Ok(resolved) = root.resolve(directory, &RealDisk) else { continue };
        let is_inside = directory == manifests && state.path().below(&resolved.tree).is_some();
        if is_inside || *state.path() == resolved.tree {
            return Err(DiskError::Misplaced { state: state.path().clone(), directory: directory.clone() });
        }
    }
    Ok(())
}

/// Returns the directories of all files that may be written and exist, on this machine.
fn directories(snapshot: &Snapshot, root: &Root) -> BTreeMap<PathBuf, TreePath> {
    let mut directories = BTreeMap::new();
    for (_, located) in snapshot.layout().iter() {
        let directory = located.path.parent();
        if let Ok(resolved) = root.resolve(&directory, &RealDisk)
            && resolved.existence == Existence::Present
        {
            directories.insert(resolved.host, directory);
        }
    }
    directories
}

/// Why the right to write could not be had. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// Another run has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Another tool is at work.
    #[error("{0} is at work on this control plane")]
    Rival(Rival),
    /// The node could not be scanned for what there is to lock.
    #[error("the tree could not be scanned")]
    Scan(#[source] NodeError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
