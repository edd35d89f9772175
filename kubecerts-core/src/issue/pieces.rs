//! Many short texts of bytes in one piece of memory.

/// Byte strings, one behind the other; their room is used again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pieces {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new() }
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        self.ends.push(self.bytes.len());
    }

    /// Appends what `write` writes, or nothing when it fails.
    pub(super) fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        match write(&mut self.bytes) {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(error) => {
                self.bytes.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| &self.bytes[std::mem::replace(&mut start, *end)..*end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_their_order_and_a_failed_one_leaves_no_trace() {
        let mut pieces = Pieces::new();
        pieces.push(b"one");
        pieces.push(b"");
        let failed = pieces.push_with(|out| {
            out.extend_from_slice(b"half");
            Err("broken")
        });
        assert_eq!(failed, Err("broken"));
        let written: Result<(), ()> = pieces.push_with(|out| {
            out.extend_from_slice(b"two");
            Ok(())
        });
        assert_eq!(written, Ok(()));
        assert_eq!(pieces.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"two"]);
        pieces.clear();
        assert_eq!((pieces.len(), pieces.iter().count()), (0, 0));
    }
}
