//! One cluster among many: a line of JSON with its name and its kubeadm configuration.

use super::{DamagedConfig, KubeadmConfig};
use crate::catalog::{DnsLabel, InvalidLabel};
use crate::yaml::{self, Node};

/// A cluster that is to be made, from a line such as `{"name": "tenant-a", "config": {"kind": "InitConfiguration", …}}`.
///
/// `config` is a document of kubeadm, a list of them, or the text of a file with them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClusterLine {
    /// What the cluster is called among the others; not what its kubeconfigs call it.
    pub name: DnsLabel,
    /// What kubeadm would be told.
    pub config: KubeadmConfig,
}

impl ClusterLine {
    /// Parses one line. Places within the configuration are columns of the line, or those within the text of a file.
    ///
    /// # Errors
    /// [`ClusterLineError`], with the name when the line has a usable one.
    pub fn parse(line: &[u8]) -> Result<Self, ClusterLineError> {
        let nameless = |problem| ClusterLineError { name: None, problem };
        let damaged = |error: yaml::YamlError| nameless(ClusterLineProblem::Damaged(error.into()));
        let stream = yaml::parse(line).map_err(damaged)?;
        let root = stream.first_mapping().map_err(damaged)?;
        if let Some(second) = stream.documents().nth(1) {
            return Err(damaged(second.error("there is more than one value in the line")));
        }
        let name = root.text("name").map_err(damaged)?;
        let name = name.ok_or_else(|| nameless(ClusterLineProblem::Missing("name")))?;
        let name = DnsLabel::parse(name).map_err(|invalid| nameless(ClusterLineProblem::Name(invalid)))?;
        let config = members(root).and_then(|()| config(root));
        let config = config.map_err(|problem| ClusterLineError { name: Some(name.clone()), problem })?;
        Ok(Self { name, config })
    }

    /// Returns the name alone, when the line has a usable one.
    #[must_use]
    pub fn name_of(line: &[u8]) -> Option<DnsLabel> {
        let stream = yaml::parse(line).ok()?;
        DnsLabel::parse(stream.first_mapping().ok()?.text("name").ok()??).ok()
    }
}

/// Refuses members that nobody reads, and those that are there twice.
fn members(root: Node<'_>) -> Result<(), ClusterLineProblem> {
    let mut seen = [false; 2];
    for (key, _) in root.entries() {
        let text = key.as_str().unwrap_or_default();
        let Some(index) = ["name", "config"].iter().position(|known| *known == text) else {
            return Err(ClusterLineProblem::Unknown(text.to_owned()));
        };
        if std::mem::replace(&mut seen[index], true) {
            return Err(ClusterLineProblem::Damaged(key.error(format!("{text} is there twice")).into()));
        }
    }
    Ok(())
}

fn config(root: Node<'_>) -> Result<KubeadmConfig, ClusterLineProblem> {
    let value = root.get("config").ok_or(ClusterLineProblem::Missing("config"))?;
    let config = match value.as_str() {
        Some(text) => KubeadmConfig::parse(text.as_bytes()),
        None if value.is_mapping() => KubeadmConfig::of_documents([value].into_iter()),
        None => KubeadmConfig::of_documents(value.items()),
    };
    let config = config.map_err(ClusterLineProblem::Config)?;
    if config.is_of_joining_node() { Err(ClusterLineProblem::Joins) } else { Ok(config) }
}

/// Why a line is no cluster that could be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{problem}")]
#[non_exhaustive]
pub struct ClusterLineError {
    /// The name of the cluster, when the line has a usable one.
    pub name: Option<DnsLabel>,
    /// What is wrong.
    pub problem: ClusterLineProblem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterLineProblem {
    /// It is no JSON, or holds something that does not belong there.
    #[error("{0}")]
    Damaged(DamagedConfig),
    /// A member is missing.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// There is a member that nobody reads.
    #[error("{0:?} is neither name nor config")]
    Unknown(String),
    /// The name is none that a cluster could have.
    #[error("the name {0}")]
    Name(InvalidLabel),
    /// The configuration is damaged.
    #[error("the configuration: {0}")]
    Config(DamagedConfig),
    /// The configuration is that of a node which joins a cluster, and would get other authorities.
    #[error("the configuration is a JoinConfiguration, whose node gets the authorities of its cluster")]
    Joins,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"name": "tenant-a", "config": [{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration", "nodeRegistration": {"name": "cp-1"}, "localAPIEndpoint": {"advertiseAddress": "10.0.0.1"}}, {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "clusterName": "a\u002db"}]}"#;

    fn problem(line: &str) -> String {
        ClusterLine::parse(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_line_has_documents_a_document_or_the_text_of_a_file() {
        let line = ClusterLine::parse(LINE.as_bytes()).unwrap();
        assert_eq!(line.name.as_str(), "tenant-a");
        assert_eq!((line.config.node_name(), line.config.cluster_name()), (Some("cp-1"), Some("a-b")));
        let one = r#"{"config": {"kind": "ClusterConfiguration", "apiVersion": "kubeadm.k8s.io/v1beta4", "clusterName": "c"}, "name": "b"}"#;
        assert_eq!(ClusterLine::parse(one.as_bytes()).unwrap().config.cluster_name(), Some("c"));
        let text = r#"{"name": "b", "config": "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: d\n---\nkind: Pod\n"}"#;
        assert_eq!(ClusterLine::parse(text.as_bytes()).unwrap().config.cluster_name(), Some("d"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(problem("{}"), "there is no name");
        assert_eq!(problem(r#"{"name": "a"}"#), "there is no config");
        assert_eq!(problem(r#"{"name": "a", "config": null}"#), "there is no config");
        assert_eq!(problem("[]"), "line 1, column 1: not a mapping");
        assert_eq!(
            problem(r#"{"name": "A b", "config": {}}"#),
            "the name \"A b\" is not a DNS label: at most 63 of a-z, 0-9 and -, with no - at an end"
        );
        assert_eq!(problem(r#"{"name": "a", "confg": {}}"#), "\"confg\" is neither name nor config");
        assert_eq!(problem(r#"{"name": "a", "name": "b"}"#), "line 1, column 15: name is there twice");
        assert_eq!(
            problem(r#"{"name": "a", "config": {}}"#),
            "the configuration: has no configuration of kubeadm"
        );
        assert_eq!(
            problem(
                r#"{"name": "a", "config": {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration", "clusterName": []}}"#
            ),
            "the configuration: line 1, column 113: clusterName is not a text"
        );
        let joining = r#"{"name": "a", "config": {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "JoinConfiguration"}}"#;
        let error = ClusterLine::parse(joining.as_bytes()).unwrap_err();
        assert_eq!((error.name.unwrap().as_str(), error.problem), ("a", ClusterLineProblem::Joins));
    }

    proptest! {
        #[test]
        fn mutated_lines_are_parsed_or_refused(at in 0..LINE.len(), cut in 0..20_usize, junk in "\\PC{0,6}") {
            let line = format!("{}{junk}{}", &LINE[..at], &LINE[(at + cut).min(LINE.len())..]);
            let _ = ClusterLine::parse(line.as_bytes());
        }
    }
}
