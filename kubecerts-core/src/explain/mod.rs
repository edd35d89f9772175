//! What a log says of certificates: from a line to the certificate, who presents it, and what to do.
//!
//! An [`Explainer`] takes lines one by one, of any log: of the components of a control plane in each of their formats, as journald,
//! container runtimes, Docker and `kubectl logs --prefix` hand them on, and what `kubectl`, OpenSSL and curl print. It keeps what
//! differs and counts what repeats, so that a log of any size takes bounded memory. [`Explainer::finish`] then holds against an
//! [`Inventory`] what was found: serial numbers, key identifiers, names, places and ends of validity lead to a certificate of the
//! tree, to an earlier one that a backup still has, or to one that is not on this node, and then whose as far as the lines tell.
//!
//! Lines are foreign: whatever is in them is survived, and their text is shown without control characters and without tokens.
//!
//! ```
//! use kubecerts_core::explain::{Explainer, Symptom};
//! # let (inventory, now) = (kubecerts_testkit::TreeBuilder::kubeadm().build().inventory(), kubecerts_testkit::at("2027-02-01T00:00:00Z"));
//! let mut explainer = Explainer::new();
//! explainer.line(b"Unable to connect to the server: x509: certificate has expired or is not yet valid");
//! let report = explainer.finish(&inventory, now);
//! assert_eq!(report.explanations[0].evidence.symptom, Symptom::Expired);
//! ```

mod answer;
mod facts;
mod json;
mod known;
mod line;
mod prefilter;
mod program;
mod sample;
mod scene;
mod symptom;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{CaSlot, KubeconfigSlot, Slot};
use crate::diagnosis::{Impact, Remedy};
use crate::inventory::{FoundKind, Inventory, Place};
use crate::path::TreePath;
use crate::time::Timestamp;
use crate::x509::SerialNumber;

pub use facts::Address;
use line::LineTime;
pub use line::Program;
pub use scene::Scene;
pub use symptom::Symptom;
use symptom::Verdict;

/// Lines are read as far as this many bytes: the longest that container runtimes write in one piece is a quarter of it.
pub const LINE_LIMIT: usize = 64 * 1024;

/// Takes the lines of a log, and keeps of them what they say of certificates.
#[derive(Clone, Debug, Default)]
pub struct Explainer {
    lines: u64,
    cut: u64,
    informational: u64,
    unknown: u64,
    unknown_samples: Vec<String>,
    crowded: u64,
    sources: Vec<Source>,
    groups: BTreeMap<(Evidence, SourceId), Tally>,
}

type SourceId = Option<usize>;

/// Where lines come from.
#[derive(Clone, Debug, Default)]
struct Source {
    named: Option<Program>,
    /// The programs that lines without a prefix can only be of.
    inferred: BTreeSet<Program>,
    /// How many of its lines were looked at for that alone.
    looked_at: u64,
}

/// How often something was said, and when.
#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    span: Span,
    sample: String,
}

/// The first and the last of many times, as long as nothing says in which year those without one are: of the times with a
/// year, and of those without one from January to June and from July to December. In each of these the calendar tells which is
/// earlier; between the two halves of a year it does not, for a log goes on over New Year.
#[derive(Clone, Copy, Debug, Default)]
struct Span([Option<(LineTime, LineTime)>; 3]);

impl Explainer {
    /// Returns an explainer that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says where the lines that follow come from, such as the path of a file; its name may tell which program wrote them.
    pub fn source(&mut self, name: &str) {
        if self.sources.len() < MOST_SOURCES {
            self.sources.push(Source { named: program::of_source(name), ..Source::default() });
        } else if let Some(last) = self.sources.last_mut() {
            *last = Source::default();
        }
    }

    /// Takes one line, with its end or without. It need not be UTF-8; what is beyond [`LINE_LIMIT`] is not read.
    pub fn line(&mut self, bytes: &[u8]) {
        self.lines += 1;
        let kept = &bytes[..bytes.len().min(LINE_LIMIT)];
        if kept.len() < bytes.trim_ascii_end().len() {
            self.cut += 1;
        }
        if prefilter::may_matter(kept) {
            self.look_at(&String::from_utf8_lossy(kept));
        } else if let Some(source) = self.sources.last_mut()
            && source.named.is_none()
            && source.inferred.is_empty()
            && source.looked_at < LINES_TO_KNOW_BY
        {
            source.looked_at += 1;
            // The healthy lines before the others may be the ones that tell who writes.
            source.inferred.extend(program::of_bytes(kept));
        }
    }

