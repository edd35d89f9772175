//! What commands share that look at running programs, and restart them.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubecerts_core::catalog::{Component, Reload};
use kubecerts_core::diagnosis::{Policy, Remedy, diagnose};
use kubecerts_core::inventory::Inventory;
use kubecerts_core::issue::refresh;
use kubecerts_core::observation::{Observations, usages};
use kubecerts_core::plan::{Plan, Restart, Step};
use kubecerts_core::snapshot::Snapshot;
use kubecerts_core::time::Seconds;
use kubecerts_host::disk::RealDisk;
use kubecerts_host::disk::backup::{self, Restoration};
use kubecerts_host::rollout::{Action, Event, Outcome, Patience, Rollout, Task, Undo, Undone};
use kubecerts_host::runtime::{LeftBehind, RuntimeKind};
use kubecerts_host::{CopyWrite, Node, Plant, PlantOptions, Session, SystemEntropy};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// How the container runtime is reached.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How to reach what runs")]
pub(crate) struct RuntimeArgs {
    /// How static pods are restarted [default: as the kubelet's configuration says].
    #[arg(long, value_enum, value_name = "KIND")]
    runtime: Option<RuntimeArg>,

    /// The socket of the container runtime [default: of the kubelet's flags or configuration].
    #[arg(long, value_name = "SOCKET")]
    cri_socket: Option<String>,
}

/// How static pods are restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RuntimeArg {
    /// Over the Container Runtime Interface: containerd, CRI-O, cri-dockerd.
    Cri,
    /// Over the API of the Docker Engine.
    Docker,
    /// By moving the manifest away and back.
    Manifest,
}

impl RuntimeArgs {
    /// Returns those who look at the programs of `node` and restart them, with the credentials in `snapshot`.
    pub(crate) fn plant(&self, node: &Node, snapshot: &Snapshot) -> Result<Plant, CommandError> {
        let Self { runtime, cri_socket } = self;
        let mut options = PlantOptions::default();
        options.runtime.kind = runtime.map(|runtime| match runtime {
            RuntimeArg::Cri => RuntimeKind::Cri,
            RuntimeArg::Docker => RuntimeKind::Docker,
            RuntimeArg::Manifest => RuntimeKind::Manifest,
        });
        options.runtime.cri_socket.clone_from(cri_socket);
        Ok(Plant::of(node, snapshot, &options)?)
    }
}

/// What happens to the programs that have to use what was written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What happens to running programs")]
pub(crate) struct RestartArgs {
    /// Restart what loads the new files, one component at a time, and prove that it uses them.
    #[arg(long, value_enum, value_name = "WHICH", default_value = "never", default_missing_value = "auto", num_args = 0..=1, require_equals = true)]
    pub(crate) restart: RestartArg,

    /// Wait until programs use the new files, also those that pick them up by themselves.
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long each component may take.
    #[arg(long, value_name = "SPAN", default_value = "6m")]
    pub(crate) timeout: Seconds,
}

/// Which programs are restarted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RestartArg {
    /// Those that do not pick the new files up by themselves.
    Auto,
    /// All that load the new files.
    Always,
    /// None.
    Never,
}

impl RestartArgs {
    /// Returns what is to be done about the components that load new files.
    pub(crate) fn tasks(&self, restarts: &[Restart]) -> Vec<Task> {
        let action = |restart: &Restart| match (self.restart, restart.reload) {
            (RestartArg::Always, _) => Some(Action::Restart),
            (RestartArg::Auto, _) => Some(action(restart)),
            (RestartArg::Never, _) => None,
        };
        restarts.iter().filter_map(|restart| Some(Task::new(restart.component, action(restart)?))).collect()
    }

    /// Returns whether programs are to be looked at or restarted at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.restart != RestartArg::Never || self.wait
    }

    /// Returns how patient to be.
    pub(crate) fn patience(&self) -> Patience {
        patience(self.timeout)
    }
}

/// Returns what is to be done about a component that loads new files.
pub(crate) fn action(restart: &Restart) -> Action {
    match (restart.reload, restart.component) {
        (Reload::ByItself, _) => Action::Await,
        // That it has read a credential that it usually makes itself can be seen by nothing but its start.
        (_, Component::Kubelet) => Action::Restart,
        (Reload::NeedsRestart | Reload::Unknown, _) => Action::RestartIfNeeded,
    }
}

