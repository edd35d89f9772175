//! Logs of any size, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use kubecerts_core::explain::{Explainer, LINE_LIMIT};

/// Why a log could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot read the log {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Reading failed on the way.
    #[error("cannot read on in the log {name}")]
    Read {
        /// The file, or what it is.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// It is compressed, as rotated logs are.
    #[error("the log {name} is compressed")]
    Compressed {
        /// The file, or what it is.
        name: String,
    },
}

/// Hands every line of the file at `path`, which may be a pipe, to `explainer`.
///
/// # Errors
/// [`LogError`] when it cannot be opened, is compressed, or cannot be read to its end; what was read until then is explained.
pub fn explain_file(path: &Path, explainer: &mut Explainer) -> Result<(), LogError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| LogError::Open { path: path.to_owned(), source })?;
    explain_lines(BufReader::with_capacity(BUFFER, file), &name, explainer)
}

/// Hands every line of `input`, which is called `name`, to `explainer`.
///
/// Memory is bounded whatever the input is: of a line, no more than [`LINE_LIMIT`] is kept.
///
/// # Errors
/// [`LogError::Read`] when it cannot be read to its end, [`LogError::Compressed`] when it is no text.
pub fn explain_lines(mut input: impl BufRead, name: &str, explainer: &mut Explainer) -> Result<(), LogError> {
    let read = |source| LogError::Read { name: name.to_owned(), source };
    explainer.source(name);
    let start = fill(&mut input).map_err(read)?;
    if COMPRESSED.iter().any(|magic| start.starts_with(magic)) {
        return Err(LogError::Compressed { name: name.to_owned() });
    }
    // The beginning of a line whose end is not in the buffer.
    let mut begun: Vec<u8> = Vec::new();
    loop {
        let buffer = fill(&mut input).map_err(read)?;
        if buffer.is_empty() {
            break;
        }
        let length = buffer.len();
        let mut rest = buffer;
        while let Some(at) = find_end(rest) {
            let (line, after) = rest.split_at(at);
            rest = &after[1..];
            if begun.is_empty() {
                explainer.line(line);
            } else {
                keep(&mut begun, line);
                explainer.line(&begun);
                begun.clear();
            }
        }
        keep(&mut begun, rest);
        input.consume(length);
    }
    if !begun.is_empty() {
        explainer.line(&begun);
    }
    Ok(())
}

/// Returns what is in the buffer, after reading more when there is nothing.
fn fill(input: &mut impl BufRead) -> io::Result<&[u8]> {
    // An interrupted read is tried again; asking twice is what the borrow checker understands.
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    input.fill_buf()
}

/// Adds `more` to a line, as far as it is read: one byte more than that, so that it is known to have been cut.
fn keep(begun: &mut Vec<u8>, more: &[u8]) {
    let room = (LINE_LIMIT + 1).saturating_sub(begun.len());
    begun.extend_from_slice(&more[..more.len().min(room)]);
}

/// Returns where the line ends, eight bytes at a time.
fn find_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let (words, _) = bytes.as_chunks::<8>();
    let has_end = |word: &[u8; 8]| {
        let zeros = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        zeros.wrapping_sub(ONES) & !zeros & HIGH != 0
    };
    let start = words.iter().position(has_end).unwrap_or(words.len()) * 8;
    bytes[start..].iter().position(|byte| *byte == b'\n').map(|at| start + at)
}

/// The beginnings of gzip, zstd, bzip2 and xz, none of which is one of a text.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"];

/// A buffer of this size makes a read cost little beside what is done with its lines.
const BUFFER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use kubecerts_core::inventory::Inventory;
    use kubecerts_core::time::Timestamp;

    use super::*;

    fn report(input: &[u8], buffer: usize) -> kubecerts_core::explain::Report {
        let mut explainer = Explainer::new();
        explain_lines(BufReader::with_capacity(buffer, input), "test", &mut explainer).unwrap();
        let inventory: Inventory = kubecerts_testkit::MemoryTree::default().inventory();
        explainer.finish(&inventory, Timestamp::from_unix(1_800_000_000))
    }

    #[test]
    fn lines_are_the_same_whatever_the_size_of_the_buffer() {
        let text = "a\n\nx509: certificate has expired\nx509: certificate signed by unknown authority, and so on and on\r\n\
                    the last line has no end: x509: certificate has expired";
        let whole = report(text.as_bytes(), 1 << 16);
        assert_eq!((whole.lines, whole.explanations.len()), (5, 2));
        for buffer in 1..80 {
            assert_eq!(report(text.as_bytes(), buffer), whole, "{buffer}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let mut text = b"x509: certificate has expired ".to_vec();
        text.resize(5 << 20, b'x');
        let report = report(&text, 4096);
        assert_eq!((report.lines, report.cut, report.explanations.len()), (1, 1, 1));
    }

    #[test]
    fn ends_are_found_at_every_place() {
        for length in 0..40 {
            for at in 0..length {
                let mut bytes = vec![b'\x0b'; length];
                bytes[at] = b'\n';
                assert_eq!(find_end(&bytes), Some(at));
            }
            assert_eq!(find_end(&vec![b'\x0b'; length]), None);
        }
    }

    #[test]
    fn compressed_logs_are_refused() {
        let mut explainer = Explainer::new();
        let input = b"\x1f\x8b\x08\0\0\0\0\0";
        let refused = explain_lines(&input[..], "a.gz", &mut explainer);
        assert!(matches!(refused, Err(LogError::Compressed { .. })), "{refused:?}");
    }
}
