//! Paths of the cluster's own view of its disk.
//!
//! A [`TreePath`] is what a manifest or kubeadm would write: absolute, `/`-separated, free of `.` and `..`.
//! It is text, not a file: the host decides under which root it is looked up.

use std::fmt;
use std::str::FromStr;

/// An absolute, normalised path as the node itself would write it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TreePath(String);

impl TreePath {
    /// Parses an absolute path; repeated slashes, `.` and a trailing slash are dropped.
    ///
    /// # Errors
    /// [`InvalidPath`] when `text` is not absolute, has a `..` component or holds a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        let invalid = |reason| InvalidPath { path: text.to_owned(), reason };
        if !text.starts_with('/') {
            return Err(invalid("is not absolute"));
        }
        if text.contains(char::is_control) {
            // Paths of foreign files are shown on terminals.
            return Err(invalid("holds a control character"));
        }
        let mut normal = String::with_capacity(text.len());
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(invalid("has a `..` component")),
                part => {
                    normal.push('/');
                    normal.push_str(part);
                }
            }
        }
        if normal.is_empty() {
            normal.push('/');
        }
        Ok(Self(normal))
    }

    /// Returns this directory's entry `relative`, whose `.` and `..` are resolved in the text alone.
    ///
    /// # Errors
    /// [`InvalidPath`] when `..` leads above the root, or `relative` holds a control character.
    pub fn join(&self, relative: &str) -> Result<Self, InvalidPath> {
        // One name below a directory is what nearly everybody asks for.
        let is_name = !matches!(relative, "" | "." | "..")
            && !relative.contains(|letter: char| letter == '/' || letter.is_control());
        if is_name {
            let directory = if self.0 == "/" { "" } else { self.as_str() };
            return Ok(Self([directory, "/", relative].concat()));
        }
        let mut parts: Vec<&str> =
            if relative.starts_with('/') { Vec::new() } else { self.parts().collect() };
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| InvalidPath {
                        path: format!("{self}/{relative}"),
                        reason: "leads above the root",
                    })?;
                }
                part => parts.push(part),
            }
        }
        Self::parse(&format!("/{}", parts.join("/")))
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the components, none of which is empty, `.` or `..`.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Returns the last component, or an empty text for the root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.parts().next_back().unwrap_or_default()
    }

    /// Returns the directory that holds this entry; the root holds itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.rfind('/') {
            Some(0) | None => Self("/".to_owned()),
            Some(end) => Self(self.0[..end].to_owned()),
        }
    }

    /// Returns the part below `directory`, or `None` when this path is not below it.
    #[must_use]
    pub fn below(&self, directory: &Self) -> Option<&str> {
        if directory.0 == "/" {
            return Some(&self.0[1..]);
        }
        self.0.strip_prefix(directory.as_str())?.strip_prefix('/')
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TreePath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A text that cannot be a [`TreePath`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the path {path:?} {reason}")]
pub struct InvalidPath {
    path: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn paths_are_normalised() {
        assert_eq!(path("//etc/./kubernetes//pki/").as_str(), "/etc/kubernetes/pki");
        assert_eq!(path("/").as_str(), "/");
    }

    #[test]
    fn relative_and_climbing_paths_are_refused() {
        for text in ["etc", "", "/etc/../root", "/etc\0"] {
            assert!(TreePath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn joining_resolves_dots_but_never_leaves_the_root() {
        let pki = path("/etc/kubernetes/pki");
        assert_eq!(pki.join("../ssl/ca.crt").unwrap(), path("/etc/kubernetes/ssl/ca.crt"));
        assert_eq!(pki.join("/opt/pki").unwrap(), path("/opt/pki"));
        assert!(pki.join("../../../../etc").is_err());
    }

    #[test]
    fn one_name_is_joined_as_a_longer_path_is() {
        for directory in ["/", "/etc", "/etc/kubernetes"].map(path) {
            for name in ["pki", ".hidden", "...", "a b", "ü", "", ".", "..", "bell\u{7}"] {
                assert_eq!(directory.join(name).ok(), directory.join(&format!("./{name}")).ok(), "{name:?}");
            }
        }
    }

    #[test]
    fn below_respects_component_borders() {
        assert_eq!(path("/etc/pki/ca.crt").below(&path("/etc/pki")), Some("ca.crt"));
        assert_eq!(path("/etc/pki-old/ca.crt").below(&path("/etc/pki")), None);
        assert_eq!(path("/etc").below(&path("/")), Some("etc"));
    }
}
