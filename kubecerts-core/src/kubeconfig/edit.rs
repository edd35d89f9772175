//! Replaces certificates and keys, or refers to a file with both, and leaves every other byte as it is.

use std::collections::BTreeMap;
use std::ops::Range;

use base64ct::{Base64, Encoding};
use granit_parser::ScalarStyle;
use zeroize::Zeroizing;

use super::{
    CERTIFICATE_AUTHORITY_DATA, CLIENT_CERTIFICATE, CLIENT_CERTIFICATE_DATA, CLIENT_KEY, CLIENT_KEY_DATA,
    DamagedKubeconfig, Document, KeySource, Kubeconfig, Source, entry_name,
};
use crate::secret::SecretBytes;
use crate::yaml::{self, Node, Stream};

/// Returns the kubeconfig `bytes` with the values that `edit` asks for.
///
/// Only the scalars that hold these values are replaced, by base64 on one line or by a path: comments, order,
/// line ends, other users and quotes stay. A block scalar becomes a plain one. The result is parsed again, and
/// is returned only when it differs from the original in exactly these values.
///
/// # Errors
/// [`EditError`] when the file is damaged, a value is not there to be replaced, or replacing it in place
/// might change more than it.
pub fn edit(bytes: &[u8], edit: &Edit<'_>) -> Result<SecretBytes, EditError> {
    edit_document(&Document::parse(bytes)?, edit)
}

pub(super) fn edit_document(document: &Document<'_>, edit: &Edit<'_>) -> Result<SecretBytes, EditError> {
    let Document { bytes, stream, kubeconfig: _, keys: _ } = document;
    let mut scalars = Vec::new();
    for value in edit.values() {
        let (key, node) = find(stream, &value)?;
        if value.text.is_empty() {
            // Empty data are absent data: a file reference beside them would come into force.
            return Err(EditError::NotVerified);
        }
        scalars.push(NewScalar { key, node, text: value.text });
    }
    if let Some(Reference { user, path }) = edit.reference {
        for (data, file) in [(CLIENT_CERTIFICATE_DATA, CLIENT_CERTIFICATE), (CLIENT_KEY_DATA, CLIENT_KEY)] {
            scalars.extend(refer(stream, user, data, file, path)?);
        }
    }
    let mut patches = Vec::new();
    let mut replaced = BTreeMap::new();
    for NewScalar { key, node, text } in &scalars {
        patches.extend(patch(bytes, *key, *node, text).ok_or(EditError::NotVerified)?);
        replaced.insert(node.index(), text.as_str());
    }
    let result = apply(bytes, patches).ok_or(EditError::NotVerified)?;
    let reread = yaml::parse_first(result.secret_bytes()).map_err(|_| EditError::NotVerified)?;
    if !stream.says_the_same(&reread, &replaced) {
        return Err(EditError::NotVerified);
    }
    // Of a key that occurs twice only one was renamed.
    let refers = edit.reference.is_none_or(|reference| reference.is_in(result.secret_bytes()));
    if refers { Ok(result) } else { Err(EditError::NotVerified) }
}

/// The values to replace in a kubeconfig; nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    cluster: Option<(&'a str, &'a [u8])>,
    user: Option<UserEdit<'a>>,
    reference: Option<Reference<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct UserEdit<'a> {
    name: &'a str,
    certificate: &'a [u8],
    key: Option<&'a SecretBytes>,
}

impl<'a> Edit<'a> {
    /// Returns an edit that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also replaces `certificate-authority-data` of `cluster` by these bytes, normally PEM.
    #[must_use]
    pub fn authority(self, certificates: &'a [u8], cluster: &'a str) -> Self {
        Self { cluster: Some((cluster, certificates)), ..self }
    }

    /// Also replaces `client-certificate-data` of `user` by these bytes, normally PEM; `client-key-data` too,
    /// if a key is given.
    #[must_use]
    pub fn client(self, certificate: &'a [u8], key: Option<&'a SecretBytes>, user: &'a str) -> Self {
        Self { user: Some(UserEdit { name: user, certificate, key }), reference: None, ..self }
    }

    /// Also makes `user` refer to the file `path` for its certificate and its key, instead of embedding them or referring
    /// elsewhere. It takes the place of an earlier [`client`](Self::client).
    #[must_use]
    pub fn reference(self, path: &'a str, user: &'a str) -> Self {
        Self { user: None, reference: Some(Reference { user, path }), ..self }
    }

