//! What `kubecerts doctor` has found, for people at night and for programs.

use kubecerts_core::catalog::KubernetesVersion;
use kubecerts_core::diagnosis::{
    Case, DEFAULT_WINDOW, Examined, Finding, FindingCode, FleetCase, Impact, Policy, Remedy, Severity,
};
use kubecerts_core::time::Timestamp;
use serde_json::{Value, json};

use super::documents::{self, Document};
use crate::args::Whereabouts;
use crate::error::advice;
use crate::output::{BAD, SOON, STRONG, plain};

/// Everybody who was looked at.
pub(crate) struct Consultation {
    /// The moment of the judgement.
    pub(crate) now: Timestamp,
    /// What counted as wrong.
    pub(crate) policy: Policy,
    /// The nodes.
    pub(crate) patients: Vec<Patient>,
    /// What is wrong between nodes, and what comes of it on each.
    pub(crate) fleet: Vec<FleetCase>,
}

/// A node that was looked at.
pub(crate) struct Patient {
    /// Its name, when anything states it.
    pub(crate) name: Option<String>,
    /// The moment of the judgement, by the node's clock unless another one was asked for.
    pub(crate) at: Timestamp,
    /// The version of its API server.
    pub(crate) version: Option<KubernetesVersion>,
    /// How much was looked at.
    pub(crate) examined: Examined,
    /// Whether programs were looked at.
    pub(crate) looked: Looked,
    /// How many findings there are, those that are not shown included.
    pub(crate) found: usize,
    /// How many further findings are told between the nodes, with their causes.
    pub(crate) elsewhere: usize,
    /// What is shown.
    pub(crate) cases: Vec<Case>,
}

/// Whether programs were looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Looked {
    /// They were.
    AtPrograms,
    /// They were not, as was asked for.
    AsAsked,
    /// They run on another machine.
    Elsewhere,
    /// They were when the node's snapshot was taken.
    WhenTaken,
}

impl Looked {
    const fn at_programs(self) -> bool {
        matches!(self, Self::AtPrograms | Self::WhenTaken)
    }
}

impl Consultation {
    /// Returns the cases of all nodes.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        let between = self.fleet.iter().map(|fleet| &fleet.case);
        self.patients.iter().flat_map(|patient| &patient.cases).chain(between)
    }
}

