//! Tokens and keys in foreign text, which must not be shown.

/// Why a token is not accepted, as Kubernetes says it (`pkg/serviceaccount`, 1.30), and in a word.
pub(super) const REASONS: [(&str, &str); 5] = [
    ("token has expired", "expired"),
    ("token is not valid yet", "early"),
    ("oken has been invalidated", "deleted"),
    (" not found", "deleted"),
    ("cryptographic primitive", "key"),
];

/// Returns `text` with `[secret]` in place of what has the form of a token of a service account, a bootstrap token, a bearer token
/// in a header, or the content of a private key.
pub(super) fn without(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_after_bearer = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_secret = is_web_token(word) || is_bootstrap_token(word) || is_after_bearer && word.len() >= 12;
        shown.push_str(if is_secret { "[secret]" } else { word });
        if !word.is_empty() {
            is_after_bearer = ["Bearer", "bearer", "Basic"].contains(&word);
        }
        if let Some(at) = after.starts_with(' ').then(|| key_end(word, after)).flatten() {
            shown.push_str(" [secret]");
            rest = &after[at..];
            continue;
        }
        let other = after.chars().next().map_or(0, char::len_utf8);
        shown.push_str(&after[..other]);
        rest = &after[other..];
    }
    shown
}

/// Returns where a private key ends whose `-----BEGIN` is `word`.
fn key_end(word: &str, after: &str) -> Option<usize> {
    if !word.ends_with("-----BEGIN") {
        return None;
    }
    let label = after.split("-----").next()?;
    label.ends_with("PRIVATE KEY").then(|| after.find("-----END").unwrap_or(after.len()))
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=')
}

/// The header of a JSON web token begins with `{"`, in base64.
fn is_web_token(word: &str) -> bool {
    word.find("eyJ").is_some_and(|at| word.len() - at >= 20)
}

/// `abcdef.0123456789abcdef`
fn is_bootstrap_token(word: &str) -> bool {
    let word = word.rsplit('=').next().unwrap_or(word);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    word.split_once('.')
        .is_some_and(|(id, secret)| id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(without("token eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.e30.c2ln is"), "token [secret] is");
        assert_eq!(without("--token abcdef.0123456789abcdef"), "--token [secret]");
        assert_eq!(without("--token=abcdef.0123456789abcdef,"), "[secret],");
        assert_eq!(without("Authorization: Bearer 0123456789abcdef0123"), "Authorization: Bearer [secret]");
        assert_eq!(
            without("x -----BEGIN EC PRIVATE KEY----- MHc -----END EC PRIVATE KEY-----"),
            "x -----BEGIN [secret]-----END EC PRIVATE KEY-----"
        );
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "",
            "a.b/c=d é \"x\"",
            "invalid bearer token, x",
            "AKID=9A:A4:90",
            "system:node:cp-1 kubelet.conf",
        ] {
            assert_eq!(without(text), text);
        }
    }
}
