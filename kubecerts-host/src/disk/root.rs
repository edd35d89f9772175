//! From the paths of the node to files of this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kubecerts_core::path::TreePath;
use kubecerts_core::snapshot::ReadProblem;

use super::{Disk, DiskError, Kind};

/// The directory under which the node's paths are looked up; `/` on the node itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Root {
    host: PathBuf,
}

impl Root {
    /// Takes an existing directory as the root; links in `directory` itself are resolved now, once.
    ///
    /// # Errors
    /// [`DiskError::Root`] when `directory` does not exist, is not a directory or cannot be reached.
    pub fn new(directory: &Path) -> Result<Self, DiskError> {
        let canonical = |directory: &Path| {
            let host = directory.canonicalize()?;
            match fs::metadata(&host)?.is_dir() {
                true => Ok(host),
                false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
            }
        };
        match canonical(directory) {
            Ok(host) => Ok(Self { host }),
            Err(source) => Err(DiskError::Root { path: directory.to_owned(), source }),
        }
    }

    /// Takes a directory that is known to exist, and to be reached without links; for disks in memory.
    #[must_use]
    pub const fn assumed(host: PathBuf) -> Self {
        Self { host }
    }

    /// Returns the directory, free of links.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.host
    }

    /// Returns the file behind `path` after all links, the last component included.
    ///
    /// Links are followed as the node itself would: absolute targets start at the root, not at `/` of this
    /// machine. A path that does not exist is a result, not a problem; see [`Resolved::existence`].
    ///
    /// # Errors
    /// [`ReadProblem::LeavesRoot`] when a link climbs above the root, or is absolute and the directory of its target is not in
    /// the root; [`ReadProblem::DanglingLink`] when any other link leads nowhere; [`ReadProblem::LinkLoop`]
    /// after 40 links; [`ReadProblem::PermissionDenied`] when a directory on the way may not be searched.
    pub fn resolve(&self, path: &TreePath, disk: &impl Disk) -> Result<Resolved, ReadProblem> {
        let top = TreePath::parse("/").map_err(|error| ReadProblem::Failed(error.to_string()))?;
        let mut at = top.clone();
        let mut links: Vec<Link> = Vec::new();
        let mut followed = 0;
        // The next name is the last one, so that a link's target is put in its place by `extend`.
        let mut names: Vec<String> = path.parts().rev().map(str::to_owned).collect();

        while let Some(name) = names.pop() {
            links.retain(|link| link.rest <= names.len());
            if name == ".." {
                match links.last() {
                    Some(link) if at == top && !self.is_whole_machine() => return Err(link.leaves_root()),
                    // The root of a machine is its own parent, to the kernel and to `TreePath::parent`.
                    _ => at = at.parent(),
                }
                continue;
            }
            let next = at.join(&name).map_err(|error| ReadProblem::Failed(error.to_string()))?;
            let host = self.host(&next);
            let Some(stat) = disk.stat(&host).map_err(|error| problem(&error))? else {
                if let Some(problem) = self.nowhere(&links, names.len()) {
                    return Err(problem);
                }
                let existence = if names.is_empty() { Existence::Absent } else { Existence::NoDirectory };
                let tree = names.iter().rev().try_fold(next, |tree, name| tree.join(name));
                let tree = tree.map_err(|error| ReadProblem::Failed(error.to_string()))?;
                return Ok(Resolved { host: self.host(&tree), tree, existence });
            };
            if stat.kind == Kind::Link {
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(ReadProblem::LinkLoop);
                }
                let target = disk.read_link(&host).map_err(|error| problem(&error))?;
                let Some(target) = target.to_str() else {
                    return Err(ReadProblem::Failed(format!("the target of the link {next} is not UTF-8")));
                };
                let link = Link { rest: names.len(), path: next, target: target.to_owned() };
                if link.is_absolute() {
                    at = top.clone();
                }
                names.extend(
                    target.split('/').rev().filter(|name| !matches!(*name, "" | ".")).map(str::to_owned),
                );
                links.push(link);
                continue;
            }
            if !names.is_empty() && stat.kind != Kind::Directory {
                return Err(ReadProblem::Failed(format!("{next} is not a directory")));
            }
            at = next;
        }
        Ok(Resolved { host: self.host(&at), tree: at, existence: Existence::Present })
    }

    /// Returns the entry `path` itself, in the directory behind all links.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve), for the directory.
    pub(super) fn entry(&self, path: &TreePath, disk: &impl Disk) -> Result<Resolved, ReadProblem> {
        if path.parts().next().is_none() {
            return Err(ReadProblem::NotAFile("directory".to_owned()));
        }
        let Resolved { host, tree, existence } = self.resolve(&path.parent(), disk)?;
        let tree = tree.join(path.file_name()).map_err(|error| ReadProblem::Failed(error.to_string()))?;
        let existence = match existence {
            Existence::Present => Existence::Present,
            Existence::Absent | Existence::NoDirectory => Existence::NoDirectory,
        };
        Ok(Resolved { host: host.join(path.file_name()), tree, existence })
    }

    /// Returns what is wrong when a name does not exist that these links, innermost last, lead to, and before which so many names
    /// are left.
    fn nowhere(&self, links: &[Link], left: usize) -> Option<ReadProblem> {
        let innermost = links.last()?;
        // On the node the target may well exist, but outside what was mounted here. Not so where all but the file itself is here:
        // the kubelet's links are absolute, and into their own directory.
        let is_beside = left == 0 && innermost.rest == 0;
        let outside = links.iter().rev().find(|link| link.is_absolute());
        let outside = outside.filter(|_| !is_beside && !self.is_whole_machine());
        Some(match outside {
            Some(link) => link.leaves_root(),
            None => {
                ReadProblem::DanglingLink { link: innermost.path.clone(), target: innermost.target.clone() }
            }
        })
    }

    /// Returns whether nothing of this machine is outside.
    fn is_whole_machine(&self) -> bool {
        self.host == Path::new("/")
    }

    /// Returns where `tree`, in which no component is a link, lies on this machine.
    pub(super) fn host(&self, tree: &TreePath) -> PathBuf {
        let mut host = self.host.clone();
        host.extend(tree.parts());
        host
    }
}

