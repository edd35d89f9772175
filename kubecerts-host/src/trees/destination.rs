//! Where trees go, and in which form.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kubecerts_core::catalog::DnsLabel;
use kubecerts_core::issue::{Change, ChangeSet, SecretManifest, cluster_api_secrets, kubeadm_secret};
use kubecerts_core::time::Timestamp;
use tar::{EntryType, Header};

use super::new_file::{NewFile, hidden_in, must_be_free};
use super::{TreesError, TreesEvent};
use crate::SystemEntropy;
use crate::hidden::remove_what_nobody_makes;
use crate::new_tree::make_parent;

/// What is made of a tree.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum TreeForm {
    /// Its files.
    #[default]
    Files,
    /// One Secret for each cluster, with every file: [`kubeadm_secret`].
    Secrets,
    /// The Secrets that Cluster API looks for: [`cluster_api_secrets`].
    ClusterApi,
}

impl TreeForm {
    /// Returns the documents for `cluster`; none of files.
    pub(super) fn manifests(
        self,
        cluster: &DnsLabel,
        namespace: Option<&DnsLabel>,
        files: &ChangeSet,
    ) -> Vec<SecretManifest> {
        match self {
            Self::Files => Vec::new(),
            Self::Secrets => vec![kubeadm_secret(cluster, namespace, files)],
            Self::ClusterApi => cluster_api_secrets(cluster, namespace, files),
        }
    }
}

/// Where trees go.
pub struct Destination<'a> {
    pub(super) form: TreeForm,
    pub(super) place: Place<'a>,
}

pub(super) enum Place<'a> {
    /// A directory, or a file of Secrets, for each cluster in this one.
    Directory(PathBuf),
    /// One file with all of them.
    File(PathBuf),
    /// One stream with all of them.
    Stream(&'a mut dyn Write),
}

impl std::fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match &self.place {
            Place::Directory(path) | Place::File(path) => path.display().to_string(),
            Place::Stream(_) => "a stream".to_owned(),
        };
        write!(f, "Destination({:?}, {place})", self.form)
    }
}

impl<'a> Destination<'a> {
    /// Returns the destination that `path` means: a name that ends with `.tar`, or for Secrets with `.yaml` or `.yml`, is that of one
    /// new file; any other one is that of a directory with a directory, or a file `NAME.yaml`, for each cluster.
    ///
    /// # Errors
    /// [`DestinationError`] when the ending is that of a file of another form.
    pub fn at(path: &Path, form: TreeForm) -> Result<Self, DestinationError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let is_archive = ending.eq_ignore_ascii_case("tar");
        let is_text = ["yaml", "yml"].iter().any(|known| ending.eq_ignore_ascii_case(known));
        let place = match (form, is_archive, is_text) {
            (TreeForm::Files, true, _) | (TreeForm::Secrets | TreeForm::ClusterApi, _, true) => {
                Place::File(path.to_owned())
            }
            (_, false, false) => Place::Directory(path.to_owned()),
            (TreeForm::Files, _, true) => {
                return Err(DestinationError { path: path.to_owned(), holds: "Secrets", form: "files" });
            }
            (_, true, _) => {
                return Err(DestinationError { path: path.to_owned(), holds: "files", form: "Secrets" });
            }
        };
        Ok(Self { form, place })
    }

    /// Returns one stream for all trees: an archive of files, or documents of YAML.
    #[must_use]
    pub fn stream(out: &'a mut dyn Write, form: TreeForm) -> Self {
        Self { form, place: Place::Stream(out) }
    }

    /// Returns whether every cluster has a place of its own, so that one can see later which are done.
    #[must_use]
    pub const fn has_one_place_each(&self) -> bool {
        matches!(self.place, Place::Directory(_))
    }
}

/// A path that does not go together with the form.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a file such as {} holds {holds}, and {form} are asked for", path.display())]
#[non_exhaustive]
pub struct DestinationError {
    /// The path.
    pub path: PathBuf,
    /// What such a file holds.
    pub holds: &'static str,
    /// What is asked for.
    pub form: &'static str,
}

/// The places of the clusters below one directory.
pub(super) struct Directory {
    path: PathBuf,
    form: TreeForm,
    /// What interrupted runs have left, by the cluster that it was for.
    left: BTreeMap<String, Vec<PathBuf>>,
}

impl Directory {
    pub(super) fn open(path: PathBuf, form: TreeForm) -> Result<Self, TreesError> {
        make_parent(&path)?;
        let left = hidden_in(&path);
        let left = left.map_err(|source| TreesError::Write { path: Some(path.clone()), source })?;
        Ok(Self { path, form, left })
    }

    /// Returns where the tree of `cluster` belongs.
    pub(super) fn place_of(&self, cluster: &DnsLabel) -> PathBuf {
        self.path.join(self.name_of(cluster))
    }

    fn name_of(&self, cluster: &DnsLabel) -> String {
        match self.form {
            TreeForm::Files => cluster.to_string(),
            TreeForm::Secrets | TreeForm::ClusterApi => format!("{cluster}.yaml"),
        }
    }

