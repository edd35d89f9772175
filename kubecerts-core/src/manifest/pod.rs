//! Static-pod manifests: which program runs with which flags, and where its files lie on the host.

use super::{DamagedManifest, RunsAs, owned};
use crate::catalog::{Component, KubernetesVersion};
use crate::path::TreePath;
use crate::yaml::{self, Node, YamlError};

/// What a static-pod manifest says about the program in it.
///
/// Flags are read from `command` and `args` of the container that runs the component; a shell's `-c` script
/// is looked through, quotes understood, variables left as they are.
///
/// ```
/// use kubecerts_core::manifest::StaticPod;
///
/// let pod = StaticPod::parse(br#"{"kind": "Pod", "metadata": {"name": "etcd"},
///     "spec": {"containers": [{"command": ["etcd", "--cert-file=/pki/server.crt"]}]}}"#)?;
/// assert_eq!(pod.flag("cert-file"), Some("/pki/server.crt"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaticPod {
    name: Option<String>,
    component: Option<Component>,
    image: Option<String>,
    flags: Vec<Flag>,
    mounts: Vec<Mount>,
    runs_as: RunsAs,
}

impl StaticPod {
    /// Parses the first YAML or JSON document of a manifest.
    ///
    /// # Errors
    /// [`DamagedManifest`] when the file is not YAML, of another kind than `Pod` (the kubelet refuses a
    /// missing one too), or has a field of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, DamagedManifest> {
        let stream = yaml::parse_first(bytes)?;
        let root = stream.first_mapping()?;
        if root.text("kind")? != Some("Pod") {
            return Err(root.error("the kind is not Pod").into());
        }
        let metadata = root.mapping("metadata")?;
        let name = metadata.map_or(Ok(None), |metadata| owned(metadata, "name"))?;
        let label = match metadata.map_or(Ok(None), |metadata| metadata.mapping("labels"))? {
            Some(labels) => labels.text("component")?,
            None => None,
        };
        let spec = root.mapping("spec")?;
        let containers = match spec {
            Some(spec) => {
                spec.list("containers")?.into_iter().map(Container::parse).collect::<Result<Vec<_>, _>>()?
            }
            None => Vec::new(),
        };
        let component = label
            .and_then(component_called)
            .or_else(|| name.as_deref().and_then(component_called))
            .or_else(|| containers.iter().find_map(Container::program));
        let container = component
            .and_then(|component| {
                let runs = |container: &&Container<'_>| container.position(component).is_some();
                let called = |container: &&Container<'_>| container.name == Some(component.name());
                containers.iter().find(runs).or_else(|| containers.iter().find(called))
            })
            .or(containers.first());
        let (Some(spec), Some(container)) = (spec, container) else {
            return Ok(Self {
                name,
                component,
                image: None,
                flags: Vec::new(),
                mounts: Vec::new(),
                runs_as: RunsAs::default(),
            });
        };
        Ok(Self {
            image: container.image.map(str::to_owned),
            flags: container.flags(component)?,
            mounts: Mount::parse_all(container.node, spec)?,
            runs_as: RunsAs::parse(spec, container.node)?,
            name,
            component,
        })
    }

    /// Returns `metadata.name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the program: by the label `component`, else by the pod's name, else by the command.
    #[must_use]
    pub fn component(&self) -> Option<Component> {
        self.component
    }

    /// Returns the image of the program's container as written.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }

    /// Returns the version of Kubernetes in the image's tag.
    ///
    /// `None` for etcd, which has versions of its own, for unknown programs, and for images without a
    /// readable tag.
    #[must_use]
    pub fn version(&self) -> Option<KubernetesVersion> {
        match self.component? {
            Component::ApiServer | Component::ControllerManager | Component::Scheduler => {}
            Component::Etcd | Component::Kubelet => return None,
        }
        let (reference, _digest) = split_or_all(self.image()?, '@');
        let last = reference.rsplit('/').next().unwrap_or(reference);
        // Only behind the last slash is a colon a tag's; before it, it is a port's.
        last.split_once(':')?.1.parse().ok()
    }

    /// Returns the value of the flag `name`, given without dashes; of several the last, as the programs do.
    ///
    /// A flag without a value is `true`. etcd's environment (`ETCD_CERT_FILE`) is asked when the command line
    /// does not have the flag.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.values(name).next_back()
    }

    /// Returns every value of the flag `name` in the order of the command line.
    #[must_use]
    pub fn flag_values(&self, name: &str) -> Vec<&str> {
        self.values(name).collect()
    }

    /// Returns as whom the program runs.
    #[must_use]
    pub const fn runs_as(&self) -> &RunsAs {
        &self.runs_as
    }

    /// Returns where `container_path` lies on the host.
    ///
    /// The mount with the longest path decides. `None` when it is no directory or file of the host
    /// (`emptyDir`, a secret, `subPathExpr`), or the path is not absolute. A path that no mount covers is
    /// returned as it is.
    #[must_use]
    pub fn host_path(&self, container_path: &str) -> Option<TreePath> {
        let path = TreePath::parse(container_path).ok()?;
        let mount = self
            .mounts
            .iter()
            .filter(|mount| mount.path == path || path.below(&mount.path).is_some())
            // The later of two equal paths is mounted over the earlier one.
            .max_by_key(|mount| mount.path.as_str().len());
        let Some(mount) = mount else { return Some(path) };
        let host = mount.host.as_ref()?;
        match path.below(&mount.path).filter(|below| !below.is_empty()) {
            Some(below) => host.join(below).ok(),
            None => Some(host.clone()),
        }
    }

    fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let name = normal(name);
        self.flags.iter().filter(move |flag| flag.name == name).map(|flag| flag.value.as_str())
    }
}

