//! Reads a kubeconfig, and edits only the values that change.
//!
//! [`Kubeconfig::parse`] gives public data; a private key is never in it, only the fact that there is one.
//! The key itself comes from [`user_key`], as a secret. [`edit`](fn@edit) replaces embedded certificates and
//! keys, or makes them references, and leaves every other byte as it is. What the certificates say is not judged here.
//!
//! Fields are those of client-go (`tools/clientcmd/api/v1/types.go`). Two entries of the same name are an
//! error there; here the first one counts, in every function of this module.

use std::fmt;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::search::occurrences;
use crate::secret::SecretBytes;
use crate::x509::{decode_public_base64, pack_base64};
use crate::yaml::{self, Node, YamlError};

mod edit;
mod scalar;
pub(crate) use edit::reads_as_text;
pub use edit::{Edit, EditError, edit};
pub(crate) use scalar::scalar;

/// A kubeconfig without its secrets.
///
/// ```
/// use kubecerts_core::kubeconfig::{Kubeconfig, Source};
///
/// let config = Kubeconfig::parse(b"
/// clusters: [{name: c, cluster: {server: 'https://cp:6443', certificate-authority: /pki/ca.crt}}]
/// users: [{name: u, user: {}}]
/// contexts: [{name: u@c, context: {cluster: c, user: u}}]
/// current-context: u@c
/// ")?;
/// let cluster = config.current()?.cluster;
/// assert_eq!(cluster.server(), Some("https://cp:6443"));
/// assert_eq!(cluster.certificate_authority(), &Source::File("/pki/ca.crt".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kubeconfig {
    current_context: Option<String>,
    clusters: Vec<Cluster>,
    contexts: Vec<Context>,
    users: Vec<User>,
}

impl Kubeconfig {
    /// Parses the first YAML or JSON document of a kubeconfig.
    ///
    /// `kind` and `apiVersion` may be missing, as kubectl has it, which decodes with both as defaults
    /// (`tools/clientcmd/loader.go`, `Load`). Of a key that is there twice the last counts, since
    /// `sigs.k8s.io/yaml` is not strict there. Damage inside a certificate or key is not damage of the
    /// file: see [`Source::Damaged`].
    ///
    /// # Errors
    /// [`DamagedKubeconfig`] when the file is not UTF-8, empty, not YAML, not a mapping, of another kind than
    /// `Config` or another version than `v1`, or has a field of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, DamagedKubeconfig> {
        Document::parse(bytes).map(Document::into_kubeconfig)
    }

    /// Returns the kubeconfig, and the private key that is embedded for each user.
    fn of(stream: &yaml::Stream) -> Result<(Self, Vec<Option<SecretBytes>>), DamagedKubeconfig> {
        let root = stream.first_mapping()?;
        if root.text("kind")?.is_some_and(|kind| kind != "Config") {
            return Err(root.error("the kind is not Config").into());
        }
        if root.text("apiVersion")?.is_some_and(|version| version != "v1") {
            return Err(root.error("the apiVersion is not v1").into());
        }
        let current_context = owned(root.text("current-context")?);
        let clusters = root.list("clusters")?.into_iter().map(Cluster::parse).collect::<Result<_, _>>()?;
        let contexts = root.list("contexts")?.into_iter().map(Context::parse).collect::<Result<_, _>>()?;
        let users = root.list("users")?.into_iter().map(User::parse).collect::<Result<Vec<_>, _>>()?;
        let (users, keys) = users.into_iter().unzip();
        Ok((Self { current_context, clusters, contexts, users }, keys))
    }

    /// Returns the name in `current-context`, unless it is absent or empty.
    #[must_use]
    pub fn current_context(&self) -> Option<&str> {
        self.current_context.as_deref()
    }

    /// Returns the clusters in the order of the file, entries of the same name included.
    #[must_use]
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Returns the contexts in the order of the file, entries of the same name included.
    #[must_use]
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// Returns the users in the order of the file, entries of the same name included.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Returns the first cluster called `name`.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// Returns the first context called `name`.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&Context> {
        self.contexts.iter().find(|context| context.name == name)
    }

    /// Returns the first user called `name`.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// Follows the current context to its cluster and user.
    ///
    /// # Errors
    /// [`DanglingContext`] when there is no current context, or it, its cluster or its user is not in the
    /// file.
    pub fn current(&self) -> Result<Current<'_>, DanglingContext> {
        let name = self.current_context().ok_or(DanglingContext::Unset)?;
        let context = self.context(name).ok_or_else(|| DanglingContext::Context { name: name.to_owned() })?;
        let cluster = self.cluster(context.cluster()).ok_or_else(|| DanglingContext::Cluster {
            context: name.to_owned(),
            name: context.cluster.clone(),
        })?;
        let user = self
            .user(context.user())
            .ok_or_else(|| DanglingContext::User { context: name.to_owned(), name: context.user.clone() })?;
        Ok(Current { context, cluster, user })
    }
}