    fn look_at(&mut self, text: &str) {
        let line = line::parse(text);
        let symptom = match symptom::of_message(&line.message) {
            Verdict::Complaint(symptom) => symptom,
            Verdict::Nothing => return,
            Verdict::Unknown if !symptom::sounds_wrong(&line) => {
                self.informational += 1;
                return;
            }
            Verdict::Unknown => {
                self.unknown += 1;
                let sample = sample::of(text);
                if self.unknown_samples.len() < MOST_SAMPLES && !self.unknown_samples.contains(&sample) {
                    self.unknown_samples.push(sample);
                }
                return;
            }
        };
        let stated = line.program.clone();
        let inferred = stated.clone().or_else(|| program::of_message(&line));
        let evidence = Evidence::of_line(symptom, inferred.clone(), &line);
        let mut source = None;
        if let Some(last) = self.sources.len().checked_sub(1) {
            if evidence.program.is_none() {
                source = Some(last);
            } else if stated.is_none() {
                self.sources[last].inferred.extend(inferred);
            }
        }
        let mut key = (evidence, source);
        if !self.groups.contains_key(&key) && self.groups.len() >= MOST_GROUPS {
            // What is said is kept, of whom in particular is not.
            self.crowded += 1;
            key = (key.0.in_general(), None);
        }
        let tally = self.groups.entry(key).or_insert_with(|| Tally {
            count: 0,
            span: Span::default(),
            sample: sample::of(text),
        });
        tally.count += 1;
        if let Some(time) = line.time {
            tally.span.add(time);
        }
    }

    /// Holds what was found against `inventory` as of `now`.
    ///
    /// The explanations are sorted: the grave first, consequences of something else last, then by how often they were said.
    pub fn finish(self, inventory: &Inventory, now: Timestamp) -> Report {
        let Self { lines, cut, informational, unknown, unknown_samples, crowded, sources, groups } = self;
        let mut merged: BTreeMap<Evidence, Tally> = BTreeMap::new();
        for ((mut evidence, source), tally) in groups {
            if let Some(source) = source.and_then(|source| sources.get(source)) {
                evidence.program = source.program().cloned();
                if evidence.scene == Scene::Open && evidence.program.as_ref().is_some_and(Program::is_in_pod)
                {
                    evidence.scene = Scene::Pod;
                }
            }
            evidence.node = evidence.node.filter(|node| known::is_other_node(node, inventory));
            match merged.get_mut(&evidence) {
                Some(known) => known.absorb(tally),
                None => drop(merged.insert(evidence, tally)),
            }
        }
        let said: Vec<Evidence> = merged.keys().cloned().collect();
        let mut explanations: Vec<Explanation> = merged
            .into_iter()
            .map(|(evidence, tally)| {
                let (first, last) = tally.span.resolve(now).unzip();
                let answer = answer::answer(&evidence, last, &said, inventory, now);
                Explanation { evidence, count: tally.count, first, last, sample: tally.sample, answer }
            })
            .collect();
        explanations.sort_by(|left, right| {
            let key = |explanation: &Explanation| {
                let rank = explanation.answer.impact;
                (explanation.evidence.symptom.is_consequence(), std::cmp::Reverse((rank, explanation.count)))
            };
            key(left).cmp(&key(right))
        });
        Report {
            lines,
            cut,
            informational,
            unknown,
            unknown_samples,
            crowded,
            has_tree: !inventory.is_empty(),
            explanations,
        }
    }
}

impl Source {
    /// Returns the program, when all that is known agrees.
    fn program(&self) -> Option<&Program> {
        self.named.as_ref().or_else(|| if self.inferred.len() == 1 { self.inferred.first() } else { None })
    }
}

impl Tally {
    fn absorb(&mut self, other: Self) {
        let Self { count, span, sample: _ } = other;
        self.count += count;
        for (first, last) in span.0.into_iter().flatten() {
            self.span.add(first);
            self.span.add(last);
        }
    }
}

impl Span {
    fn add(&mut self, time: LineTime) {
        let part = match time {
            LineTime::Exact(_) => 0,
            LineTime::NoYear { month: ..=6, .. } => 1,
            LineTime::NoYear { .. } => 2,
        };
        let (first, last) = self.0[part].get_or_insert((time, time));
        *first = time.min(*first);
        *last = time.max(*last);
    }

    /// Returns the first and the last moment.
    fn resolve(self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let times = self.0.into_iter().flatten().flat_map(|(first, last)| [first, last]);
        let times: Vec<Timestamp> = times.filter_map(|time| time.resolve(now)).collect();
        times.iter().copied().min().zip(times.iter().copied().max())
    }
}

