//! The form of a snapshot as one file: a tar with `index.json` and, below `files/`, what was read, each where it lies on its node.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use kubecerts_core::archive::Archive;
use kubecerts_core::path::TreePath;
use kubecerts_core::secret::SecretBytes;
use tar::{Builder, EntryType, Header};

use super::{ArchiveProblem, LARGEST, secret};

/// Writes the same bytes for the same archive: entries are sorted, and nothing of this machine is in them.
pub(super) fn write(archive: &Archive, out: &mut dyn Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    append(&mut builder, INDEX, archive.index().as_bytes())?;
    for (path, content, _) in archive.files() {
        append(&mut builder, &format!("{FILES}{path}"), content.secret_bytes())?;
    }
    builder.into_inner()?.flush()
}

fn append(builder: &mut Builder<&mut dyn Write>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    // Whoever unpacks it has files that nobody else can read.
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, content)
}

pub(super) fn read(stream: impl Read) -> Result<Archive, ArchiveProblem> {
    let mut stream = stream;
    let mut begin = Vec::new();
    stream.by_ref().take(512).read_to_end(&mut begin).map_err(|error| ArchiveProblem::of(&error))?;
    if begin.starts_with(&[0x1f, 0x8b]) {
        return Err(ArchiveProblem::Compressed);
    }
    if begin.len() < 512 || begin[257..262] != *b"ustar" {
        return Err(ArchiveProblem::NotASnapshot);
    }
    let mut tar = tar::Archive::new(begin.as_slice().chain(stream));
    let mut index = None;
    let mut files = BTreeMap::new();
    let mut left = LARGEST;
    let mut last = String::new();
    let broken = |last: &str, error: &io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Other | io::ErrorKind::InvalidData => {
            ArchiveProblem::CutOff { name: last.to_owned() }
        }
        _ => ArchiveProblem::of(error),
    };
    let mut entries = 0;
    for entry in tar.entries().map_err(|error| broken(&last, &error))? {
        let mut entry = entry.map_err(|error| broken(&last, &error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let wrong = |reason| ArchiveProblem::Entry { name: name.clone(), reason };
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(wrong("is one too many"));
        }
        match entry.header().entry_type() {
            // Whoever has packed it anew has directories too.
            EntryType::Directory => continue,
            EntryType::Regular => {}
            EntryType::GNUSparse => return Err(wrong("is a sparse file")),
            EntryType::Link | EntryType::Symlink => return Err(wrong("is a link")),
            _ => return Err(wrong("is not a file")),
        }
        let size = entry.size();
        left = left.checked_sub(size).ok_or(ArchiveProblem::TooLarge { limit: LARGEST })?;
        let name_of_node = name.strip_prefix("./").unwrap_or(&name);
        // JSON takes several times as much memory when it is parsed.
        if name_of_node == INDEX && size > LARGEST_INDEX {
            return Err(wrong("is larger than the index of any snapshot"));
        }
        let content = content(&mut entry, size).map_err(|error| broken(&name, &error))?;
        if name_of_node == INDEX {
            if index.replace(content).is_some() {
                return Err(wrong("is there twice"));
            }
        } else {
            let path = name_of_node.strip_prefix(FILES).and_then(|text| {
                TreePath::parse(text).ok().filter(|path| path.as_str() == text && text != "/")
            });
            let path = path.ok_or_else(|| wrong("is no path of a node"))?;
            if files.insert(path, content).is_some() {
                return Err(wrong("is there twice"));
            }
        }
        last = name;
    }
    let index = index.ok_or(ArchiveProblem::NotASnapshot)?;
    Ok(Archive::parse(index.secret_bytes(), files)?)
}

/// Reads an entry as long as its header says, which may lie: room is made for what comes.
fn content(entry: &mut impl Read, size: u64) -> io::Result<SecretBytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(1 << 20)).unwrap_or(0));
    entry.take(size).read_to_end(&mut bytes)?;
    let bytes = secret(bytes);
    if bytes.len() as u64 != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

const INDEX: &str = "index.json";
const FILES: &str = "files";

/// In bytes. The index of a node with thousands of files takes some hundred kilobytes.
const LARGEST_INDEX: u64 = 16 << 20;

/// A scan reads some thousand files at most.
const MOST_ENTRIES: usize = 65_536;
