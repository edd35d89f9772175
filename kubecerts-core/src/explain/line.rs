//! What stands before a message in a line of a log: when, by which program, how grave.

use super::json;
use crate::catalog::Component;
use crate::time::{CivilTime, Timestamp};

/// A line, taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) time: Option<LineTime>,
    pub(super) program: Option<Program>,
    /// The host, or the node, of the program.
    pub(super) host: Option<String>,
    pub(super) is_informational: bool,
    /// Whether the line itself says that something is wrong; neither is said where no gravity is.
    pub(super) is_grave: bool,
    /// The source file or the package that wrote it.
    pub(super) caller: String,
    /// What is left, with plain quotation marks.
    pub(super) message: String,
}

/// The program that wrote a line.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Program {
    /// A component of the control plane, or the kubelet.
    Component(Component),
    /// Another one, by its name.
    Other(String),
}

impl Program {
    /// Returns the program called `name`, which may be that of a container or of a service.
    pub(super) fn named(name: &str) -> Self {
        match Component::ALL.into_iter().find(|component| component.name() == name) {
            Some(component) => Self::Component(component),
            None => Self::Other(name.chars().take(LONGEST_NAME).collect()),
        }
    }

    /// Returns the component, unless it is another program.
    #[must_use]
    pub const fn component(&self) -> Option<Component> {
        match self {
            Self::Component(component) => Some(*component),
            Self::Other(_) => None,
        }
    }

    /// Returns whether it is one that administrators use, with a kubeconfig of theirs.
    pub(super) fn is_tool(&self) -> bool {
        matches!(self, Self::Other(name) if TOOLS.contains(&name.as_str()))
    }

    /// Returns whether it calls plugins of the pod network, or is one.
    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Other(name) if RUNTIMES.contains(&name.as_str()))
    }

    /// Returns whether it is neither of the control plane, nor a tool, nor a service of the node: what runs in pods.
    pub(super) fn is_in_pod(&self) -> bool {
        self.component().is_none() && !self.is_tool() && !self.is_network()
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Component(component) => component.name(),
            Self::Other(name) => name,
        }
    }
}

/// When a line was written, as precisely as it says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum LineTime {
    Exact(Timestamp),
    /// klog and syslog write neither year nor zone. The order of the fields is that of the calendar.
    NoYear {
        month: u8,
        day: u8,
        second: u32,
    },
}

impl LineTime {
    /// Returns the moment; without a year the last such moment that is not after tomorrow, in UTC.
    pub(super) fn resolve(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Exact(moment) => Some(moment),
            Self::NoYear { month, day, second } => {
                let latest = now.plus(crate::time::Seconds::from_days(1));
                let of_year = |year| {
                    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                    let part = |value: u32| u8::try_from(value).ok();
                    Timestamp::from_civil(CivilTime {
                        year,
                        month,
                        day,
                        hour: part(hour)?,
                        minute: part(minute)?,
                        second: part(second)?,
                    })
                };
                let year = now.civil().year;
                // The 29th of February is up to eight years away.
                (year - 8..=year + 1).rev().filter_map(of_year).find(|moment| *moment <= latest)
            }
        }
    }
}

/// Takes `text` apart: one prefix after the other, for they are nested as logs go from program to runtime to collector.
pub(super) fn parse(text: &str) -> Line {
    let mut line = Line::default();
    let mut rest = text.trim();
    let owned;
    for _ in 0..MOST_PREFIXES {
        if let Some(fields) = rest.starts_with('{').then(|| json::fields(rest)).flatten() {
            owned = line.take_fields(fields);
            return Line { message: plain(&owned), ..line };
        }
        if rest.starts_with("time=") {
            owned = line.take_fields(logfmt(rest));
            rest = owned.as_str();
            break;
        }
        let Some(after) = line.take_prefix(rest) else { break };
        rest = after.trim_start();
        // An object within a line of JSON or of another prefix.
        if rest.starts_with('{') {
            let nested = parse_nested(rest, &mut line);
            return Line { message: nested, ..line };
        }
    }
    Line { message: plain(rest), ..line }
}

fn parse_nested(text: &str, line: &mut Line) -> String {
    match json::fields(text) {
        Some(fields) => plain(&line.take_fields(fields)),
        None => plain(text),
    }
}

