//! The journal of a run: what it set out to do, and how far it came.
//!
//! A journal is a file of lines, each a checksum and a record in JSON, written once, flushed, and never changed:
//!
//! ```text
//! 3f0c1b5a90d2e877 {"record":"begin","version":"kubecerts.dev/v1","id":"20261122T042559Z",…,"entries":[…]}
//! 5e60a7a2bb6f1f0d {"record":"prepared"}
//! ```
//!
//! `begin` is on the medium before the first temporary file is made, so whatever a run may leave in the tree is named
//! there. A line that was torn by a crash does not match its checksum and counts as not written; the decisions of
//! [`recovery`](super::recovery) are sound without it.
//!
//! The journal of a run that is done moves to the audit directory. It holds digests, serial numbers and paths, no keys.

use std::io;
use std::path::PathBuf;

use kubecerts_core::digest::Digest;
use kubecerts_core::path::TreePath;
use kubecerts_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::parts_of_id;
use super::thing::Thing;
use super::transaction::Purpose;
use super::{Disk, DiskError, Operation, State, wire};

/// The version of the format.
const VERSION: &str = "kubecerts.dev/v1";

/// The version of a journal that names links, which are all that it adds: `link:` and the text in the place of a digest.
const VERSION_WITH_LINKS: &str = "kubecerts.dev/v2";

const VERSIONS: [&str; 2] = [VERSION, VERSION_WITH_LINKS];

/// The largest journal that is read, in bytes: 64 MiB.
///
/// A file takes some 400 bytes of it, so this is more than a backup of everything can bring back.
const JOURNAL_LIMIT: u64 = 64 << 20;

/// A line of a journal.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub(super) enum Record {
    /// What the run sets out to do. Temporary files may exist from here on.
    Begin(Begin),
    /// Every new file and the backup are on the medium. Files may be replaced from here on.
    Prepared,
    /// The run has failed and puts back what it replaced.
    Undo {
        /// The failure.
        reason: String,
    },
    /// Every file is replaced, and so are the directories' entries on the medium.
    Committed,
    /// The run is over, and this is how.
    End {
        /// How.
        outcome: Outcome,
        /// Whether it was ended by a later run.
        recovered: bool,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "there is no other outcome")]
pub enum Outcome {
    /// Every file is the new one.
    Finished,
    /// Every file is the old one.
    RolledBack,
    /// Somebody decided to leave the tree as it was found.
    Abandoned,
}

/// What a run sets out to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Begin {
    pub(super) version: String,
    /// The identifier of the run, and of its backup.
    pub(super) id: String,
    #[serde(with = "wire::text")]
    pub(super) at: Timestamp,
    /// The number of the process.
    pub(super) process: u32,
    pub(super) purpose: Purpose,
    pub(super) entries: Vec<Entry>,
}

/// One file of a run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Entry {
    /// The path, as the change named it.
    #[serde(with = "wire::text")]
    pub(super) path: TreePath,
    /// The path behind all links.
    #[serde(with = "wire::text")]
    pub(super) target: TreePath,
    /// Where the new file lies until it replaces the old one.
    #[serde(with = "wire::text")]
    pub(super) temporary: TreePath,
    /// The second name of the old file, until the run is over.
    #[serde(with = "wire::text")]
    pub(super) kept: TreePath,
    /// What was there; `None` for a file or link that is created.
    #[serde(with = "wire::optional_text")]
    pub(super) before: Option<Thing>,
    /// What is to be there; `None` for a file or link that is removed.
    #[serde(with = "wire::optional_text")]
    pub(super) after: Option<Thing>,
}

/// The journal of the run that is under way.
#[derive(Debug)]
pub(super) struct Journal<F> {
    file: F,
    path: PathBuf,
    id: String,
    is_torn: bool,
}

