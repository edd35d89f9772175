//! Where the files of a node lie and what kind of node it is, on whose word.
//!
//! Never a default when the node says otherwise. Explicit arguments come first, then the static-pod manifests, then the
//! kubelet's configuration, then the kubeadm configuration; kubeadm's defaults come last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::{Addresses, Endpoint, FileFlag, FileState, Programs, endpoint, flags, placing};
use crate::catalog::{
    CaSlot, Component, Directories, FileSlot, KubeconfigSlot, KubernetesVersion, Layout, LeafSlot,
    PathSource, Slot,
};
use crate::manifest::{KubeadmConfig, KubeletConfig, KubeletFlags, StaticPod};
use crate::path::TreePath;

/// What the caller says explicitly, in kubeadm's words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Arguments {
    /// `--cert-dir`: where certificates and keys lie; overrides the manifests.
    pub certificates: Option<TreePath>,
    /// `--kubeconfig-dir`: where the kubeconfigs lie; overrides the manifests.
    pub kubeconfigs: Option<TreePath>,
    /// `--manifests-dir`: where the static-pod manifests lie; overrides the kubelet's configuration.
    pub manifests: Option<TreePath>,
    /// `--kubelet-dir`: the kubelet's own directory.
    pub kubelet: Option<TreePath>,
    /// `--node-name`: the node's name in Kubernetes.
    pub node_name: Option<String>,
}

/// The files that say where everything else lies.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// What the caller says.
    pub arguments: Arguments,
    /// The files in the manifests directory.
    pub manifests: BTreeMap<TreePath, FileState>,
    /// The kubelet's configuration file.
    pub kubelet_config: Option<(TreePath, FileState)>,
    /// The flags of the kubelet, `kubeadm-flags.env`.
    pub kubelet_flags: Option<(TreePath, FileState)>,
    /// What kubeadm merges into the kubelet's configuration of this node alone, `instance-config.yaml`.
    pub kubelet_instance: Option<(TreePath, FileState)>,
    /// The kubeadm configuration, when one was given.
    pub kubeadm_config: Option<(TreePath, FileState)>,
    /// The host's own name, from which kubeadm derives the node's name.
    pub hostname: Option<String>,
}

/// A fact and who stated it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stated<T> {
    /// The fact.
    pub value: T,
    /// Who stated it.
    pub source: PathSource,
}

/// Where this control plane's etcd runs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EtcdPlacement {
    /// On this node, as a static pod.
    Local,
    /// Elsewhere, at these endpoints, with certificates that are not kubeadm's.
    External(Vec<String>),
    /// Nothing says; kubeadm's default, a local one, is assumed.
    Unknown,
}

/// A file that should have told something and could not be understood.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SourceProblem {
    /// The file.
    pub path: TreePath,
    /// What is wrong with it.
    pub reason: String,
    /// The manifest of the same pod that was taken, when this one is a second one.
    pub duplicate_of: Option<TreePath>,
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// What the node says about itself. Public data.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    layout: Layout,
    directories: Directories,
    node_name: Option<Stated<String>>,
    version: Option<KubernetesVersion>,
    etcd: EtcdPlacement,
    etcd_client_urls: Vec<String>,
    kubeadm: Option<KubeadmConfig>,
    manifests: BTreeMap<Component, TreePath>,
    components: Vec<Component>,
    endpoints: Vec<Endpoint>,
    addresses: Addresses,
    kubelet: Option<KubeletConfig>,
    kubelet_flags: KubeletFlags,
    kubelet_instance: Option<KubeletConfig>,
    signing_duration: Option<Stated<String>>,
    trust_files: Vec<TrustFile>,
    programs: Programs,
    file_flags: Vec<FileFlag>,
    problems: Vec<SourceProblem>,
}

/// A file with certificates of authorities that a component trusts, and that is not the file of an authority itself.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TrustFile {
    /// The file.
    pub path: TreePath,
    /// Who trusts what is in it.
    pub component: Component,
    /// The flag or the field that names it.
    pub setting: &'static str,
}

impl NodeFacts {
    /// Returns where every file lies.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the directories from which the layout was derived.
    #[must_use]
    pub const fn directories(&self) -> &Directories {
        &self.directories
    }

    /// Returns the node's name in Kubernetes, when anything states it.
    #[must_use]
    pub const fn node_name(&self) -> Option<&Stated<String>> {
        self.node_name.as_ref()
    }