impl Line {
    /// Takes one prefix from `text` and returns what follows.
    fn take_prefix<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix("[pod/") {
            let (name, rest) = rest.split_once("] ")?;
            let (pod, container) = name.rsplit_once('/').unwrap_or(("", name));
            let program = Program::named(container);
            if program.component().is_some() {
                // The pods of the control plane have the name of their node.
                self.set_host(pod.strip_prefix(container).and_then(|rest| rest.strip_prefix('-')));
            }
            self.program.get_or_insert(program);
            return Some(rest);
        }
        if let Some(rest) = self.take_klog(text) {
            return Some(rest);
        }
        if let Some(rest) = self.take_capnslog(text) {
            return Some(rest);
        }
        if let Some((time, rest)) = leading_time(text) {
            self.set_time(LineTime::Exact(time));
            for mark in ["| ", "stderr F ", "stdout F ", "stderr P ", "stdout P "] {
                if let Some(rest) = rest.strip_prefix(mark) {
                    return Some(rest);
                }
            }
            return Some(self.take_identifier(rest).unwrap_or(rest));
        }
        if let Some((time, rest)) = syslog_time(text) {
            self.set_time(time);
            return Some(self.take_identifier(rest).unwrap_or(rest));
        }
        None
    }

    /// `E0515 05:20:00.976949       1 authentication.go:63] `, see `k8s.io/klog/v2` `klog.go`.
    fn take_klog<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let bytes = text.as_bytes();
        let level = *bytes.first()?;
        let is_klog = b"IWEF".contains(&level) && bytes.get(5) == Some(&b' ') && bytes.get(8) == Some(&b':');
        if !is_klog {
            return None;
        }
        let (month, day) = (number(text.get(1..3)?)?, number(text.get(3..5)?)?);
        let second = clock(text.get(6..14)?)?;
        let (head, rest) = text.split_once("] ").or_else(|| Some((text.strip_suffix(']')?, "")))?;
        if head.len() > LONGEST_HEAD {
            return None;
        }
        self.set_time(LineTime::NoYear { month: month.try_into().ok()?, day: day.try_into().ok()?, second });
        self.is_informational = level == b'I';
        self.is_grave = level != b'I';
        let place = head.rsplit(' ').next().unwrap_or_default();
        place.split(':').next().unwrap_or_default().clone_into(&mut self.caller);
        Some(rest)
    }

    /// `2023-05-15 05:15:11.203956 I | etcdserver/api/etcdhttp: `, etcd's format before 3.5 (`coreos/pkg/capnslog`).
    fn take_capnslog<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (head, rest) = text.split_once(" | ")?;
        let (moment, level) = head.rsplit_once(' ')?;
        if head.len() > LONGEST_HEAD || level.len() != 1 {
            return None;
        }
        let date_and_time = moment.replacen(' ', "T", 1);
        let moment = Timestamp::parse_rfc3339(&format!("{date_and_time}Z")).ok()?;
        self.set_time(LineTime::Exact(moment));
        self.is_informational = matches!(level, "I" | "D" | "T" | "N");
        self.is_grave = !self.is_informational;
        self.program.get_or_insert(Program::Component(Component::Etcd));
        if let Some((package, message)) = rest.split_once(": ")
            && !package.contains(' ')
        {
            package.clone_into(&mut self.caller);
            return Some(message);
        }
        Some(rest)
    }

    /// `cp-1 kubelet[911]: `, journald's host and identifier.
    fn take_identifier<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (host, rest) = text.split_once(' ').filter(|(host, _)| !host.contains([':', '"', '[']))?;
        let (identifier, rest) = rest.split_once(": ")?;
        let name = identifier.split('[').next().unwrap_or(identifier);
        let is_name = !name.is_empty()
            && identifier.len() <= LONGEST_HEAD
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@/".contains(&byte))
            // Without the number of a process it may as well be the first word of a message, such as `x509`.
            && (identifier.ends_with(']') || SERVICES.contains(&name));
        if !is_name {
            return None;
        }
        self.program.get_or_insert(Program::named(name));
        self.set_host(Some(host));
        Some(rest)
    }

    /// Takes what the fields of a logger say, and returns the message with all other fields after it.
    fn take_fields(&mut self, fields: Vec<(String, String)>) -> String {
        let mut message = String::new();
        let mut further = String::new();
        for (key, value) in fields {
            match key.as_str() {
                "MESSAGE" | "log" | "msg" | "message" => message = value,
                "time" | "ts" | "@timestamp" | "timestamp" => {
                    if let Ok(moment) = Timestamp::parse_rfc3339(&value.replacen("+0000", "Z", 1)) {
                        self.set_time(LineTime::Exact(moment));
                    } else if let Some(milliseconds) =
                        value.split('.').next().and_then(|text| text.parse::<i64>().ok())
                    {
                        let seconds =
                            if milliseconds > 100_000_000_000 { milliseconds / 1000 } else { milliseconds };
                        self.set_time(LineTime::Exact(Timestamp::from_unix(seconds)));
                    }
                }
                "__REALTIME_TIMESTAMP" => {
                    if let Ok(microseconds) = value.parse::<i64>() {
                        self.set_time(LineTime::Exact(Timestamp::from_unix(microseconds / 1_000_000)));
                    }
                }
                "SYSLOG_IDENTIFIER" | "container_name" => {
                    self.program = Some(Program::named(&value));
                }
                // What journald knows of the process, where the process gave itself no name.
                "_COMM" | "_SYSTEMD_UNIT" => {
                    let program = Program::named(value.trim_end_matches(".service"));
                    if program.component().is_some() || program.is_network() {
                        self.program.get_or_insert(program);
                    }
                }
                "_HOSTNAME" => self.set_host(Some(&value)),
                "level" => {
                    self.is_informational = matches!(value.as_str(), "info" | "debug" | "trace" | "notice");
                    self.is_grave = !self.is_informational;
                }
                "caller" => {
                    let file = value.split(':').next().unwrap_or_default();
                    file.clone_into(&mut self.caller);
                }
                key if key.starts_with('_') || key == "stream" => {}
                key => {
                    further.push_str(&format!(" {key}=\"{value}\""));
                }
            }
        }
        // docker's and journald's fields hold a line with a prefix of its own.
        let inner = parse_inner(&message, self);
        inner + &further
    }

    fn set_host(&mut self, host: Option<&str>) {
        let host = host.filter(|host| !host.is_empty() && host.len() <= LONGEST_HEAD);
        self.host = self.host.take().or_else(|| host.map(str::to_owned));
    }

    fn set_time(&mut self, time: LineTime) {
        match (self.time, time) {
            (None, _) | (Some(LineTime::NoYear { .. }), LineTime::Exact(_)) => self.time = Some(time),
            _ => {}
        }
    }
}