/// Returns everything in words, the most urgent first.
pub(crate) fn text(consultation: &Consultation, whereabouts: &Whereabouts) -> String {
    let mut text = String::new();
    // What lies between the nodes may be the cause of what is wrong on each.
    if !consultation.fleet.is_empty() {
        text.push_str(&format!("{STRONG}Between the nodes{STRONG:#}\n"));
    }
    for (position, FleetCase { case, nodes, .. }) in consultation.fleet.iter().enumerate() {
        text.push('\n');
        text.push_str(&told(position + 1, &[case], None, whereabouts));
        text.push_str(&field("nodes", &nodes.join(", ")));
    }
    for patient in &consultation.patients {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{STRONG}{}{STRONG:#}\n", headline(patient)));
        for (position, cases) in groups(&patient.cases).iter().enumerate() {
            text.push('\n');
            text.push_str(&told(position + 1, cases, place_of_work(patient), whereabouts));
        }
        text.push_str(&at_once(patient, consultation.policy, whereabouts));
        text.push('\n');
        text.push_str(&format!("{}\n", summary(patient, consultation.policy)));
    }
    text
}

/// Returns the node on which the commands are to be given, when that is not this one.
fn place_of_work(patient: &Patient) -> Option<&str> {
    patient.name.as_deref().filter(|_| patient.looked == Looked::WhenTaken)
}

/// Returns the document `Doctor`.
pub(crate) fn document(consultation: &Consultation, whereabouts: &Whereabouts) -> Document {
    let Consultation { now, policy, patients, fleet } = consultation;
    let between = fleet.iter().map(|FleetCase { case, nodes, .. }| {
        let mut value = case_value(case, whereabouts);
        value["nodes"] = json!(nodes);
        value
    });
    let impact = consultation.cases().map(Case::impact).max().unwrap_or(Impact::None);
    Document::new(
        "Doctor",
        json!({
            "at": now.to_string(),
            "windowSeconds": policy.window.0,
            "impact": documents::impact(impact),
            "nodes": patients.iter().map(|patient| node(patient, whereabouts)).collect::<Vec<_>>(),
            "fleet": between.collect::<Vec<_>>(),
        }),
    )
}

fn node(patient: &Patient, whereabouts: &Whereabouts) -> Value {
    let Patient { name, at, version, examined, looked, found, elsewhere, cases } = patient;
    json!({
        "name": name,
        "at": at.to_string(),
        "version": version.map(|version| version.to_string()),
        "examined": {
            "files": examined.files,
            "certificates": examined.certificates,
            "surroundings": examined.surroundings,
            "endpoints": examined.endpoints,
            "programs": examined.programs,
            "running": looked.at_programs(),
        },
        "found": found + elsewhere,
        "cases": cases.iter().map(|case| case_value(case, whereabouts)).collect::<Vec<_>>(),
    })
}

fn case_value(case: &Case, whereabouts: &Whereabouts) -> Value {
    let mut value = documents::finding(&case.finding, whereabouts);
    value["remedy"]["text"] = json!(advice(&case.finding, whereabouts));
    value["proof"] = json!(case.proof);
    value["consequence"] = json!(case.consequence);
    let explains = case.explains.iter().map(|case| case_value(case, whereabouts)).collect::<Vec<_>>();
    value["explains"] = json!(explains);
    if let Some(node) = &case.node {
        value["node"] = json!(node);
    }
    value
}

fn headline(patient: &Patient) -> String {
    let now = patient.at;
    let name = patient.name.as_deref().map_or("this node".to_owned(), plain);
    let errors = patient.cases.iter().filter(|case| case.severity() == Severity::Error).count();
    let warnings = patient.cases.iter().filter(|case| case.severity() == Severity::Warning).count();
    let verdict = match (patient.cases.len(), errors, warnings) {
        (0, ..) if patient.elsewhere > 0 => "see what is between the nodes".to_owned(),
        (0, ..) => "nothing is wrong".to_owned(),
        (_, 0, 0) => "nothing is wrong, and there is something to know".to_owned(),
        (_, 0, _) if patient.cases.iter().all(|case| case.impact() == Impact::None) => {
            "nothing has failed, and something is not as it should be".to_owned()
        }
        (_, 0, _) => "nothing has failed yet, and something will".to_owned(),
        _ => "do this first".to_owned(),
    };
    // What is not shown may be all that is wrong.
    let verdict = if patient.cases.is_empty() && patient.found > 0 {
        "nothing of what was asked for".to_owned()
    } else {
        verdict
    };
    format!("{name} at {now}: {verdict}")
}

/// Returns the cases in their order, those together that one command mends.
fn groups(cases: &[Case]) -> Vec<Vec<&Case>> {
    let are_alike = |one: &Case, other: &Case| {
        let by_one_command = match (&one.finding.remedy, &other.finding.remedy) {
            (Remedy::SetMode(_, mode), Remedy::SetMode(_, other)) => mode == other,
            (Remedy::SetClock, Remedy::SetClock) => true,
            _ => false,
        };
        by_one_command && one.finding.code == other.finding.code && one.severity() == other.severity()
    };
    let mut groups: Vec<Vec<&Case>> = Vec::new();
    for case in cases {
        match groups.iter_mut().find(|group| are_alike(group[0], case)) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups
}

/// Returns one case, or several that one command mends: the cause, what proves it, what comes of it, what it explains, and what to do.
fn told(number: usize, cases: &[&Case], node: Option<&str>, whereabouts: &Whereabouts) -> String {
    let Some((case, alike)) = cases.split_first() else { return String::new() };
    let advice = |case: &Case| match case.node.as_deref().or(node) {
        Some(node) => format!("on {node}: {}", advice(&case.finding, whereabouts)),
        None => advice(&case.finding, whereabouts),
    };
    let mut text = format!("{number}. {}\n", named(&case.finding, case.severity()));
    for other in alike {
        text.push_str(&field("also", &format!("{} [{}]", other.finding, other.finding.code)));
    }
    for line in cases.iter().flat_map(|case| &case.proof) {
        text.push_str(&field("proof", line));
    }
    // What comes of the others differs in its names only.
    if let Some(consequence) = &case.consequence {
        text.push_str(&field("so", consequence));
    }
    for case in cases {
        below(&case.explains, 0, &mut text);
    }
    let mut commands = vec![match case.finding.remedy {
        Remedy::SetMode(_, mode) => {
            let paths = cases.iter().filter_map(|case| case.finding.path.as_ref());
            let paths: Vec<String> = paths.map(|path| whereabouts.file(path)).collect();
            let command = format!("chmod {mode:04o} {}", paths.join(" "));
            node.map_or_else(|| command.clone(), |node| format!("on {node}: {command}"))
        }
        _ => advice(case),
    }];
    text.push_str(&field("do", &commands[0]));
    let mut further = Vec::new();
    cases.iter().for_each(|case| descendants(case, &mut further));
    // Where the authority itself goes back, what trusts the earlier one is right.
    let is_mended = |finding: &Finding| {
        case.finding.code == FindingCode::CaReplaced && matches!(finding.remedy, Remedy::SetAuthority(_))
    };
    let further = further.into_iter().filter(|case| is_further_work(&case.finding));
    for case in further.filter(|case| !is_mended(&case.finding)) {
        let command = advice(case);
        if !commands.contains(&command) {
            text.push_str(&field("then", &command));
            commands.push(command);
        }
    }
    text
}

/// Collects what a case explains, directly or not, in the order in which it is told.
fn descendants<'a>(case: &'a Case, out: &mut Vec<&'a Case>) {
    for below in &case.explains {
        out.push(below);
        descendants(below, out);
    }
}

/// Writes what a case explains, each thing on a line, deeper for each cause between.
fn below(cases: &[Case], depth: usize, text: &mut String) {
    for case in cases {
        let indent = "  ".repeat(depth);
        let node = case.node.as_deref().map(|node| format!("on {}: ", plain(node))).unwrap_or_default();
        let line = format!("{indent}{node}{} [{}]", plain(&case.finding.to_string()), case.finding.code);
        text.push_str(&format!("   {STRONG}{:<6}{STRONG:#} {line}\n", "hence"));
        below(&case.explains, depth + 1, text);
    }
}

/// Returns whether a finding has to be mended even after its cause is.
const fn is_further_work(finding: &Finding) -> bool {
    // What does not run for a known cause comes back without it.
    !matches!(
        finding.remedy,
        Remedy::Start(_) | Remedy::Nothing | Remedy::Inspect(_) | Remedy::SetClock | Remedy::MendCause
    )
}

fn named(finding: &Finding, severity: Severity) -> String {
    let style = match severity {
        Severity::Error => BAD,
        Severity::Warning => SOON,
        Severity::Notice => STRONG,
    };
    format!("{style}{}:{style:#} {} [{}]", severity.name(), plain(&finding.to_string()), finding.code)
}

fn field(name: &str, value: &str) -> String {
    format!("   {STRONG}{name:<6}{STRONG:#} {}\n", plain(value))
}

/// Returns the one command for many certificates that are over or due.
fn at_once(patient: &Patient, policy: Policy, whereabouts: &Whereabouts) -> String {
    let due = |finding: &&Finding| {
        matches!(finding.code, FindingCode::Expired | FindingCode::ExpiresSoon)
            && matches!(finding.remedy, Remedy::Renew(_))
    };
    if patient.cases.iter().flat_map(Case::findings).filter(due).count() < 2 {
        return String::new();
    }
    let window = policy.window;
    let within = if window == DEFAULT_WINDOW { String::new() } else { format!(" --within {window}") };
    format!("\nAll that is over or due at once: kubecerts renew{within}{}\n", plain(&whereabouts.options))
}

fn summary(patient: &Patient, policy: Policy) -> String {
    let Patient { at: now, examined, looked, found, elsewhere, cases, .. } = patient;
    let shown: usize = cases.iter().map(|case| case.findings().count()).sum();
    let running = match looked {
        Looked::AtPrograms => "",
        Looked::WhenTaken => ", as they were when the snapshot was taken",
        Looked::AsAsked => "; nothing that runs",
        Looked::Elsewhere => "; nothing that runs, which can be seen on the node itself only",
    };
    let looked = format!("Looked at {examined}{running}.");
    let hidden = match found - shown {
        0 => String::new(),
        hidden => format!(" {hidden} of {} not shown.", counted(*found, "finding")),
    };
    let hidden = match elsewhere {
        0 => hidden,
        _ => format!("{hidden} {} told between the nodes.", counted(*elsewhere, "more finding")),
    };
    if *found + elsewhere == 0 {
        let window = policy.window;
        return format!("Nothing is wrong at {now}, and nothing ends within {window}. {looked}");
    }
    let of = |severity| {
        let all = cases.iter().flat_map(Case::findings);
        all.filter(|finding| finding.severity == severity).count()
    };
    format!(
        "{} from {}: {}, {}, {}.{hidden} {looked}",
        counted(shown, "finding"),
        counted(groups(cases).len(), "cause"),
        counted(of(Severity::Error), "error"),
        counted(of(Severity::Warning), "warning"),
        counted(of(Severity::Notice), "notice"),
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