    /// Returns the version of the API server, from the tag of its image.
    #[must_use]
    pub const fn version(&self) -> Option<KubernetesVersion> {
        self.version
    }

    /// Returns where etcd runs.
    #[must_use]
    pub const fn etcd(&self) -> &EtcdPlacement {
        &self.etcd
    }

    /// Returns where the etcd of this node listens for clients, as its manifest has it; empty when nothing says.
    #[must_use]
    pub fn etcd_client_urls(&self) -> &[String] {
        &self.etcd_client_urls
    }

    /// Returns the kubeadm configuration, when one was given.
    #[must_use]
    pub const fn kubeadm(&self) -> Option<&KubeadmConfig> {
        self.kubeadm.as_ref()
    }

    /// Returns the components that have a static-pod manifest here, in the safe order of restarts.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Returns the static-pod manifest of `component`.
    #[must_use]
    pub fn manifest(&self, component: Component) -> Option<&TreePath> {
        self.manifests.get(&component)
    }

    /// Returns where the components of the node listen, sorted.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Returns under which addresses the API server and the etcd of this node are reached.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns the kubelet's configuration, when it could be read.
    #[must_use]
    pub const fn kubelet(&self) -> Option<&KubeletConfig> {
        self.kubelet.as_ref()
    }

    /// Returns the socket of the container runtime: of the kubelet's flags, else of its configuration, else of what kubeadm
    /// merges into that for this node (`instance-config.yaml`, 1.32 and later); `None` when nothing says.
    #[must_use]
    pub fn runtime_endpoint(&self) -> Option<Stated<String>> {
        let flag = self.kubelet_flags.flag("container-runtime-endpoint");
        // The kubelet itself reads the merged file only, so what was merged counts when that one is damaged or was made anew.
        let configured = [&self.kubelet, &self.kubelet_instance].into_iter().flatten();
        let mut stated =
            flag.into_iter().chain(configured.filter_map(KubeletConfig::container_runtime_endpoint));
        let stated = stated.find(|text| !text.is_empty())?;
        Some(Stated { value: stated.to_owned(), source: PathSource::KubeletConfig })
    }

    /// Returns how long the certificates are valid that kube-controller-manager signs for kubelets, as its manifest has it;
    /// `None` means its default of one year.
    #[must_use]
    pub const fn signing_duration(&self) -> Option<&Stated<String>> {
        self.signing_duration.as_ref()
    }

    /// Returns the files beside those of the authorities whose certificates components trust, in the order of the components.
    #[must_use]
    pub fn trust_files(&self) -> &[TrustFile] {
        &self.trust_files
    }

    /// Returns what the manifests say about their programs beside where files lie.
    #[must_use]
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Returns the flags of the manifests that name files of certificates, keys and kubeconfigs, those among kubeadm's that are not
    /// given included; in the order of the components.
    #[must_use]
    pub fn file_flags(&self) -> &[FileFlag] {
        &self.file_flags
    }

    /// Returns the flags that kubeadm passes to the kubelet, of `kubeadm-flags.env`.
    #[must_use]
    pub const fn kubelet_flags(&self) -> &KubeletFlags {
        &self.kubelet_flags
    }

    /// Returns whether `component` may run on this node: it has a manifest, it is the kubelet, or, without any manifest, nothing
    /// is known of the node.
    #[must_use]
    pub fn may_run(&self, component: Component) -> bool {
        self.components.is_empty() || self.components.contains(&component) || component == Component::Kubelet
    }

    /// Returns the files that could not be understood.
    #[must_use]
    pub fn problems(&self) -> &[SourceProblem] {
        &self.problems
    }