/// A flag with dashes in its name, as the programs normalise it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Flag {
    name: String,
    value: String,
}

/// A path in the container, and what it is on the host; `None` for what is not of the host.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mount {
    path: TreePath,
    host: Option<TreePath>,
}

impl Mount {
    fn parse_all(container: Node<'_>, spec: Node<'_>) -> Result<Vec<Self>, YamlError> {
        let volumes = spec.list("volumes")?;
        let mut mounts = Vec::new();
        for mount in container.list("volumeMounts")? {
            let Some(path) = mount.text("mountPath")?.and_then(|path| TreePath::parse(path).ok()) else {
                continue;
            };
            let name = mount.text("name")?;
            let volume = volumes.iter().find(|volume| name.is_some() && volume.text("name") == Ok(name));
            let host = match volume.map_or(Ok(None), |volume| volume.mapping("hostPath"))? {
                Some(host) if mount.text("subPathExpr")?.is_none() => host.text("path")?,
                _ => None,
            };
            let sub_path = mount.text("subPath")?.unwrap_or_default().trim_start_matches('/');
            let host = host.and_then(|host| TreePath::parse(host).ok()?.join(sub_path).ok());
            mounts.push(Self { path, host });
        }
        Ok(mounts)
    }
}

struct Container<'a> {
    node: Node<'a>,
    name: Option<&'a str>,
    image: Option<&'a str>,
    /// `command` and `args`, with the script of a shell split into words.
    words: Vec<String>,
}

impl<'a> Container<'a> {
    fn parse(node: Node<'a>) -> Result<Self, YamlError> {
        if !node.is_mapping() {
            return Err(node.error("the container is not a mapping"));
        }
        let mut words = node.texts("command")?;
        words.extend(node.texts("args")?);
        let mut expanded = Vec::new();
        let mut shell = false;
        let mut script = false;
        for word in words {
            if script {
                expanded.extend(split_script(&word));
                (shell, script) = (false, false);
                continue;
            }
            script = shell && word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
            shell |= SHELLS.contains(&base_name(&word));
            expanded.push(word);
        }
        Ok(Self { node, name: node.text("name")?, image: node.text("image")?, words: expanded })
    }

    /// Returns where `component`'s program stands among the words, which may begin with a wrapper.
    fn position(&self, component: Component) -> Option<usize> {
        self.words.iter().position(|word| base_name(word) == component.name())
    }

    /// Returns the first program of a control plane among the words.
    fn program(&self) -> Option<Component> {
        self.words.iter().find_map(|word| component_called(base_name(word)))
    }

