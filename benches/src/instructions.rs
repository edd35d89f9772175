//! Instructions, which are the same each time where nothing is left to chance, whatever else the machine does.

use std::process::{Command, Stdio};

/// Counts the instructions of `command` under valgrind; `None` when that is not installed.
///
/// Valgrind offers a processor of its own, without AVX-512 and SHA-NI. So what it counts is not what runs without it where a library
/// chooses its code by the processor, but it is as good to compare with itself.
#[must_use]
pub fn count(command: &Command) -> Option<u64> {
    let mut under_valgrind = Command::new("valgrind");
    under_valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = under_valgrind.output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{under_valgrind:?}: {}\n{text}", output.status);
    Some(collected(&text).unwrap_or_else(|| panic!("{under_valgrind:?} has counted nothing\n{text}")))
}

/// Returns the number in valgrind's line `==1== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_stands_behind_its_label() {
        let text = "==7== Events    : Ir\n==7== Collected : 151750\n==7== \n==7== I   refs:      151,750\n";
        assert_eq!(collected(text), Some(151_750));
        assert_eq!(collected("valgrind: /none: No such file or directory"), None);
    }
}
