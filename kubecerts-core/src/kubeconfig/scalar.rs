//! Texts as YAML scalars.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns `text` as a scalar on one line that every YAML reader takes for this text: as it is where that is safe, which covers
/// every name and URL of kubeadm's own, else between double quotes.
pub(crate) fn scalar(text: &str) -> Cow<'_, str> {
    if is_plain(text) { Cow::Borrowed(text) } else { Cow::Owned(quoted(text)) }
}

/// What begins with a letter and has no character of YAML's grammar is a text, unless it is a word for something else.
fn is_plain(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-:/@[]".contains(c);
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(safe)
        // A colon at the end makes a key.
        && !text.ends_with(':')
        && !words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // What ends a line or is no character of YAML's (YAML 1.2 §5.1), as its number.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}'.. => {
                write!(quoted, "\\U{:08x}", u32::from(c)).expect("writing to a String cannot fail");
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml;

    #[test]
    fn kubeadms_own_texts_stay_plain() {
        for text in [
            "kubernetes",
            "system:node:cp-1",
            "kubernetes-admin@kubernetes",
            "https://[fd00::1]:6443",
            "/var/lib/kubelet/pki/kubelet-client-current.pem",
        ] {
            assert_eq!(scalar(text), text);
        }
    }

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        for text in
            ["", "true", "No", "~", "1e3", "12:30:45", "2026-11-22", "a: b", "a #b", "- a", "&a", "key:"]
        {
            assert_eq!(scalar(text), format!("{text:?}"));
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in any::<String>()) {
            let document = format!("name: {}\n", scalar(&text));
            let stream = yaml::parse_first(document.as_bytes()).unwrap();
            let read = stream.first_mapping().unwrap().text("name").unwrap();
            // The reader makes no difference between nothing and an empty text.
            prop_assert_eq!(read.unwrap_or_default(), text.as_str());
        }
    }
}
