//! Switches the rotation of the kubelet's client certificate on, and leaves every other byte of its configuration as it is.

use super::{DamagedConfig, KubeletConfig};
use crate::yaml::{self, Node};

/// Returns the kubelet's configuration `bytes` with `rotateCertificates: true`.
///
/// The value is replaced where it stands. Where there is none, the field is added before the first one that sorts after it,
/// since kubeadm writes the fields sorted. A file that says so already comes back as it is.
///
/// # Errors
/// [`RotationEditError`] when the file is damaged, or nothing can be changed without a risk for the rest.
pub fn rotate_certificates(bytes: &[u8]) -> Result<Vec<u8>, RotationEditError> {
    let before = KubeletConfig::parse(bytes)?;
    if before.rotate_certificates() == Some(true) {
        return Ok(bytes.to_vec());
    }
    let stream = yaml::parse_first(bytes).map_err(DamagedConfig::from)?;
    let root = stream.first_mapping().map_err(DamagedConfig::from)?;
    let (range, text) = match root.entry(FIELD) {
        Some((key, value)) if key.is_shared() || value.is_shared() => return Err(RotationEditError::Shared),
        Some((_, value)) if !value.is_null() => (value.span(), "true".to_owned()),
        // An empty value has no place of its own: the line goes on behind the colon.
        Some((key, _)) => {
            let rest = &bytes[key.span().end..];
            let colon = rest.iter().position(|byte| *byte == b':').ok_or(RotationEditError::NoPlace)?;
            let at = key.span().end + colon + 1;
            let null = rest[colon + 1..].trim_ascii_start();
            let word =
                ["null", "Null", "NULL", "~"].into_iter().find(|word| null.starts_with(word.as_bytes()));
            let end = word.map_or(at, |word| bytes.len() - null.len() + word.len());
            (at..end, " true".to_owned())
        }
        None => addition(bytes, root)?,
    };
    let mut result = Vec::with_capacity(bytes.len() + text.len());
    result.extend_from_slice(bytes.get(..range.start).ok_or(RotationEditError::NoPlace)?);
    result.extend_from_slice(text.as_bytes());
    result.extend_from_slice(bytes.get(range.end..).ok_or(RotationEditError::NoPlace)?);
    let after = KubeletConfig::parse(&result).map_err(|_| RotationEditError::NoPlace)?;
    if after == before.rotating() { Ok(result) } else { Err(RotationEditError::NoPlace) }
}

/// Why a configuration is not edited.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationEditError {
    /// The file is no configuration of the kubelet.
    #[error("the kubelet's configuration is damaged")]
    Damaged(#[from] DamagedConfig),
    /// The value is an alias, or has an anchor or a tag, so that other values may depend on it.
    #[error("rotateCertificates is shared by a YAML alias, an anchor or a tag")]
    Shared,
    /// The edited file would not say what was asked for and everything else as before.
    #[error("rotateCertificates cannot be set without changing more")]
    NoPlace,
}

/// Returns where the field is added, and the text with which it is.
fn addition(bytes: &[u8], root: Node<'_>) -> Result<(std::ops::Range<usize>, String), RotationEditError> {
    let sorts_after = |key: &Node<'_>| key.as_str().is_some_and(|key| key > FIELD);
    let keys = || root.entries().map(|(key, _)| key);
    let next = keys().find(sorts_after).or_else(|| keys().next()).ok_or(RotationEditError::NoPlace)?;
    let at = next.span().start;
    let line = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lead = std::str::from_utf8(&bytes[line..at]).map_err(|_| RotationEditError::NoPlace)?;
    let indent = lead.trim_start_matches('\u{feff}');
    let text = if indent.chars().all(|c| c == ' ') {
        let end = if bytes[..line].ends_with(b"\r\n") { "\r\n" } else { "\n" };
        format!("{FIELD}: true{end}{indent}")
    } else {
        // Something stands before the key, so this is JSON or a mapping in braces.
        format!("\"{FIELD}\": true, ")
    };
    Ok((at..at, text))
}

const FIELD: &str = "rotateCertificates";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edited(text: &str) -> Result<String, RotationEditError> {
        rotate_certificates(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_value_is_replaced_where_it_stands() {
        for (old, new) in [
            ("a: b\nrotateCertificates: false # no\nz: 1\n", "a: b\nrotateCertificates: true # no\nz: 1\n"),
            ("rotateCertificates:   'false'\r\n", "rotateCertificates:   true\r\n"),
            ("{\"rotateCertificates\":false}", "{\"rotateCertificates\":true}"),
            ("rotateCertificates:\nz: 1\n", "rotateCertificates: true\nz: 1\n"),
            ("rotateCertificates: ~ # x\nz: 1\n", "rotateCertificates: true # x\nz: 1\n"),
            ("rotateCertificates: true\n", "rotateCertificates: true\n"),
        ] {
            assert_eq!(edited(old), Ok(new.to_owned()), "{old:?}");
        }
    }

    #[test]
    fn an_absent_field_is_added_where_it_sorts() {
        for (old, new) in [
            (
                "kind: KubeletConfiguration\n# where\nstaticPodPath: /m\n",
                "kind: KubeletConfiguration\n# where\nrotateCertificates: true\nstaticPodPath: /m\n",
            ),
            ("a: b\r\nz: 1\r\n", "a: b\r\nrotateCertificates: true\r\nz: 1\r\n"),
            ("---\n  a: b\n  c: |\n    x\n", "---\n  rotateCertificates: true\n  a: b\n  c: |\n    x\n"),
            ("{\"a\": 1, \"z\": 2}", "{\"a\": 1, \"rotateCertificates\": true, \"z\": 2}"),
        ] {
            assert_eq!(edited(old), Ok(new.to_owned()), "{old:?}");
        }
    }

    #[test]
    fn what_might_change_more_is_refused() {
        let shared = "x: &a false\nrotateCertificates: *a\n";
        assert_eq!(edited(shared), Err(RotationEditError::Shared));
        assert_eq!(edited("{}"), Err(RotationEditError::NoPlace));
        assert!(matches!(edited("kind: Pod"), Err(RotationEditError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn an_edited_file_says_everything_else_as_before(
            keys in proptest::collection::vec("[a-z]{1,9}: ([a-z]{1,6}|'x'|\\{y: 1\\}|\\[\\])( # .{0,5})?", 0..6),
            at in any::<prop::sample::Index>(),
            own in proptest::option::of("rotateCertificates: *(false|\"false\"|off|~|)( # .{0,5})?"),
        ) {
            let mut lines = keys;
            let at = at.index(lines.len() + 1);
            lines.extend(own.clone());
            let last = lines.len().saturating_sub(1);
            if own.is_some() && at < last {
                lines.swap(at, last);
            }
            let text = format!("staticPodPath: /m\n{}\n", lines.join("\n"));
            if let Ok(before) = KubeletConfig::parse(text.as_bytes())
                && let Ok(done) = rotate_certificates(text.as_bytes())
            {
                prop_assert_eq!(KubeletConfig::parse(&done).unwrap(), before.rotating());
                prop_assert_eq!(rotate_certificates(&done).unwrap(), done.clone());
                let others = |text: &str| -> Vec<String> {
                    text.lines().filter(|line| !line.starts_with(FIELD)).map(str::to_owned).collect()
                };
                prop_assert_eq!(others(&text), others(std::str::from_utf8(&done).unwrap()));
            }
        }
    }
}
