//! What restarts the control plane at a time of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::script::{ScriptFacts, scripts_in, text_of};
use crate::manifest::{Unit, crontab};
use crate::path::TreePath;
use crate::snapshot::{Area, FileContent, Snapshot, service_of};

/// A timer, an entry of a crontab or a script that restarts components of the control plane.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RestartJob {
    /// The timer, the crontab, or the script that nothing runs at a time.
    pub path: TreePath,
    /// When it runs, as written there; `None` when nothing runs it at a time, or at one that depends on the node's start.
    pub calendar: Option<String>,
    /// The scripts and services that it runs, sorted.
    pub runs: Vec<TreePath>,
    /// Whether a random delay or a lock keeps nodes apart.
    pub is_spread: bool,
    /// Whether it restarts etcd and another component with nothing between them that waits.
    pub restarts_etcd_with_others: bool,
    /// Whether it waits in a loop that nothing ends but success.
    pub waits_without_end: bool,
}

pub(super) fn jobs(snapshot: &Snapshot) -> Vec<RestartJob> {
    let files: Files<'_> = snapshot
        .surroundings_in(Area::Job)
        .map(|(path, state)| (path, state.content().map_or(&[][..], FileContent::secret_bytes)))
        .collect();
    let mut jobs = Vec::new();
    let mut run = BTreeSet::new();
    for (path, bytes) in &files {
        let found = match Kind::of(path) {
            Kind::Timer => timer(path, bytes, &files),
            Kind::Crontab { has_user } => cron(path, &crontab::parse(bytes, has_user), &files),
            Kind::Periodic(directory) => periodic(path, directory, &files),
            Kind::Other => Vec::new(),
        };
        for job in found {
            run.extend(job.runs.iter().cloned());
            jobs.push(job);
        }
    }
    // A script that a person starts.
    for path in files.keys().filter(|path| matches!(Kind::of(path), Kind::Other) && !run.contains(**path)) {
        let work = Work::of("", [(*path).clone()].into(), &files);
        if is_unit(path) || !work.facts.restarts {
            continue;
        }
        jobs.push(work.job(path, None, false));
    }
    jobs.sort_by(|one, other| one.path.cmp(&other.path));
    jobs
}

type Files<'a> = BTreeMap<&'a TreePath, &'a [u8]>;

/// What kind of file it is, by its place.
enum Kind {
    Timer,
    Crontab { has_user: bool },
    Periodic(String),
    Other,
}

impl Kind {
    fn of(path: &TreePath) -> Self {
        let directory = path.parent();
        match (directory.as_str(), path.as_str()) {
            _ if path.file_name().ends_with(".timer") => Self::Timer,
            ("/etc/cron.d", _) | (_, "/etc/crontab") => Self::Crontab { has_user: true },
            ("/var/spool/cron" | "/var/spool/cron/crontabs", _) => Self::Crontab { has_user: false },
            (periodic, _) if periodic.starts_with("/etc/cron.") => {
                Self::Periodic(directory.file_name().to_owned())
            }
            _ => Self::Other,
        }
    }
}

fn is_unit(path: &TreePath) -> bool {
    path.file_name().ends_with(".service")
        || path.file_name().ends_with(".conf")
        || path.file_name() == "anacrontab"
}

fn timer(path: &TreePath, bytes: &[u8], files: &Files<'_>) -> Vec<RestartJob> {
    let mut unit = Unit::parse(bytes);
    let drop_ins = format!("{}.d", path.file_name());
    for (_, bytes) in files.iter().filter(|(file, _)| file.parent().file_name() == drop_ins) {
        unit.add(bytes);
    }
    let name = service_of(&unit, path.file_name());
    let service = files.iter().find(|(file, _)| file.file_name() == name);
    let Some((service, bytes)) = service else { return Vec::new() };
    let parsed = Unit::parse(bytes);
    let commands = parsed.commands().join("\n");
    let mut work = Work::of(&commands, scripts_in_all(&commands), files);
    work.runs.insert((*service).clone());
    work.facts.waits_without_end &= !parsed.is_limited();
    // A timer without a calendar counts from the start of the node, which is another moment on each.
    let calendar = unit.values("OnCalendar").join(", ");
    let calendar = Some(calendar).filter(|calendar| !calendar.is_empty());
    work.jobs(path, calendar, unit.has_random_delay())
}

fn cron(path: &TreePath, entries: &[crontab::CronEntry], files: &Files<'_>) -> Vec<RestartJob> {
    let job = |entry: &crontab::CronEntry| {
        let work = Work::of(&entry.command, scripts_in_all(&entry.command), files);
        work.jobs(path, Some(entry.schedule.clone()).filter(|schedule| schedule != "@reboot"), false)
    };
    entries.iter().flat_map(job).collect()
}

fn periodic(path: &TreePath, directory: String, files: &Files<'_>) -> Vec<RestartJob> {
    let anacron = files.iter().find(|(file, _)| file.as_str() == "/etc/anacrontab");
    // The variable is a count of minutes (anacrontab(5)).
    let is_delayed = anacron.is_some_and(|(_, bytes)| {
        let text = text_of(bytes);
        let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix("RANDOM_DELAY="));
        lines.any(|value| value.trim() != "0")
    });
    Work::of("", [path.clone()].into(), files).jobs(path, Some(directory), is_delayed)
}

fn scripts_in_all(commands: &str) -> BTreeSet<TreePath> {
    commands.lines().flat_map(scripts_in).collect()
}

/// What a command does, with the scripts that it names.
struct Work {
    facts: ScriptFacts,
    runs: BTreeSet<TreePath>,
}

impl Work {
    fn of(command: &str, scripts: BTreeSet<TreePath>, files: &Files<'_>) -> Self {
        let mut work = Self { facts: ScriptFacts::of(command), runs: BTreeSet::new() };
        let mut next = scripts;
        while let Some(script) = next.pop_first() {
            let Some(bytes) = files.get(&script) else { continue };
            if is_unit(&script) || !work.runs.insert(script) {
                continue;
            }
            let text = text_of(bytes);
            work.facts = work.facts.and(ScriptFacts::of(&text));
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            next.extend(lines.flat_map(scripts_in));
        }
        work
    }

    fn jobs(self, path: &TreePath, calendar: Option<String>, is_delayed: bool) -> Vec<RestartJob> {
        if !self.facts.restarts {
            return Vec::new();
        }
        vec![self.job(path, calendar, is_delayed)]
    }

    fn job(self, path: &TreePath, calendar: Option<String>, is_delayed: bool) -> RestartJob {
        let Self { facts, mut runs } = self;
        runs.remove(path);
        RestartJob {
            path: path.clone(),
            calendar: calendar.map(|text| printable(&text)),
            runs: runs.into_iter().collect(),
            is_spread: is_delayed || facts.is_spread,
            restarts_etcd_with_others: facts.restarts_etcd_with_others,
            waits_without_end: facts.waits_without_end,
        }
    }
}

/// Cuts a text of a foreign file to what fits into a line.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_CALENDAR).collect()
}

/// A calendar expression takes some thirty characters.
const LONGEST_CALENDAR: usize = 120;