impl<F> Journal<F> {
    /// Opens the journal of a new run. On failure there is none.
    pub(super) fn begin<D: Disk<File = F>>(
        begin: Begin,
        state: &State,
        disk: &mut D,
    ) -> Result<Self, DiskError> {
        let path = journal(state);
        let file = match disk.create(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(DiskError::JournalOpen { journal: state.tree(&path) });
            }
            Err(source) => return Err(state.failed(&path, Operation::Create, source)),
        };
        let mut journal = Self { file, path, id: begin.id.clone(), is_torn: false };
        let flushed = |disk: &mut D| {
            let failed = |source| state.failed(state.directory(), Operation::FlushDirectory, source);
            disk.sync_directory(state.directory()).map_err(failed)
        };
        let written = journal.append(&Record::Begin(begin), state, disk).and_then(|()| flushed(disk));
        if let Err(error) = written {
            // If it stays, it names no temporary file that exists, and the next run discards it.
            let _ = disk.remove(&journal.path);
            return Err(error);
        }
        Ok(journal)
    }

    /// Opens the journal of an interrupted run again.
    pub(super) fn reopen<D: Disk<File = F>>(
        id: &str,
        state: &State,
        disk: &mut D,
    ) -> Result<Self, DiskError> {
        let path = journal(state);
        let file = disk.append(&path).map_err(|source| state.failed(&path, Operation::Open, source))?;
        // The last line may have been torn.
        Ok(Self { file, path, id: id.to_owned(), is_torn: true })
    }

    /// Writes `record` and waits until it is on the medium.
    pub(super) fn append<D: Disk<File = F>>(
        &mut self,
        record: &Record,
        state: &State,
        disk: &mut D,
    ) -> Result<(), DiskError> {
        let mut line = line(record);
        if self.is_torn {
            line.insert(0, '\n');
        }
        self.is_torn = true;
        let failed = |operation, source| state.failed(&self.path, operation, source);
        disk.write_all(line.as_bytes(), &mut self.file).map_err(|source| failed(Operation::Write, source))?;
        self.is_torn = false;
        disk.sync(&self.file).map_err(|source| failed(Operation::Flush, source))
    }

    /// Ends the run: the journal moves to the audit directory.
    pub(super) fn close<D: Disk<File = F>>(
        mut self,
        outcome: Outcome,
        recovered: bool,
        state: &State,
        disk: &mut D,
    ) -> Result<(), DiskError> {
        let kept = self
            .append(&Record::End { outcome, recovered }, state, disk)
            .and_then(|()| archive(&self.id, state, disk));
        // That nothing is open any more matters more than the record of what was done.
        kept.or_else(|error| disk.remove(&self.path).map_err(|_| error))
    }
}

/// A journal as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    /// `None` when the first line was torn: then nothing was made in the tree.
    pub(super) begin: Option<Begin>,
    /// What follows, in order.
    pub(super) records: Vec<Record>,
}

impl Found {
    pub(super) fn holds(&self, wanted: &Record) -> bool {
        self.records.contains(wanted)
    }

