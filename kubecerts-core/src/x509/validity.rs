//! From when to when a certificate is valid.

use der::asn1::{Any, AnyRef};
use der::{Decode, Tag, Tagged};

use super::Damage;
use super::writer::SEQUENCE;
use crate::time::{CivilTime, Timestamp};

/// The period in which a certificate may be used, both ends included ([RFC 5280 §4.1.2.5]).
///
/// [RFC 5280 §4.1.2.5]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Validity {
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Validity {
    /// Returns the period from `not_before` to `not_after`.
    ///
    /// # Errors
    /// [`InvalidValidity`] unless `not_before <= not_after`.
    pub fn new(not_before: Timestamp, not_after: Timestamp) -> Result<Self, InvalidValidity> {
        if not_before <= not_after {
            Ok(Self { not_before, not_after })
        } else {
            Err(InvalidValidity { not_before, not_after })
        }
    }

    /// Returns the first second of the period.
    #[must_use]
    pub const fn not_before(self) -> Timestamp {
        self.not_before
    }

    /// Returns the last second of the period.
    #[must_use]
    pub const fn not_after(self) -> Timestamp {
        self.not_after
    }
}

/// A period that would end before it begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a certificate cannot be valid from {not_before} until {not_after}")]
pub struct InvalidValidity {
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Parses a `Time` ([RFC 5280 §4.1.2.5]).
///
/// Done by hand because certificates in the field carry dates that stricter readers refuse, such as Go's zero time in
/// year 1, and a date must not make a certificate unreadable.
///
/// [RFC 5280 §4.1.2.5]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5
pub(super) fn parse_time(time: AnyRef<'_>) -> Result<Timestamp, Damage> {
    let text = std::str::from_utf8(time.value()).map_err(|_| Damage::der("date", "not ASCII"))?;
    let invalid = || Damage::der("date", format!("{text:?}"));
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = digits.ok_or_else(invalid)?;
    let pair = |at: usize| (digits.as_bytes()[at] - b'0') * 10 + (digits.as_bytes()[at + 1] - b'0');
    let (year, rest) = match (time.tag(), digits.len()) {
        (Tag::UtcTime, 12) => (if pair(0) >= 50 { 1900 } else { 2000 } + i32::from(pair(0)), 2),
        (Tag::GeneralizedTime, 14) => (i32::from(pair(0)) * 100 + i32::from(pair(2)), 4),
        _ => return Err(invalid()),
    };
    let [month, day, hour, minute, second] = std::array::from_fn(|part| pair(rest + part * 2));
    if second == LEAP {
        let rfc3339 = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        return Timestamp::parse_rfc3339(&rfc3339).map_err(|_| invalid());
    }
    let civil = CivilTime { year, month, day, hour, minute, second };
    Timestamp::from_civil(civil).ok_or_else(invalid)
}

/// A leap second's number. It is none of ours, and read as RFC 3339 has it.
const LEAP: u8 = 60;

/// Returns `time` as a `Time`: UTCTime until 2049, GeneralizedTime from 2050 on.
pub(super) fn encode_time(time: Timestamp) -> Any {
    Any::from_der(EncodedTime::new(time).as_der()).expect("a date that was just encoded is DER")
}

/// A `Time` in DER, on the stack.
pub(super) struct EncodedTime {
    der: [u8; 17],
    length: usize,
}

impl EncodedTime {
    /// Encodes `time`: UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
    pub(super) fn new(time: Timestamp) -> Self {
        let CivilTime { year, month, day, hour, minute, second } = time.civil();
        let pair = |number: u8| [b'0' + number / 10, b'0' + number % 10];
        let of_year = |number: i32| pair(u8::try_from(number % 100).expect("years are 0 to 9999"));
        let mut der = [0; 17];
        let is_utc_time = (1950..2050).contains(&year);
        let start = if is_utc_time {
            der[..2].copy_from_slice(&[0x17, 13]);
            2
        } else {
            der[..2].copy_from_slice(&[0x18, 15]);
            der[2..4].copy_from_slice(&of_year(year / 100));
            4
        };
        let fields =
            [of_year(year), pair(month), pair(day), pair(hour), pair(minute), pair(second), [b'Z', 0]];
        for (place, field) in der[start..].chunks_mut(2).zip(fields) {
            place.copy_from_slice(&field[..place.len()]);
        }
        Self { der, length: start + 13 }
    }

    pub(super) fn as_der(&self) -> &[u8] {
        &self.der[..self.length]
    }
}

/// A `Validity` in DER, on the stack.
pub(crate) struct EncodedValidity {
    der: [u8; 36],
    length: usize,
}

impl EncodedValidity {
    /// Encodes the dates of `validity`.
    pub(crate) fn new(validity: Validity) -> Self {
        let [begin, end] = [validity.not_before(), validity.not_after()].map(EncodedTime::new);
        let (middle, length) = (2 + begin.length, 2 + begin.length + end.length);
        let mut der = [0; 36];
        der[..2].copy_from_slice(&[SEQUENCE, u8::try_from(length - 2).expect("two dates are short")]);
        der[2..middle].copy_from_slice(begin.as_der());
        der[middle..length].copy_from_slice(end.as_der());
        Self { der, length }
    }

    pub(super) fn as_der(&self) -> &[u8] {
        &self.der[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_round_trip_in_both_encodings() {
        for (text, tag) in [
            ("2049-12-31T23:59:59Z", Tag::UtcTime),
            ("1950-01-01T00:00:00Z", Tag::UtcTime),
            ("2050-01-01T00:00:00Z", Tag::GeneralizedTime),
            ("0001-01-01T00:00:00Z", Tag::GeneralizedTime),
            ("9999-12-31T23:59:59Z", Tag::GeneralizedTime),
        ] {
            let time = Timestamp::parse_rfc3339(text).unwrap();
            let encoded = encode_time(time);
            assert_eq!(encoded.tag(), tag, "{text}");
            assert_eq!(parse_time(AnyRef::from(&encoded)), Ok(time));
        }
    }

    #[test]
    fn dates_are_read_as_rfc_3339_reads_them() {
        for text in [
            "240229000000Z",
            "250229000000Z",
            "261332000000Z",
            "260100000000Z",
            "260101240000Z",
            "260101236000Z",
            "161231235960Z",
            "161231235961Z",
            "160101115960Z",
            "500101000000Z",
            "491231235959Z",
        ] {
            let any = Any::new(Tag::UtcTime, text.as_bytes()).unwrap();
            let part = |at: usize| &text[at..at + 2];
            let century = if text[..2] >= *"50" { 19 } else { 20 };
            let date = format!("{century}{}-{}-{}", part(0), part(2), part(4));
            let rfc3339 = format!("{date}T{}:{}:{}Z", part(6), part(8), part(10));
            let expected = Timestamp::parse_rfc3339(&rfc3339).ok();
            assert_eq!(parse_time(AnyRef::from(&any)).ok(), expected, "{text}");
        }
    }

    #[test]
    fn odd_dates_are_damage() {
        for text in
            ["", "Z", "271121233906", "271321233906Z", "27112123390Z", "+71121233906Z", "27112123390\u{e9}Z"]
        {
            let any = Any::new(Tag::UtcTime, text.as_bytes()).unwrap();
            assert!(parse_time(AnyRef::from(&any)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_validity_cannot_end_before_it_begins() {
        let (early, late) = (Timestamp::from_unix(0), Timestamp::from_unix(1));
        assert!(Validity::new(early, early).is_ok());
        assert!(Validity::new(late, early).is_err());
    }
}
