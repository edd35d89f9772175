//! The name of a node, and the identity of its kubelet.

use std::fmt;
use std::str::FromStr;

/// The name of a node in Kubernetes: a DNS subdomain ([RFC 1123]) in lower case, of at most 253 characters.
///
/// [RFC 1123]: https://www.rfc-editor.org/rfc/rfc1123#section-2.1
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeName(String);

impl NodeName {
    /// The group of all kubelets, which the Node authorizer demands.
    pub const GROUP: &'static str = "system:nodes";

    /// Parses a name; as kubeadm does, a host's name in capitals becomes one in lower case.
    ///
    /// # Errors
    /// [`InvalidNodeName`] when `text` is not a DNS subdomain.
    pub fn parse(text: &str) -> Result<Self, InvalidNodeName> {
        let name = text.to_ascii_lowercase();
        if Self::is_name(&name) { Ok(Self(name)) } else { Err(InvalidNodeName(text.to_owned())) }
    }

    /// Returns the node whose kubelet is the user `user`, such as `system:node:cp-1`.
    #[must_use]
    pub fn of_user(user: &str) -> Option<Self> {
        // The Node authorizer compares names exactly, so capitals make another user.
        let name = user.strip_prefix(PREFIX)?;
        Self::is_name(name).then(|| Self(name.to_owned()))
    }

    /// Returns whether `text` is a name, or would be one in lower case.
    pub(crate) fn is_name_in_any_case(text: &str) -> bool {
        is_subdomain(text, &IN_ANY_CASE)
    }

    /// Returns whether `text` is a name as it stands.
    pub(crate) fn is_name(text: &str) -> bool {
        is_subdomain(text, &IN_LOWER_CASE)
    }

    /// Returns whether `user` is the kubelet of a node.
    pub(crate) fn is_user(user: &str) -> bool {
        user.strip_prefix(PREFIX).is_some_and(Self::is_name)
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the user that the node's kubelet is: `system:node:` and the name.
    #[must_use]
    pub fn user(&self) -> String {
        format!("{PREFIX}{self}")
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeName {
    type Err = InvalidNodeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A text that cannot be the name of a node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not the name of a node: a DNS name of at most 253 characters")]
pub struct InvalidNodeName(String);

/// What comes before the name of a node in the user of its kubelet.
const PREFIX: &str = "system:node:";

/// Returns whether `name` is labels with dots between them, each of plain characters and hyphens, these not at its ends.
///
/// A million certificates have four names each. So each byte is looked at once, and there is no branch but at the end.
fn is_subdomain(name: &str, classes: &Classes) -> bool {
    // A name begins as a label does behind a dot.
    let (mut before, mut wrong) = (DOT, 0);
    for byte in name.bytes() {
        let class = classes[usize::from(byte)];
        wrong |= class & (before >> 4);
        before = class;
    }
    name.len() <= 253 && wrong == 0 && before == PLAIN
}

/// What each byte is: [`PLAIN`], [`HYPHEN`], [`DOT`] or [`OTHER`].
///
/// The low half of a class has the bit that is its own, the high half the bits of those that may not come next.
type Classes = [u8; 256];

const PLAIN: u8 = 0b1000_0001;
const HYPHEN: u8 = 0b1100_0010;
const DOT: u8 = 0b1110_0100;
const OTHER: u8 = 0b1000_1000;

static IN_ANY_CASE: Classes = classes(true);
static IN_LOWER_CASE: Classes = classes(false);

/// Returns the classes of all bytes, with capitals as plain ones or not.
const fn classes(capitals: bool) -> Classes {
    let mut classes = [OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'0'..=b'9' => PLAIN,
            b'A'..=b'Z' if capitals => PLAIN,
            b'-' => HYPHEN,
            b'.' => DOT,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What [`is_subdomain`] says, label by label.
    fn has_labels(name: &str, plain: fn(&u8) -> bool) -> bool {
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            bytes.first().is_some_and(plain)
                && bytes.last().is_some_and(plain)
                && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
        };
        name.len() <= 253 && name.split('.').all(is_label)
    }

    proptest! {
        #[test]
        fn names_are_labels_with_dots_between_them(
            name in "[aZ9.-]{0,8}|[a-z0-9.-]{0,40}|[a-z]{250,256}|\\PC{0,6}|[a-zA-Z0-9.-]{0,9}[\0-\x7f][a-z]{0,3}",
        ) {
            let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            prop_assert_eq!(NodeName::is_name(&name), has_labels(&name, is_plain));
            let any_case = has_labels(&name, u8::is_ascii_alphanumeric);
            prop_assert_eq!(NodeName::is_name_in_any_case(&name), any_case);
        }
    }

    #[test]
    fn hosts_in_capitals_are_nodes_in_lower_case() {
        assert_eq!(NodeName::parse("CP-1.Example.com").unwrap().user(), "system:node:cp-1.example.com");
        assert!(NodeName::is_name_in_any_case("CP-1.Example.com") && !NodeName::is_name("CP-1.Example.com"));
        for text in ["", "-a", "a-", "a..b", "a_b", "ü", "a\nb", "a/b", &"a".repeat(254)] {
            assert!(NodeName::parse(text).is_err(), "{text:?}");
            assert!(!NodeName::is_name_in_any_case(text), "{text:?}");
        }
    }

    #[test]
    fn a_user_is_a_kubelet_only_with_the_exact_prefix_and_case() {
        assert_eq!(NodeName::of_user("system:node:cp-1"), NodeName::parse("cp-1").ok());
        for user in ["system:node:", "system:node:CP-1", "system:nodes:a", "cp-1"] {
            assert_eq!(NodeName::of_user(user), None, "{user:?}");
            assert!(!NodeName::is_user(user), "{user:?}");
        }
    }
}
