//! Points in time and spans of it, with their unit in the type.
//!
//! X.509 counts whole seconds in UTC ([RFC 5280 §4.1.2.5]), so a [`Timestamp`] is a count of seconds since
//! the Unix epoch. Nothing here reads a clock.
//!
//! [RFC 5280 §4.1.2.5]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5

use std::fmt;
use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

/// A point in time, in whole seconds since 1970-01-01T00:00:00Z.
///
/// The range is the one that X.509 can express, years 0 to 9999, so formatting cannot fail.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last second that X.509 can express, 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// The first second of year 0, which Go's zero time (year 1) lies within reach of.
    pub const MIN: Self = Self(-62_167_219_200);

    /// Returns the point in time `seconds` after the Unix epoch, clamped to years 0 to 9999.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        if seconds < Self::MIN.0 {
            Self::MIN
        } else if seconds > Self::MAX.0 {
            Self::MAX
        } else {
            Self(seconds)
        }
    }

    /// Parses an RFC 3339 date and time; a fraction of a second is dropped.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] when `text` is not RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|moment| Self::from_unix(moment.unix_timestamp()))
            .map_err(|_| InvalidTimestamp(text.to_owned()))
    }

    /// Returns the seconds since the Unix epoch; negative before 1970.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Returns the calendar date and time of day in UTC.
    ///
    /// # Panics
    /// Never: every timestamp lies within the years that the calendar knows.
    #[must_use]
    pub fn civil(self) -> CivilTime {
        let moment = OffsetDateTime::from_unix_timestamp(self.0)
            .expect("a Timestamp lies within the years 0 to 9999 of UTC");
        let ((year, month, day), (hour, minute, second)) = (moment.to_calendar_date(), moment.to_hms());
        CivilTime { year, month: month.into(), day, hour, minute, second }
    }

    /// Returns the point in time at this date and time of day in UTC; `None` when the calendar has none.
    pub(crate) fn from_civil(civil: CivilTime) -> Option<Self> {
        let CivilTime { year, month, day, hour, minute, second } = civil;
        let date = Date::from_calendar_date(year, month.try_into().ok()?, day).ok()?;
        let moment = date.with_hms(hour, minute, second).ok()?.assume_utc();
        Some(Self::from_unix(moment.unix_timestamp()))
    }

    /// Returns this point moved `span` later, clamped to year 9999.
    #[must_use]
    pub const fn plus(self, span: Seconds) -> Self {
        Self::from_unix(self.0.saturating_add(span.0))
    }

    /// Returns this point moved `span` earlier, clamped to year 0.
    #[must_use]
    pub const fn minus(self, span: Seconds) -> Self {
        Self::from_unix(self.0.saturating_sub(span.0))
    }

    /// Returns the time from `earlier` to this point; negative when `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0 - earlier.0)
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with a `Z`, for example `2027-11-21T23:39:06Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CivilTime { year, month, day, hour, minute, second } = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_rfc3339(text)
    }
}

/// A point in time to the nanosecond, as clocks, file systems and container runtimes tell it.
///
/// Whether a program started before or after a file was replaced is decided by fractions of a second, for which a
/// [`Timestamp`] is too coarse.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Moment {
    second: Timestamp,
    nanosecond: u32,
}

impl Moment {
    /// Returns the point `nanoseconds` after `seconds` after the Unix epoch; whole seconds among the nanoseconds are carried.
    #[must_use]
    pub const fn from_unix(seconds: i64, nanoseconds: i64) -> Self {
        let carried = seconds.saturating_add(nanoseconds.div_euclid(NANOSECONDS));
        // It is below 10^9.
        let nanosecond = nanoseconds.rem_euclid(NANOSECONDS) as u32;
        Self { second: Timestamp::from_unix(carried), nanosecond }
    }

    /// Parses RFC 3339 with any number of fractional digits.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] when `text` is not RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|moment| Self::from_unix(moment.unix_timestamp(), moment.nanosecond().into()))
            .map_err(|_| InvalidTimestamp(text.to_owned()))
    }

    /// Returns the second that this point lies in.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.second
    }

    /// Returns the nanoseconds since the beginning of that second.
    #[must_use]
    pub const fn nanosecond(self) -> u32 {
        self.nanosecond
    }
}

impl fmt::Display for Moment {
    /// Writes RFC 3339 in UTC with milliseconds, for example `2027-11-21T23:39:06.250Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.second.to_string();
        write!(f, "{}.{:03}Z", second.trim_end_matches('Z'), self.nanosecond / 1_000_000)
    }
}