/// Returns the private key embedded for `user` (its decoded `client-key-data`, normally PEM).
///
/// `None` when the file cannot be read, has no such user, or the user no embedded key that decodes: what is
/// wrong is told by [`Kubeconfig::parse`] and [`User::client_key`].
#[must_use]
pub fn user_key(bytes: &[u8], user: &str) -> Option<SecretBytes> {
    let stream = yaml::parse_first(bytes).ok()?;
    let users = stream.first_mapping().ok()?.list("users").ok()?;
    let entry = users.into_iter().find(|entry| entry_name(*entry) == user)?;
    decode(entry.get("user")?.text(CLIENT_KEY_DATA).ok()??).ok()
}

/// Returns whether a kubeconfig may refer to a file; `false` is certain, and found without reading the YAML.
///
/// What is not written with escapes has its keys in the text as they are.
pub(crate) fn may_refer(bytes: &[u8]) -> bool {
    let is_key = |key: &str, at: usize| !bytes[at + key.len()..].starts_with(DATA);
    bytes.contains(&b'\\')
        || [CERTIFICATE_AUTHORITY, CLIENT_CERTIFICATE, CLIENT_KEY]
            .into_iter()
            .any(|key| occurrences(bytes, key.as_bytes()).any(|at| is_key(key, at)))
}

/// A kubeconfig with the text that it stands in, for whoever asks for several things of it.
pub(crate) struct Document<'a> {
    bytes: &'a [u8],
    stream: yaml::Stream,
    kubeconfig: Kubeconfig,
    keys: Vec<Option<SecretBytes>>,
}

impl<'a> Document<'a> {
    /// Does what [`Kubeconfig::parse`] does.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, DamagedKubeconfig> {
        let stream = yaml::parse_first(bytes)?;
        let (kubeconfig, keys) = Kubeconfig::of(&stream)?;
        Ok(Self { bytes, stream, kubeconfig, keys })
    }

    pub(crate) fn into_kubeconfig(self) -> Kubeconfig {
        self.kubeconfig
    }

    pub(crate) const fn kubeconfig(&self) -> &Kubeconfig {
        &self.kubeconfig
    }

    /// Does what [`user_key`] does.
    pub(crate) fn user_key(&self, user: &str) -> Option<&SecretBytes> {
        let index = self.kubeconfig.users.iter().position(|known| known.name == user)?;
        self.keys[index].as_ref()
    }

    /// Does what [`edit`](fn@edit) does.
    pub(crate) fn edit(&self, edit: &Edit<'_>) -> Result<SecretBytes, EditError> {
        edit::edit_document(self, edit)
    }
}

/// What the current context points to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Current<'a> {
    /// The current context.
    pub context: &'a Context,
    /// Its cluster.
    pub cluster: &'a Cluster,
    /// Its user.
    pub user: &'a User,
}

/// An API server and how to trust it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    name: String,
    server: Option<String>,
    certificate_authority: Source,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: bool,
}

impl Cluster {
    fn parse(entry: Node<'_>) -> Result<Self, YamlError> {
        let cluster = body(entry, "cluster")?;
        let text = |key| cluster.map_or(Ok(None), |cluster| cluster.text(key));
        Ok(Self {
            name: name(entry)?,
            server: owned(text("server")?),
            certificate_authority: Source::parse(cluster, CERTIFICATE_AUTHORITY_DATA, CERTIFICATE_AUTHORITY)?,
            tls_server_name: owned(text("tls-server-name")?),
            insecure_skip_tls_verify: cluster
                .map_or(Ok(None), |cluster| cluster.flag("insecure-skip-tls-verify"))?
                .unwrap_or(false),
        })
    }