    fn values(&self) -> Vec<NewValue<'a>> {
        let Self { cluster, user, reference: _ } = *self;
        let mut values = Vec::new();
        if let Some((name, certificates)) = cluster {
            values.push(NewValue::new(Entry::Cluster, name, CERTIFICATE_AUTHORITY_DATA, certificates));
        }
        if let Some(UserEdit { name, certificate, key }) = user {
            values.push(NewValue::new(Entry::User, name, CLIENT_CERTIFICATE_DATA, certificate));
            values
                .extend(key.map(|key| NewValue::new(Entry::User, name, CLIENT_KEY_DATA, key.secret_bytes())));
        }
        values
    }
}

/// Why a kubeconfig is not edited.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file is not a kubeconfig.
    #[error("the kubeconfig is damaged")]
    Damaged(#[from] DamagedKubeconfig),
    /// No cluster has this name.
    #[error("cluster {name:?} is not in the file")]
    NoCluster {
        /// The name asked for.
        name: String,
    },
    /// No user has this name.
    #[error("user {name:?} is not in the file")]
    NoUser {
        /// The name asked for.
        name: String,
    },
    /// The value is absent, empty or not a text; an edit replaces values but adds none.
    #[error("{entry} {name:?} has no {key} to replace")]
    Missing {
        /// `cluster` or `user`.
        entry: &'static str,
        /// The name of the entry.
        name: String,
        /// The field of the kubeconfig.
        key: &'static str,
    },
    /// The value, or something around it, is an alias or has an anchor or a tag, so that other values may
    /// depend on it.
    #[error("{key} of {entry} {name:?} is shared by a YAML alias, an anchor or a tag")]
    Shared {
        /// `cluster` or `user`.
        entry: &'static str,
        /// The name of the entry.
        name: String,
        /// The field of the kubeconfig.
        key: &'static str,
    },
    /// The edited file did not read as what was asked for, so it was thrown away.
    #[error("the edited kubeconfig does not say what was asked for")]
    NotVerified,
}

/// A file that holds certificate and key of a user.
#[derive(Clone, Copy, Debug)]
struct Reference<'a> {
    user: &'a str,
    path: &'a str,
}

impl Reference<'_> {
    fn is_in(self, kubeconfig: &[u8]) -> bool {
        let Self { user, path } = self;
        let parsed = Kubeconfig::parse(kubeconfig).ok();
        parsed.as_ref().and_then(|kubeconfig| kubeconfig.user(user)).is_some_and(|user| {
            *user.client_certificate() == Source::File(path.to_owned())
                && *user.client_key() == KeySource::File(path.to_owned())
        })
    }
}

#[derive(Clone, Copy)]
enum Entry {
    Cluster,
    User,
}

impl Entry {
    const fn list(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::User => "users",
        }
    }

    const fn body(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::User => "user",
        }
    }
}

/// A scalar of the file, the key that stands before it (or the scalar itself, when it is a key), and what it is to say.
struct NewScalar<'a> {
    key: Node<'a>,
    node: Node<'a>,
    text: Zeroizing<String>,
}

/// A value to write, found by the kind and name of its entry and its key.
struct NewValue<'a> {
    entry: Entry,
    name: &'a str,
    key: &'static str,
    text: Zeroizing<String>,
}

impl<'a> NewValue<'a> {
    fn new(entry: Entry, name: &'a str, key: &'static str, bytes: &[u8]) -> Self {
        Self { entry, name, key, text: Zeroizing::new(Base64::encode_string(bytes)) }
    }
}

/// Returns the key and the value as they stand in the file.
fn find<'a>(stream: &'a Stream, value: &NewValue<'_>) -> Result<(Node<'a>, Node<'a>), EditError> {
    let NewValue { entry, name, key, text: _ } = *value;
    let mapping = body(stream, entry, name, key)?;
    let missing = || EditError::Missing { entry: entry.body(), name: name.to_owned(), key };
    let (key_node, node) = mapping.entry(key).ok_or_else(missing)?;
    if node.as_str().is_none_or(|text| text.trim().is_empty()) {
        return Err(missing());
    }
    if [key_node, node].into_iter().any(Node::is_shared) {
        return Err(EditError::Shared { entry: entry.body(), name: name.to_owned(), key });
    }
    Ok((key_node, node))
}