const NANOSECONDS: i64 = 1_000_000_000;

/// A calendar date and time of day in UTC; what a [`Timestamp`] looks like to people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CivilTime {
    /// The year, 0 to 9999.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The second, 0 to 59.
    pub second: u8,
}

/// A span of time in seconds; negative spans point back.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "a unit of measure will not grow fields")]
pub struct Seconds(pub i64);

impl Seconds {
    /// Returns the span of `days` days of 24 hours.
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        Self(days.saturating_mul(86_400))
    }

    /// Returns the span of `hours` hours.
    #[must_use]
    pub const fn from_hours(hours: i64) -> Self {
        Self(hours.saturating_mul(3_600))
    }

    /// Returns the whole days in this span, rounded towards zero.
    #[must_use]
    pub const fn days(self) -> i64 {
        self.0 / 86_400
    }
}

impl fmt::Display for Seconds {
    /// Writes the largest units that divide the span, as [`FromStr`] reads them: `30d`, `36h`, `1h30m`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl FromStr for Seconds {
    type Err = InvalidSpan;

    /// Parses spans as Go and kubectl write them: `8760h`, `720h30m`, `30d`, `1y` (365 days), `90s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSpan(text.to_owned());
        let mut total: i64 = 0;
        let mut rest = text;
        if rest.is_empty() {
            return Err(invalid());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
            let count: i64 = rest[..digits].parse().map_err(|_| invalid())?;
            let unit = rest[digits..].chars().next().ok_or_else(invalid)?;
            let length = match unit {
                'y' => 365 * 86_400,
                'w' => 7 * 86_400,
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                's' => 1,
                _ => return Err(invalid()),
            };
            total = count.checked_mul(length).and_then(|span| total.checked_add(span)).ok_or_else(invalid)?;
            rest = &rest[digits + unit.len_utf8()..];
        }
        Ok(Self(total))
    }
}

/// A text that is not an RFC 3339 date and time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a time in RFC 3339, such as 2027-11-21T23:39:06Z")]
pub struct InvalidTimestamp(String);

/// A text that is not a span of time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a span of time, such as 30d, 8760h or 1h30m")]
pub struct InvalidSpan(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_trip_through_rfc3339() {
        for text in
            ["2027-11-21T23:39:06Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
        {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_offset_is_converted_to_utc() {
        let moment = Timestamp::parse_rfc3339("2027-01-01T01:30:00.9+02:00").unwrap();
        assert_eq!(moment.to_string(), "2026-12-31T23:30:00Z");
    }

    #[test]
    fn moments_are_told_apart_within_a_second() {
        let earlier = Moment::parse_rfc3339("2027-11-21T23:39:06.000000001Z").unwrap();
        let later = Moment::parse_rfc3339("2027-11-22T00:39:06.25+01:00").unwrap();
        assert!(earlier < later && earlier.timestamp() == later.timestamp());
        assert_eq!(later.to_string(), "2027-11-21T23:39:06.250Z");
        assert_eq!(Moment::from_unix(0, -1), Moment::from_unix(-1, 999_999_999));
        assert_eq!(Moment::from_unix(1, 2_000_000_003), Moment::from_unix(3, 3));
    }

    #[test]
    fn spans_read_what_they_write() {
        for (text, seconds) in
            [("30d", 2_592_000), ("8760h", 31_536_000), ("1y", 31_536_000), ("1h30m", 5_400), ("0s", 0)]
        {
            let span: Seconds = text.parse().unwrap();
            assert_eq!(span, Seconds(seconds), "{text}");
            assert_eq!(span.to_string().parse::<Seconds>().unwrap(), span);
        }
    }

    #[test]
    fn spans_refuse_what_has_no_unit_or_overflows() {
        for text in ["", "30", "d", "30 d", "-1d", "1x", "9223372036854775807d", "99999999999999999999s"] {
            assert!(text.parse::<Seconds>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn arithmetic_is_clamped_to_the_years_of_x509() {
        assert_eq!(Timestamp::MAX.plus(Seconds(i64::MAX)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.minus(Seconds(i64::MAX)), Timestamp::MIN);
    }
}