    /// Returns whether kubeadm would expect `slot` on this node.
    ///
    /// With an external etcd kubeadm leaves out etcd's certificates and the API server's client of it
    /// (`cmd/kubeadm/app/phases/certs/certlist.go`, `GetCertsWithoutEtcd`). super-admin.conf exists on the first
    /// control-plane node of 1.29 and later only, and a kubelet's certificates are its own affair.
    #[must_use]
    pub fn expects(&self, slot: Slot) -> bool {
        let local_etcd = !matches!(self.etcd, EtcdPlacement::External(_));
        match slot {
            Slot::Ca(CaSlot::Etcd)
            | Slot::Leaf(
                LeafSlot::EtcdServer
                | LeafSlot::EtcdPeer
                | LeafSlot::EtcdHealthcheckClient
                | LeafSlot::ApiServerEtcdClient,
            ) => local_etcd,
            Slot::Kubeconfig(KubeconfigSlot::SuperAdmin | KubeconfigSlot::Kubelet)
            | Slot::KubeletClient
            | Slot::KubeletServing => false,
            Slot::Ca(_) | Slot::Leaf(_) | Slot::Kubeconfig(_) | Slot::ServiceAccount => true,
        }
    }
}

/// Returns where the static-pod manifests lie: the argument, the kubelet's `staticPodPath`, or kubeadm's default.
#[must_use]
pub fn manifests_directory(arguments: &Arguments, kubelet_config: Option<&FileState>) -> TreePath {
    let parsed = kubelet_config
        .and_then(FileState::content)
        .and_then(|content| KubeletConfig::parse(content.secret_bytes()).ok());
    manifests_of(arguments, parsed.as_ref())
}

/// Returns whether the kubelet takes a file of the manifests directory as a manifest: it passes over names that start
/// with a dot (`pkg/kubelet/config/file.go`).
pub(super) fn is_manifest(path: &TreePath) -> bool {
    !path.file_name().starts_with('.')
}

fn manifests_of(arguments: &Arguments, kubelet: Option<&KubeletConfig>) -> TreePath {
    let configured = || kubelet.and_then(KubeletConfig::static_pod_path).cloned();
    arguments.manifests.clone().or_else(configured).unwrap_or_else(|| Directories::default().manifests)
}

/// Decides where every file lies and what kind of node this is. Damaged sources are listed, never fatal.
#[must_use]
pub fn locate(sources: &Sources) -> NodeFacts {
    let mut problems = Vec::new();
    let Sources {
        arguments,
        manifests,
        kubelet_config,
        kubelet_flags,
        kubelet_instance,
        kubeadm_config,
        hostname,
    } = sources;

    let (pods, paths) = parse_pods(manifests, &mut problems);
    let mut parse_kubelet = |source: &Option<(TreePath, FileState)>| {
        let (path, state) = source.as_ref()?;
        let parse = |bytes: &[u8]| KubeletConfig::parse(bytes).map_err(|damage| damage.to_string());
        parse_source(path, state, parse, &mut problems)
    };
    let kubelet = parse_kubelet(kubelet_config);
    let kubelet_instance = parse_kubelet(kubelet_instance);
    let kubeadm = kubeadm_config.as_ref().and_then(|(path, state)| {
        parse_source(
            path,
            state,
            |bytes| KubeadmConfig::parse(bytes).map_err(|damage| damage.to_string()),
            &mut problems,
        )
    });

    let directories = directories(arguments, kubelet.as_ref(), kubeadm.as_ref(), &pods);
    let layout = placing::layout(arguments, &directories, kubelet.as_ref(), kubeadm.as_ref(), &pods);
    let flag = |component, name| pods.get(&component).and_then(|pod: &StaticPod| pod.flag(name));
    let stated = |value: Option<&str>, source| value.map(|value| Stated { value: value.to_owned(), source });
    let node_name = stated(arguments.node_name.as_deref(), PathSource::Argument)
        // kubeadm gives an etcd member the name of its node.
        .or_else(|| stated(flag(Component::Etcd, "name"), PathSource::Manifest))
        .or_else(|| stated(kubeadm.as_ref().and_then(KubeadmConfig::node_name), PathSource::KubeadmConfig))
        .or_else(|| stated(hostname.as_deref(), PathSource::Default));

    NodeFacts {
        etcd: etcd_placement(kubeadm.as_ref(), &pods),
        etcd_client_urls: flag(Component::Etcd, "listen-client-urls").map(urls).unwrap_or_default(),
        version: pods
            .get(&Component::ApiServer)
            .and_then(StaticPod::version)
            .or_else(|| kubeadm.as_ref().and_then(KubeadmConfig::kubernetes_version)),
        addresses: Addresses::of(|component| pods.get(&component)),
        endpoints: endpoint::endpoints(|component| pods.get(&component), kubelet.as_ref()),
        signing_duration: ["cluster-signing-duration", "experimental-cluster-signing-duration"]
            .into_iter()
            .find_map(|name| stated(flag(Component::ControllerManager, name), PathSource::Manifest)),
        kubelet_flags: kubelet_flags
            .as_ref()
            .and_then(|(_, state)| Some(KubeletFlags::parse(state.content()?.secret_bytes())))
            .unwrap_or_default(),
        trust_files: trust_files(&layout, kubelet.as_ref(), &pods),
        programs: Programs::of(&pods),
        file_flags: flags::file_flags(&pods),
        kubelet_instance,
        manifests: paths,
        components: pods.keys().copied().collect(),
        layout,
        directories,
        node_name,
        kubeadm,
        kubelet,
        problems,
    }
}