    /// Returns why the run was putting back what it had replaced, if it was.
    pub(super) fn undo(&self) -> Option<&str> {
        self.records.iter().find_map(|record| match record {
            Record::Undo { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    pub(super) fn end(&self) -> Option<Outcome> {
        self.records.iter().find_map(|record| match record {
            Record::End { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }
}

/// Reads the journal of a run that was interrupted; `None` when there is none.
pub(super) fn read(state: &State, disk: &impl Disk) -> Result<Option<Found>, DiskError> {
    let path = journal(state);
    let damaged = |reason: String| DiskError::JournalDamaged { journal: state.tree(&path), reason };
    let Some(found) = disk.read(&path, JOURNAL_LIMIT).map_err(|problem| damaged(problem.to_string()))? else {
        return Ok(None);
    };
    // There are no secrets in a journal.
    let text = String::from_utf8_lossy(found.content.secret_bytes()).into_owned();
    parse(&text).map(Some).map_err(damaged)
}

/// Returns where the journal is, as the node itself would write it.
pub(super) fn path(state: &State) -> TreePath {
    state.tree(&journal(state))
}

/// Refuses to go on while there is the journal of an interrupted run.
pub(crate) fn must_be_closed(state: &State, disk: &impl Disk) -> Result<(), DiskError> {
    let path = journal(state);
    match disk.stat(&path).map_err(|source| state.failed(&path, Operation::Inspect, source))? {
        Some(_) => Err(DiskError::JournalOpen { journal: state.tree(&path) }),
        None => Ok(()),
    }
}

/// Moves the journal of a run that has ended to the audit directory.
pub(super) fn archive(id: &str, state: &State, disk: &mut impl Disk) -> Result<(), DiskError> {
    state.make("audit", disk)?;
    let (journal, audit) = (journal(state), audit(id, state));
    disk.rename(&journal, &audit).map_err(|source| state.failed(&audit, Operation::Rename, source))?;
    for directory in [state.directory(), &state.directory().join("audit")] {
        // What the medium has not learned is a journal that has ended, and recovery recognises it.
        let _ = disk.sync_directory(directory);
    }
    Ok(())
}

/// Removes a journal that names nothing.
pub(super) fn discard(state: &State, disk: &mut impl Disk) -> Result<(), DiskError> {
    let path = journal(state);
    disk.remove(&path).map_err(|source| state.failed(&path, Operation::Remove, source))
}

fn parse(text: &str) -> Result<Found, String> {
    let mut records = Vec::new();
    for line in text.lines() {
        let Some((checksum, json)) = line.split_once(' ') else { continue };
        if checksum != self::checksum(json) {
            continue;
        }
        // An intact line that cannot be understood comes from another version of this program.
        let record = serde_json::from_str(json).map_err(|error| of_another_version(json, &error))?;
        records.push(record);
    }
    let mut records = records.into_iter();
    match records.next() {
        None => Ok(Found { begin: None, records: Vec::new() }),
        Some(Record::Begin(begin)) if VERSIONS.contains(&begin.version.as_str()) => {
            if parts_of_id(&begin.id).is_none() {
                return Err(format!("{:?} is no identifier of a run", begin.id));
            }
            begin.entries.iter().try_for_each(check)?;
            Ok(Found { begin: Some(begin), records: records.collect() })
        }
        Some(Record::Begin(begin)) => Err(of_version(&begin.version)),
        Some(_) => Err("its first record is damaged, and others follow".to_owned()),
    }
}

/// Returns what is wrong with a record that cannot be understood.
fn of_another_version(json: &str, error: &serde_json::Error) -> String {
    #[derive(Deserialize)]
    struct Header {
        version: String,
    }
    match serde_json::from_str::<Header>(json) {
        Ok(Header { version }) if !VERSIONS.contains(&version.as_str()) => of_version(&version),
        _ => format!("a record of another kind: {error}"),
    }
}

fn of_version(version: &str) -> String {
    format!("its version is {version:?}, not {}", VERSIONS.join(" or "))
}

/// A journal on a foreign disk is foreign input: it may only name temporary files of ours, beside their targets.
fn check(entry: &Entry) -> Result<(), String> {
    for (name, end) in [(&entry.temporary, ".new"), (&entry.kept, ".old")] {
        let is_ours = name.file_name().starts_with(PREFIX) && name.file_name().ends_with(end);
        if !is_ours || name.parent() != entry.target.parent() {
            return Err(format!("{name} is no temporary file beside {}", entry.target));
        }
    }
    Ok(())
}

/// What the names of all temporary files begin with. The kubelet skips files with a dot.
pub(super) const PREFIX: &str = ".kubecerts-";

impl Begin {
    pub(super) fn new(id: String, at: Timestamp, purpose: Purpose, entries: Vec<Entry>) -> Self {
        let things = entries.iter().flat_map(|entry| [&entry.before, &entry.after]);
        // What an earlier version of this program can recover, it may.
        let version = match things.flatten().any(Thing::is_link) {
            true => VERSION_WITH_LINKS,
            false => VERSION,
        };
        Self { version: version.to_owned(), id, at, process: std::process::id(), purpose, entries }
    }
}

fn line(record: &Record) -> String {
    let json = serde_json::to_string(record).expect("texts, numbers and lists can be written as JSON");
    format!("{} {json}\n", checksum(&json))
}

/// Sixteen digits tell a torn line from a whole one; nobody is to be kept from forging one.
fn checksum(json: &str) -> String {
    let mut text = Digest::of(json.as_bytes()).to_string();
    text.truncate(16);
    text
}

fn journal(state: &State) -> PathBuf {
    state.directory().join("journal")
}

fn audit(id: &str, state: &State) -> PathBuf {
    state.directory().join("audit").join(format!("{id}.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Begin {
        let path = |text| TreePath::parse(text).unwrap();
        let entry = Entry {
            path: path("/etc/pki/a"),
            target: path("/etc/ssl/a"),
            temporary: path("/etc/ssl/.kubecerts-0.new"),
            kept: path("/etc/ssl/.kubecerts-0.old"),
            before: None,
            after: Some(Thing::File(Digest::of(b"a"))),
        };
        Begin::new("20261122T042559Z".to_owned(), Timestamp::from_unix(0), Purpose::new("renew"), vec![entry])
    }

    fn text() -> String {
        [Record::Begin(begin()), Record::Prepared, Record::Committed].iter().map(line).collect()
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_loses_whole_records_at_its_end() {
        let text = text();
        let whole = parse(&text).unwrap();
        assert_eq!(whole.records, [Record::Prepared, Record::Committed]);
        for end in 0..text.len() {
            let found = parse(&text[..end]).unwrap();
            assert!(whole.records.starts_with(&found.records), "{end}");
            // The newline is not part of the record.
            let lines = text[..end].matches('\n').count() + usize::from(text[end..].starts_with('\n'));
            assert_eq!(usize::from(found.begin.is_some()) + found.records.len(), lines, "{end}");
        }
    }

    #[test]
    fn a_damaged_byte_costs_its_record_and_never_changes_one() {
        let text = text();
        let whole = parse(&text).unwrap();
        for at in 0..text.len() {
            for byte in [0, b'\n', b' ', b'"', b'0', b'z', 0xff] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = byte;
                let Ok(found) = parse(&String::from_utf8_lossy(&bytes)) else { continue };
                assert!(found.begin.is_none() || found.begin == whole.begin, "{at} {byte}");
                assert!(found.records.iter().all(|record| whole.records.contains(record)), "{at} {byte}");
            }
        }
    }

    #[test]
    fn a_record_after_a_torn_one_counts() {
        let torn = format!("{}deadbeef {{\"reco\n{}", line(&Record::Begin(begin())), line(&Record::Prepared));
        assert_eq!(parse(&torn).unwrap().records, [Record::Prepared]);
    }

    #[test]
    fn a_journal_without_its_first_record_is_damaged() {
        let text = text();
        let rest = text.split_once('\n').unwrap().1;
        assert!(parse(rest).is_err());
    }

    #[test]
    fn a_journal_with_links_has_a_version_of_its_own_and_reads_back() {
        assert_eq!(begin().version, VERSION);
        let mut entries = begin().entries;
        entries[0].before = Some(Thing::Link("/var/lib/kubelet/pki/old one.pem".to_owned()));
        let begin = Begin { entries, ..begin() };
        let Begin { id, at, purpose, entries, .. } = begin;
        let begin = Begin::new(id, at, purpose, entries);
        assert_eq!(begin.version, VERSION_WITH_LINKS);
        assert_eq!(parse(&line(&Record::Begin(begin.clone()))).unwrap().begin, Some(begin));
    }

    #[test]
    fn another_version_and_foreign_paths_are_refused() {
        let mut other = begin();
        other.version = "kubecerts.dev/v3".to_owned();
        assert!(parse(&line(&Record::Begin(other))).unwrap_err().contains("kubecerts.dev/v3"));
        for wrong in ["/etc/ssl/shadow", "/etc/other/.kubecerts-0.new", "/etc/ssl/.kubecerts-0.old"] {
            let mut other = begin();
            other.entries[0].temporary = TreePath::parse(wrong).unwrap();
            assert!(parse(&line(&Record::Begin(other))).is_err(), "{wrong}");
        }
        for wrong in ["", "..", "/tmp", "20261122T042559Z/../.."] {
            let mut other = begin();
            other.id = wrong.to_owned();
            assert!(parse(&line(&Record::Begin(other))).is_err(), "{wrong}");
        }
        let newer = r#"{"record":"begin","version":"kubecerts.dev/v3","runs":[]}"#;
        let newer = format!("{} {newer}\n", checksum(newer));
        assert_eq!(
            parse(&newer).unwrap_err(),
            "its version is \"kubecerts.dev/v3\", not kubecerts.dev/v1 or kubecerts.dev/v2"
        );
    }
}
