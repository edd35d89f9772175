//! The name of a cluster among others, as Kubernetes names things.

use std::fmt;
use std::str::FromStr;

/// A DNS label ([RFC 1123]): at most 63 lower-case letters, digits and hyphens, with no hyphen at an end.
///
/// Kubernetes takes it as a name, as a namespace and as the value of a label, and every file system as the name of a directory.
///
/// [RFC 1123]: https://www.rfc-editor.org/rfc/rfc1123#section-2.1
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DnsLabel(String);

impl DnsLabel {
    /// Parses a label; capitals make it none, because another name would come out.
    ///
    /// # Errors
    /// [`InvalidLabel`] when `text` is not a DNS label.
    pub fn parse(text: &str) -> Result<Self, InvalidLabel> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_label = text.len() <= LONGEST
            && text.bytes().all(|byte| plain(byte) || byte == b'-')
            && text.bytes().next().is_some_and(plain)
            && text.bytes().next_back().is_some_and(plain);
        if is_label { Ok(Self(text.to_owned())) } else { Err(InvalidLabel(text.to_owned())) }
    }

    /// Returns the label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DnsLabel {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A text that is not a DNS label.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a DNS label: at most 63 of a-z, 0-9 and -, with no - at an end")]
pub struct InvalidLabel(String);

/// The longest label, in bytes.
const LONGEST: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_what_kubernetes_takes_as_a_name() {
        for text in ["a", "0", "tenant-a", "123", &"a".repeat(63)] {
            assert_eq!(DnsLabel::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "-", "-a", "a-", "A", "a.b", "a_b", "a/b", "..", "ü", "a\n", &"a".repeat(64)] {
            assert!(DnsLabel::parse(text).is_err(), "{text:?}");
        }
    }
}
