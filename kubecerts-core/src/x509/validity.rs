//! From when to when a certificate is valid.

use der::Tag;
use der::Tagged;
use der::asn1::{Any, AnyRef};

use super::Damage;
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
    let (year, rest) = match (time.tag(), digits.len()) {
        (Tag::UtcTime, 12) => {
            let year: u16 = digits[..2].parse().map_err(|_| invalid())?;
            (if year >= 50 { 1900 + year } else { 2000 + year }, &digits[2..])
        }
        (Tag::GeneralizedTime, 14) => (digits[..4].parse().map_err(|_| invalid())?, &digits[4..]),
        _ => return Err(invalid()),
    };
    let part = |at: usize| &rest[at * 2..at * 2 + 2];
    let rfc3339 = format!("{year:04}-{}-{}T{}:{}:{}Z", part(0), part(1), part(2), part(3), part(4));
    Timestamp::parse_rfc3339(&rfc3339).map_err(|_| invalid())
}

/// Returns `time` as a `Time`: UTCTime until 2049, GeneralizedTime from 2050 on.
pub(super) fn encode_time(time: Timestamp) -> Any {
    let CivilTime { year, month, day, hour, minute, second } = time.civil();
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    let (tag, text) = if (1950..2050).contains(&year) {
        (Tag::UtcTime, format!("{:02}{rest}", year % 100))
    } else {
        (Tag::GeneralizedTime, format!("{year:04}{rest}"))
    };
    Any::new(tag, text.into_bytes()).expect("a date is short")
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
