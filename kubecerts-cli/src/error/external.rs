//! What can go wrong with an authority elsewhere.

use std::io::ErrorKind;
use std::path::Path;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::external::manifest::InvalidManifest;
use kubecerts_core::issue::external::{Gravity, Import, ImportError, RequestError};
use kubecerts_core::issue::sign::{SigningError, SigningRefusal};
use kubecerts_core::plan::Reason;
use kubecerts_host::NodeError;

use super::CommandError;
use crate::exit::Exit;

impl CommandError {
    /// Returns the refusal of a file that is no manifest.
    pub(crate) fn of_manifest(error: &InvalidManifest, file: &Path) -> Self {
        Self::refused(format!("{} is not a manifest of requests: {error}", file.display()))
            .with_hint("nothing was changed; use the manifest.json that `kubecerts csr` wrote, as it was")
    }

    /// Returns why nothing was installed.
    pub(crate) fn of_import(error: &ImportError, import: &Import) -> Self {
        let plain = Self::chain(error);
        let is_dangerous = import.refusals().any(|deviation| deviation.gravity == Gravity::Dangerous);
        match error {
            ImportError::Refused(_) => {
                let exit = if is_dangerous { Exit::Refused } else { Exit::Inconsistent };
                Self { exit, ..plain }
                    .with_hint("nothing was changed; send the requests again with manifest.json, which says what is needed")
                    .with_hint("`kubecerts inspect FILE` says what a certificate holds")
            }
            ImportError::NotAllowed(permissions) => {
                let names: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                Self { exit: Exit::Refused, ..plain }.with_hint(format!(
                    "nothing was changed; if it is meant, say: --allow-change {}",
                    names.join(",")
                ))
            }
            ImportError::Incomplete(_) => Self { exit: Exit::Incomplete, ..plain }
                .with_hint("nothing was changed; name all files of the authority with --certificates PATH…")
                .with_hint("or install what there is with --partial"),
            ImportError::Issue(_) => Self { exit: Exit::Refused, ..plain }.with_hint("nothing was changed"),
            _ => plain.with_hint("nothing was changed; see what is there with: kubecerts check"),
        }
    }

    /// Returns why a directory cannot be made.
    pub(crate) fn of_new_directory(error: NodeError, directory: &Path) -> Self {
        match &error {
            NodeError::File { path, source } if path == directory => match source.kind() {
                ErrorKind::AlreadyExists => {
                    Self::refused(format!("the directory {} is not empty", path.display()))
                        .with_hint("nothing was made; name a directory that is new or empty with --out DIR")
                }
                ErrorKind::NotADirectory => Self::refused(format!("{} is not a directory", path.display()))
                    .with_hint("nothing was made; name a directory that is new or empty with --out DIR"),
                _ => error.into(),
            },
            _ => error.into(),
        }
    }

    /// Returns why an authority can sign nothing.
    pub(crate) fn of_signing(error: SigningError, ca: CaSlot) -> Self {
        let plain = Self::chain(&error);
        match error {
            SigningError::Authority(reason) => {
                let incomplete = Self { exit: Exit::Incomplete, ..plain };
                match reason {
                    Reason::ExternalAuthority(_) => {
                        incomplete.with_hint(format!("run it where the key of {ca} is kept"))
                    }
                    _ => incomplete.with_hint("see what is wrong with: kubecerts check"),
                }
            }
            SigningError::Issue(error) => error.into(),
            _ => plain.with_hint("nothing was signed"),
        }
    }

    /// Returns why the request `name` is not signed.
    pub(crate) fn of_refusal(refusal: &SigningRefusal, name: &str) -> Self {
        let Self { message, .. } = Self::chain(refusal);
        Self::refused(format!("{name}: {message}"))
    }
}

impl From<RequestError> for CommandError {
    fn from(error: RequestError) -> Self {
        let plain = Self::chain(&error);
        plain.with_hint("nothing was written; try again")
    }
}
