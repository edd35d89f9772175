//! The operations, with the meaning that Linux gives them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use kubecerts_core::digest::Digest;
use kubecerts_core::secret::SecretBytes;
use kubecerts_core::snapshot::ReadProblem;

use super::fault::{Change, Struck};
use super::tree::{Body, Facts, Inode, Node, Place, Step};
use super::{Errno, SimDisk};
use crate::disk::{Disk, Found, Held, Kind, Labels, Owner, Space, Stat};

/// A file that was opened for writing; void after a crash.
#[derive(Debug)]
pub struct SimFile {
    inode: Inode,
    boot: u64,
    path: PathBuf,
}

impl Disk for SimDisk {
    type File = SimFile;

    fn is_privileged(&self) -> bool {
        self.process.uid == 0
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.script.read()?;
        let Some(inode) = self.live.find(path)? else { return Ok(None) };
        Ok(Some(self.live.node(inode)?.stat(inode)))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.script.read()?;
        match &self.existing(path)?.1.body {
            Body::Link(target) => Ok(target.clone()),
            _ => Err(Errno::Invalid.into()),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.script.read()?;
        let entries = self.live.entries(self.existing(directory)?.0)?;
        Ok(entries.keys().map(|name| (**name).to_owned()).collect())
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Option<Found>, ReadProblem> {
        let Some(stat) = self.stat(path).map_err(|error| problem(&error))? else { return Ok(None) };
        let body = self.live.node(Inode(stat.inode)).map(|node| &node.body);
        let Ok(Body::File(bytes)) = body else {
            return Err(ReadProblem::NotAFile(stat.kind.name().to_owned()));
        };
        if stat.size > limit {
            return Err(ReadProblem::TooLarge { size: stat.size, limit });
        }
        Ok(Some(Found { content: SecretBytes::new(bytes.to_vec()), stat }))
    }

    fn digest(&self, path: &Path) -> Result<Option<(u64, Digest)>, ReadProblem> {
        let found = self.read(path, u64::MAX)?;
        Ok(found.map(|found| (found.stat.size, Digest::of(found.content.secret_bytes()))))
    }

    fn labels(&self, path: &Path) -> io::Result<Labels> {
        self.script.read()?;
        let (_, node) = self.existing(path)?;
        match node.kind() {
            Kind::Link => Err(Errno::Loop.into()),
            _ => Ok((*node.facts.labels).clone()),
        }
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        self.script.read()?;
        self.existing(directory)?;
        Ok(Space { bytes: self.room().unwrap_or(self.space.bytes), ..self.space })
    }

    fn hold(&self, directory: &Path) -> io::Result<Held> {
        self.script.read()?;
        let mut path = PathBuf::new();
        let mut way = Vec::new();
        for component in directory.components() {
            path.push(component);
            let (inode, node) = self.existing(&path)?;
            if node.kind() != Kind::Directory
                || !matches!(component, Component::RootDir | Component::Normal(_))
            {
                return Err(Errno::NotADirectory.into());
            }
            way.push((path.clone(), node.stat(inode)));
        }
        Ok(Held::plain(path, way))
    }

    fn create(&mut self, path: &Path) -> io::Result<SimFile> {
        self.script.change(Change::Create, path)?;
        let inode = self.make(path, Body::File(Arc::default()), 0o600)?;
        Ok(SimFile { inode, boot: self.boot, path: path.to_owned() })
    }

    fn append(&mut self, path: &Path) -> io::Result<SimFile> {
        self.script.change(Change::Append, path)?;
        let (inode, node) = self.existing(path)?;
        match node.kind() {
            Kind::File => Ok(SimFile { inode, boot: self.boot, path: path.to_owned() }),
            Kind::Directory => Err(Errno::IsADirectory.into()),
            Kind::Link => Err(Errno::Loop.into()),
            _ => Err(Errno::Invalid.into()),
        }
    }

    fn create_directory(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.script.change(Change::CreateDirectory, path)?;
        self.make(path, Body::Directory(BTreeMap::new()), mode)?;
        Ok(())
    }

    fn owner(&self, file: &SimFile) -> io::Result<Owner> {
        self.script.read()?;
        Ok(self.open(file)?.facts.owner)
    }

    fn set_owner(&mut self, owner: Owner, file: &SimFile) -> io::Result<()> {
        self.script.change(Change::SetOwner, &file.path)?;
        let facts = self.open(file)?.facts.clone();
        if !self.is_privileged() && owner != facts.owner {
            return Err(Errno::NotPermitted.into());
        }
        // Linux takes the right to run as the owner away.
        let mode = facts.mode & !0o6000;
        self.step(Step::Facts { inode: file.inode, facts: Facts { owner, mode, ..facts } });
        Ok(())
    }

    fn set_labels(&mut self, labels: &Labels, file: &SimFile) -> io::Result<()> {
        self.script.change(Change::SetLabels, &file.path)?;
        let facts = Facts { labels: Arc::new(labels.clone()), ..self.open(file)?.facts.clone() };
        self.step(Step::Facts { inode: file.inode, facts });
        Ok(())
    }

    fn set_mode(&mut self, mode: u32, file: &SimFile) -> io::Result<()> {
        self.script.change(Change::SetMode, &file.path)?;
        let facts = Facts { mode: mode & 0o7777, ..self.open(file)?.facts.clone() };
        self.step(Step::Facts { inode: file.inode, facts });
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8], file: &mut SimFile) -> io::Result<()> {
        let struck = self.script.change(Change::Write, &file.path);
        self.open(file)?;
        let half = &bytes[..bytes.len() / 2];
        match struck {
            Ok(()) => Ok(self.write(bytes, file.inode)?),
            Err(Struck::Crash | Struck::Failure(Errno::Io | Errno::NoSpace)) => {
                // A disk that is fuller than the script thinks takes less still.
                let _ = self.write(half, file.inode);
                Ok(struck?)
            }
            Err(struck) => Err(struck.into()),
        }
    }

    fn sync(&mut self, file: &SimFile) -> io::Result<()> {
        let struck = self.script.change(Change::Sync, &file.path);
        self.open(file)?;
        match struck {
            Ok(()) => self.medium.sync_file(file.inode),
            Err(Struck::Failure(_)) => self.medium.fail_to_sync(file.inode),
            Err(Struck::Crash | Struck::Down) => {}
        }
        Ok(struck?)
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.script.change(Change::Link, to)?;
        let (inode, node) = self.existing(from)?;
        let Place { directory, name } = self.live.place(to)?;
        if self.live.entry(directory, &name)?.is_some() {
            return Err(Errno::Exists.into());
        }
        if node.device != self.live.node(directory)?.device {
            return Err(Errno::CrossDevice.into());
        }
        if node.kind() == Kind::Directory {
            return Err(Errno::NotPermitted.into());
        }
        self.step(Step::Enter { directory, name, inode });
        Ok(())
    }

    fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        self.script.change(Change::Symlink, path)?;
        self.make(path, Body::Link(target.to_owned()), 0o777)?;
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let is_new = matches!(self.live.find(to), Ok(None));
        self.script.change(Change::Rename { is_new }, to)?;
        let (inode, node) = self.existing(from)?;
        let place = self.live.place(to)?;
        if let Some(replaced) = self.live.entry(place.directory, &place.name)? {
            // POSIX wants nothing done for two names of one file; both stay.
            if replaced == inode {
                return Ok(());
            }
            match (node.kind(), self.live.node(replaced)?.kind()) {
                (Kind::Directory, Kind::Directory) => self.must_be_empty(replaced)?,
                (Kind::Directory, _) => return Err(Errno::NotADirectory.into()),
                (_, Kind::Directory) => return Err(Errno::IsADirectory.into()),
                _ => {}
            }
        }
        Ok(self.move_entry(from, to)?)
    }