    /// Returns the name by which contexts refer to this cluster; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL of the API server as written.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Returns the certificates that the API server's certificate must chain to.
    #[must_use]
    pub fn certificate_authority(&self) -> &Source {
        &self.certificate_authority
    }

    /// Returns the name that is expected in the API server's certificate instead of the URL's host.
    #[must_use]
    pub fn tls_server_name(&self) -> Option<&str> {
        self.tls_server_name.as_deref()
    }

    /// Returns whether the API server's certificate is not verified at all; by default it is.
    #[must_use]
    pub fn insecure_skip_tls_verify(&self) -> bool {
        self.insecure_skip_tls_verify
    }
}

/// A cluster and a user under one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context {
    name: String,
    cluster: String,
    user: String,
}

impl Context {
    fn parse(entry: Node<'_>) -> Result<Self, YamlError> {
        let context = body(entry, "context")?;
        let text = |key| context.map_or(Ok(None), |context| context.text(key));
        Ok(Self {
            name: name(entry)?,
            cluster: text("cluster")?.unwrap_or_default().to_owned(),
            user: text("user")?.unwrap_or_default().to_owned(),
        })
    }

    /// Returns the name by which `current-context` refers to this context; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the cluster's name; empty when it is absent.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the user's name; empty when it is absent.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// Credentials, without what is secret in them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    name: String,
    client_certificate: Source,
    client_key: KeySource,
    other_credential: Option<OtherCredential>,
}

impl User {
    /// Returns the user, and the private key that is embedded.
    fn parse(entry: Node<'_>) -> Result<(Self, Option<SecretBytes>), YamlError> {
        let user = body(entry, "user")?;
        let name = name(entry)?;
        let client_certificate = Source::parse(user, CLIENT_CERTIFICATE_DATA, CLIENT_CERTIFICATE)?;
        let (client_key, key) = KeySource::parse(user)?;
        let other_credential = user.and_then(|user| {
            OtherCredential::ALL
                .into_iter()
                .find(|credential| user.get(credential.key()).is_some_and(|value| value.as_str() != Some("")))
        });
        Ok((Self { name, client_certificate, client_key, other_credential }, key))
    }

    /// Returns the name by which contexts refer to this user; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the client certificate.
    #[must_use]
    pub fn client_certificate(&self) -> &Source {
        &self.client_certificate
    }

    /// Returns where the client certificate's private key is.
    #[must_use]
    pub fn client_key(&self) -> &KeySource {
        &self.client_key
    }

    /// Returns the first other way in which this user may authenticate, in the order of [`OtherCredential`].
    #[must_use]
    pub fn other_credential(&self) -> Option<OtherCredential> {
        self.other_credential
    }
}

/// Where certificates come from. Embedded data win over a file, as in client-go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// Neither embedded nor in a file.
    Absent,
    /// Embedded; these are the decoded bytes, normally PEM.
    Data(Vec<u8>),
    /// Embedded, but not decodable for this reason.
    Damaged(String),
    /// In this file; a relative path starts at the kubeconfig's directory.
    File(String),
}

impl Source {
    fn parse(mapping: Option<Node<'_>>, data_key: &str, file_key: &str) -> Result<Self, YamlError> {
        let Some(mapping) = mapping else { return Ok(Self::Absent) };
        let file = mapping.text(file_key)?;
        Ok(match embedded(mapping, data_key, decode_public) {
            Some(Ok(bytes)) => Self::Data(bytes),
            Some(Err(reason)) => Self::Damaged(reason.to_owned()),
            None => file.map_or(Self::Absent, |path| Self::File(path.to_owned())),
        })
    }
}

/// Where a private key comes from; [`Source`] without the bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeySource {
    /// Neither embedded nor in a file.
    Absent,
    /// Embedded and decodable: see [`user_key`].
    Data,
    /// Embedded, but not decodable for this reason.
    Damaged(String),
    /// In this file; a relative path starts at the kubeconfig's directory.
    File(String),
}