pub(super) type Pods = BTreeMap<Component, StaticPod>;

fn parse_pods(
    manifests: &BTreeMap<TreePath, FileState>,
    problems: &mut Vec<SourceProblem>,
) -> (Pods, BTreeMap<Component, TreePath>) {
    let mut pods = Pods::new();
    let mut paths = BTreeMap::new();
    let mut others: BTreeMap<String, TreePath> = BTreeMap::new();
    // Of several manifests of one component the one that kubeadm would write is the one that is meant.
    let (kubeadms, further): (Vec<_>, Vec<_>) =
        manifests.iter().filter(|(path, _)| is_manifest(path)).partition(|(path, _)| has_kubeadms_name(path));
    for (path, state) in kubeadms.into_iter().chain(further) {
        let parse = |bytes: &[u8]| StaticPod::parse(bytes).map_err(|damage| damage.to_string());
        let Some(pod) = parse_source(path, state, parse, problems) else { continue };
        let (first, name) = match (pod.component(), pod.name()) {
            (Some(component), _) => match paths.get(&component) {
                Some(first) => (first, component.to_string()),
                None => {
                    paths.insert(component, path.clone());
                    pods.insert(component, pod);
                    continue;
                }
            },
            // The kubelet runs one pod of a name; which of two is chance (`pkg/kubelet/pod_workers.go`, `allowStaticPodStart`).
            (None, Some(name)) => match others.entry(name.to_owned()) {
                Entry::Occupied(entry) => (&*entry.into_mut(), name.to_owned()),
                Entry::Vacant(entry) => {
                    entry.insert(path.clone());
                    continue;
                }
            },
            (None, None) => continue,
        };
        let reason = format!("is a second manifest of {name}");
        problems.push(SourceProblem { path: path.clone(), reason, duplicate_of: Some(first.clone()) });
    }
    problems.sort_by(|one, other| one.path.cmp(&other.path));
    (pods, paths)
}

fn has_kubeadms_name(path: &TreePath) -> bool {
    let stem = path.file_name().strip_suffix(".yaml");
    stem.is_some_and(|stem| Component::ALL.into_iter().any(|component| component.name() == stem))
}

fn parse_source<T>(
    path: &TreePath,
    state: &FileState,
    parse: impl FnOnce(&[u8]) -> Result<T, String>,
    problems: &mut Vec<SourceProblem>,
) -> Option<T> {
    let parsed = match state {
        FileState::Absent => return None,
        FileState::Unreadable(problem) => Err(problem.to_string()),
        FileState::Present(content) => parse(content.secret_bytes()),
    };
    parsed
        .map_err(|reason| {
            problems.push(SourceProblem { path: path.clone(), reason, duplicate_of: None });
        })
        .ok()
}

fn directories(
    arguments: &Arguments,
    kubelet: Option<&KubeletConfig>,
    kubeadm: Option<&KubeadmConfig>,
    pods: &Pods,
) -> Directories {
    let default = Directories::default();
    // The scheduler's kubeconfig leads to the directory of the others, which no manifest names.
    let beside_scheduler = || host_path(pods, Component::Scheduler, "kubeconfig").map(|path| path.parent());
    Directories {
        certificates: arguments
            .certificates
            .clone()
            .or_else(|| kubeadm.and_then(KubeadmConfig::certificates_dir).cloned())
            .unwrap_or(default.certificates),
        kubeconfigs: arguments.kubeconfigs.clone().or_else(beside_scheduler).unwrap_or(default.kubeconfigs),
        manifests: manifests_of(arguments, kubelet),
        kubelet: arguments.kubelet.clone().unwrap_or(default.kubelet),
    }
}

