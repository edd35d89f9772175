//! The list of clusters: lines of JSON in a file or a stream, of which one at a time is in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use kubecerts_core::catalog::DnsLabel;
use kubecerts_core::manifest::ClusterLine;

use super::{Cancel, Shard, TreesError};

/// Where the list of clusters comes from.
pub struct Clusters {
    input: Box<dyn BufRead + Send>,
    /// The file, when it can be read twice.
    file: Option<PathBuf>,
}

impl std::fmt::Debug for Clusters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clusters").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Clusters {
    /// Opens a file with a list.
    ///
    /// # Errors
    /// [`TreesError::Read`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, TreesError> {
        let failed = |source| TreesError::Read { path: Some(path.to_owned()), source };
        let file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if meta.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let again = meta.is_file().then(|| path.to_owned());
        Ok(Self { input: Box::new(BufReader::new(file)), file: again })
    }

    /// Takes a list that can be read only once, such as standard input.
    #[must_use]
    pub fn from_stream(input: impl Read + Send + 'static) -> Self {
        Self { input: Box::new(BufReader::new(input)), file: None }
    }

    /// Takes the list on standard input, which is over when `cancel` ends the run.
    ///
    /// # Errors
    /// [`TreesError::Read`] when it cannot be used.
    pub fn from_standard_input(cancel: &Cancel) -> Result<Self, TreesError> {
        let input = cancel.standard_input().map_err(|source| TreesError::Read { path: None, source })?;
        Ok(Self::from_stream(input))
    }

    /// Reads a list that can be read twice, refuses one with a name that is there twice, and returns how many of the clusters
    /// are those of `shard`.
    pub(super) fn survey(&self, shard: Option<Shard>) -> Result<Option<u64>, TreesError> {
        let Some(path) = &self.file else { return Ok(None) };
        let failed = |source| TreesError::Read { path: Some(path.clone()), source };
        let mut lines = Lines::new(BufReader::new(File::open(path).map_err(failed)?));
        let mut names = Names::default();
        let mut own = 0;
        while let Some(Line { number, position, content }) = lines.next().map_err(failed)? {
            own += u64::from(shard.is_none_or(|shard| shard.has(position)));
            let name = content.as_deref().and_then(ClusterLine::name_of);
            if let Some(name) = name
                && let Some(first) = names.repeated(&name, number)
            {
                return Err(TreesError::Repeated { name, first, second: number });
            }
        }
        Ok(Some(own))
    }

    /// Returns the lines.
    pub(super) fn into_lines(self) -> Lines<Box<dyn BufRead + Send>> {
        Lines::new(self.input)
    }

    /// Returns the file, when the list was read before and has every name once.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// The names so far, each with its line.
#[derive(Default)]
pub(super) struct Names(BTreeMap<DnsLabel, u64>);

impl Names {
    /// Returns the line where `name` was first; `None` when it is new.
    pub(super) fn repeated(&mut self, name: &DnsLabel, line: u64) -> Option<u64> {
        match self.0.get(name) {
            Some(first) => Some(*first),
            None => {
                self.0.insert(name.clone(), line);
                None
            }
        }
    }
}

/// One line that is not empty.
pub(super) struct Line {
    /// Which line it is, from 1.
    pub(super) number: u64,
    /// Which it is of those that are not empty, from 1.
    pub(super) position: u64,
    /// What it says; `None` when it is longer than any cluster's.
    pub(super) content: Option<Vec<u8>>,
}

/// Reads lines, none of which can exhaust the memory.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    position: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0, position: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut content = Vec::new();
            let most = u64::try_from(LONGEST + 1).expect("a line is no longer than a file");
            if self.input.by_ref().take(most).read_until(b'\n', &mut content)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let is_whole = content.ends_with(b"\n") || content.len() <= LONGEST;
            if !is_whole {
                self.skip_rest()?;
            }
            if content.iter().all(u8::is_ascii_whitespace) && is_whole {
                continue;
            }
            self.position += 1;
            let content = is_whole.then_some(content);
            return Ok(Some(Line { number: self.number, position: self.position, content }));
        }
    }

    /// Skips what is left of a line.
    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Ok(());
            }
            match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.input.consume(end + 1);
                    return Ok(());
                }
                None => {
                    let length = buffer.len();
                    self.input.consume(length);
                }
            }
        }
    }
}

/// The longest line that is read, in bytes. A configuration has some thousand.
pub(super) const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, u64, Option<usize>)> {
        let mut lines = Lines::new(BufReader::with_capacity(7, text));
        let mut found = Vec::new();
        while let Some(Line { number, position, content }) = lines.next().unwrap() {
            found.push((number, position, content.map(|content| content.len())));
        }
        found
    }

    #[test]
    fn empty_lines_count_as_lines_but_not_as_clusters() {
        assert_eq!(read(b"a\n\n \t\r\nbc\nd"), [(1, 1, Some(2)), (4, 2, Some(3)), (5, 3, Some(1))]);
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\n\n"), []);
    }

    #[test]
    fn a_line_without_end_is_skipped_and_the_next_one_read() {
        let mut text = vec![b'x'; LONGEST + 5];
        text.extend_from_slice(b"\nb\n");
        assert_eq!(read(&text), [(1, 1, None), (2, 2, Some(2))]);
        assert_eq!(read(&vec![b'x'; 3 * LONGEST]), [(1, 1, None)]);
        assert_eq!(read(&vec![b'x'; LONGEST]), [(1, 1, Some(LONGEST))]);
    }
}
