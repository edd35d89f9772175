//! Everything below a directory.

use std::path::Path;

use kubecerts_core::path::TreePath;

use super::super::journal::PREFIX;
use super::super::{Disk, DiskError, Existence, Kind, Operation, Root, Stat};
use super::{BACKUP_FILE_LIMIT, Writer};

impl<D: Disk> Writer<'_, D> {
    /// Adds `directory` with everything below it, sorted by path; one that does not exist adds nothing.
    ///
    /// Links are noted and not followed, unless `directory` itself is reached through one. What is neither file, directory
    /// nor link, and files over the limit, are noted as left out. Temporary files of ours and `except` are not mentioned.
    ///
    /// # Errors
    /// [`DiskError::Refused`] when something cannot be read, else as for every file.
    pub fn whole(&mut self, directory: &TreePath, except: &TreePath, root: &Root) -> Result<(), DiskError> {
        let refused = |problem| DiskError::Refused { path: directory.clone(), problem };
        let resolved = root.resolve(directory, &*self.disk).map_err(refused)?;
        if resolved.existence != Existence::Present {
            return Ok(());
        }
        self.below(directory, &resolved.host, except, 0)
    }

    /// Adds the file `path` through all links, unless it is in the backup already or does not exist.
    ///
    /// # Errors
    /// As [`whole`](Self::whole).
    pub fn one(&mut self, path: &TreePath, root: &Root) -> Result<(), DiskError> {
        let refused = |problem| DiskError::Refused { path: path.clone(), problem };
        let resolved = root.resolve(path, &*self.disk).map_err(refused)?;
        if self.holds(path) || self.holds(&resolved.tree) {
            return Ok(());
        }
        let failed =
            |source| DiskError::Replace { path: path.clone(), operation: Operation::Inspect, source };
        match self.disk.stat(&resolved.host).map_err(failed)? {
            Some(stat) => self.regular(path, &resolved.host, stat),
            None => Ok(()),
        }
    }

    fn below(
        &mut self,
        path: &TreePath,
        host: &Path,
        except: &TreePath,
        depth: usize,
    ) -> Result<(), DiskError> {
        let failed = |operation| move |source| DiskError::Replace { path: path.clone(), operation, source };
        if path == except || path.file_name().starts_with(PREFIX) || self.holds(path) {
            return Ok(());
        }
        let Some(stat) = self.disk.stat(host).map_err(failed(Operation::Inspect))? else { return Ok(()) };
        match stat.kind {
            Kind::Directory if depth > MAX_DEPTH => {
                self.skip(path, format!("more than {MAX_DEPTH} directories deep"));
            }
            Kind::Directory => {
                self.directory(path, stat.mode, stat.owner);
                for name in self.disk.list(host).map_err(failed(Operation::List))? {
                    match name.to_str().and_then(|name| path.join(name).ok()) {
                        Some(entry) => self.below(&entry, &host.join(&name), except, depth + 1)?,
                        None => self.skip(path, format!("the name of its entry {name:?} is no text")),
                    }
                }
            }
            Kind::Link => {
                let target = self.disk.read_link(host).map_err(failed(Operation::Read))?;
                self.link(path, target.to_string_lossy().into_owned());
            }
            Kind::File => self.regular(path, host, stat)?,
            other => self.skip(path, format!("it is a {}", other.name())),
        }
        Ok(())
    }

    fn regular(&mut self, path: &TreePath, host: &Path, stat: Stat) -> Result<(), DiskError> {
        if stat.size > BACKUP_FILE_LIMIT {
            self.skip(
                path,
                format!("{} bytes are more than the {BACKUP_FILE_LIMIT} that are taken", stat.size),
            );
            return Ok(());
        }
        let refused = |problem| DiskError::Refused { path: path.clone(), problem };
        let Some(found) = self.disk.read(host, BACKUP_FILE_LIMIT).map_err(refused)? else { return Ok(()) };
        let labels = self.disk.labels(host).map_err(|source| DiskError::Replace {
            path: path.clone(),
            operation: Operation::ReadLabels,
            source,
        })?;
        self.file(path, &found.into_content(None), &labels)
    }
}

/// How many directories deep a tree may be: kubeadm's is three.
const MAX_DEPTH: usize = 16;