impl KeySource {
    /// Returns where the key comes from, and the key that is embedded.
    fn parse(mapping: Option<Node<'_>>) -> Result<(Self, Option<SecretBytes>), YamlError> {
        let Some(mapping) = mapping else { return Ok((Self::Absent, None)) };
        let file = mapping.text(CLIENT_KEY)?;
        Ok(match embedded(mapping, CLIENT_KEY_DATA, decode) {
            Some(Ok(key)) => (Self::Data, Some(key)),
            Some(Err(reason)) => (Self::Damaged(reason.to_owned()), None),
            None => (file.map_or(Self::Absent, |path| Self::File(path.to_owned())), None),
        })
    }
}

/// A way to authenticate other than a client certificate.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum OtherCredential {
    /// `token`: a bearer token.
    Token,
    /// `tokenFile`: a file with a bearer token.
    TokenFile,
    /// `exec`: a program that hands out credentials.
    Exec,
    /// `auth-provider`: a plugin of client-go.
    AuthProvider,
    /// `username`, with a password.
    Username,
}

impl OtherCredential {
    const ALL: [Self; 5] = [Self::Token, Self::TokenFile, Self::Exec, Self::AuthProvider, Self::Username];

    /// Returns the field of the kubeconfig that holds it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::TokenFile => "tokenFile",
            Self::Exec => "exec",
            Self::AuthProvider => "auth-provider",
            Self::Username => "username",
        }
    }
}

impl fmt::Display for OtherCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// A file that is not a kubeconfig; the message names line and column, both from 1, and quotes nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct DamagedKubeconfig(YamlError);

impl DamagedKubeconfig {
    /// Returns line and column, both from 1, when the damage has a place.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        self.0.position()
    }
}

impl From<YamlError> for DamagedKubeconfig {
    fn from(error: YamlError) -> Self {
        Self(error)
    }
}

/// A current context that leads nowhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DanglingContext {
    /// There is no `current-context`.
    #[error("no current context is set")]
    Unset,
    /// No context has the name in `current-context`.
    #[error("context {name:?} is not in the file")]
    Context {
        /// The name in `current-context`.
        name: String,
    },
    /// No cluster has the name that the context gives.
    #[error("cluster {name:?} of context {context:?} is not in the file")]
    Cluster {
        /// The current context.
        context: String,
        /// The cluster it names; empty when it names none.
        name: String,
    },
    /// No user has the name that the context gives.
    #[error("user {name:?} of context {context:?} is not in the file")]
    User {
        /// The current context.
        context: String,
        /// The user it names; empty when it names none.
        name: String,
    },
}

const CERTIFICATE_AUTHORITY: &str = "certificate-authority";
const CERTIFICATE_AUTHORITY_DATA: &str = "certificate-authority-data";
const CLIENT_CERTIFICATE_DATA: &str = "client-certificate-data";
const CLIENT_CERTIFICATE: &str = "client-certificate";
const CLIENT_KEY_DATA: &str = "client-key-data";
const CLIENT_KEY: &str = "client-key";
/// What makes the key of embedded data from that of a file.
const DATA: &[u8] = b"-data";

/// Returns the mapping `key` of a named entry.
fn body<'a>(entry: Node<'a>, key: &str) -> Result<Option<Node<'a>>, YamlError> {
    if entry.is_mapping() { entry.mapping(key) } else { Err(entry.error("the entry is not a mapping")) }
}

fn name(entry: Node<'_>) -> Result<String, YamlError> {
    Ok(entry.text("name")?.unwrap_or_default().to_owned())
}

