//! Lines that were damaged on their way: whatever they say now, they are read.

use kubecerts_core::explain::{Explainer, LINE_LIMIT};
use kubecerts_testkit::at;
use proptest::prelude::*;

use crate::support::*;

/// What stands in the place of bytes that are no text, characters of several bytes, and what quotes and escapes.
const INSERTED: [&str; 8] = ["\u{fffd}", "é", "\u{202e}", "\u{1b}", "\"", "\\", " ", ""];

fn lines() -> Vec<Vec<u8>> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/logs");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .expect("the logs are part of the project")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).expect("the log is part of the project");
        lines.extend(bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn a_character_before_and_after_every_word_of_the_logs_is_read() {
    let inventory = healthy();
    for inserted in INSERTED {
        let mut explainer = Explainer::new();
        let mut count = 0;
        for line in lines() {
            let text = String::from_utf8_lossy(&line).into_owned();
            let ends = text.char_indices().filter(|(_, c)| !c.is_ascii_alphanumeric()).map(|(at, _)| at);
            for at in ends {
                explainer.line(format!("{}{inserted}{}", &text[..at], &text[at..]).as_bytes());
                explainer.line(format!("{}{inserted}", &text[..at]).as_bytes());
                explainer.line(format!("{inserted}{}", &text[at..]).as_bytes());
                count += 3;
            }
        }
        let report = explainer.finish(&inventory, at(VALID));
        assert_eq!(report.lines, count);
    }
}

proptest! {
    #[test]
    fn bytes_that_were_replaced_cut_out_or_put_in_are_read(
        which in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        removed in 0..40_usize,
        inserted in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let lines = lines();
        let mut line = which.get(&lines).clone();
        let begin = from.index(line.len() + 1);
        let end = (begin + removed).min(line.len());
        line.splice(begin..end, inserted);
        let mut explainer = Explainer::new();
        explainer.line(&line);
        let report = explainer.finish(&healthy(), at(VALID));
        let explained: u64 = report.explanations.iter().map(|explanation| explanation.count).sum();
        prop_assert!(explained + report.unknown + report.informational <= 1);
        for explanation in &report.explanations {
            prop_assert!(explanation.sample.len() <= LINE_LIMIT);
            prop_assert!(!explanation.sample.chars().any(char::is_control));
        }
    }
}
