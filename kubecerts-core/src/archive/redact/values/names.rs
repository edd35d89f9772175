//! Which names speak of secrets, and which values under them are none.

use crate::archive::redact::{MASK, find, token};
use crate::x509::REDACTED_LABEL;

/// Returns whether `name` speaks of a secret, and not of where or how it is kept.
pub(super) fn speaks_of_secret(name: &[u8]) -> bool {
    let plain: Vec<u8> =
        name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    // The hash of a password is guessed like the password.
    let is_hash =
        [&b"passwordhash"[..], b"passwdhash", b"passhash", b"pwdhash"].iter().any(|end| plain.ends_with(end));
    if plain.len() > LONGEST_NAME || !is_hash && ABOUT.iter().any(|end| plain.ends_with(end)) {
        return false;
    }
    let ends = [&b"pass"[..], b"pwd"].iter().any(|end| plain.ends_with(end)) && !plain.ends_with(b"bypass");
    is_hash
        || ends
        || SECRET.iter().any(|word| find(&plain, word, 0).is_some())
        || SECRET_WHOLE.contains(&plain.as_slice())
}

/// Returns whether a user with a password may follow: `curl -u`, `--user`, `ETCDCTL_USER`.
pub(super) fn is_user_name(name: &[u8]) -> bool {
    name == b"-u" || name == b"-U" || name == b"--user" || name == b"--proxy-user" || name.ends_with(b"_USER")
}

/// Returns whether it is a header of HTTP, whose value may follow the colon without a blank.
pub(super) fn is_header(name: &[u8]) -> bool {
    name.get(..2).is_some_and(|begin| begin.eq_ignore_ascii_case(b"x-"))
        || name.to_ascii_lowercase().ends_with(b"authorization")
}

/// Returns whether this is a part of a private key in the words of OpenSSL.
pub(super) fn is_key_in_words(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 7] =
        [b"privateExponent", b"prime1", b"prime2", b"exponent1", b"exponent2", b"coefficient", b"priv"];
    PARTS.contains(&name)
}

/// Returns whether a value cannot be a secret.
pub(super) fn is_harmless(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let is_span = |value: &[u8]| {
        value.first().is_some_and(u8::is_ascii_digit)
            && value.len() < 12
            && value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'h' | b'm' | b's' | b'.'))
            && value.last().is_some_and(u8::is_ascii_alphabetic)
    };
    let is_word = |value: &[u8]| {
        let lower = value.to_ascii_lowercase();
        [&b"true"[..], b"false", b"null", b"~", b"yes", b"no", b"on", b"off", b"none"]
            .contains(&lower.as_slice())
    };
    value.is_empty()
        || is_span(value)
        || is_path(value)
        || is_word(value)
        || is_tag(value)
        || is_variable(value)
}

/// Returns whether `value` is a path, and not base64 that begins like one.
fn is_path(value: &[u8]) -> bool {
    let is_of_path = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-');
    let mut parts = value.split(|byte| *byte == b'/').skip(1);
    let has_top = parts.next().is_some_and(|top| TOPS.contains(&top));
    value.starts_with(b"/") && has_top && parts.next().is_some() && value.iter().all(is_of_path)
}

/// Returns whether `value` is what a redaction leaves.
fn is_tag(value: &[u8]) -> bool {
    let label = REDACTED_LABEL.as_bytes();
    let is_block = value
        .strip_prefix(b"-----BEGIN ")
        .and_then(|rest| rest.strip_prefix(label))
        .and_then(|rest| rest.strip_suffix(b"-----"))
        .and_then(|rest| rest.strip_suffix(label))
        .is_some_and(|rest| rest.ends_with(b"-----END "));
    let token = value.strip_prefix(b"Bearer ").unwrap_or(value);
    value == MASK || is_block || token::is_redacted(token)
}

/// Returns whether `value` is exactly `$NAME`, `${NAME}` or what a command prints: `$(…)`.
fn is_variable(value: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let Some(name) = value.strip_prefix(b"$") else { return false };
    let braced = name.strip_prefix(b"{").and_then(|name| name.strip_suffix(b"}"));
    let command = name.strip_prefix(b"(").and_then(|name| name.strip_suffix(b")"));
    let prints = |command: &[u8]| {
        let command = command.trim_ascii_start();
        let with_default = find(command, b":-", 0).or_else(|| find(command, b":=", 0)).is_some();
        !with_default && !command.starts_with(b"echo") && !command.starts_with(b"printf")
    };
    is_name(name) || braced.is_some_and(is_name) || command.is_some_and(prints)
}

/// What is part of the name of a secret, in small letters and without signs.
const SECRET: [&[u8]; 12] = [
    b"token",
    b"password",
    b"passwd",
    b"passphrase",
    b"secret",
    b"credential",
    b"apikey",
    b"accesskey",
    b"privatekey",
    b"certificatekey",
    b"encryptionkey",
    b"authorization",
];
/// What is the whole name of a secret.
const SECRET_WHOLE: [&[u8]; 3] = [b"pass", b"pwd", b"bearer"];
/// What a name ends with that speaks of something about a secret.
const ABOUT: [&[u8]; 19] = [
    b"file",
    b"files",
    b"path",
    b"dir",
    b"directory",
    b"name",
    b"namespace",
    b"ttl",
    b"mode",
    b"modes",
    b"url",
    b"issuer",
    b"audience",
    b"hash",
    b"hashes",
    b"ref",
    b"type",
    b"seconds",
    b"version",
];
/// Where files of a node lie.
const TOPS: [&[u8]; 20] = [
    b"etc", b"var", b"run", b"root", b"home", b"usr", b"opt", b"srv", b"tmp", b"mnt", b"data", b"dev",
    b"proc", b"sys", b"bin", b"sbin", b"lib", b"media", b"boot", b"snap",
];
/// The secret parts of a JSON web key ([RFC 7518 §6]).
///
/// [RFC 7518 §6]: https://www.rfc-editor.org/rfc/rfc7518#section-6
pub(super) const KEY_SET: [&[u8]; 7] = [b"d", b"p", b"q", b"dp", b"dq", b"qi", b"k"];
/// A longer run of letters is no name.
pub(super) const LONGEST_NAME: usize = 64;
