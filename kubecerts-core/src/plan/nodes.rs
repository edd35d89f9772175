//! Lists of control-plane nodes that are to join a cluster.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::ClusterIntent;
use crate::catalog::NodeName;
use crate::manifest::KubeadmConfig;
use crate::x509::AlternativeName;
use crate::yaml;

/// A control-plane node that is to join a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct JoiningNode {
    /// Its name.
    pub name: NodeName,
    /// The address of its API server.
    pub address: IpAddr,
    /// The port of its API server; as the intent has it when `None`.
    pub port: Option<u16>,
    /// Further names of its API server, beside those of the cluster.
    pub names: Vec<AlternativeName>,
}

impl JoiningNode {
    /// Returns a node without names of its own.
    #[must_use]
    pub const fn new(name: NodeName, address: IpAddr) -> Self {
        Self { name, address, port: None, names: Vec::new() }
    }

    /// Parses the words of a line: name, address, further names.
    ///
    /// # Errors
    /// [`JoiningNodeProblem`] for the first word that is missing or wrong.
    pub fn parse<'t>(words: impl IntoIterator<Item = &'t str>) -> Result<Self, JoiningNodeProblem> {
        let mut words = words.into_iter();
        let name = words.next().ok_or(JoiningNodeProblem::NoName)?;
        let name = NodeName::parse(name).map_err(|_| JoiningNodeProblem::Name { found: name.to_owned() })?;
        let address = words.next().ok_or_else(|| JoiningNodeProblem::NoAddress { name: name.clone() })?;
        let address = address_of(address)?;
        let further =
            |text: &str| sans(text).ok_or_else(|| JoiningNodeProblem::Names { found: text.to_owned() });
        Ok(Self { names: words.map(further).collect::<Result<_, _>>()?, ..Self::new(name, address) })
    }

    /// Returns the intent for this node of the cluster that `cluster` describes.
    #[must_use]
    pub fn intent(&self, cluster: &ClusterIntent) -> ClusterIntent {
        let Self { name, address, port, names } = self;
        let mut intent = cluster.clone();
        intent.node_name = name.clone();
        intent.advertise_address = *address;
        intent.bind_port = port.unwrap_or(cluster.bind_port);
        intent.api_server_names.extend(names.iter().cloned());
        intent
    }
}

/// Parses a list of nodes: lines `NAME ADDRESS [NAME-OR-ADDRESS…]`, where `#` begins a comment, or kubeadm's documents
/// `JoinConfiguration`.
///
/// # Errors
/// [`InvalidNodes`] for the first node that is wrong or occurs twice, by name or by address, and for a list without any.
pub fn parse_nodes(text: &str) -> Result<Vec<JoiningNode>, InvalidNodes> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_document =
        |line: &str| line.starts_with("---") || line.starts_with("apiVersion:") || line.starts_with("kind:");
    let nodes = if text.lines().any(is_document) { documents(text) } else { lines(text) };
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut result = Vec::new();
    for (line, node) in nodes {
        let node = node.map_err(|problem| InvalidNodes { line, problem })?;
        let address = node.address.to_string();
        for value in [node.name.as_str(), &address] {
            if let Some(first) = seen.insert(value.to_owned(), line) {
                let problem = JoiningNodeProblem::Twice { value: value.to_owned(), first };
                return Err(InvalidNodes { line, problem });
            }
        }
        result.push(node);
    }
    if result.is_empty() {
        return Err(InvalidNodes { line: 1, problem: JoiningNodeProblem::Empty });
    }
    Ok(result)
}

type Numbered = Vec<(u32, Result<JoiningNode, JoiningNodeProblem>)>;

fn lines(text: &str) -> Numbered {
    let words = |line: &'_ str| line.split('#').next().unwrap_or_default().trim().to_owned();
    (1..)
        .zip(text.lines().map(words))
        .filter(|(_, words)| !words.is_empty())
        .map(|(number, words)| (number, JoiningNode::parse(words.split_whitespace())))
        .collect()
}