/// Where a path leads.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Resolved {
    /// The file on this machine; no component is a link.
    pub host: PathBuf,
    /// The same file as the node would write it.
    pub tree: TreePath,
    /// Whether there is something.
    pub existence: Existence,
}

/// Whether there is something at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a path exists, could be created, or could not")]
pub enum Existence {
    /// There is something, of any type.
    Present,
    /// There is nothing, in a directory that exists.
    Absent,
    /// The directory does not exist either.
    NoDirectory,
}

/// Returns the problem that an error of the operating system amounts to.
pub(super) fn problem(error: &io::Error) -> ReadProblem {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ReadProblem::PermissionDenied,
        _ => ReadProblem::Failed(error.to_string()),
    }
}

/// A link that was followed.
struct Link {
    /// How many names were left behind the link; while more are left than that, its target is being walked.
    rest: usize,
    path: TreePath,
    target: String,
}

impl Link {
    fn is_absolute(&self) -> bool {
        self.target.starts_with('/')
    }

    fn leaves_root(&self) -> ReadProblem {
        ReadProblem::LeavesRoot { link: self.path.clone(), target: self.target.clone() }
    }
}

/// How many links one path may lead through: Linux's own limit, `MAXSYMLINKS`.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::RealDisk;
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn world() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/kubernetes/ssl")).unwrap();
        fs::write(dir.path().join("etc/kubernetes/ssl/ca.crt"), "ca").unwrap();
        let root = Root::new(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn the_root_must_be_a_directory() {
        let (dir, _) = world();
        for name in ["missing", "etc/kubernetes/ssl/ca.crt"] {
            assert!(matches!(Root::new(&dir.path().join(name)), Err(DiskError::Root { .. })), "{name}");
        }
    }

    #[test]
    fn a_linked_directory_is_followed_in_place() {
        let (dir, root) = world();
        symlink("ssl", dir.path().join("etc/kubernetes/pki")).unwrap();
        let found = root.resolve(&path("/etc/kubernetes/pki/ca.crt"), &RealDisk).unwrap();
        assert_eq!(found.tree, path("/etc/kubernetes/ssl/ca.crt"));
        assert_eq!(found.host, root.directory().join("etc/kubernetes/ssl/ca.crt"));
        assert_eq!(found.existence, Existence::Present);
    }

    #[test]
    fn a_missing_file_behind_a_linked_directory_is_absent_not_dangling() {
        let (dir, root) = world();
        symlink("ssl", dir.path().join("etc/kubernetes/pki")).unwrap();
        let found = root.resolve(&path("/etc/kubernetes/pki/new.crt"), &RealDisk).unwrap();
        assert_eq!((found.tree, found.existence), (path("/etc/kubernetes/ssl/new.crt"), Existence::Absent));
        let found = root.resolve(&path("/etc/kubernetes/pki/etcd/ca.crt"), &RealDisk).unwrap();
        assert_eq!(
            (found.tree, found.existence),
            (path("/etc/kubernetes/ssl/etcd/ca.crt"), Existence::NoDirectory)
        );
    }

    #[test]
    fn absolute_links_start_at_the_root() {
        let (dir, root) = world();
        symlink("/etc/kubernetes/./ssl/", dir.path().join("etc/pki")).unwrap();
        assert_eq!(
            root.resolve(&path("/etc/pki/ca.crt"), &RealDisk).unwrap().tree,
            path("/etc/kubernetes/ssl/ca.crt")
        );
    }

    #[test]
    fn links_out_of_the_root_are_refused() {
        let (dir, root) = world();
        for target in ["../../..", "../../../etc", "/nowhere/pki", "/../etc", "ssl/../../../../etc"] {
            let link = dir.path().join("etc/kubernetes/out");
            symlink(target, &link).unwrap();
            let expected =
                ReadProblem::LeavesRoot { link: path("/etc/kubernetes/out"), target: target.to_owned() };
            assert_eq!(
                root.resolve(&path("/etc/kubernetes/out/passwd"), &RealDisk),
                Err(expected),
                "{target}"
            );
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn an_absolute_link_to_nothing_in_a_directory_of_the_root_dangles() {
        let (dir, root) = world();
        let target = "/etc/kubernetes/ssl/gone.pem";
        symlink(target, dir.path().join("etc/kubernetes/ssl/current.pem")).unwrap();
        let link = path("/etc/kubernetes/ssl/current.pem");
        let expected = ReadProblem::DanglingLink { link: link.clone(), target: target.to_owned() };
        assert_eq!(root.resolve(&link, &RealDisk), Err(expected));
    }

    #[test]
    fn a_relative_link_to_nothing_dangles() {
        let (dir, root) = world();
        symlink("middle", dir.path().join("etc/first")).unwrap();
        symlink("kubernetes/gone", dir.path().join("etc/middle")).unwrap();
        let expected =
            ReadProblem::DanglingLink { link: path("/etc/middle"), target: "kubernetes/gone".to_owned() };
        assert_eq!(root.resolve(&path("/etc/first"), &RealDisk), Err(expected.clone()));
        assert_eq!(root.resolve(&path("/etc/first/ca.crt"), &RealDisk), Err(expected));
    }

    #[test]
    fn on_the_machine_itself_an_absolute_link_to_nothing_only_dangles() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().canonicalize().unwrap().join("link");
        symlink("/../nowhere-at-all/pki", &link).unwrap();
        let root = Root::new(Path::new("/")).unwrap();
        let found = root.resolve(&path(link.to_str().unwrap()), &RealDisk);
        assert!(matches!(found, Err(ReadProblem::DanglingLink { .. })), "{found:?}");
        assert_eq!(root.resolve(&path("/"), &RealDisk).unwrap().host, Path::new("/"));
    }

    #[test]
    fn forty_links_are_followed_and_a_circle_is_not() {
        let (dir, root) = world();
        symlink("kubernetes/ssl/ca.crt", dir.path().join("etc/l40")).unwrap();
        for n in 0..40 {
            symlink(format!("l{}", n + 1), dir.path().join(format!("etc/l{n}"))).unwrap();
        }
        assert_eq!(
            root.resolve(&path("/etc/l1"), &RealDisk).unwrap().tree,
            path("/etc/kubernetes/ssl/ca.crt")
        );
        assert_eq!(root.resolve(&path("/etc/l0"), &RealDisk), Err(ReadProblem::LinkLoop));
        symlink("self", dir.path().join("etc/self")).unwrap();
        assert_eq!(root.resolve(&path("/etc/self"), &RealDisk), Err(ReadProblem::LinkLoop));
    }

    #[test]
    fn a_file_is_not_a_directory() {
        let (_dir, root) = world();
        let found = root.resolve(&path("/etc/kubernetes/ssl/ca.crt/more"), &RealDisk);
        assert_eq!(
            found,
            Err(ReadProblem::Failed("/etc/kubernetes/ssl/ca.crt is not a directory".to_owned()))
        );
    }
}
