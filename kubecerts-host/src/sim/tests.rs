use std::io;
use std::path::Path;

use super::*;
use crate::disk::Disk as _;

mod faults;
mod linux;
mod survival;

const SEEDS: u64 = 200;

/// A disk with `/etc/a.crt` and `/etc/b.key`.
fn world() -> SimDisk {
    let mut disk = SimDisk::new();
    disk.put_file("/etc/a.crt", "old a", 0o644);
    disk.put_file("/etc/b.key", "old b", 0o600);
    disk
}

fn path(name: &str) -> &Path {
    Path::new(name)
}

/// Creates a file without flushing anything.
fn write(name: &str, content: &str, disk: &mut SimDisk) -> SimFile {
    let mut file = disk.create(path(name)).unwrap();
    disk.write_all(content.as_bytes(), &mut file).unwrap();
    file
}

/// Creates a file whose content is flushed and whose name is not.
fn write_flushed(name: &str, content: &str, disk: &mut SimDisk) {
    let file = write(name, content, disk);
    disk.sync(&file).unwrap();
}

fn content(name: &str, disk: &SimDisk) -> Option<String> {
    let (_, bytes) = disk.files().remove(path(name))?;
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

fn crashed(survival: Survival, disk: &SimDisk) -> SimDisk {
    let mut disk = disk.clone();
    disk.crash(survival);
    disk
}

/// Returns all that `look` sees after crashes with many seeds.
fn outcomes<T: Ord>(
    survival: fn(u64) -> Survival,
    disk: &SimDisk,
    look: impl Fn(&SimDisk) -> T,
) -> BTreeMap<T, u64> {
    let mut outcomes = BTreeMap::new();
    for seed in 0..SEEDS {
        *outcomes.entry(look(&crashed(survival(seed), disk))).or_default() += 1;
    }
    outcomes
}

fn errno<T>(outcome: io::Result<T>) -> Option<i32> {
    outcome.err().and_then(|error| error.raw_os_error())
}

fn is(errno: Errno) -> Option<i32> {
    Some(errno as i32)
}
