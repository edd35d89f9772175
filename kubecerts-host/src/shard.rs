//! How large jobs are split, and what they do about what cannot be done.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// One of several parts into which a job is split: the requests or clusters whose place, counted from 0, leaves `index` when divided by `count`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

impl Shard {
    /// Returns the part `index` of `count`; the first is 0.
    ///
    /// # Errors
    /// [`InvalidShard::Index`] unless `index` is less than `count`.
    pub const fn new(index: u32, count: NonZeroU32) -> Result<Self, InvalidShard> {
        if index < count.get() {
            Ok(Self { index, count })
        } else {
            Err(InvalidShard::Index { index, count })
        }
    }

    /// Parses `I/N`, or `/N` with `index` as `I`, as an Indexed Job of Kubernetes tells it in `JOB_COMPLETION_INDEX`.
    ///
    /// # Errors
    /// [`InvalidShard`] says what is missing or wrong.
    pub fn parse(text: &str, index: Option<&str>) -> Result<Self, InvalidShard> {
        let malformed = || InvalidShard::Malformed(text.to_owned());
        let (own, count) = text.split_once('/').ok_or_else(malformed)?;
        let count = count.parse().map_err(|_| malformed())?;
        let index = match (own, index) {
            ("", None) => return Err(InvalidShard::NoIndex),
            ("", Some(index)) => index.parse().map_err(|_| InvalidShard::MalformedIndex(index.to_owned()))?,
            (own, _) => own.parse().map_err(|_| malformed())?,
        };
        Self::new(index, count)
    }

    /// Returns which part it is, counted from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// Returns how many parts there are.
    #[must_use]
    pub const fn count(self) -> NonZeroU32 {
        self.count
    }

    /// Returns whether what is at `position`, counted from 1, belongs to this part.
    #[must_use]
    pub const fn has(self, position: u64) -> bool {
        position.saturating_sub(1) % (self.count.get() as u64) == self.index as u64
    }

    /// Returns how many of `total` belong to this part.
    #[must_use]
    pub const fn share_of(self, total: u64) -> u64 {
        let count = self.count.get() as u64;
        total / count + if (self.index as u64) < total % count { 1 } else { 0 }
    }
}

impl FromStr for Shard {
    type Err = InvalidShard;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// A text that names no part.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidShard {
    /// It is neither `I/N` nor `/N`.
    #[error("{0:?} is no shard: it is I/N or /N, with N from 1")]
    Malformed(String),
    /// The part does not exist.
    #[error("there is no shard {index} of {count}: they are counted from 0")]
    Index {
        /// Which part was asked for.
        index: u32,
        /// How many there are.
        count: NonZeroU32,
    },
    /// Nothing says which part.
    #[error("nothing says which shard this is")]
    NoIndex,
    /// What says which part is no number.
    #[error("the index {0:?} of the shard is no number")]
    MalformedIndex(String),
}

/// What a request or a cluster that is refused means for the others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the run goes on or it does not")]
pub enum OnError {
    /// It is left out.
    #[default]
    Skip,
    /// The run ends there, and nothing more is begun. What is done by then stays, unless it went into one file of trees: that is
    /// there whole or not at all.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_belongs_to_exactly_one_shard() {
        for count in 1..=7 {
            let count = NonZeroU32::new(count).unwrap();
            let shards: Vec<Shard> =
                (0..count.get()).map(|index| Shard::new(index, count).unwrap()).collect();
            for position in 1..100 {
                assert_eq!(shards.iter().filter(|shard| shard.has(position)).count(), 1);
            }
            for total in [0, 1, 50, 99] {
                for shard in &shards {
                    let own = (1..=total).filter(|position| shard.has(*position)).count();
                    assert_eq!(shard.share_of(total), own as u64);
                }
                assert_eq!(shards.iter().map(|shard| shard.share_of(total)).sum::<u64>(), total);
            }
        }
    }

    #[test]
    fn the_index_comes_from_the_text_or_from_outside() {
        let parse = |text, index| Shard::parse(text, index).map(|shard| shard.to_string());
        assert_eq!(parse("1/4", Some("3")).unwrap(), "1/4");
        assert_eq!(parse("/4", Some("3")).unwrap(), "3/4");
        assert_eq!(parse("/4", None), Err(InvalidShard::NoIndex));
        assert_eq!(parse("/4", Some("x")), Err(InvalidShard::MalformedIndex("x".to_owned())));
        assert!(matches!(parse("/4", Some("4")), Err(InvalidShard::Index { index: 4, .. })));
        for text in ["", "4", "1/0", "/0", "/", "1/", "a/4", "-1/4", "1/4/2", " 1/4"] {
            assert_eq!(parse(text, Some("0")), Err(InvalidShard::Malformed(text.to_owned())), "{text:?}");
        }
    }
}