/// Returns the scalars with which `user` refers to `path` under the key `file`, and no longer embeds anything under `data`.
fn refer<'a>(
    stream: &'a Stream,
    user: &str,
    data: &'static str,
    file: &'static str,
    path: &str,
) -> Result<Vec<NewScalar<'a>>, EditError> {
    let entry = Entry::User;
    let mapping = body(stream, entry, user, data)?;
    let owned = |key| (entry.body(), user.to_owned(), key);
    let scalar = |key: &'static str| match mapping.entry(key) {
        None => Ok(None),
        Some((key_node, node)) if key_node.is_shared() || node.is_shared() => {
            let (entry, name, key) = owned(key);
            Err(EditError::Shared { entry, name, key })
        }
        // What has no text has no place for one.
        Some((_, node)) if node.as_str().is_none() => {
            let (entry, name, key) = owned(key);
            Err(EditError::Missing { entry, name, key })
        }
        Some(found) => Ok(Some(found)),
    };
    let say = |key, node, text: &str| NewScalar { key, node, text: Zeroizing::new(text.to_owned()) };
    match (scalar(data)?, scalar(file)?) {
        (None, None) => {
            let (entry, name, key) = owned(file);
            Err(EditError::Missing { entry, name, key })
        }
        (Some((key, node)), None) => Ok(vec![say(key, key, file), say(key, node, path)]),
        (None, Some((key, node))) => Ok(vec![say(key, node, path)]),
        // Empty data are absent data, so the file comes into force.
        (Some((key, node)), Some((file_key, file_node))) => {
            Ok(vec![say(key, node, ""), say(file_key, file_node, path)])
        }
    }
}

/// Returns the mapping with the fields of the entry `name`, in which `key` is to be changed.
fn body<'a>(stream: &'a Stream, entry: Entry, name: &str, key: &'static str) -> Result<Node<'a>, EditError> {
    let owned = || name.to_owned();
    let (list, kind) = (entry.list(), entry.body());
    let absent = || match entry {
        Entry::Cluster => EditError::NoCluster { name: owned() },
        Entry::User => EditError::NoUser { name: owned() },
    };
    let root = stream.first_mapping().map_err(DamagedKubeconfig::from)?;
    let entries = root.get(list).ok_or_else(absent)?;
    let item = entries.items().find(|item| entry_name(*item) == name).ok_or_else(absent)?;
    let mapping = item.get(kind).ok_or_else(|| EditError::Missing { entry: kind, name: owned(), key })?;
    if [root, entries, item, mapping].into_iter().any(Node::is_shared) {
        return Err(EditError::Shared { entry: kind, name: owned(), key });
    }
    Ok(mapping)
}

/// A range of the file and what takes its place.
struct Patch {
    range: Range<usize>,
    text: Zeroizing<String>,
}

/// Returns what has to change so that the scalar `node` says `text`, or `None` when quotes would have to be escaped.
fn patch(bytes: &[u8], key: Node<'_>, node: Node<'_>, text: &str) -> Option<Vec<Patch>> {
    if text.contains(['\'', '"', '\\']) {
        return None;
    }
    let quoted = |quote: &str| Zeroizing::new([quote, text, quote].concat());
    let plain = || if reads_as_text(text) { Zeroizing::new(text.to_owned()) } else { quoted("\"") };
    let span = node.span();
    match node.style()? {
        ScalarStyle::Plain => Some(vec![Patch { range: span, text: plain() }]),
        ScalarStyle::SingleQuoted => Some(vec![Patch { range: span, text: quoted("'") }]),
        ScalarStyle::DoubleQuoted => Some(vec![Patch { range: span, text: quoted("\"") }]),
        ScalarStyle::Literal | ScalarStyle::Folded => {
            let header = block_header(bytes, key.span().end)?;
            let rest = bytes.get(header.end..)?;
            let line_end = header.end + rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
            // The span goes on over blank lines and the indentation of whatever comes next; base64 ends
            // before them.
            let content = bytes.get(line_end..span.end)?.trim_ascii_end();
            Some(vec![
                Patch { range: header, text: plain() },
                // A comment behind the header stays between the two.
                Patch { range: line_end..line_end + content.len(), text: Zeroizing::default() },
            ])
        }
    }
}