    fn rename_new(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.script.change(Change::RenameNew, to)?;
        self.existing(from)?;
        match self.live.find(to)? {
            Some(_) => Err(Errno::Exists.into()),
            None => Ok(self.move_entry(from, to)?),
        }
    }

    fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        self.script.change(Change::SyncDirectory, directory)?;
        let (inode, _) = self.existing(directory)?;
        self.live.entries(inode)?;
        self.medium.sync_directory(inode);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.script.change(Change::Remove, path)?;
        if self.existing(path)?.1.kind() == Kind::Directory {
            return Err(Errno::IsADirectory.into());
        }
        Ok(self.leave(path)?)
    }

    fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        self.script.change(Change::RemoveDirectory, path)?;
        self.must_be_empty(self.existing(path)?.0)?;
        Ok(self.leave(path)?)
    }
}

impl SimDisk {
    fn make(&mut self, path: &Path, body: Body, mode: u32) -> Result<Inode, Errno> {
        let place = self.live.place(path)?;
        if self.live.entry(place.directory, &place.name)?.is_some() {
            return Err(Errno::Exists);
        }
        if self.room().is_some_and(|room| room < self.block()) {
            return Err(Errno::NoSpace);
        }
        let node = self.new_node(&place, body, mode);
        let inode = self.add(node);
        self.step(Step::Enter { directory: place.directory, name: place.name, inode });
        Ok(inode)
    }

    fn write(&mut self, bytes: &[u8], inode: Inode) -> Result<(), Errno> {
        let Body::File(old) = &self.live.node(inode)?.body else { return Err(Errno::BadHandle) };
        let length = match self.room() {
            Some(room) => {
                let blocks = self.blocks(old.len() as u64) + room / self.block();
                let free = (blocks * self.block()).saturating_sub(old.len() as u64);
                usize::try_from(free).map_or(bytes.len(), |free| free.min(bytes.len()))
            }
            None => bytes.len(),
        };
        let new = [old, &bytes[..length]].concat().into();
        self.clock += 1;
        self.step(Step::Content { inode, bytes: new, modified: self.clock });
        if length < bytes.len() { Err(Errno::NoSpace) } else { Ok(()) }
    }

    fn move_entry(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (inode, node) = self.existing(from)?;
        let (origin, target) = (self.live.place(from)?, self.live.place(to)?);
        if node.device != self.live.node(target.directory)?.device {
            return Err(Errno::CrossDevice);
        }
        // No link is followed, so that the names alone tell whether a directory would end up in itself.
        if to.starts_with(from) {
            return Err(Errno::Invalid);
        }
        self.step(Step::Move { from: origin, to: target, inode });
        Ok(())
    }

    fn leave(&mut self, path: &Path) -> Result<(), Errno> {
        let Place { directory, name } = self.live.place(path)?;
        self.step(Step::Leave { directory, name });
        Ok(())
    }

    fn must_be_empty(&self, directory: Inode) -> Result<(), Errno> {
        match self.live.entries(directory)?.is_empty() {
            true => Ok(()),
            false => Err(Errno::NotEmpty),
        }
    }

    fn existing(&self, path: &Path) -> Result<(Inode, &Node), Errno> {
        let inode = self.live.find(path)?.ok_or(Errno::NotFound)?;
        Ok((inode, self.live.node(inode)?))
    }

    fn open(&self, file: &SimFile) -> io::Result<&Node> {
        if file.boot != self.boot {
            return Err(io::Error::other("the machine went down after the file was opened"));
        }
        Ok(self.live.node(file.inode)?)
    }
}

fn problem(error: &io::Error) -> ReadProblem {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ReadProblem::PermissionDenied,
        _ => ReadProblem::Failed(error.to_string()),
    }
}