/// Returns what is to be done about the components that are not well, or do not use what is on disk.
pub(crate) fn overdue(inventory: &Inventory, seen: &Observations) -> Vec<Task> {
    let usages = usages(inventory, seen);
    let unsettled = usages.iter().filter(|usage| !usage.is_settled()).map(|usage| usage.component);
    let diagnosis = diagnose(inventory, seen, Policy::default(), kubecerts_host::now());
    let running = diagnosis.findings().iter().filter(|finding| finding.code.is_of_running());
    let unwell = running.filter_map(|finding| match finding.remedy {
        Remedy::Restart(component) | Remedy::Start(component) => Some(component),
        _ => None,
    });
    let components: BTreeSet<Component> = unsettled.chain(unwell).collect();
    components.into_iter().map(|component| Task::new(component, Action::RestartIfNeeded)).collect()
}

/// Moves manifests back that an interrupted restart had moved away: before anything is read, since nothing is known of a
/// component without its manifest.
pub(crate) fn return_manifests(node: &Node, output: &mut Output) -> Result<(), CommandError> {
    if !node.is_this_host() {
        return Ok(());
    }
    let failed = |reason: String| {
        CommandError::failed(format!("the manifests cannot be looked through: {reason}"))
            .with_hint("look for files called .*.kubecerts-away among the manifests, and move them back")
    };
    for found in Plant::restore_manifests(node, &node.scan()?).map_err(failed)? {
        match found {
            LeftBehind::Restored { manifest } => {
                let manifest = manifest.display();
                output.note(&format!("moved {manifest} back, which an interrupted restart had moved away"));
            }
            other => output.warning(&format!("{other}")),
        }
    }
    Ok(())
}

/// Returns the patience that gives each component `timeout`.
pub(crate) fn patience(timeout: Seconds) -> Patience {
    let mut patience = Patience::default();
    patience.restart = span(timeout);
    patience.reload = patience.reload.min(patience.restart);
    patience
}

pub(crate) fn span(seconds: Seconds) -> Duration {
    Duration::from_secs(u64::try_from(seconds.0).unwrap_or_default())
}

/// Restarts and waits, with a display of what is waited for, and returns the report. What was replaced is in `backup`, and is put
/// back if that has to be; with `None` it stays.
pub(crate) fn roll_out(
    tasks: &[Task],
    inventory: &Inventory,
    patience: Patience,
    backup: Option<&str>,
    (plant, session, node): (&mut Plant, Option<&mut Session<'_>>, &Node),
    output: &mut Output,
) -> Rollout {
    let mut restorable = backup.zip(session);
    let is_restorable = restorable.is_some();
    let mut undo = || -> Result<Inventory, String> {
        let (backup, session) = restorable.as_mut().ok_or("there is no backup")?;
        restore(backup, session, node).map_err(|error| error.message().to_owned())
    };
    let undo: Option<&mut Undo<'_>> = if is_restorable { Some(&mut undo) } else { None };
    let mut display = Display::new();
    let rollout = plant.roll_out(tasks, inventory, patience, undo, &mut |event| display.show(&event, output));
    display.end();
    rollout
}

/// Returns `backup`, unless what `plan` has replaced was over or unusable: that would bring nothing back.
pub(crate) fn restorable<'b>(plan: &Plan, backup: Option<&'b str>) -> Option<&'b str> {
    let now = kubecerts_host::now();
    let was_good = |step: &Step| step.replaced().is_some_and(|replaced| replaced.not_after >= now);
    backup.filter(|_| plan.steps().iter().all(was_good))
}

/// Puts the files of a backup back, and returns the tree as it is then.
fn restore(id: &str, session: &mut Session<'_>, node: &Node) -> Result<Inventory, CommandError> {
    let manifest = backup::find(Some(id), node.state(), &RealDisk)?;
    let restoration = Restoration::new(manifest, node.root(), node.state(), &RealDisk)?;
    session.restore(&restoration, &mut SystemEntropy::new(), &mut |_| {}).map(drop)?;
    Ok(Inventory::parse(&node.scan()?))
}