    fn flags(&self, component: Option<Component>) -> Result<Vec<Flag>, YamlError> {
        let start =
            component.and_then(|component| self.position(component)).map_or(0, |position| position + 1);
        let mut flags = parse_flags(&self.words[start..]);
        if component != Some(Component::Etcd) {
            return Ok(flags);
        }
        for variable in self.node.list("env")? {
            let Some(name) = variable.text("name")?.and_then(|name| name.strip_prefix("ETCD_")) else {
                continue;
            };
            let name = normal(&name.to_ascii_lowercase());
            if let Some(value) = variable.text("value")?
                && flags.iter().all(|flag| flag.name != name)
            {
                flags.push(Flag { name, value: value.to_owned() });
            }
        }
        Ok(flags)
    }
}

/// Parses `--name=value`, `--name value`, `-name=value` and `--name`, up to `--` or the end of a shell's
/// command.
///
/// The types of flags are not known here: a word behind `--name` is taken for its value unless it looks like
/// a flag.
fn parse_flags(words: &[String]) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut words =
        words.iter().map(String::as_str).take_while(|word| !matches!(*word, "--" | COMMAND_END)).peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value),
            None => (flag, words.next_if(|next| !looks_like_flag(next)).unwrap_or("true")),
        };
        if !name.is_empty() {
            flags.push(Flag { name: normal(name), value: value.to_owned() });
        }
    }
    flags
}

fn looks_like_flag(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Returns the words of a shell's script, with [`COMMAND_END`] between commands and without redirections.
fn split_script(script: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                word.started = true;
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    // Within double quotes a backslash hides only these; elsewhere it stands for itself.
                    let hidden = (inner == '\\' && c == '"')
                        .then(|| chars.next_if(|c| "\"\\$`\n".contains(*c)))
                        .flatten();
                    word.push(hidden.unwrap_or(inner), hidden);
                }
            }
            '\\' => {
                if let Some(hidden) = chars.next() {
                    word.push(hidden, Some(hidden));
                }
            }
            '#' if !word.started => while chars.next_if(|c| *c != '\n').is_some() {},
            '<' | '>' => {
                // `2>&1`: the digits before and the word behind belong to the redirection.
                if !word.text.bytes().all(|byte| byte.is_ascii_digit()) {
                    word.finish(&mut words);
                }
                while chars.next_if(|c| "<>&| \t".contains(*c)).is_some() {}
                word = Word { dropped: true, ..Word::default() };
            }
            ' ' | '\t' | '\r' => word.finish(&mut words),
            '\n' | ';' | '|' | '&' => {
                word.finish(&mut words);
                words.push(COMMAND_END.to_owned());
            }
            c => word.push(c, None),
        }
    }
    word.finish(&mut words);
    words
}

/// A shell's word that is being read; an empty one counts when it is quoted.
#[derive(Default)]
struct Word {
    text: String,
    started: bool,
    dropped: bool,
}

impl Word {
    /// Adds a character, except for a line end that a backslash hides.
    fn push(&mut self, c: char, hidden: Option<char>) {
        if hidden != Some('\n') {
            self.text.push(c);
            self.started = true;
        }
    }

    fn finish(&mut self, words: &mut Vec<String>) {
        let Self { text, started, dropped } = std::mem::take(self);
        if started && !dropped {
            words.push(text);
        }
    }
}

/// Returns the component whose static pod is called `name`; the kubelet has none.
fn component_called(name: &str) -> Option<Component> {
    Component::ALL.into_iter().find(|component| component.name() == name && *component != Component::Kubelet)
}

fn base_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Returns a flag's name as `WordSepNormalizeFunc` of Kubernetes has it: underscores are dashes.
fn normal(name: &str) -> String {
    name.replace('_', "-")
}

fn split_or_all(text: &str, separator: char) -> (&str, &str) {
    text.split_once(separator).unwrap_or((text, ""))
}

const SHELLS: [&str; 4] = ["sh", "bash", "ash", "dash"];

/// Stands between a script's commands; no argument of a process can hold a NUL.
const COMMAND_END: &str = "\0";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ETCD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: etcd
    tier: control-plane
  name: etcd
