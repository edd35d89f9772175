//! Units of systemd, as far as they say what runs when (`systemd.syntax(7)`, `systemd.timer(5)`).

use std::borrow::Cow;

use super::script::text_of;

/// The settings of one unit, and of the drop-ins that were added to it, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    settings: Vec<(String, String)>,
}

impl Unit {
    /// Parses a unit. Whatever is no setting is passed over, as systemd does but for a line in its log.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut unit = Self::default();
        unit.add(bytes);
        unit
    }

    /// Adds the settings of a drop-in.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for line in logical_lines(&text_of(bytes)) {
            let line = line.trim();
            if line.starts_with(['#', ';', '[']) {
                continue;
            }
            if let Some((key, value)) = line.split_once('=') {
                self.settings.push((key.trim_end().to_owned(), value.trim_start().to_owned()));
            }
        }
    }

    /// Returns every value of `key` that counts: an empty one takes back those before it.
    pub(crate) fn values(&self, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, value) in self.settings.iter().filter(|(name, _)| name == key) {
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value.as_str());
            }
        }
        values
    }

    /// Returns the last value of `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.values(key).pop()
    }

    /// Returns the commands that a service runs.
    pub(crate) fn commands(&self) -> Vec<&str> {
        ["ExecStartPre", "ExecStart", "ExecStartPost"].into_iter().flat_map(|key| self.values(key)).collect()
    }

    /// Returns whether a timer has a random delay (`RandomizedDelaySec`) that is not zero.
    pub(crate) fn has_random_delay(&self) -> bool {
        self.value("RandomizedDelaySec").is_some_and(is_some_time)
    }

    /// Returns whether a service is ended when it takes too long. A `oneshot` service is not unless it says so.
    pub(crate) fn is_limited(&self) -> bool {
        ["TimeoutStartSec", "TimeoutSec", "RuntimeMaxSec"]
            .into_iter()
            .filter_map(|key| self.value(key))
            .any(|limit| limit != "infinity" && is_some_time(limit))
    }
}

/// Returns the lines of `text`, those that end with a backslash joined with the next.
pub(crate) fn logical_lines(text: &str) -> Vec<Cow<'_, str>> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        if continues || open.is_some() {
            let joined = open.get_or_insert_default();
            joined.push_str(part);
            joined.push(' ');
            if !continues {
                lines.extend(open.take().map(Cow::Owned));
            }
        } else {
            lines.push(Cow::Borrowed(line));
        }
    }
    lines.extend(open.map(Cow::Owned));
    lines
}

/// Returns whether a span of time, such as `1h 30min`, is not zero.
fn is_some_time(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_takes_back_those_before_it() {
        let mut unit = Unit::parse(b"[Timer]\n# OnCalendar=never\nOnCalendar=daily\nRandomizedDelaySec=0\n");
        assert_eq!(unit.values("OnCalendar"), ["daily"]);
        assert!(!unit.has_random_delay());
        unit.add(b"[Timer]\nOnCalendar=\nOnCalendar = Mon *-*-* 03:00:00\nRandomizedDelaySec=2h\n");
        assert_eq!(unit.values("OnCalendar"), ["Mon *-*-* 03:00:00"]);
        assert!(unit.has_random_delay());
    }

    #[test]
    fn a_command_may_take_several_lines() {
        let unit = Unit::parse(b"ExecStart=/bin/sh -c \\\n  'crictl rmp -f'\nTimeoutStartSec=infinity");
        assert_eq!(unit.commands(), ["/bin/sh -c    'crictl rmp -f'"]);
        assert!(!unit.is_limited());
    }

    #[test]
    fn anything_can_be_read() {
        for bytes in [&b"\\"[..], b"=\n==\n\xff=\xff", b"\\\n\\\n\\", &[b'x'; 1 << 16]] {
            let _ = Unit::parse(bytes).commands();
        }
    }
}
