//! Certificates into one stream: a file, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kubecerts_core::x509::encode_certificate;
use rustix::fs::{FlockOperation, OFlags};
use serde::Serialize;

use super::{End, Made, Outcome, Sink, Stopped};

/// The form of a stream of requests or certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "blocks or lines")]
pub enum StreamForm {
    /// PEM blocks, one behind the other.
    Pem,
    /// A JSON object on each line: of a certificate its `position`, its `name` if it has one, and `certificate` in PEM.
    JsonLines,
}

/// A file of certificates, which belongs to one run at a time.
///
/// It grows by whole pieces, and every 16 MiB and at the end it is flushed to the disk. A process that is killed leaves whole
/// certificates and at most one that is cut off; a machine that loses power may lose what was written since the last flush.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    path: PathBuf,
    /// How much of it is kept. Whoever reads what a run before this one left moves the end.
    kept: Arc<KeptPart>,
    is_new: bool,
}

/// How much of what a run before this one left stays.
#[derive(Debug, Default)]
pub(super) struct KeptPart {
    /// Where the certificates end that requests were found for.
    pub(super) end: AtomicU64,
    /// Whether nothing but the beginning of a certificate is behind them.
    pub(super) is_whole: AtomicBool,
}

impl OutputFile {
    /// Makes a new file.
    ///
    /// # Errors
    /// The reason; `AlreadyExists` when there is something.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(path)?;
        Self::locked(file, path, true)
    }

    /// Opens the file that a run before this one left, or makes a new one. Nothing in it changes before a certificate is added.
    ///
    /// # Errors
    /// The reason; `WouldBlock` when another run writes to it.
    pub fn resume(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
            Ok(file) if file.metadata()?.is_file() => Self::locked(file, path, false),
            Ok(_) => Err(io::Error::other("it is not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error),
        }
    }

    fn locked(file: File, path: &Path, is_new: bool) -> io::Result<Self> {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { file, path: path.to_owned(), kept: Arc::default(), is_new })
    }

    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reader(&self) -> io::Result<(File, Arc<KeptPart>)> {
        Ok((self.file.try_clone()?, Arc::clone(&self.kept)))
    }
}

/// Puts certificates one behind the other into a stream.
pub struct StreamSink {
    form: StreamForm,
    place: PathBuf,
    target: Mutex<Target>,
}

enum Target {
    File { output: OutputFile, length: Option<u64>, unflushed: u64 },
    Stream(Box<dyn Write + Send>),
}

impl StreamSink {
    /// Returns a sink into `file`.
    #[must_use]
    pub fn into_file(file: OutputFile, form: StreamForm) -> Self {
        let place = file.path.clone();
        Self { form, place, target: Mutex::new(Target::File { output: file, length: None, unflushed: 0 }) }
    }

    /// Returns a sink into `stream`, which errors call `place`.
    #[must_use]
    pub fn into_stream(stream: Box<dyn Write + Send>, place: &str, form: StreamForm) -> Self {
        Self { form, place: PathBuf::from(place), target: Mutex::new(Target::Stream(stream)) }
    }

    /// Removes the file, if this run made it and nothing was written to it.
    ///
    /// # Errors
    /// The reason when it cannot be removed.
    pub fn remove_new(&self) -> io::Result<()> {
        match &*self.target.lock().unwrap_or_else(PoisonError::into_inner) {
            Target::File { output, .. } => remove_new(output).map(drop),
            Target::Stream(_) => Ok(()),
        }
    }

    fn failed(&self, error: &io::Error) -> Stopped {
        Stopped::Output { place: self.place.clone(), reason: error.to_string() }
    }
}

impl Sink for StreamSink {
    type Prepared = Vec<u8>;

