//! Files as a tar archive, in the format ustar: as much of it as an image needs.

/// A tar archive that grows by one file after another. The same files make the same bytes.
#[derive(Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    /// Adds a directory.
    pub(crate) fn directory(&mut self, path: &str) {
        self.entry(path, b'5', 0o755, "", &[]);
    }

    /// Adds a file that can be run.
    pub(crate) fn program(&mut self, path: &str, content: &[u8]) {
        self.entry(path, b'0', 0o755, "", content);
    }

    /// Adds a file that can be read.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, b'0', 0o644, "", content);
    }

    /// Adds a symbolic link at `path`.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, b'2', 0o777, target, &[]);
    }

    /// Returns the whole archive.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }

    fn entry(&mut self, path: &str, kind: u8, mode: u32, target: &str, content: &[u8]) {
        let mut header = [0; BLOCK];
        put(&mut header, 0..100, path);
        put(&mut header, 100..108, &format!("{mode:07o}"));
        put(&mut header, 108..116, "0000000");
        put(&mut header, 116..124, "0000000");
        put(&mut header, 124..136, &format!("{:011o}", content.len()));
        put(&mut header, 136..148, "00000000000");
        // The sum is taken as if its own field held spaces.
        put(&mut header, 148..156, "        ");
        header[156] = kind;
        put(&mut header, 157..257, target);
        put(&mut header, 257..265, "ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        put(&mut header, 148..156, &format!("{sum:06o}\0 "));

        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }
}

fn put(header: &mut [u8; BLOCK], field: std::ops::Range<usize>, text: &str) {
    assert!(text.len() <= field.len(), "{text:?} is too long for an archive");
    header[field.start..field.start + text.len()].copy_from_slice(text.as_bytes());
}

const BLOCK: usize = 512;
