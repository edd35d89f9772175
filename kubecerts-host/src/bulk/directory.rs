//! Requests and certificates in files of their own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kubecerts_core::x509::encode_certificate;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::input::LARGEST;
use super::{BulkRequest, Content, End, Made, Outcome, Prior, Shard, Sink, Stopped};
use crate::node::NodeError;
use crate::summary::rename_to_new;

/// The requests in a directory: its files `NAME.csr`, sorted by name.
#[derive(Debug)]
pub struct RequestDirectory {
    path: PathBuf,
    /// All names, without `.csr`, one behind the other: a million of them have to find room.
    names: String,
    /// Where each name begins, and where it ends.
    places: Vec<(u32, u32)>,
}

impl RequestDirectory {
    /// Lists the requests in the directory at `path`, without reading them.
    ///
    /// # Errors
    /// [`NodeError::File`] when it cannot be listed, or a name in it is no text.
    pub fn list(path: &Path) -> Result<Self, NodeError> {
        let failed = |source| NodeError::File { path: path.to_owned(), source };
        let (mut names, mut places) = (String::new(), Vec::new());
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(stem) = name.as_encoded_bytes().strip_suffix(b".csr") else { continue };
            let Ok(stem) = std::str::from_utf8(stem) else {
                let reason = format!("the name {} is not UTF-8", name.display());
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
            };
            let begin = names.len();
            names.push_str(stem);
            let place = u32::try_from(begin).ok().zip(u32::try_from(names.len()).ok());
            places.push(place.ok_or_else(|| failed(io::Error::other("the names fill more than 4 GiB")))?);
        }
        let name = |(begin, end): (u32, u32)| &names[begin as usize..end as usize];
        places.sort_unstable_by(|a, b| name(*a).cmp(name(*b)));
        Ok(Self { path: path.to_owned(), names, places })
    }

    /// Returns how many requests there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.places.len() as u64
    }

    fn name(&self, (begin, end): (u32, u32)) -> &str {
        &self.names[begin as usize..end as usize]
    }
}

/// Returns the requests of `directory`, each of which is read when its turn comes; with `certificates`, their certificates may be
/// there already.
pub fn requests_in<'a>(
    directory: &'a RequestDirectory,
    certificates: Option<&'a CertificateDirectory>,
) -> impl Iterator<Item = Result<BulkRequest, super::InputError>> + use<'a> {
    directory.places.iter().zip(1..).map(move |(place, position)| {
        let name = directory.name(*place);
        Ok(BulkRequest {
            position,
            name: Some(name.to_owned()),
            content: Content::File(directory.path.join(format!("{name}.csr"))),
            prior: certificates.map_or(Prior::None, |it| Prior::File(it.file(name))),
        })
    })
}

/// A directory for certificates: `NAME.crt` for `NAME.csr`.
#[derive(Debug)]
pub struct CertificateDirectory {
    path: PathBuf,
}

impl CertificateDirectory {
    /// Takes the directory at `path`, or makes it.
    ///
    /// # Errors
    /// [`NodeError::File`] when it cannot be made.
    pub fn open(path: &Path) -> Result<Self, NodeError> {
        let failed = |source| NodeError::File { path: path.to_owned(), source };
        DirBuilder::new().mode(0o755).recursive(true).create(path).map_err(failed)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Returns the first file that is where the certificate of one of `requests` belongs; with `shard`, of those that are its.
    ///
    /// # Errors
    /// [`NodeError::File`] when the directory cannot be listed.
    pub fn first_taken(
        &self,
        requests: &RequestDirectory,
        shard: Option<Shard>,
    ) -> Result<Option<PathBuf>, NodeError> {
        let failed = |source| NodeError::File { path: self.path.clone(), source };
        let mut first: Option<String> = None;
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".crt")) else { continue };
            let Ok(index) = requests.places.binary_search_by(|place| requests.name(*place).cmp(stem)) else {
                continue;
            };
            let is_own = shard.is_none_or(|shard| shard.has(index as u64 + 1));
            if is_own && first.as_deref().is_none_or(|first| stem < first) {
                first = Some(stem.to_owned());
            }
        }
        Ok(first.map(|stem| self.file(&stem)))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.crt"))
    }
}

/// Writes each certificate to a file of its own.
///
/// The files of a piece are written under temporary names and flushed to the disk together, and get their names when the turn of the
/// piece has come: no file is ever half a certificate, and none takes the place of another.
#[derive(Debug)]
pub struct DirectorySink<'a> {
    directory: &'a CertificateDirectory,
    /// What temporary names begin with, different for each part of a job.
    prefix: String,
    handle: File,
    _lock: PartLock,
}

