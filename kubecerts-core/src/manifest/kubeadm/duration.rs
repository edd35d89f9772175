//! Go's durations, in which kubeadm's configuration gives lifetimes.

use crate::time::Seconds;

/// Parses a duration as Go's `time.ParseDuration` does; parts of a second are dropped.
///
/// Unlike [`Seconds`]'s own grammar it has fractions and small units, and no days.
pub(super) fn duration(text: &str) -> Option<Seconds> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Seconds(0));
    }
    let mut nanoseconds: i64 = 0;
    while {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (whole, fraction) = rest[..number].split_once('.').unwrap_or((&rest[..number], ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest[number..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |at| number + at);
        let unit: i64 = match &rest[number..end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOSECONDS,
            "m" => 60 * NANOSECONDS,
            "h" => 3_600 * NANOSECONDS,
            _ => return None,
        };
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanoseconds = whole.checked_mul(unit).and_then(|span| nanoseconds.checked_add(span))?;
        let mut scale = unit;
        for digit in fraction.chars() {
            scale /= 10;
            let digit = i64::from(digit.to_digit(10)?);
            nanoseconds = nanoseconds.checked_add(digit * scale)?;
        }
        rest = &rest[end..];
        !rest.is_empty()
    } {}
    Some(Seconds(sign * (nanoseconds / NANOSECONDS)))
}

/// Nanoseconds, Go's unit of durations, in a second.
const NANOSECONDS: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, seconds) in [
            ("8760h0m0s", Some(31_536_000)),
            ("1.5h", Some(5_400)),
            ("-2m", Some(-120)),
            ("1500ms", Some(1)),
            ("0", Some(0)),
            (".5m", Some(30)),
            ("+1h1m1s1us", Some(3_661)),
            ("", None),
            ("5", None),
            ("h", None),
            (".h", None),
            ("1d", None),
            ("1h-1m", None),
            ("1..5h", None),
            ("9999999999h", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(duration(text), seconds.map(Seconds), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_not(text in "[0-9.hmsuµn+-]{0,24}") {
            let _ = duration(&text);
        }
    }
}
