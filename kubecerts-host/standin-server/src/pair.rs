//! The certificate and the key that a component serves, and when it reads them again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::{Command, InvalidCommand, Mode};

/// A pair of files.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    pub(crate) fn of(
        command: &Command,
        certificate: &'static str,
        key: &'static str,
    ) -> Result<Self, InvalidCommand> {
        Ok(Self { certificate: command.file(certificate)?, key: command.file(key)? })
    }

    /// Returns the pair of the same file names in `directory`.
    fn beside(&self, directory: &Path) -> Self {
        let moved = |file: &Path| directory.join(file.file_name().unwrap_or_default());
        Self { certificate: moved(&self.certificate), key: moved(&self.key) }
    }

    fn read(&self) -> Result<Arc<CertifiedKey>, String> {
        let Self { certificate, key } = self;
        let unusable = |file: &Path, why: &dyn ToString| format!("{}: {}", file.display(), why.to_string());
        // Certificate before key, as Go's `tls.LoadX509KeyPair` reads them.
        let chain = certificates(certificate)?;
        let bytes = fs::read(key).map_err(|error| unusable(key, &error))?;
        let parsed = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unusable(key, &error))?;
        let signing = ring::sign::any_supported_type(&parsed).map_err(|error| unusable(key, &error))?;
        let pair = CertifiedKey::new(chain, signing);
        pair.keys_match().map_err(|_| unusable(key, &"tls: private key does not match public key"))?;
        Ok(Arc::new(pair))
    }
}

/// Returns the certificates in the PEM file `file`, at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |why: &dyn ToString| format!("{}: {}", file.display(), why.to_string());
    let bytes = fs::read(file).map_err(|error| unusable(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| unusable(&error))?;
    if found.is_empty() { Err(unusable(&"holds no certificate")) } else { Ok(found) }
}

/// A pair in use.
pub(crate) struct Serving {
    pair: Pair,
    habit: Habit,
    last: Mutex<Arc<CertifiedKey>>,
}

/// What is done about files that change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Habit {
    /// Nothing: the pair is kept until the restart.
    Holds,
    /// The pair is read again, and the old one kept while the new one cannot be used: the API server.
    KeepsOld,
    /// The pair is read again, and nothing served while it cannot be used: etcd.
    Fails,
}

impl Serving {
    /// Reads `pair`, which `modes` may replace, and serves it with `habit`, which they may change.
    pub(crate) fn start(pair: Pair, habit: Habit, modes: &[Mode]) -> Result<Self, String> {
        let (mut pair, mut habit) = (pair, habit);
        for mode in modes {
            match mode {
                Mode::Holds => habit = Habit::Holds,
                Mode::ServesOld(directory) if directory.is_dir() => {
                    pair = pair.beside(directory);
                    habit = Habit::Holds;
                }
                _ => {}
            }
        }
        let last = Mutex::new(pair.read()?);
        Ok(Self { pair, habit, last })
    }

    /// Returns what the next handshake shows.
    pub(crate) fn current(&self) -> Result<Arc<CertifiedKey>, String> {
        // A panic while the lock is held leaves a whole pair behind.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.habit != Habit::Holds {
            match self.pair.read() {
                Ok(pair) => *last = pair,
                Err(reason) if self.habit == Habit::Fails => return Err(reason),
                Err(_) => {}
            }
        }
        Ok(Arc::clone(&last))
    }
}
