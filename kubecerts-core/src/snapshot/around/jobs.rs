//! What runs at a time of its own: timers of systemd, crontabs, and the scripts that they name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Area, Budget, Look, path};
use crate::manifest::script::{concerns_control_plane, scripts_in, text_of};
use crate::manifest::{Unit, crontab};
use crate::path::TreePath;
use crate::snapshot::{FileContent, FileState};

/// Reads timers, their services, crontabs and the scripts that they name, and keeps those that have to do with a control plane.
pub(super) fn look(look: &mut Look<'_>) {
    let mut budget = Budget::new(MOST_FILES, MOST_LISTS);
    timers(look, &mut budget);
    crontabs(look, &mut budget);
    for script in look.list(&path("/usr/local/bin"), &mut budget) {
        // Programs are larger than any file that is read here.
        if script.file_name().contains("kube") || script.file_name().contains("k8s") {
            let chain = Chain::default().with(look, vec![script], &mut budget);
            chain.keep(look);
        }
    }
    look.note(&path("/etc/systemd/system"), &budget);
}

fn timers(look: &mut Look<'_>, budget: &mut Budget) {
    // A unit of the administrator's hides one of the same name of a package (systemd.unit(5)).
    let mut units: BTreeMap<String, TreePath> = BTreeMap::new();
    for directory in UNITS {
        for unit in look.list(&path(directory), budget) {
            units.entry(unit.file_name().to_owned()).or_insert(unit);
        }
    }
    let timers: Vec<TreePath> =
        units.values().filter(|unit| unit.file_name().ends_with(".timer")).cloned().collect();
    for timer in timers {
        let Some(state) = look.read(&timer, budget) else { continue };
        let Some(unit) = state.content().map(|content| Unit::parse(content.secret_bytes())) else { continue };
        let service = units.get(&service_of(&unit, timer.file_name()));
        let mut chain = Chain { files: vec![(timer.clone(), state)], ..Chain::default() };
        let mut scripts = Vec::new();
        if let Some(service) = service {
            if let Some(state) = look.read(service, budget) {
                if let Some(content) = state.content() {
                    let unit = Unit::parse(content.secret_bytes());
                    scripts.extend(unit.commands().into_iter().flat_map(scripts_in));
                }
                chain.files.push((service.clone(), state));
            } else {
                chain.is_known |= look.has(service);
            }
        }
        if chain.with(look, scripts, budget).keep(look) {
            drop_ins(look, &timer, budget);
        }
    }
}

/// Reads what was added to a timer by drop-ins.
fn drop_ins(look: &mut Look<'_>, timer: &TreePath, budget: &mut Budget) {
    for directory in UNITS {
        let Ok(directory) = path(directory).join(&format!("{}.d", timer.file_name())) else { continue };
        for file in look.list(&directory, budget) {
            if file.file_name().ends_with(".conf")
                && let Some(state) = look.read(&file, budget)
            {
                look.add(Area::Job, file, state);
            }
        }
    }
}

fn crontabs(look: &mut Look<'_>, budget: &mut Budget) {
    let mut tabs = vec![(path("/etc/crontab"), true)];
    tabs.extend(look.list(&path("/etc/cron.d"), budget).into_iter().map(|tab| (tab, true)));
    tabs.extend(["/var/spool/cron/crontabs/root", "/var/spool/cron/root"].map(|tab| (path(tab), false)));
    for (tab, has_user) in tabs {
        let Some(state) = look.read(&tab, budget) else { continue };
        let Some(content) = state.content() else { continue };
        let entries = crontab::parse(content.secret_bytes(), has_user);
        let scripts =
            entries.iter().take(MOST_ENTRIES).flat_map(|entry| scripts_in(&entry.command)).collect();
        let chain = Chain { files: vec![(tab, state)], ..Chain::default() };
        chain.with(look, scripts, budget).keep(look);
    }
    let mut periodic = false;
    for directory in PERIODIC {
        for script in look.list(&path(directory), budget) {
            let chain = Chain::default().with(look, vec![script], budget);
            periodic |= chain.keep(look);
        }
    }
    let anacrontab = path("/etc/anacrontab");
    if periodic && let Some(state) = look.read(&anacrontab, budget) {
        look.add(Area::Job, anacrontab, state);
    }
}

/// Files of which one leads to the other.
#[derive(Default)]
struct Chain {
    files: Vec<(TreePath, FileState)>,
    /// Whether it leads to a file that was kept before.
    is_known: bool,
}

impl Chain {
    /// Reads the scripts, and those that these name in turn.
    fn with(mut self, look: &mut Look<'_>, mut scripts: Vec<TreePath>, budget: &mut Budget) -> Self {
        let mut seen = BTreeSet::new();
        for _ in 0..DEEPEST_CALL {
            let mut next = Vec::new();
            for script in std::mem::take(&mut scripts) {
                if !seen.insert(script.clone()) {
                    continue;
                }
                let Some(state) = look.read(&script, budget) else {
                    self.is_known |= look.has(&script);
                    continue;
                };
                let text = state.content().map(|content| text_of(content.secret_bytes()));
                // A program is none of ours.
                let is_script = |text: &str| text.starts_with("#!") || script.as_str().ends_with(".sh");
                let Some(text) = text.filter(|text| is_script(text)) else { continue };
                let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
                next.extend(lines.flat_map(scripts_in).take(MOST_CALLS));
                self.files.push((script, state));
            }
            scripts = next;
        }
        self
    }

    /// Keeps the files when one of them has to do with a control plane, and returns whether it has.
    fn keep(self, look: &mut Look<'_>) -> bool {
        let concerns = |(_, state): &(TreePath, FileState)| {
            let bytes = state.content().map_or(&[][..], FileContent::secret_bytes);
            concerns_control_plane(&text_of(bytes))
        };
        let keep = self.is_known || self.files.iter().any(concerns);
        if keep {
            for (path, state) in self.files {
                look.add(Area::Job, path, state);
            }
        }
        keep
    }
}

/// Returns the service that a timer starts: `Unit=`, or the one of its own name (systemd.timer(5)).
pub(crate) fn service_of(timer: &Unit, name: &str) -> String {
    let own = || format!("{}.service", name.strip_suffix(".timer").unwrap_or(name));
    timer.value("Unit").map_or_else(own, str::to_owned)
}

/// Where units lie, those that count first (systemd.unit(5)).
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The directories whose scripts cron, or anacron, runs one after the other.
const PERIODIC: [&str; 4] = ["/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly"];

/// A server has some twenty timers and as many services and crontabs.
const MOST_FILES: usize = 512;

/// Units, crontabs, and the drop-ins of few timers.
const MOST_LISTS: usize = 64;

/// A script that is called calls another one, seldom a third.
const DEEPEST_CALL: usize = 3;

/// How many scripts of one are read.
const MOST_CALLS: usize = 16;

/// How many entries of a crontab are looked at.
const MOST_ENTRIES: usize = 256;