/// Returns the header of the block scalar behind a key, such as `|2-`: after the colon, blanks, line ends and
/// comments.
fn block_header(bytes: &[u8], key_end: usize) -> Option<Range<usize>> {
    let mut at = key_end;
    loop {
        match bytes.get(at)? {
            b'#' => at += bytes[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n'))?,
            b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'|' | b'>' => break,
            _ => return None,
        }
    }
    let modifiers =
        bytes[at + 1..].iter().take_while(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9')).count();
    Some(at..at + 1 + modifiers)
}

/// Returns whether every YAML reader takes the plain `text`, which is base64, a path or a key, for a text: not for a null, a
/// boolean or a number, and all of it.
pub(crate) fn reads_as_text(text: &str) -> bool {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=._-".contains(&byte)) {
        return false;
    }
    let word = ["", "null", "Null", "NULL", "true", "True", "TRUE"].contains(&text);
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || c == '+')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
    !word && !numeric
}

/// Returns `bytes` with every patch in place, in memory that is wiped.
fn apply(bytes: &[u8], mut patches: Vec<Patch>) -> Option<SecretBytes> {
    patches.sort_by_key(|patch| patch.range.start);
    // Allocated once at full length: growing would leave copies of the key behind.
    let length = bytes.len() + patches.iter().map(|patch| patch.text.len()).sum::<usize>();
    let mut result = Zeroizing::new(Vec::with_capacity(length));
    let mut done = 0;
    for Patch { range, text } in &patches {
        result.extend_from_slice(bytes.get(done..range.start)?);
        result.extend_from_slice(text.as_bytes());
        done = range.end;
    }
    result.extend_from_slice(bytes.get(done..)?);
    Some(SecretBytes::new(std::mem::take(&mut *result)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::user_key;
    use super::*;

    /// `-----BEGIN` and more, as every PEM file has it.
    const OLD: &str = "LS0tLS1CRUdJTiBPTEQ=";
    const NEW_CERTIFICATE: &[u8] = b"-----BEGIN NEW CERTIFICATE";
    const NEW_CERTIFICATE_TEXT: &str = "LS0tLS1CRUdJTiBORVcgQ0VSVElGSUNBVEU=";
    const NEW_KEY: &[u8] = b"-----BEGIN NEW KEY";
    const NEW_KEY_TEXT: &str = "LS0tLS1CRUdJTiBORVcgS0VZ";

    fn edited(text: &str, edit_user: &str) -> Result<String, EditError> {
        let key = SecretBytes::new(NEW_KEY.to_vec());
        let done = edit(text.as_bytes(), &Edit::new().client(NEW_CERTIFICATE, Some(&key), edit_user))?;
        Ok(String::from_utf8(done.secret_bytes().to_vec()).unwrap())
    }

    fn edited_authority(text: &str) -> Result<String, EditError> {
        let done = edit(text.as_bytes(), &Edit::new().authority(NEW_CERTIFICATE, "c"))?;
        Ok(String::from_utf8(done.secret_bytes().to_vec()).unwrap())
    }

    /// A cluster whose value is `value`, which is written to the end of `text`.
    fn cluster(value: &str) -> String {
        format!("clusters:\n- name: c\n  cluster:\n    certificate-authority-data: {value}")
    }

    #[test]
    fn only_the_values_of_the_named_user_change() {
        let text = format!(
            "# mine\nusers:\n- name: other\n  user: {{client-key-data: {OLD}}}  # theirs\n- name: me\n  user:\n    \
             client-key-data: '{OLD}' # key\n    client-certificate-data: \"{OLD}\"\n    exec: {{command: [x,  y]}}"
        );
        let expected = text
            .replace(&format!("'{OLD}'"), &format!("'{NEW_KEY_TEXT}'"))
            .replace(&format!("\"{OLD}\""), &format!("\"{NEW_CERTIFICATE_TEXT}\""));
        assert_eq!(edited(&text, "me"), Ok(expected));
    }

    #[test]
    fn the_entry_that_the_current_context_means_is_edited() {
        let entry =
            format!("- {{name: me, user: {{client-certificate-data: {OLD}, client-key-data: {OLD}}}}}\n");
        let result = edited(&format!("users:\n{entry}{entry}"), "me").unwrap();
        assert!(result.ends_with(&entry), "{result}");
        assert_eq!(user_key(result.as_bytes(), "me").unwrap().secret_bytes(), NEW_KEY);
    }

    #[test]
    fn block_scalars_become_plain_and_keep_what_is_around_them() {
        for (old, new) in [
            ("|\n      LS0t\n      LS0t\n    server: x\n", "NEW\n    server: x\n"),
            ("|-\n      LS0t\n      LS0t", "NEW"),
            ("|+\n      LS0t\n\n\n# end\n", "NEW\n\n\n# end\n"),
            (
                ">- # why\r\n      LS0t\r\n      LS0t\r\n\r\n    # c\r\n    server: x",
                "NEW # why\r\n\r\n    # c\r\n    server: x",
            ),
            (">2\n\n      LS0t\n  name: c\nusers: []\n", "NEW\n  name: c\nusers: []\n"),
            ("# a | b\n      |\n      LS0t\n", "# a | b\n      NEW\n"),
            ("\n      LS0t\n      LS0t # c\n", "\n      NEW # c\n"),
        ] {
            let text = cluster(old);
            let expected = cluster(&new.replace("NEW", NEW_CERTIFICATE_TEXT));
            assert_eq!(edited_authority(&text), Ok(expected), "{old:?}");
        }
    }

    #[test]
    fn json_is_edited_in_place() {
        let text = format!(
            "{{\"clusters\":[{{\"name\":\"c\",\"cluster\":{{\"certificate-authority-data\":\"{OLD}\"}}}}]}}"
        );
        assert_eq!(edited_authority(&text), Ok(text.replace(OLD, NEW_CERTIFICATE_TEXT)));
    }

    #[test]
    fn a_byte_order_mark_and_later_documents_stay() {
        let text = format!("\u{feff}{}\n---\nü: [\n", cluster(OLD));
        assert_eq!(edited_authority(&text), Ok(text.replace(OLD, NEW_CERTIFICATE_TEXT)));
    }

    #[test]
    fn what_is_not_there_is_not_added() {
        let key = CERTIFICATE_AUTHORITY_DATA;
        let missing = Err(EditError::Missing { entry: "cluster", name: "c".to_owned(), key });
        for value in ["", "~", "''", "|\n", "[]", "\n    server: x\n"] {
            assert_eq!(edited_authority(&cluster(value)), missing, "{value:?}");
        }
        assert_eq!(edited_authority("clusters: [{name: c}]"), missing);
        assert_eq!(edited_authority("clusters: []"), Err(EditError::NoCluster { name: "c".to_owned() }));
        assert_eq!(edited("kind: Config", "u"), Err(EditError::NoUser { name: "u".to_owned() }));
        assert!(matches!(edited("[", "u"), Err(EditError::Damaged(_))));
    }

    #[test]
    fn shared_values_are_refused() {
        for text in [
            cluster(&format!("&a {OLD}")),
            cluster(&format!("!!str {OLD}")),
            format!("x: &a {OLD}\n{}", cluster("*a")),
            format!(
                "clusters:\n- name: c\n  cluster: &a {{certificate-authority-data: {OLD}}}\n- {{name: d, cluster: *a}}"
            ),
            format!("x: &a {{certificate-authority-data: {OLD}}}\nclusters:\n- {{name: c, cluster: *a}}"),
        ] {
            assert!(matches!(edited_authority(&text), Err(EditError::Shared { .. })), "{text}");
        }
    }

    #[test]
    fn base64_that_looks_like_a_number_is_quoted() {
        let done = edit(cluster(OLD).as_bytes(), &Edit::new().authority(&[0xd7, 0x6d, 0xf8], "c")).unwrap();
        assert!(done.secret_bytes().ends_with(b"-data: \"1234\""));
    }

    #[test]
    fn an_empty_value_is_refused() {
        assert!(matches!(
            edit(cluster(OLD).as_bytes(), &Edit::new().authority(b"", "c")),
            Err(EditError::NotVerified)
        ));
    }

    const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

    fn referring(text: &str) -> Result<String, EditError> {
        let done = edit(text.as_bytes(), &Edit::new().reference(PEM, "me"))?;
        Ok(String::from_utf8(done.secret_bytes().to_vec()).unwrap())
    }

    #[test]
    fn embedded_credentials_become_a_reference() {
        let text = format!(
            "# mine\nusers:\n- name: other\n  user: {{client-key-data: {OLD}}}\n- name: me\n  user:\n    \
             client-key-data: |\n      LS0t\n      LS0t\n    'client-certificate-data': \"{OLD}\" # until May\n"
        );
        let expected = text
            .replace("client-key-data: |\n      LS0t\n      LS0t\n", &format!("client-key: {PEM}\n"))
            .replace(
                &format!("'client-certificate-data': \"{OLD}\""),
                &format!("'client-certificate': \"{PEM}\""),
            );
        assert_eq!(referring(&text), Ok(expected));
    }

    #[test]
    fn a_reference_elsewhere_is_turned_round_and_data_beside_it_are_emptied() {
        let text = "users: [{name: me, user: {client-certificate: old.pem, client-key: old.key}}]";
        let expected =
            format!("users: [{{name: me, user: {{client-certificate: {PEM}, client-key: {PEM}}}}}]");
        assert_eq!(referring(text), Ok(expected.clone()));
        let text = text.replace("}}]", &format!(", client-key-data: {OLD}}}}}]"));
        assert_eq!(referring(&text), Ok(expected.replace("}}]", ", client-key-data: \"\"}}]")));
    }

    #[test]
    fn a_reference_needs_a_place_for_certificate_and_key() {
        for (user, key) in [
            ("{token: x}", CLIENT_CERTIFICATE),
            ("{client-certificate: x}", CLIENT_KEY),
            ("{client-certificate: x, client-key: }", CLIENT_KEY),
            ("{client-certificate: x, client-key-data: []}", CLIENT_KEY_DATA),
        ] {
            let missing = EditError::Missing { entry: "user", name: "me".to_owned(), key };
            assert_eq!(referring(&format!("users: [{{name: me, user: {user}}}]")), Err(missing), "{user}");
        }
        let twice = format!(
            "users: [{{name: me, user: {{client-key: a, client-certificate-data: {OLD}, \
             client-certificate-data: {OLD}}}}}]"
        );
        assert_eq!(referring(&twice), Err(EditError::NotVerified));
        let odd = edit(b"users: [{name: me, user: {client-certificate: x, client-key: y}}]", &{
            Edit::new().reference("/a \"b\"", "me")
        });
        assert_eq!(odd.err(), Some(EditError::NotVerified));
        let blank = "users: [{name: me, user: {client-certificate: x, client-key: y}}]";
        let done = edit(blank.as_bytes(), &Edit::new().reference("/a, b", "me")).unwrap();
        assert!(done.secret_bytes().ends_with(b"{client-certificate: \"/a, b\", client-key: \"/a, b\"}}]"));
    }

    /// A kubeconfig cut where the three values stand, and how each of them is written.
    fn sample() -> impl Strategy<Value = ([String; 4], [&'static str; 3], bool)> {
        let quote = || prop_oneof![Just(""), Just("'"), Just("\"")];
        (
            "( # [a-zé|>'\": ]{0,12})?",
            "(\n *# [a-z: |]{0,9}|\n *)",
            2..5_usize,
            [quote(), quote(), quote()],
            proptest::collection::vec("[a-z]{3,8}", 0..4),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(tail, gap, indent, quotes, others, crlf, key_first)| {
                let pad = " ".repeat(indent);
                let others: String = others
                    .iter()
                    .map(|name| {
                        format!(
                            "- user: {{client-key-data: \"{OLD}\", token: {name}}}\n  name: {name}x{tail}\n"
                        )
                    })
                    .collect();
                let (first, second) = if key_first {
                    (CLIENT_KEY_DATA, CLIENT_CERTIFICATE_DATA)
                } else {
                    (CLIENT_CERTIFICATE_DATA, CLIENT_KEY_DATA)
                };
                let pieces = [
                    format!(
                        "# top\nclusters:\n- name: c\n  cluster:{tail}\n  {pad}certificate-authority-data: "
                    ),
                    format!(
                        "{tail}\n  {pad}server: x{gap}\nusers:\n{others}- name: me\n  user:\n  {pad}{first}: "
                    ),
                    format!("{tail}{gap}\n  {pad}{second}:  "),
                    format!("{tail}{gap}"),
                ]
                .map(|piece| if crlf { piece.replace('\n', "\r\n") } else { piece });
                (pieces, quotes, key_first)
            })
    }

    fn join(pieces: &[String; 4], values: [String; 3]) -> String {
        let [a, b, c, d] = pieces;
        let [one, two, three] = values;
        [a.as_str(), &one, b, &two, c, &three, d].concat()
    }

    proptest! {
        #[test]
        fn all_bytes_outside_the_values_stay((pieces, quotes, key_first) in sample()) {
            let text = join(&pieces, quotes.map(|quote| format!("{quote}{OLD}{quote}")));
            let mut texts = [NEW_CERTIFICATE_TEXT, NEW_CERTIFICATE_TEXT, NEW_KEY_TEXT];
            if key_first {
                texts.swap(1, 2);
            }
            let quoted = |i: usize| [quotes[i], texts[i], quotes[i]].concat();
            let expected = join(&pieces, [0, 1, 2].map(quoted));
            let key = SecretBytes::new(NEW_KEY.to_vec());
            let change = Edit::new()
                .client(NEW_CERTIFICATE, Some(&key), "me")
                .authority(NEW_CERTIFICATE, "c");
            let done = edit(text.as_bytes(), &change).unwrap();
            prop_assert_eq!(std::str::from_utf8(done.secret_bytes()).unwrap(), expected.as_str());

            let config = Kubeconfig::parse(done.secret_bytes()).unwrap();
            let user = config.user("me").unwrap();
            prop_assert_eq!(user.client_certificate(), &Source::Data(NEW_CERTIFICATE.to_vec()));
            prop_assert_eq!(user.client_key(), &KeySource::Data);
            let again = edit(done.secret_bytes(), &change).unwrap();
            prop_assert_eq!(again.secret_bytes(), done.secret_bytes());
        }

        #[test]
        fn all_bytes_outside_the_credentials_stay_when_they_become_a_reference(
            (pieces, quotes, key_first) in sample()
        ) {
            let text = join(&pieces, quotes.map(|quote| format!("{quote}{OLD}{quote}")));
            let (first, second) =
                if key_first { (CLIENT_KEY, CLIENT_CERTIFICATE) } else { (CLIENT_CERTIFICATE, CLIENT_KEY) };
            let renamed = |piece: &String, name: &str| {
                let (before, after) = piece.rsplit_once(&format!("{name}-data:")).unwrap();
                format!("{before}{name}:{after}")
            };
            let [a, b, c, d] = &pieces;
            let pieces = [a.clone(), renamed(b, first), renamed(c, second), d.clone()];
            let quoted = |i: usize, text: &str| [quotes[i], text, quotes[i]].concat();
            let expected = join(&pieces, [quoted(0, OLD), quoted(1, PEM), quoted(2, PEM)]);
            let done = referring(&text).unwrap();
            prop_assert_eq!(&done, &expected);

            let (old, new) = (Kubeconfig::parse(text.as_bytes()).unwrap(), Kubeconfig::parse(done.as_bytes()).unwrap());
            prop_assert_eq!(new.user("me").unwrap().client_certificate(), &Source::File(PEM.to_owned()));
            prop_assert_eq!(new.user("me").unwrap().client_key(), &KeySource::File(PEM.to_owned()));
            prop_assert_eq!(old.clusters(), new.clusters());
            let others = |config: &Kubeconfig| -> Vec<_> {
                config.users().iter().filter(|user| user.name() != "me").cloned().collect()
            };
            prop_assert_eq!(others(&old), others(&new));
            prop_assert_eq!(referring(&done), Ok(done));
        }

        #[test]
        fn damaged_files_are_edited_rightly_or_not_at_all(
            (pieces, quotes, _) in sample(),
            at in any::<prop::sample::Index>(),
            junk in "[|>&*!\"'{}\\[\\]\n\r\t :#a~-]{0,5}",
            cut in 0..9_usize,
        ) {
            let whole = join(&pieces, quotes.map(|quote| [quote, OLD, quote].concat()));
            let at = at.index(whole.chars().count());
            let text: String =
                whole.chars().take(at).chain(junk.chars()).chain(whole.chars().skip(at + cut)).collect();
            let key = SecretBytes::new(NEW_KEY.to_vec());
            if let Ok(done) = edit(text.as_bytes(), &Edit::new().client(NEW_CERTIFICATE, Some(&key), "me")) {
                let key = user_key(done.secret_bytes(), "me").unwrap();
                prop_assert_eq!(key.secret_bytes(), NEW_KEY);
            }
            if let Ok(done) = referring(&text) {
                let refers = Reference { user: "me", path: PEM }.is_in(done.as_bytes());
                prop_assert!(refers);
            }
        }
    }
}