/// The flags that name certificates of authorities to be trusted.
const TRUST_FLAGS: [(Component, &str); 11] = {
    use Component::{ApiServer, ControllerManager, Etcd, Scheduler};
    [
        (Etcd, "trusted-ca-file"),
        (Etcd, "peer-trusted-ca-file"),
        (ApiServer, "client-ca-file"),
        (ApiServer, "requestheader-client-ca-file"),
        (ApiServer, "etcd-cafile"),
        (ApiServer, "kubelet-certificate-authority"),
        (ControllerManager, "root-ca-file"),
        (ControllerManager, "client-ca-file"),
        (ControllerManager, "requestheader-client-ca-file"),
        (Scheduler, "client-ca-file"),
        (Scheduler, "requestheader-client-ca-file"),
    ]
};

fn trust_files(layout: &Layout, kubelet: Option<&KubeletConfig>, pods: &Pods) -> Vec<TrustFile> {
    let of_flags = TRUST_FLAGS.into_iter().filter_map(|(component, setting)| {
        Some(TrustFile { path: host_path(pods, component, setting)?, component, setting })
    });
    let of_kubelet = kubelet.and_then(KubeletConfig::client_ca_file).map(|path| TrustFile {
        path: path.clone(),
        component: Component::Kubelet,
        setting: "clientCAFile",
    });
    let is_own = |file: &TrustFile| matches!(layout.slot_of(&file.path), Some(FileSlot::CaCertificate(_)));
    of_flags.chain(of_kubelet).filter(|file| !is_own(file)).collect()
}

pub(super) fn host_path(pods: &Pods, component: Component, flag: &str) -> Option<TreePath> {
    let pod = pods.get(&component)?;
    pod.host_path(pod.flag(flag)?)
}

fn etcd_placement(kubeadm: Option<&KubeadmConfig>, pods: &Pods) -> EtcdPlacement {
    if pods.contains_key(&Component::Etcd) {
        return EtcdPlacement::Local;
    }
    if let Some(external) = kubeadm.and_then(KubeadmConfig::external_etcd) {
        return EtcdPlacement::External(external.endpoints.clone());
    }
    let Some(servers) = pods.get(&Component::ApiServer).and_then(|pod| pod.flag("etcd-servers")) else {
        return EtcdPlacement::Unknown;
    };
    let endpoints = urls(servers);
    let is_loopback = |endpoint: &String| {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| endpoint.contains(&format!("://{host}")))
    };
    // An API server that looks for etcd on its own node has lost the manifest of etcd, not moved etcd elsewhere.
    if endpoints.iter().any(is_loopback) {
        EtcdPlacement::Unknown
    } else {
        EtcdPlacement::External(endpoints)
    }
}

/// Splits a flag that is a list of URLs.
fn urls(flag: &str) -> Vec<String> {
    flag.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretBytes;
    use crate::snapshot::{FileContent, FileMeta};

    fn endpoint(flags: &str, config: &str, instance: &str) -> Option<String> {
        let file = |text: &str| {
            let path = TreePath::parse("/var/lib/kubelet/file").unwrap();
            let content =
                FileContent::new(SecretBytes::from(text.as_bytes().to_vec()), FileMeta::with_mode(0o600));
            Some((path, FileState::Present(content)))
        };
        let sources = Sources {
            kubelet_config: file(config),
            kubelet_flags: file(flags),
            kubelet_instance: file(instance),
            ..Sources::default()
        };
        locate(&sources).runtime_endpoint().map(|stated| stated.value)
    }

    #[test]
    fn the_kubelet_s_flags_state_the_runtime_before_its_files() {
        let flags = "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=/run/a.sock\"";
        let (config, instance) =
            ("containerRuntimeEndpoint: unix:///run/b.sock", "containerRuntimeEndpoint: unix:///run/c.sock");
        let stated = |text: &str| Some(text.to_owned());
        assert_eq!(endpoint(flags, config, instance), stated("/run/a.sock"));
        assert_eq!(endpoint("", config, instance), stated("unix:///run/b.sock"));
        for silent in ["{}", "containerRuntimeEndpoint: ''", "- damaged"] {
            assert_eq!(endpoint("", silent, instance), stated("unix:///run/c.sock"));
            assert_eq!(endpoint("", silent, "{}"), None);
        }
    }
}