spec:
  containers:
  - command:
    - etcd
    - --cert-file=/etc/kubernetes/pki/etcd/server.crt
    - --client-cert-auth=true
    - --listen-client-urls=https://127.0.0.1:2379,https://192.168.10.11:2379
    env:
    - {name: ETCD_CERT_FILE, value: /env/server.crt}
    - {name: ETCD_KEY_FILE, value: /env/server.key}
    - {name: ETCD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    image: registry.k8s.io/etcd:3.6.8-0
    name: etcd
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
    - mountPath: /etc/kubernetes/pki/etcd
      name: etcd-certs
  volumes:
  - hostPath:
      path: /opt/pki/etcd
      type: DirectoryOrCreate
    name: etcd-certs
  - hostPath: {path: /var/lib/etcd}
    name: etcd-data
";

    fn parse(text: &str) -> StaticPod {
        StaticPod::parse(text.as_bytes()).unwrap()
    }

    /// A pod with one container, whose fields are `container` in flow style.
    fn pod(container: &str) -> StaticPod {
        parse(&format!("kind: Pod\nspec: {{containers: [{{{container}}}]}}\n"))
    }

    fn host(pod: &StaticPod, path: &str) -> Option<String> {
        pod.host_path(path).map(|path| path.to_string())
    }

    #[test]
    fn the_manifest_of_kubeadm_is_understood() {
        let pod = parse(ETCD);
        assert_eq!((pod.name(), pod.component()), (Some("etcd"), Some(Component::Etcd)));
        assert_eq!(pod.image(), Some("registry.k8s.io/etcd:3.6.8-0"));
        assert_eq!(pod.version(), None);
        assert_eq!(pod.flag("client-cert-auth"), Some("true"));
        assert_eq!(
            host(&pod, "/etc/kubernetes/pki/etcd/server.crt").as_deref(),
            Some("/opt/pki/etcd/server.crt")
        );
    }

    #[test]
    fn flags_of_etcd_win_over_its_environment() {
        let pod = parse(ETCD);
        assert_eq!(pod.flag_values("cert-file"), ["/etc/kubernetes/pki/etcd/server.crt"]);
        assert_eq!(pod.flag("key-file"), Some("/env/server.key"));
        assert_eq!(pod.flag("name"), None);
    }

    #[test]
    fn every_way_to_write_a_flag_is_read() {
        let pod = pod(
            "command: [kube-apiserver, --a=b=c, --d, e, -f=g, --h, --i_j=k, --l=, -v, '-1'], args: [--m, --, --n]",
        );
        let values = ["a", "d", "f", "h", "i-j", "i_j", "l", "v", "m", "n"].map(|name| pod.flag(name));
        let expected = ["b=c", "e", "g", "true", "k", "k", "", "-1", "true"].map(Some);
        assert_eq!(values[..9], expected);
        assert_eq!(values[9], None);
    }

    #[test]
    fn the_last_of_several_values_wins() {
        let pod = pod("command: [kube-apiserver, --a=1, --a, '2']");
        assert_eq!(pod.flag("a"), Some("2"));
        assert_eq!(pod.flag_values("a"), ["1", "2"]);
    }

    #[test]
    fn shells_and_wrappers_are_looked_through() {
        for command in [
            r#"[/bin/sh, -ec, "sleep 1; exec /usr/bin/kube-apiserver --a='b c' --d=\"e\" --f 2>&1 | tee --a=x"]"#,
            r#"[sh, -c], args: ["kube-apiserver \\\n  --a=b\\ c --d e --f >>/var/log/x && echo --a=x"]"#,
            r#"[/go-runner, --a=x, /usr/local/bin/kube-apiserver, "--a=b c", --d=e, --f]"#,
        ] {
            let pod = pod(&format!("command: {command}"));
            assert_eq!(pod.component(), Some(Component::ApiServer), "{command}");
            assert_eq!(pod.flag_values("a"), ["b c"], "{command}");
            assert_eq!((pod.flag("d"), pod.flag("f")), (Some("e"), Some("true")), "{command}");
        }
    }

    #[test]
    fn the_container_of_the_component_is_chosen_among_several() {
        let pod = parse("
kind: Pod
metadata: {name: kube-apiserver}
spec:
  containers:
  - {name: proxy, image: proxy:v1, command: [proxy, --a=1]}
  - {name: kube-apiserver, image: 'r:5000/kube-apiserver:v1.30.4@sha256:0123', command: [kube-apiserver, --a=2]}
");
        assert_eq!(pod.flag("a"), Some("2"));
        assert_eq!(pod.version(), Some(KubernetesVersion { major: 1, minor: 30, patch: 4 }));
    }

    #[test]
    fn versions_come_from_tags_only() {
        let version = |image: &str| pod(&format!("command: [kube-scheduler], image: '{image}'")).version();
        assert!(version("registry.k8s.io/kube-scheduler:v1.36.2").is_some());
        for image in ["r:5000/kube-scheduler", "kube-scheduler@sha256:0123", "kube-scheduler:latest", "", ":"]
        {
            assert_eq!(version(image), None, "{image:?}");
        }
    }

    #[test]
    fn mounts_lead_to_the_host() {
        let pod = parse(
            "
kind: Pod
spec:
  containers:
  - command: [kube-apiserver]
    volumeMounts:
    - {name: etc, mountPath: /etc/}
    - {name: etc, mountPath: /etc/kubernetes/pki, subPath: ssl/pki}
    - {name: etc, mountPath: /file.crt, subPath: a.crt}
    - {name: tmp, mountPath: /etc/tmp}
    - {name: etc, mountPath: /expr, subPathExpr: $(POD)}
    - {name: nowhere, mountPath: /nowhere}
  volumes:
  - {name: etc, hostPath: {path: /host/etc}}
  - {name: tmp, emptyDir: {}}
",
        );
        for (path, expected) in [
            ("/etc/kubernetes/pki/ca.crt", Some("/host/etc/ssl/pki/ca.crt")),
            ("/etc/kubernetes/pki-old/ca.crt", Some("/host/etc/kubernetes/pki-old/ca.crt")),
            ("/etc", Some("/host/etc")),
            ("/file.crt", Some("/host/etc/a.crt")),
            ("/etc/tmp/x", None),
            ("/expr/x", None),
            ("/nowhere", None),
            ("/usr/share/ca.crt", Some("/usr/share/ca.crt")),
            ("relative", None),
            ("/etc/../x", None),
        ] {
            assert_eq!(host(&pod, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn other_pods_have_no_component() {
        let pod = parse(
            "kind: Pod\nmetadata: {name: kube-vip, labels: {component: kube-vip}}\nspec: {containers: [{args: [manager]}]}",
        );
        assert_eq!((pod.component(), pod.version(), pod.flag("a")), (None, None, None));
        assert_eq!(parse("kind: Pod").image(), None);
    }

    #[test]
    fn a_container_says_over_its_pod_as_whom_it_runs() {
        let pod = parse(
            "
kind: Pod
spec:
  securityContext: {runAsUser: 2000, runAsGroup: 2000, supplementalGroups: [2004, '2005', -1], fsGroup: 2006}
  containers:
  - command: [kube-apiserver]
    securityContext: {runAsUser: 2001}
",
        );
        let runs_as = pod.runs_as();
        assert_eq!((runs_as.user, runs_as.group), (Some(2001), Some(2000)));
        assert_eq!(runs_as.groups().into_iter().collect::<Vec<_>>(), [2000, 2004, 2005, 2006]);
        assert_eq!(parse(ETCD).runs_as().user, None);
    }

    #[test]
    fn damage_says_where() {
        let damage = |text: &str| StaticPod::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(damage("kind: Deployment"), "line 1, column 1: the kind is not Pod");
        assert_eq!(damage("a: b"), "line 1, column 1: the kind is not Pod");
        assert_eq!(damage("kind: Pod\nspec: {containers: x}"), "line 2, column 20: containers is not a list");
        assert_eq!(
            damage("kind: Pod\nspec: {containers: [{command: [{}]}]}"),
            "line 2, column 32: command holds something that is not a text"
        );
        assert_eq!(damage("\0\0\0"), "holds a NUL at byte 0");
    }

    proptest! {
        #[test]
        fn mutated_manifests_are_parsed_or_refused(
            at in 0..ETCD.len(), cut in 0..20_usize, junk in "\\PC{0,6}",
        ) {
            let text = format!("{}{junk}{}", &ETCD[..at], &ETCD[(at + cut).min(ETCD.len())..]);
            if let Ok(pod) = StaticPod::parse(text.as_bytes()) {
                let _ = (pod.version(), pod.flag("cert-file").and_then(|path| pod.host_path(path)));
            }
        }

        #[test]
        fn any_script_is_split(script in "[a-c'\"\\\\ \n;|&<>#=é-]{0,40}") {
            let _ = parse_flags(&split_script(&script));
        }

        #[test]
        fn quoted_words_stay_whole(words in proptest::collection::vec("[a-z =;>|\"#-]{0,8}", 0..5)) {
            let script = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split_script(&script), words);
        }
    }
}