/// Returns the name by which [`Kubeconfig`] knows an entry that it could parse.
fn entry_name(entry: Node<'_>) -> &str {
    entry.text("name").ok().flatten().unwrap_or_default()
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// Decodes `key` unless it is absent or empty.
fn embedded<T>(
    mapping: Node<'_>,
    key: &str,
    decode: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<Result<T, &'static str>> {
    match mapping.get(key)?.as_str() {
        Some("") => None,
        Some(text) => Some(decode(text)),
        None => Some(Err("it is not a text")),
    }
}

/// Decodes standard base64; blanks and line ends inside are skipped, because block scalars have them.
fn decode(text: &str) -> Result<SecretBytes, &'static str> {
    let packed = Zeroizing::new(pack(text));
    let mut bytes = Zeroizing::new(vec![0; packed.len() / 4 * 3 + 3]);
    let length = Base64::decode(&*packed, &mut bytes).map_err(|_| NO_BASE64)?.len();
    bytes.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// The same for what anybody may see.
fn decode_public(text: &str) -> Result<Vec<u8>, &'static str> {
    decode_public_base64(&pack(text)).ok_or(NO_BASE64)
}

/// Returns `text` without blanks and line ends.
fn pack(text: &str) -> Vec<u8> {
    let mut packed = Vec::with_capacity(text.len());
    pack_base64(text.as_bytes(), |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'), &mut packed);
    packed
}

const NO_BASE64: &str = "it is not base64";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ADMIN: &str = "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tQ0EK
    server: https://cp:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: LS0tQ0VSVAo=
    client-key-data: LS0tS0VZCg==
";

    fn parse(text: &str) -> Kubeconfig {
        Kubeconfig::parse(text.as_bytes()).unwrap()
    }

    fn damage(text: &str) -> String {
        Kubeconfig::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_current_context_leads_to_cluster_and_user() {
        let config = parse(ADMIN);
        let current = config.current().unwrap();
        assert_eq!(current.context.name(), "kubernetes-admin@kubernetes");
        assert_eq!(current.cluster.server(), Some("https://cp:6443"));
        assert_eq!(current.cluster.certificate_authority(), &Source::Data(b"---CA\n".to_vec()));
        assert_eq!(current.user.client_certificate(), &Source::Data(b"---CERT\n".to_vec()));
        assert_eq!(current.user.client_key(), &KeySource::Data);
        assert_eq!(current.user.other_credential(), None);
    }

    #[test]
    fn the_key_comes_as_a_secret_only() {
        let key = user_key(ADMIN.as_bytes(), "kubernetes-admin").unwrap();
        assert_eq!(key.secret_bytes(), b"---KEY\n");
        assert!(user_key(ADMIN.as_bytes(), "nobody").is_none());
        assert!(!format!("{:?}", parse(ADMIN)).contains("KEY"));
    }

    #[test]
    fn dangling_contexts_name_what_is_missing() {
        let current =
            |from: &str, to: &str| parse(&ADMIN.replace(from, to)).current().unwrap_err().to_string();
        assert_eq!(
            current("current-context: kubernetes-admin@kubernetes\n", ""),
            "no current context is set"
        );
        assert_eq!(
            current("current-context: kubernetes-admin@kubernetes", "current-context: nope"),
            "context \"nope\" is not in the file"
        );
        assert_eq!(
            current("    cluster: kubernetes\n", "    cluster: other\n"),
            "cluster \"other\" of context \"kubernetes-admin@kubernetes\" is not in the file"
        );
        assert_eq!(
            current("    user: kubernetes-admin\n", ""),
            "user \"\" of context \"kubernetes-admin@kubernetes\" is not in the file"
        );
    }

    #[test]
    fn embedded_data_win_over_a_file_even_when_damaged() {
        let config = parse("
users:
- {name: a, user: {client-certificate: /a.pem, client-key: a.key}}
- {name: b, user: {client-certificate: /a.pem, client-certificate-data: QUJD, client-key: a.key, client-key-data: '!'}}
- {name: c, user: {client-certificate: /a.pem, client-certificate-data: '', exec: {command: x}}}
- {name: d, user: {client-certificate-data: [], token: abc}}
");
        let [a, b, c, d] = config.users() else { panic!("four users") };
        assert_eq!(a.client_certificate(), &Source::File("/a.pem".to_owned()));
        assert_eq!(a.client_key(), &KeySource::File("a.key".to_owned()));
        assert_eq!(b.client_certificate(), &Source::Data(b"ABC".to_vec()));
        assert_eq!(b.client_key(), &KeySource::Damaged("it is not base64".to_owned()));
        assert_eq!(c.client_certificate(), &Source::File("/a.pem".to_owned()));
        assert_eq!(c.other_credential(), Some(OtherCredential::Exec));
        assert_eq!(d.client_certificate(), &Source::Damaged("it is not a text".to_owned()));
        assert_eq!(d.other_credential(), Some(OtherCredential::Token));
    }

    #[test]
    fn base64_may_be_broken_into_lines() {
        let config =
            parse("users:\n- name: a\n  user:\n    client-certificate-data: |\n      QU\n      JD\n");
        assert_eq!(config.users()[0].client_certificate(), &Source::Data(b"ABC".to_vec()));
    }

    #[test]
    fn the_first_of_two_equal_names_counts() {
        let text = "users:\n- {name: a, user: {client-key-data: QUJD}}\n- {name: a, user: {token: x}}\n";
        assert_eq!(parse(text).user("a").unwrap().client_key(), &KeySource::Data);
        assert_eq!(user_key(text.as_bytes(), "a").unwrap().secret_bytes(), b"ABC");
    }

    #[test]
    fn damage_says_where_and_quotes_nothing() {
        assert_eq!(damage(""), "is empty");
        assert_eq!(damage("# nothing\n"), "is empty");
        assert_eq!(damage("[]"), "line 1, column 1: not a mapping");
        assert_eq!(damage("kind: Pod"), "line 1, column 1: the kind is not Config");
        assert_eq!(damage("users:\n  a: b\n"), "line 2, column 3: users is not a list");
        assert_eq!(damage("users:\n- hunter2\n"), "line 2, column 3: the entry is not a mapping");
        assert_eq!(Kubeconfig::parse(b"a: \xff").unwrap_err().to_string(), "not UTF-8 at byte 3");
        assert!(damage("users: [\n").starts_with("line "));
    }

    const REFERRING: &str = "\
clusters:
- {name: c, cluster: {certificate-authority: /pki/ca.crt}}
users:
- {name: u, user: {client-certificate: a.crt, \"client-key\": a.key, client-key-data: ''}}
- {name: v, user: {client-certificate-data: QUJD}}
";

    #[test]
    fn files_are_referred_to_by_keys_that_do_not_end_in_data() {
        assert!(!may_refer(ADMIN.as_bytes()));
        for key in [
            "certificate-authority: a",
            "client-certificate: a",
            "{'client-key' : a}",
            "\"client\\x2dkey\": a",
        ] {
            assert!(may_refer(key.as_bytes()), "{key}");
        }
    }

    proptest! {
        #[test]
        fn what_refers_to_a_file_may_do_so(
            at in 0..REFERRING.len(), cut in 0..60_usize, junk in "(-data|client-|\\\\|[-k ]){0,3}",
        ) {
            let text = format!("{}{junk}{}", &REFERRING[..at], &REFERRING[(at + cut).min(REFERRING.len())..]);
            if let Ok(config) = Kubeconfig::parse(text.as_bytes()) {
                let refers = config.clusters().iter().any(|cluster| matches!(cluster.certificate_authority(), Source::File(_)))
                    || config.users().iter().any(|user| {
                        matches!(user.client_certificate(), Source::File(_))
                            || matches!(user.client_key(), KeySource::File(_))
                    });
                prop_assert!(!refers || may_refer(text.as_bytes()));
            }
        }

        #[test]
        fn mutated_kubeconfigs_are_parsed_or_refused(
            at in 0..ADMIN.len(), cut in 0..20_usize, junk in "\\PC{0,6}",
        ) {
            let text = format!("{}{junk}{}", &ADMIN[..at], &ADMIN[(at + cut).min(ADMIN.len())..]);
            if let Ok(config) = Kubeconfig::parse(text.as_bytes()) {
                let _ = config.current();
                for user in config.users() {
                    let key = user_key(text.as_bytes(), user.name());
                    prop_assert_eq!(
                        key.is_some(),
                        config.user(user.name()).unwrap().client_key() == &KeySource::Data
                    );
                    let document = Document::parse(text.as_bytes()).unwrap();
                    prop_assert_eq!(
                        document.user_key(user.name()).map(SecretBytes::secret_bytes),
                        key.as_ref().map(SecretBytes::secret_bytes)
                    );
                }
            }
        }
    }
}