/// Takes apart what a field holds, whose own prefix knows the program and the gravity better.
fn parse_inner(text: &str, outer: &mut Line) -> String {
    // Only what is shorter than its surroundings can be nested, so this ends.
    let inner = parse(text);
    let Line { time, program, host, is_informational, is_grave, caller, message } = inner;
    if let Some(time) = time {
        outer.set_time(time);
    }
    outer.program = outer.program.take().or(program);
    outer.set_host(host.as_deref());
    outer.is_informational |= is_informational;
    outer.is_grave |= is_grave;
    if !caller.is_empty() {
        outer.caller = caller;
    }
    message
}

/// `time="2023-05-15T05:20:00Z" level=error msg="…" error="…"`, as containerd and Docker write.
fn logfmt(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => json::string(quoted),
            None => {
                let (word, after) = after.split_once(' ').unwrap_or((after, ""));
                (word.to_owned(), after)
            }
        };
        fields.push((key.trim().to_owned(), value));
        rest = after.trim_start();
        if fields.len() > 32 {
            break;
        }
    }
    fields
}

/// Returns the RFC 3339 time that `text` begins with, and what follows it and a blank.
fn leading_time(text: &str) -> Option<(Timestamp, &str)> {
    if !text.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let (word, rest) = text.split_once([' ', '\t'])?;
    if word.len() < 20 || word.len() > 40 {
        return None;
    }
    Some((zoned(word)?, rest.trim_start()))
}

/// Parses RFC 3339, and journald's zone without a colon.
pub(super) fn zoned(word: &str) -> Option<Timestamp> {
    if let Ok(moment) = Timestamp::parse_rfc3339(word) {
        return Some(moment);
    }
    let at = word.len().checked_sub(2)?;
    let (head, minutes) = (word.get(..at)?, word.get(at..)?);
    Timestamp::parse_rfc3339(&format!("{head}:{minutes}")).ok()
}

/// `May 15 05:20:00 `
fn syslog_time(text: &str) -> Option<(LineTime, &str)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (month, rest) = match text.split_once("月 ") {
        Some((month, rest)) if month.len() <= 2 => (number(month)? as usize, rest),
        _ => (MONTHS.iter().position(|month| text.starts_with(month))? + 1, text.get(4..)?),
    };
    let day = number(rest.get(0..2)?.trim())?;
    let second = clock(rest.get(3..11)?)?;
    let rest = rest.get(11..)?;
    let rest = rest.split_once(' ')?.1;
    Some((LineTime::NoYear { month: month.try_into().ok()?, day: day.try_into().ok()?, second }, rest))
}

/// Parses `05:20:00` to the second of the day.
fn clock(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    (hour < 24 && minute < 60 && second < 61).then_some(hour * 3600 + minute * 60 + second)
}

fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Returns `text` without the backslashes that quoting within quotes has put before its quotation marks, and without what
/// colours a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if matches!(characters.peek(), Some('"' | '\\')) => {}
            '\u{1b}' => {
                // ESC [ … m
                if characters.next_if_eq(&'[').is_some() {
                    while characters.next_if(|c| c.is_ascii_digit() || *c == ';').is_some() {}
                    let _ = characters.next_if(char::is_ascii_alphabetic);
                }
            }
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

/// kubectl, docker, klog and a quoted message within it: more than these are not nested.
const MOST_PREFIXES: usize = 6;

/// Services whose identifier some collectors write without the number of the process.
const SERVICES: [&str; 5] = ["kubelet", "containerd", "crio", "dockerd", "etcd"];

/// Programs of administrators.
const TOOLS: [&str; 6] = ["curl", "etcdctl", "helm", "kubeadm", "kubectl", "openssl"];

/// Programs that call plugins of the pod network.
const RUNTIMES: [&str; 5] = ["containerd", "cri-o", "crio", "dockerd", "multus"];

/// Names of containers are at most 63 characters long.
const LONGEST_NAME: usize = 63;

/// A prefix is short; a bracket far away belongs to the message.
const LONGEST_HEAD: usize = 120;
