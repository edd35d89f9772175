//! The law of editing: new values are in, and everything else is byte for byte as it was.

use kubecerts_core::kubeconfig::{Edit, KeySource, Kubeconfig, Source, edit, user_key};
use kubecerts_core::secret::SecretBytes;

/// An edit of a kubeconfig that parses succeeds or refuses. When it succeeds, the result parses, says what was asked
/// for, agrees with the original in everything else, and differs from it only where the values are.
pub fn kubeconfig(data: &[u8]) {
    let Ok(before) = Kubeconfig::parse(data) else { return };
    let _ = before.current();
    if VALUES.iter().any(|(_, text)| find(data, text.as_bytes()).is_some()) {
        return;
    }
    let [(authority, _), (certificate, _), (key, _)] = VALUES;
    let key = SecretBytes::new(key.to_vec());
    if let Some(user) = before.users().first()
        && let Ok(after) = edit(data, &Edit::new().client(certificate, Some(&key), user.name()))
    {
        let after = after.secret_bytes();
        let read = Kubeconfig::parse(after).expect("an edited kubeconfig is a kubeconfig");
        assert_eq!((read.clusters(), read.contexts()), (before.clusters(), before.contexts()));
        assert_eq!(read.current_context(), before.current_context());
        assert_eq!(read.users()[1..], before.users()[1..], "only the first user of a name is edited");
        let edited = &read.users()[0];
        assert_eq!(edited.name(), user.name());
        assert_eq!(*edited.client_certificate(), Source::Data(certificate.to_vec()));
        assert_eq!(*edited.client_key(), KeySource::Data);
        assert_eq!(edited.other_credential(), user.other_credential());
        assert_eq!(user_key(after, user.name()).expect("there is a key").secret_bytes(), key.secret_bytes());
        unchanged_around(data, after, 2);
    }
    if let Some(cluster) = before.clusters().first()
        && let Ok(after) = edit(data, &Edit::new().authority(authority, cluster.name()))
    {
        let after = after.secret_bytes();
        let read = Kubeconfig::parse(after).expect("an edited kubeconfig is a kubeconfig");
        assert_eq!((read.users(), read.contexts()), (before.users(), before.contexts()));
        assert_eq!(read.current_context(), before.current_context());
        assert_eq!(
            read.clusters()[1..],
            before.clusters()[1..],
            "only the first cluster of a name is edited"
        );
        let edited = &read.clusters()[0];
        assert_eq!((edited.name(), edited.server()), (cluster.name(), cluster.server()));
        assert_eq!(edited.tls_server_name(), cluster.tls_server_name());
        assert_eq!(edited.insecure_skip_tls_verify(), cluster.insecure_skip_tls_verify());
        assert_eq!(*edited.certificate_authority(), Source::Data(authority.to_vec()));
        unchanged_around(data, after, 1);
    }
}

/// Values that no seed holds, and their base64: authority, certificate, key.
const VALUES: [(&[u8], &str); 3] = [
    (b"-----NEW AUTHORITY-----\n", "LS0tLS1ORVcgQVVUSE9SSVRZLS0tLS0K"),
    (b"-----NEW CERTIFICATE---\n", "LS0tLS1ORVcgQ0VSVElGSUNBVEUtLS0K"),
    (b"-----NEW PRIVATE KEY---\n", "LS0tLS1ORVcgUFJJVkFURSBLRVktLS0K"),
];

/// Checks that `after` is `before` with `count` ranges replaced by new values.
///
/// What stands between the values must stand in `before`, in the same order; what stands before the first and behind
/// the last must be its beginning and its end. A block scalar loses two ranges, its header and its lines, so what
/// stands behind one is found in pieces: then only nothing new may have come in.
fn unchanged_around(before: &[u8], after: &[u8], count: usize) {
    let segments = split(after);
    assert_eq!(segments.len(), count + 1, "each value is written once");
    let (first, rest) = segments.split_first().expect("there is a segment");
    let (last, middle) = rest.split_last().expect("there is a value");
    assert!(before.starts_with(first), "what stands before the values has changed");
    if before.contains(&b'|') || before.contains(&b'>') {
        assert!(is_subsequence(&segments.concat(), before), "something was written that is no value");
        return;
    }
    assert!(before.ends_with(last), "what stands behind the values has changed");
    let mut at = first.len();
    for segment in middle {
        at += find(&before[at..], segment).expect("what stands between the values is there") + segment.len();
    }
    assert!(at + last.len() <= before.len(), "nothing is written twice");
}

/// Splits where one of the new values stands.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut segments = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        match VALUES.iter().find(|(_, text)| bytes[at..].starts_with(text.as_bytes())) {
            Some((_, text)) => {
                segments.push(&bytes[start..at]);
                at += text.len();
                start = at;
            }
            None => at += 1,
        }
    }
    segments.push(&bytes[start..]);
    segments
}

fn is_subsequence(short: &[u8], long: &[u8]) -> bool {
    let mut long = long.iter();
    short.iter().all(|byte| long.any(|other| other == byte))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}