impl<'a> DirectorySink<'a> {
    /// Returns a sink into `directory` for the part `shard` of a job, which belongs to it until it is dropped.
    ///
    /// # Errors
    /// [`NodeError::File`] when the directory cannot be opened, or with `WouldBlock` another run does the same part.
    pub fn new(directory: &'a CertificateDirectory, shard: Option<Shard>) -> Result<Self, NodeError> {
        let failed = |source| NodeError::File { path: directory.path.clone(), source };
        let handle = File::open(&directory.path).map_err(failed)?;
        let part = shard.map_or("0-1".to_owned(), |shard| format!("{}-{}", shard.index(), shard.count()));
        let path = directory.path.join(format!(".kubecerts-{part}.lock"));
        let lock = PartLock::take(&path).map_err(|source| NodeError::File { path, source })?;
        Ok(Self { directory, prefix: format!(".kubecerts-{part}-"), handle, _lock: lock })
    }

    /// Removes the temporary files that a run of the same part left when it was killed.
    ///
    /// # Errors
    /// [`NodeError::File`] when the directory cannot be listed, or a file not be removed.
    pub fn claim(self) -> Result<Self, NodeError> {
        let failed = |source| NodeError::File { path: self.directory.path.clone(), source };
        for entry in fs::read_dir(&self.directory.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_prefix(&self.prefix));
            let number = name.and_then(|name| name.strip_suffix(TEMPORARY));
            if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| NodeError::File { path, source })?;
            }
        }
        Ok(self)
    }

    fn write(&self, position: u64, content: &str) -> Result<PathBuf, Stopped> {
        let path = self.directory.path.join(format!("{}{position}{TEMPORARY}", self.prefix));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        match file.and_then(|mut file| file.write_all(content.as_bytes())) {
            Ok(()) => Ok(path),
            Err(error) => {
                if error.kind() != io::ErrorKind::AlreadyExists {
                    let _ = fs::remove_file(&path);
                }
                Err(stopped(&path, &error))
            }
        }
    }
}

/// The right to do one part of a job in a directory: a file that the kernel locks for a run, and unlocks when the run ends in whatever
/// way.
#[derive(Debug)]
struct PartLock {
    path: PathBuf,
    _file: File,
}

impl PartLock {
    fn take(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        loop {
            let file = options.open(path)?;
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            // A run that ended meanwhile has removed the file that it had locked.
            let own = file.metadata()?;
            match fs::symlink_metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => {
                    return Ok(Self { path: path.to_owned(), _file: file });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for PartLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The files of a piece before they have their names. Those that get none are removed.
#[derive(Debug)]
pub struct NewFiles(Vec<(PathBuf, PathBuf)>);

impl Drop for NewFiles {
    fn drop(&mut self) {
        for (temporary, _) in &self.0 {
            let _ = fs::remove_file(temporary);
        }
    }
}

impl Sink for DirectorySink<'_> {
    type Prepared = NewFiles;

    fn prepare(&self, outcomes: &[Outcome<'_>]) -> Result<NewFiles, Stopped> {
        let mut files = NewFiles(Vec::new());
        for Outcome { position, name, made } in outcomes {
            let Ok(Made::Now(issued)) = made else { continue };
            let (None, Some(name)) = (issued.key, name) else {
                let reason = "here is a place for certificates with a name and without a key".to_owned();
                return Err(Stopped::Output { place: self.directory.path.clone(), reason });
            };
            let temporary = self.write(*position, &encode_certificate(issued.certificate))?;
            files.0.push((temporary, self.directory.file(name)));
        }
        if !files.0.is_empty() {
            // One flush for all costs a hundredth of one for each.
            rustix::fs::syncfs(&self.handle).map_err(|error| stopped(&self.directory.path, &error.into()))?;
        }
        Ok(files)
    }

    fn accept(&self, mut files: NewFiles) -> Result<(), Stopped> {
        // What has its name is no longer this list's to remove.
        let mut rest = std::mem::take(&mut files.0).into_iter();
        while let Some((temporary, target)) = rest.next() {
            if let Err(error) = rename_to_new(&temporary, &target) {
                let stopped = stopped(&target, &error);
                files.0.push((temporary, target));
                files.0.extend(rest);
                return Err(stopped);
            }
        }
        Ok(())
    }

    fn finish(&self, _end: &Result<End, Stopped>) -> Result<(), Stopped> {
        self.handle.sync_all().map_err(|error| stopped(&self.directory.path, &error))
    }
}

fn stopped(place: &Path, error: &io::Error) -> Stopped {
    Stopped::Output { place: place.to_owned(), reason: error.to_string() }
}

/// Reads a file of a request or a certificate.
pub(super) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would keep a thread waiting for ever.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} KiB", LARGEST / 1024)));
    }
    Ok(bytes)
}

const TEMPORARY: &str = ".tmp";