/// What lines say that say the same.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Evidence {
    /// What they complain of.
    pub symptom: Symptom,
    /// Who wrote them, as far as that can be told.
    pub program: Option<Program>,
    /// Between whom they play, where that is not for the address and the writer to tell.
    pub scene: Scene,
    /// Who presents what they complain of.
    pub bearer: Bearer,
    /// The node of the program that wrote them, if they name one; in a report only when it is another one.
    pub node: Option<String>,
    /// The certificate that they name as kubeadm does.
    pub slot: Option<Slot>,
    /// The serial number of the certificate.
    pub serial: Option<SerialNumber>,
    /// The identifier of the certificate's key (`SKID=`).
    pub subject_key: Option<Vec<u8>>,
    /// The identifier of the key that signed it (`AKID=`).
    pub authority_key: Option<Vec<u8>>,
    /// The common name of the certificate's subject.
    pub common_name: Option<String>,
    /// The common name of the trusted authority that did not fit (`candidate authority certificate "…"`).
    pub candidate: Option<String>,
    /// The last second of the certificate's validity.
    pub not_after: Option<Timestamp>,
    /// The first second of the certificate's validity.
    pub not_before: Option<Timestamp>,
    /// The name or address by which the server was reached.
    pub wanted: Option<String>,
    /// The names in the server's certificate.
    pub valid_for: Vec<String>,
    /// The file that they are about.
    pub path: Option<String>,
    /// What else they say: the alert of TLS, or the hash of a key that is pinned.
    pub detail: Option<String>,
}

/// Who presents what a line complains of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Bearer {
    /// Somebody who connected to the program that wrote the line, from this host.
    Client(Option<String>),
    /// The server that the program connected to.
    Server(Option<Address>),
    /// The program itself, to the server that it connected to.
    WriterAsClient(Option<Address>),
    /// The program itself, to whom it serves, at this host.
    WriterAsServer(Option<String>),
}

impl Evidence {
    fn of_line(symptom: Symptom, program: Option<Program>, line: &line::Line) -> Self {
        let message = line.message.as_str();
        let judged = facts::judged(message);
        let names =
            if symptom == Symptom::NameMismatch { facts::names(message) } else { facts::Names::default() };
        let scene = scene::of_line(line, program.as_ref());
        let slot = match symptom {
            Symptom::Expired | Symptom::NotYetValid | Symptom::UnknownAuthority | Symptom::WrongUsage => {
                let slot = facts::slot(message);
                let is_of_authority = message.contains("certificate authority is expired");
                let ca = slot.and_then(Slot::issuer).filter(|_| is_of_authority).map(Slot::Ca);
                ca.or(slot)
            }
            // kubeadm uses the kubelet's kubeconfig then.
            Symptom::Unauthorized if message.contains("uploading crisocket") => {
                Some(Slot::Kubeconfig(KubeconfigSlot::Kubelet))
            }
            _ => None,
        };
        let mut bearer = bearer(symptom, message);
        if let (Scene::Kubelet | Scene::Member, Bearer::Server(address @ None)) = (&scene, &mut bearer) {
            // Kubelets and members of etcd are reached by names that are theirs alone.
            let host = names.wanted.clone();
            *address = host.map(|host| Address { host, port: (scene == Scene::Kubelet).then_some(10250) });
        }
        let is_about_file = matches!(
            symptom,
            Symptom::FileMissing
                | Symptom::FileDenied
                | Symptom::FileDamaged
                | Symptom::KeyMismatch
                | Symptom::KubeconfigStale
                | Symptom::TrailingData
                | Symptom::BootstrapExpired
                | Symptom::BootstrapMissing
        );
        let detail = match symptom {
            Symptom::Refused => {
                let rest = ["remote error: tls: ", "remote error: ", "alert "]
                    .iter()
                    .find_map(|marker| facts::after(message, marker));
                rest.map(|rest| {
                    rest.split(['"', ',', ';', ':', ')']).next().unwrap_or_default().trim().to_owned()
                })
            }
            Symptom::NotPinned => facts::quoted(message, "none of the public keys").map(str::to_owned),
            Symptom::InvalidToken => {
                let found = tokens::REASONS.iter().find(|(text, _)| message.contains(text));
                found.map(|(_, reason)| (*reason).to_owned())
            }
            Symptom::JoinExpired if message.contains("kubeadm-certs") => Some("certificates".to_owned()),
            Symptom::KubeconfigStale if message.contains("API Server URL") => Some("server".to_owned()),
            Symptom::FileDamaged => facts::quoted(message, "CA bundle").map(str::to_owned),
            Symptom::FrontProxyRefused if message.contains("User \"kube-apiserver\"") => {
                Some("kube-apiserver".to_owned())
            }
            Symptom::NodeForbidden => facts::quoted(message, "to modify node").map(str::to_owned),
            Symptom::AggregationDown => aggregated_group(message),
            _ => None,
        };
        Self {
            symptom,
            program,
            scene,
            bearer,
            node: line.host.clone().or_else(|| facts::node(message)),
            slot,
            serial: facts::serial(message),
            subject_key: facts::key_identifier(message, "SKID="),
            authority_key: facts::key_identifier(message, "AKID="),
            common_name: facts::common_name(message),
            candidate: facts::quoted(message, "candidate authority certificate").map(str::to_owned),
            not_after: judged
                .end
                .or_else(|| facts::go_time(message, "is expired: "))
                .or_else(|| facts::go_time(message, "NotAfter: ")),
            not_before: judged.begin.or_else(|| facts::go_time(message, "not valid yet: NotBefore: ")),
            wanted: names.wanted,
            valid_for: names.valid_for,
            path: if is_about_file { facts::path(message) } else { None },
            detail: detail.filter(|text| !text.is_empty() && text.len() < 128),
        }
    }