    /// Removes what an interrupted run has left of `cluster`: it holds keys that nobody will ever use.
    pub(super) fn remove_left(
        &mut self,
        cluster: &DnsLabel,
        observer: &mut dyn FnMut(TreesEvent<'_>),
    ) -> Result<(), TreesError> {
        remove(self.left.remove(&self.name_of(cluster)).unwrap_or_default(), observer)
    }
}

/// Removes those of `left` that nobody is at: another run may be making the same cluster.
fn remove(left: Vec<PathBuf>, observer: &mut dyn FnMut(TreesEvent<'_>)) -> Result<(), TreesError> {
    for path in left {
        let removed = remove_what_nobody_makes(&path);
        if removed.map_err(|source| TreesError::Write { path: Some(path.clone()), source })? {
            observer(TreesEvent::Removed(&path));
        }
    }
    Ok(())
}

/// Writes a file of Secrets for one cluster.
pub(super) fn write_manifests(path: &Path, manifests: &[SecretManifest]) -> io::Result<()> {
    let mut file = NewFile::create(path, &mut SystemEntropy::new())?;
    for manifest in manifests {
        file.write_all(manifest.secret_bytes())?;
    }
    file.finish()
}

/// One file or stream for all trees, in the order of the list. Nothing of a file is left unless it is finished.
pub(super) struct Collection<'a> {
    sink: Sink<'a>,
    path: Option<PathBuf>,
    form: TreeForm,
    made: Timestamp,
}

enum Sink<'a> {
    File(NewFile),
    Stream(&'a mut dyn Write),
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

impl<'a> Collection<'a> {
    /// Makes a new file, and removes what an interrupted run has left of it; files in an archive are from `made`.
    pub(super) fn in_file(
        path: PathBuf,
        form: TreeForm,
        made: Timestamp,
        observer: &mut dyn FnMut(TreesEvent<'_>),
    ) -> Result<Self, TreesError> {
        let failed = |source| TreesError::Write { path: Some(path.clone()), source };
        must_be_free(&path).map_err(failed)?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let mut left = hidden_in(above.unwrap_or_else(|| Path::new("."))).map_err(failed)?;
        let own = path.file_name().and_then(|name| name.to_str()).and_then(|name| left.remove(name));
        remove(own.unwrap_or_default(), observer)?;
        let file = NewFile::create(&path, &mut SystemEntropy::new()).map_err(failed)?;
        Ok(Self { sink: Sink::File(file), path: Some(path), form, made })
    }

    /// Takes a stream.
    pub(super) fn in_stream(stream: &'a mut dyn Write, form: TreeForm, made: Timestamp) -> Self {
        Self { sink: Sink::Stream(stream), path: None, form, made }
    }

    /// Returns whether it goes away unless it is finished.
    pub(super) const fn is_file(&self) -> bool {
        matches!(self.sink, Sink::File(_))
    }

    /// Appends the tree of `cluster`: its `files` to an archive, its `manifests` to a text.
    pub(super) fn append(
        &mut self,
        cluster: &DnsLabel,
        files: &ChangeSet,
        manifests: &[SecretManifest],
    ) -> Result<(), TreesError> {
        let appended = match self.form {
            TreeForm::Files => self.append_files(cluster, files),
            TreeForm::Secrets | TreeForm::ClusterApi => {
                manifests.iter().try_for_each(|manifest| self.sink.write_all(manifest.secret_bytes()))
            }
        };
        appended.map_err(|source| TreesError::Write { path: self.path.clone(), source })
    }

    /// Closes the file or the stream, which is whole by now.
    pub(super) fn finish(self) -> Result<(), TreesError> {
        let Self { mut sink, path, form, .. } = self;
        let end = if form == TreeForm::Files { &[0; 2 * BLOCK][..] } else { &[] };
        let finished = sink.write_all(end).and_then(|()| match sink {
            Sink::File(file) => file.finish(),
            Sink::Stream(stream) => stream.flush(),
        });
        finished.map_err(|source| TreesError::Write { path, source })
    }

    /// Appends the directories and files of one cluster, sorted by path.
    fn append_files(&mut self, cluster: &DnsLabel, files: &ChangeSet) -> io::Result<()> {
        for (path, change) in entries(cluster, files) {
            let (mode, bytes) = match change {
                Some(change) => (change.mode(), change.secret_bytes()),
                None => (DIRECTORY_MODE, &[][..]),
            };
            self.append_entry(&path, mode, bytes)?;
        }
        Ok(())
    }

    /// Appends one entry. The content goes out as it lies in memory: no copy of a key is left in a buffer.
    fn append_entry(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_path(path)?;
        header.set_entry_type(if path.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(self.made.unix()).unwrap_or_default());
        header.set_size(u64::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?);
        header.set_cksum();
        self.sink.write_all(header.as_bytes())?;
        self.sink.write_all(bytes)?;
        self.sink.write_all(&[0; BLOCK][..bytes.len().next_multiple_of(BLOCK) - bytes.len()])
    }
}

/// Returns the directories, which end with `/`, and the files of one cluster, by their paths in an archive.
fn entries<'a>(cluster: &DnsLabel, files: &'a ChangeSet) -> BTreeMap<String, Option<&'a Change>> {
    let mut entries = BTreeMap::from([(format!("{cluster}/"), None)]);
    for change in files.changes() {
        let path = format!("{cluster}{}", change.path());
        let above = path.match_indices('/').map(|(end, _)| format!("{}/", &path[..end]));
        entries.extend(above.map(|directory| (directory, None)));
        entries.insert(path, Some(change));
    }
    entries
}

/// Returns whether an archive can hold the paths of all directories and files of one cluster.
pub(super) fn fits_into_an_archive(cluster: &DnsLabel, files: &ChangeSet) -> bool {
    entries(cluster, files).keys().all(|path| Header::new_ustar().set_path(path).is_ok())
}

/// An archive is made of pieces of so many bytes (POSIX pax, `ustar`).
const BLOCK: usize = 512;

/// The mode that kubeadm gives to directories.
const DIRECTORY_MODE: u32 = 0o755;