fn documents(text: &str) -> Numbered {
    let mut documents: Vec<(u32, String)> = vec![(1, String::new())];
    for (number, line) in (1..).zip(text.lines()) {
        if line == "---" || line.starts_with("--- ") {
            documents.push((number + 1, String::new()));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let is_said = |document: &str| {
        document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    };
    documents
        .into_iter()
        .filter(|(_, document)| is_said(document))
        .map(|(number, document)| (number, of_document(&document)))
        .collect()
}

fn of_document(document: &str) -> Result<JoiningNode, JoiningNodeProblem> {
    let damaged = |reason: String| JoiningNodeProblem::Document { reason };
    let stream = yaml::parse_first(document.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    let root = stream.first_mapping().map_err(|error| damaged(error.to_string()))?;
    let kind = root.text("kind").map_err(|error| damaged(error.to_string()))?.unwrap_or_default();
    if kind != "JoinConfiguration" {
        return Err(damaged(format!("its kind is {kind:?} and not JoinConfiguration")));
    }
    let config = KubeadmConfig::parse(document.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    let name = config.node_name().ok_or(JoiningNodeProblem::NoName)?;
    let name = NodeName::parse(name).map_err(|_| JoiningNodeProblem::Name { found: name.to_owned() })?;
    let address =
        config.advertise_address().ok_or_else(|| JoiningNodeProblem::NoAddress { name: name.clone() })?;
    Ok(JoiningNode { port: config.bind_port(), ..JoiningNode::new(name, address_of(address)?) })
}

fn address_of(text: &str) -> Result<IpAddr, JoiningNodeProblem> {
    let address: IpAddr = text.parse().map_err(|_| JoiningNodeProblem::Address { found: text.to_owned() })?;
    // No other node could reach it there, and etcd would have it among its names.
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err(JoiningNodeProblem::Address { found: text.to_owned() });
    }
    Ok(address)
}

/// Returns an address or a DNS name, perhaps with an asterisk in the place of its first label.
fn sans(text: &str) -> Option<AlternativeName> {
    if let Ok(address) = text.parse() {
        return Some(AlternativeName::Ip(address));
    }
    let host = text.strip_prefix("*.").unwrap_or(text);
    NodeName::parse(host).ok()?;
    Some(AlternativeName::Dns(text.to_owned()))
}

/// A list of nodes that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct InvalidNodes {
    /// The line, or the first one of the document, from 1.
    pub line: u32,
    /// What is wrong there.
    pub problem: JoiningNodeProblem,
}

/// What is wrong with a node of a list.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JoiningNodeProblem {
    /// There is no node at all.
    #[error("there is no node in it")]
    Empty,
    /// The node has no name.
    #[error("a node needs a name, in a JoinConfiguration as nodeRegistration.name")]
    NoName,
    /// The name is none.
    #[error("{found:?} is not the name of a node")]
    Name {
        /// What was found.
        found: String,
    },
    /// The node has no address.
    #[error(
        "the node {name} needs an address, in a JoinConfiguration as controlPlane.localAPIEndpoint.advertiseAddress"
    )]
    NoAddress {
        /// The node.
        name: NodeName,
    },
    /// The address is none at which a node can be reached.
    #[error("{found:?} is not the address of a node")]
    Address {
        /// What was found.
        found: String,
    },
    /// A further name is neither an address nor a DNS name.
    #[error("{found:?} is neither an address nor a DNS name")]
    Names {
        /// What was found.
        found: String,
    },
    /// Another node has the same name or address.
    #[error("{value} occurs twice, first in line {first}")]
    Twice {
        /// The name or address.
        value: String,
        /// The line of the first one.
        first: u32,
    },
    /// A document is damaged or of another kind.
    #[error("the document cannot be used: {reason}")]
    Document {
        /// Why not.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_give_nodes() {
        let nodes = parse_nodes(
            "# name address names\n\ncp-2 192.168.10.12 # second\nCP-3\tfd00::13  cp-3.example.com 10.0.0.3 *.x.org\n",
        )
        .unwrap();
        assert_eq!(nodes[0], JoiningNode::new("cp-2".parse().unwrap(), IpAddr::from([192, 168, 10, 12])));
        assert_eq!(nodes[1].name.as_str(), "cp-3");
        let names: Vec<String> = nodes[1].names.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 3, "{names:?}");
    }

    #[test]
    fn documents_give_nodes() {
        let document = |name: &str, address: &str| {
            format!(
                "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration:\n  name: {name}\n\
                 controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: {address}\n    bindPort: 7443\n"
            )
        };
        let text = format!(
            "---\n{}---\n# none\n---\n{}",
            document("cp-2", "10.0.0.2"),
            document("cp-3", "10.0.0.3")
        );
        let nodes = parse_nodes(&text).unwrap();
        assert_eq!(nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["cp-2", "cp-3"]);
        assert_eq!(nodes[1].port, Some(7443));
        let twice = format!("{}---\n{}", document("cp-2", "10.0.0.2"), document("cp-2", "10.0.0.3"));
        assert_eq!(
            parse_nodes(&twice).unwrap_err().to_string(),
            "line 10: cp-2 occurs twice, first in line 1"
        );
        let worker =
            "kind: JoinConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nnodeRegistration: {name: w}\n";
        assert!(
            parse_nodes(worker).unwrap_err().to_string().starts_with("line 1: the node w needs an address")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, message) in [
            ("", "line 1: there is no node in it"),
            ("# nobody\n", "line 1: there is no node in it"),
            ("cp-2\n", "line 1: the node cp-2 needs an address"),
            ("\ncp_2 10.0.0.2\n", "line 2: \"cp_2\" is not the name of a node"),
            ("../cp 10.0.0.2\n", "line 1: \"../cp\" is not the name of a node"),
            ("cp-2 10.0.0\n", "line 1: \"10.0.0\" is not the address of a node"),
            ("cp-2 0.0.0.0\n", "line 1: \"0.0.0.0\" is not the address of a node"),
            ("cp-2 127.0.0.1\n", "line 1: \"127.0.0.1\" is not the address of a node"),
            ("cp-2 10.0.0.2 a_b/c\n", "line 1: \"a_b/c\" is neither an address nor a DNS name"),
            ("cp-2 10.0.0.2\nCP-2 10.0.0.3\n", "line 2: cp-2 occurs twice, first in line 1"),
            ("cp-2 fd00::2\n\ncp-3 fd00:0::2\n", "line 3: fd00::2 occurs twice, first in line 1"),
        ] {
            let error = parse_nodes(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text:?}: {error}");
        }
    }
}