    fn prepare(&self, outcomes: &[Outcome<'_>]) -> Result<Vec<u8>, Stopped> {
        let mut text = Vec::with_capacity(outcomes.len() * USUAL);
        for Outcome { position, name, made } in outcomes {
            let Ok(Made::Now(issued)) = made else { continue };
            if issued.key.is_some() {
                let reason = "a stream of certificates has no place for private keys".to_owned();
                return Err(Stopped::Output { place: self.place.clone(), reason });
            }
            let certificate = encode_certificate(issued.certificate);
            match self.form {
                StreamForm::Pem => text.extend_from_slice(certificate.as_bytes()),
                StreamForm::JsonLines => {
                    let line = Line { position: *position, name: *name, certificate: &certificate };
                    serde_json::to_writer(&mut text, &line).expect("numbers and texts are JSON");
                    text.push(b'\n');
                }
            }
        }
        Ok(text)
    }

    fn accept(&self, text: Vec<u8>) -> Result<(), Stopped> {
        if text.is_empty() {
            return Ok(());
        }
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *target {
            Target::Stream(stream) => stream.write_all(&text).and_then(|()| stream.flush()),
            Target::File { output, length, unflushed } => append(output, length, unflushed, &text),
        };
        written.map_err(|error| self.failed(&error))
    }

    fn finish(&self, end: &Result<End, Stopped>) -> Result<(), Stopped> {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let finished = match &mut *target {
            Target::Stream(stream) => stream.flush(),
            Target::File { output, length, .. } => close(output, *length, end),
        };
        finished.map_err(|error| self.failed(&error))
    }
}

impl std::fmt::Debug for StreamSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamSink({}, {:?})", self.place.display(), self.form)
    }
}

#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    certificate: &'a str,
}

/// Appends `text` behind what is kept. `length` is how long the file is, and unknown before the first time.
fn append(output: &OutputFile, length: &mut Option<u64>, unflushed: &mut u64, text: &[u8]) -> io::Result<()> {
    let mut file = &output.file;
    let end = match *length {
        Some(end) => end,
        None => cut(output)?,
    };
    *length = Some(end);
    if let Err(error) = file.write_all(text) {
        // A full disk leaves no half of a certificate either.
        let _ = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        return Err(error);
    }
    let written = text.len() as u64;
    *length = Some(end + written);
    *unflushed += written;
    if *unflushed >= FLUSHED {
        file.sync_data()?;
        *unflushed = 0;
    }
    Ok(())
}

/// Cuts off what is not kept, and returns how long the file is now.
fn cut(output: &OutputFile) -> io::Result<u64> {
    let mut file = &output.file;
    let kept = output.kept.end.load(Ordering::Relaxed);
    if file.metadata()?.len() != kept {
        file.set_len(kept)?;
    }
    file.seek(SeekFrom::Start(kept))
}

fn close(output: &OutputFile, length: Option<u64>, end: &Result<End, Stopped>) -> io::Result<()> {
    let is_complete = *end == Ok(End::Complete);
    if length.is_none() && !is_complete && remove_new(output)? {
        return Ok(());
    }
    // What a failure is about may be what is there. Otherwise a certificate that is cut off does not outlive the run.
    let is_whole = end.is_ok() && output.kept.is_whole.load(Ordering::Relaxed);
    if length.is_none() && (is_complete || is_whole) {
        cut(output)?;
    }
    output.file.sync_all()?;
    sync_directory_of(&output.path)
}

/// Removes a new file without a certificate, which would only stand in the way of the next run, unless somebody put another in its
/// place; returns whether it did.
fn remove_new(output: &OutputFile) -> io::Result<bool> {
    let own = output.file.metadata()?;
    let there = fs::symlink_metadata(&output.path);
    let is_own = there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()));
    let is_left = output.is_new && own.len() == 0 && is_own;
    if is_left {
        fs::remove_file(&output.path)?;
    }
    Ok(is_left)
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// The usual size of a certificate in PEM, in bytes; only a hint.
const USUAL: usize = 1024;

/// After so many bytes the file is flushed to the disk: some 15 000 certificates, which take a fraction of a second.
const FLUSHED: u64 = 16 << 20;