    /// Returns what is left when nothing in particular is kept, so that there are only so many of them.
    fn in_general(self) -> Self {
        let Self { symptom, program, scene, bearer, slot, .. } = self;
        let bearer = match bearer {
            Bearer::Client(_) => Bearer::Client(None),
            Bearer::Server(_) => Bearer::Server(None),
            Bearer::WriterAsClient(_) => Bearer::WriterAsClient(None),
            Bearer::WriterAsServer(_) => Bearer::WriterAsServer(None),
        };
        Self {
            symptom,
            program: program.filter(|program| program.component().is_some()),
            scene: if let Scene::Extension(_) = scene { Scene::Open } else { scene },
            bearer,
            node: None,
            slot,
            serial: None,
            subject_key: None,
            authority_key: None,
            common_name: None,
            candidate: None,
            not_after: None,
            not_before: None,
            wanted: None,
            valid_for: Vec::new(),
            path: None,
            detail: None,
        }
    }
}

/// Returns the API that an extension API server should answer for.
fn aggregated_group(message: &str) -> Option<String> {
    let at = message.find(".k8s.io")?;
    let of_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let name = message[..at].rsplit(|c| !of_name(c)).next().unwrap_or_default();
    Some(format!("{}.k8s.io", name.trim_start_matches("v1beta1.")))
}

/// Returns who presents what `message` complains of.
fn bearer(symptom: Symptom, message: &str) -> Bearer {
    let peer = facts::peer(message);
    let is_accepted = peer.is_some() || message.contains("rejected connection");
    let authenticates = message.contains("Unable to authenticate the request")
        || message.contains("verifying certificate SN=")
        || message.contains("client didn't provide a certificate");
    match symptom {
        Symptom::Refused if is_accepted && !authenticates => Bearer::WriterAsServer(peer),
        Symptom::Refused | Symptom::Unauthorized | Symptom::InvalidToken if !authenticates => {
            Bearer::WriterAsClient(facts::server(message))
        }
        Symptom::Expired if message.contains("currently active client certificate") => {
            Bearer::WriterAsClient(None)
        }
        Symptom::BootstrapExpired
        | Symptom::BootstrapMissing
        | Symptom::RequestUnsigned
        | Symptom::FileMissing
        | Symptom::FileDenied
        | Symptom::FileDamaged
        | Symptom::KeyMismatch
        | Symptom::KubeconfigStale
        | Symptom::JoinExpired
        | Symptom::NodeForbidden
        | Symptom::KubeletForbidden
        | Symptom::EndsSoon
        | Symptom::AdminForbidden => Bearer::WriterAsClient(None),
        _ if is_accepted || authenticates || symptom == Symptom::FrontProxyRefused => Bearer::Client(peer),
        _ => Bearer::Server(facts::server(message)),
    }
}

/// What a log says of certificates, and what it means for a node.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the explanations are what the lines were read for"]
#[non_exhaustive]
pub struct Report {
    /// How many lines were taken.
    pub lines: u64,
    /// How many of them were longer than [`LINE_LIMIT`].
    pub cut: u64,
    /// How many of them mention certificates, by the way and without a complaint.
    pub informational: u64,
    /// How many of them mention certificates in a way that is not known here.
    pub unknown: u64,
    /// The first of those.
    pub unknown_samples: Vec<String>,
    /// How many of them were counted in general because too many differed.
    pub crowded: u64,
    /// Whether there was a tree to hold them against.
    pub has_tree: bool,
    /// What they say, the grave first.
    pub explanations: Vec<Explanation>,
}