/// Says what came of a rollout, and returns how a command ends because of it; `None` when everything is in use.
pub(crate) fn conclude(rollout: &Rollout, options: &str, output: &mut Output) -> Option<Exit> {
    let culprit = rollout.steps.iter().find(|step| step.outcome.is_failure())?;
    let verify = format!("see what is in use now with: kubecerts verify{options}");
    match &rollout.undone {
        Some(Undone::Restored { steps }) => {
            let lost: Vec<String> = steps
                .iter()
                .filter(|step| step.outcome.is_failure())
                .map(|step| format!("{} {}", step.component, step.outcome))
                .collect();
            output.warning(&format!(
                "{} {}; the old files were put back{}",
                culprit.component,
                culprit.outcome,
                if lost.is_empty() {
                    " and are in use again".to_owned()
                } else {
                    format!(", but {}", lost.join("; "))
                }
            ));
            output.hint(&verify);
            Some(Exit::RolledBack)
        }
        Some(Undone::Failed { reason }) => {
            output.warning(&format!(
                "{} {}; the old files could not be put back: {reason}",
                culprit.component, culprit.outcome
            ));
            output.hint(&format!("put them back with: kubecerts rollback{options}"));
            Some(Exit::Failed)
        }
        Some(_) => {
            output.warning(&format!(
                "{} {}; it was not well before either, so the new files stay",
                culprit.component, culprit.outcome
            ));
            output.hint("its log is under /var/log/pods");
            output.hint(&verify);
            Some(Exit::Failed)
        }
        None => {
            output.warning(&format!("{} {}", culprit.component, culprit.outcome));
            if matches!(&culprit.outcome, Outcome::Refused { reason } if reason.contains("the kubelet does not run"))
            {
                output
                    .hint("without the kubelet nothing that is stopped comes back: systemctl start kubelet");
                output.hint(&format!("then restart what is left with: kubecerts restart{options}"));
            }
            output.hint(&verify);
            Some(if matches!(culprit.outcome, Outcome::Refused { .. }) {
                Exit::Incomplete
            } else {
                Exit::Failed
            })
        }
    }
}

/// Waits until everything is in use that `components` load, or the time is over; returns what was seen last.
pub(crate) fn wait(
    components: &BTreeSet<Component>,
    inventory: &Inventory,
    timeout: Duration,
    plant: &mut Plant,
    output: &mut Output,
) -> Observations {
    let mut display = Display::new();
    let seen = plant.wait(components, inventory, timeout, &mut |event| display.show(&event, output));
    display.end();
    seen
}

/// Brings copies of admin.conf up to date, and says which, and which not and why.
pub(crate) fn refresh_copies(
    session: &mut Session<'_>,
    node: &Node,
    output: &mut Output,
) -> Result<(), CommandError> {
    let snapshot = node.scan()?;
    let refresh = refresh(&snapshot, &Inventory::parse(&snapshot));
    let writes: Vec<CopyWrite<'_>> = refresh
        .changes()
        .iter()
        .map(|change| CopyWrite {
            path: change.path(),
            expected: change.expected(),
            content: change.secret_bytes(),
            mode: change.mode(),
        })
        .collect();
    let copies = session.refresh_copies(&writes, &mut SystemEntropy::new(), &mut |_| {})?;
    for path in &copies.refreshed {
        let users = refresh.changes().iter().find(|change| change.path() == path);
        let users = users.map(|change| change.users().join(", ")).unwrap_or_default();
        output.note(&format!("refreshed {users} in {path}"));
    }
    for (path, error) in &copies.refused {
        output.warning(&format!("{path} is left as it is: {error}"));
    }
    for left in refresh.left().iter().filter(|left| left.reason.is_obstacle()) {
        output.note(&format!("{} is left as it is: {}", left.path, left.reason));
    }
    super::mention(&copies.leftovers, output);
    Ok(())
}

/// Returns whether everything that `components` load is in use, as far as that can be seen.
pub(crate) fn is_settled(
    components: &BTreeSet<Component>,
    inventory: &Inventory,
    seen: &Observations,
) -> bool {
    usages(inventory, seen)
        .iter()
        .filter(|usage| components.contains(&usage.component))
        .all(kubecerts_core::observation::Usage::is_settled)
}

/// What is waited for: a line that changes on a terminal, and a line for each change elsewhere.
pub(crate) struct Display {
    line: ProgressBar,
    last: String,
    is_terminal: bool,
}

impl Display {
    pub(crate) fn new() -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(
            ProgressStyle::with_template("{spinner} {msg}").expect("the template is well-formed"),
        );
        line.enable_steady_tick(Duration::from_millis(100));
        Self { line, last: String::new(), is_terminal: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, event: &Event<'_>, output: &mut Output) {
        match event {
            Event::Waiting { component, lacks, waited, deadline } => {
                let (waited, deadline) = (waited.as_secs(), deadline.as_secs());
                let text = crate::output::plain(&format!("{component}: waiting: {lacks}"));
                if self.is_terminal {
                    self.line.set_message(format!("{text} ({waited} of {deadline} s)"));
                } else if text != self.last {
                    output.note(&text);
                }
                self.last = text;
            }
            Event::Restarting { component } => self.note(&format!("{component}: restarting"), output),
            Event::Done { component, outcome } => self.note(&format!("{component}: {outcome}"), output),
            Event::Undoing { component } => {
                self.note(&format!("{component} has not come back, the old files are put back"), output);
            }
            _ => {}
        }
    }

    fn note(&mut self, text: &str, output: &mut Output) {
        self.line.suspend(|| output.note(text));
    }

    fn end(self) {
        self.line.finish_and_clear();
    }
}