impl Report {
    /// Returns the gravest impact of all explanations.
    #[must_use]
    pub fn impact(&self) -> Impact {
        self.explanations.iter().map(|explanation| explanation.answer.impact).max().unwrap_or(Impact::None)
    }
}

/// What lines that say the same mean.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What they say.
    pub evidence: Evidence,
    /// How many they are.
    pub count: u64,
    /// When the first was written. Where lines have no year it is the last possible one, and where they have no zone it is UTC.
    pub first: Option<Timestamp>,
    /// When the last was written.
    pub last: Option<Timestamp>,
    /// One of them, shortened, without tokens and control characters.
    pub sample: String,
    /// What they mean.
    pub answer: Answer,
}

/// What something that a log says means for the node.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The certificate that it is about.
    pub culprit: Culprit,
    /// Who presents it: a program with its kubeconfig, or an endpoint.
    pub presenter: Option<String>,
    /// One line: what is wrong.
    pub meaning: String,
    /// What on this node proves it, or contradicts it.
    pub proof: Vec<String>,
    /// What it does to the health of the tree as a whole.
    pub impact: Impact,
    /// What to do, in this order.
    pub advice: Vec<Advice>,
}

/// Which certificate is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Culprit {
    /// The one that a file of the tree, or a copy of a kubeconfig, holds now.
    Current(Place),
    /// An earlier one of this slot: a program has it in memory, or somebody uses a copy.
    Earlier {
        /// Whose it was, if the tree has a successor.
        slot: Option<Slot>,
        /// The file around the tree that still has it; `None` when no file has.
        file: Option<(FoundKind, TreePath)>,
    },
    /// An authority.
    Authority(CaSlot),
    /// One of these, or an earlier one of theirs.
    OneOf(Vec<Slot>),
    /// A file.
    File(String),
    /// One that is not on this node; whose, as far as it can be told.
    Elsewhere(String),
    /// No particular one.
    Unknown,
}

/// What to do, as data; the words are the front end's.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Advice {
    /// What mends a finding mends this.
    Mend(Remedy),
    /// Prove what running programs use.
    Verify,
    /// Look at everything that is wrong with the tree.
    Check,
    /// Do the same on the node, or for the host, of this name.
    LookAt(String),
    /// Give the kubelet of this node a credential again.
    RecoverKubelet,
    /// Let the kubelet make itself another serving certificate.
    RemakeServing,
    /// Use a join command with the hash of the authority as it is now.
    JoinAnew,
    /// Leave one certificate in this file.
    KeepOne(String),
    /// Give pods new tokens.
    RefreshTokens,
    /// Approve the requests of kubelets that are legitimate.
    ApproveRequests,
    /// Bind the group of the administrators to their role, with super-admin.conf.
    BindAdministrators,
    /// Name the requestheader client in the API server's allowed names.
    AllowFrontProxy(String),
    /// Give one kubeconfig, a copy that the client uses, the authority of the cluster.
    TrustInCopy,
    /// Let this server's client trust the authority that signed its certificate; it is none of this cluster's.
    TrustServer(String),
    /// Publish the authority to pods anew, and restart those that have read an earlier one.
    PublishAuthority,
    /// Let the plugin of the pod network write its kubeconfig anew.
    RewriteNetwork,
    /// Write the authority of this webhook or API into its `caBundle`.
    UpdateBundle(String),
    /// Give this webhook or extension API server a certificate again, where it gets its certificates from.
    RenewExtension(String),
    /// Restart the extension API server that answers for this API.
    RestartExtension(String),
    /// Let the kubelet of this node ask the cluster for its serving certificate, and approve the request.
    AskForServing(String),
    /// Make a credential for the kubelet of this node where the authority's key is, and install it there.
    IssueKubelet(String),
    /// Issue these certificates anew on this host.
    ReissueOn(String, Vec<Slot>),
    /// Upload the certificates for control-plane nodes that join again.
    UploadCertificates,
    /// Let this kubeconfig name the control plane's endpoint, or make it anew.
    SetServer(String),
    /// Give the API server's client certificate for kubelets its rights again.
    BindKubeletClient,
    /// See whether the port or the scheme is wrong on either side.
    CompareSchemes,
}

/// More groups than this say nothing to anybody; each takes about a kilobyte.
const MOST_GROUPS: usize = 2048;

/// Logs of more files than this are one log.
const MOST_SOURCES: usize = 1024;

/// As many unknown lines are shown.
const MOST_SAMPLES: usize = 5;

/// A program that has not told its name by then will not.
const LINES_TO_KNOW_BY: u64 = 10_000;
