//! The threads that make trees, and the one that hands out work and collects it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, ErrorKind};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use kubecerts_core::catalog::{DnsLabel, FileSlot};
use kubecerts_core::issue::{Change, ChangeSet, NewTree, SecretManifest, issue_trees};
use kubecerts_core::manifest::{ClusterLine, ConfigRemark};
use kubecerts_core::path::TreePath;
use kubecerts_core::provider::Buffered;

use super::destination::{
    Collection, Destination, Directory, Place, TreeForm, fits_into_an_archive, write_manifests,
};
use super::lines::{Clusters, Line, Lines, Names};
use super::{ClusterFailure, ClusterProblem, OnError, TreesError, TreesEvent, TreesRequest, TreesSummary};
use crate::crypto::{Provider, Threads};
use crate::new_tree::write_new_tree;
use crate::node::{Node, NodeOptions};
use crate::{SystemEntropy, now};

/// Makes the trees, and counts them in `summary`, also when it fails; `total` is how many there are, when that is known.
pub(super) fn run(
    clusters: Clusters,
    destination: Destination<'_>,
    request: &TreesRequest,
    total: Option<u64>,
    observer: &mut dyn FnMut(TreesEvent<'_>),
    summary: &mut TreesSummary,
) -> Result<(), TreesError> {
    let Destination { form, place } = destination;
    let mut collection = None;
    let mut directory = None;
    match place {
        Place::Directory(path) => directory = Some(Directory::open(path, form)?),
        Place::File(path) => collection = Some(Collection::in_file(path, form, now(), observer)?),
        Place::Stream(stream) => collection = Some(Collection::in_stream(stream, form, now())),
    }
    let is_file = collection.as_ref().is_some_and(Collection::is_file);
    let mut crew = Crew::of(request.threads.count(), total);
    let stop = AtomicBool::new(false);
    let worker = Worker { form, request, stop: &stop, provides: crew.threads_each };
    let (jobs, work) = channel::<Job>();
    let (results, done) = channel::<Finished>();
    let work = Mutex::new(work);
    let outcome = thread::scope(|scope| {
        for begun in 0..crew.workers {
            let (results, work) = (results.clone(), &work);
            let work = move || worker.work(work, &results);
            let spawned = thread::Builder::new().name("trees".to_owned()).spawn_scoped(scope, work);
            match spawned {
                Ok(_) => {}
                Err(source) if begun == 0 => return Err(TreesError::Threads(source)),
                // As many as the system gives do the same work.
                Err(_) => {
                    crew.workers = begun;
                    break;
                }
            }
        }
        drop(results);
        summary.threads = crew.threads();
        let master = Master { crew, request, jobs, done, directory, collection, stop: &stop, observer };
        let outcome = master.run(clusters, summary);
        // After an error nobody need begin anything else.
        stop.store(true, Ordering::Relaxed);
        outcome
    });
    if is_file && (outcome.is_err() || summary.stopped) {
        summary.forget_what_was_made();
    }
    outcome
}

/// How the work is divided.
#[derive(Clone, Copy)]
struct Crew {
    workers: usize,
    /// How many threads each of them has for keys: more than one when there are fewer clusters than threads.
    threads_each: Threads,
    /// How many clusters are handed out at once.
    piece: usize,
}

impl Crew {
    fn of(threads: NonZeroUsize, total: Option<u64>) -> Self {
        let threads = threads.get();
        let total = total.map_or(usize::MAX, |total| usize::try_from(total).unwrap_or(usize::MAX));
        let workers = threads.min(total).max(1);
        let each = NonZeroUsize::new(threads / workers).unwrap_or(NonZeroUsize::MIN);
        // Small pieces at the end of a short list leave no thread idle for long.
        let piece = (total / workers / 4).clamp(1, LARGEST_PIECE);
        Self { workers, threads_each: Threads::new(each), piece }
    }

    /// Returns how many threads there are in all.
    const fn threads(self) -> usize {
        self.workers.saturating_mul(self.threads_each.count().get())
    }
}

/// So many clusters are handed out at once at most: as many as keep a batch of signatures long, and memory small.
const LARGEST_PIECE: usize = 4;

/// Clusters that one thread makes in one go.
struct Job {
    number: u64,
    entries: Vec<Entry>,
}

/// One line of the list.
struct Entry {
    line: u64,
    content: Option<Vec<u8>>,
    /// The earlier line with the same name.
    repeats: Option<u64>,
    /// Where it belongs, when it has a place of its own.
    place: Option<PathBuf>,
}

struct Finished {
    number: u64,
    /// Or what the thread has panicked with, so that nobody waits for it.
    outcomes: Result<Vec<Outcome>, String>,
}

/// What became of one cluster.
struct Outcome {
    line: u64,
    name: Option<DnsLabel>,
    remarks: Vec<ConfigRemark>,
    result: Result<Success, Trouble>,
}

enum Success {
    Kept,
    Made {
        files: ChangeSet,
        manifests: Vec<SecretManifest>,
    },
    /// It was not begun, because the run stops.
    Dropped,
}

enum Trouble {
    /// This cluster cannot be made.
    Cluster(ClusterProblem),
    /// None can be any more.
    Fatal(TreesError),
}

impl<P: Into<ClusterProblem>> From<P> for Trouble {
    fn from(problem: P) -> Self {
        Self::Cluster(problem.into())
    }
}

/// Hands out work, collects it in order, and talks to the caller.
struct Master<'r, 'd, 'o> {
    crew: Crew,
    request: &'r TreesRequest,
    jobs: Sender<Job>,
    done: Receiver<Finished>,
    directory: Option<Directory>,
    collection: Option<Collection<'d>>,
    stop: &'r AtomicBool,
    observer: &'o mut dyn FnMut(TreesEvent<'_>),
}

impl Master<'_, '_, '_> {
    fn run(mut self, clusters: Clusters, summary: &mut TreesSummary) -> Result<(), TreesError> {
        let file = clusters.file().map(Path::to_owned);
        // Of what could be read twice no name is there twice.
        let mut names = file.is_none().then(Names::default);
        let mut lines = clusters.into_lines();
        let mut waiting = BTreeMap::new();
        let (mut sent, mut taken) = (0, 0);
        let mut is_at_end = false;
        loop {
            // What is behind the slowest piece waits in memory, so there is a bound on how far the others may be ahead.
            while !is_at_end && !summary.stopped && sent - taken < self.most_ahead() {
                let entries = self.next_piece(&mut lines, &mut names, file.as_deref())?;
                if self.request.cancel.is_cancelled() {
                    // Who writes the list may have ended by the same signal, in the middle of a line.
                    summary.cancel();
                    break;
                }
                is_at_end = entries.len() < self.crew.piece;
                if !entries.is_empty() {
                    self.jobs
                        .send(Job { number: sent, entries })
                        .expect("workers live until there is no work");
                    sent += 1;
                }
            }
            if taken == sent {
                break;
            }
            let Finished { number, outcomes } = self.done.recv().expect("every piece comes back");
            waiting.insert(number, outcomes.map_err(TreesError::Panicked)?);
            while let Some(outcomes) = waiting.remove(&taken) {
                taken += 1;
                for outcome in outcomes {
                    // What has a place of its own was written meanwhile, whatever came before it.
                    let is_there = self.collection.is_none() && outcome.result.is_ok();
                    if !summary.stopped || is_there {
                        self.take(outcome, summary)?;
                    }
                }
            }
        }
        match self.collection {
            Some(collection) if !summary.stopped => collection.finish()?,
            _ => {}
        }
        Ok(())
    }

    fn most_ahead(&self) -> u64 {
        u64::try_from(self.crew.workers.saturating_mul(2)).unwrap_or(u64::MAX)
    }

    /// Reads the next clusters of the shard.
    fn next_piece(
        &mut self,
        lines: &mut Lines<impl BufRead>,
        names: &mut Option<Names>,
        file: Option<&Path>,
    ) -> Result<Vec<Entry>, TreesError> {
        let mut entries = Vec::with_capacity(self.crew.piece);
        while entries.len() < self.crew.piece {
            let line = lines.next();
            let line = line.map_err(|source| TreesError::Read { path: file.map(Path::to_owned), source })?;
            let Some(Line { number, position, content }) = line else { break };
            let is_own = self.request.shard.is_none_or(|shard| shard.has(position));
            if !is_own && names.is_none() {
                continue;
            }
            let name = content.as_deref().and_then(ClusterLine::name_of);
            let repeats = name.as_ref().and_then(|name| names.as_mut()?.repeated(name, number));
            if !is_own {
                continue;
            }
            let mut place = None;
            if let (Some(directory), Some(name)) = (&mut self.directory, &name) {
                if repeats.is_none() {
                    directory.remove_left(name, self.observer)?;
                }
                place = Some(directory.place_of(name));
            }
            entries.push(Entry { line: number, content, repeats, place });
        }
        Ok(entries)
    }

    fn take(&mut self, outcome: Outcome, summary: &mut TreesSummary) -> Result<(), TreesError> {
        let Outcome { line, name, remarks, result } = outcome;
        if let Some(name) = &name {
            for remark in &remarks {
                (self.observer)(TreesEvent::Remark { line, name, remark });
            }
        }
        match (result, name) {
            (Ok(Success::Made { files, manifests }), Some(name)) => {
                if let Some(collection) = &mut self.collection {
                    collection.append(&name, &files, &manifests)?;
                }
                summary.made += 1;
                summary.files += count(files.changes().iter());
                summary.certificates += count(files.changes().iter().filter(|file| has_certificate(file)));
                (self.observer)(TreesEvent::Made { line, name: &name });
            }
            (Ok(Success::Kept), Some(name)) => {
                summary.kept += 1;
                (self.observer)(TreesEvent::Kept { line, name: &name });
            }
            (Ok(Success::Dropped), _) if !summary.stopped && self.request.cancel.is_cancelled() => {
                summary.cancel();
            }
            (Ok(_), _) => {}
            (Err(Trouble::Fatal(error)), _) => return Err(error),
            (Err(Trouble::Cluster(problem)), name) => {
                summary.failed += 1;
                if self.request.on_error == OnError::Stop {
                    summary.stopped = true;
                    self.stop.store(true, Ordering::Relaxed);
                }
                (self.observer)(TreesEvent::Failed(&ClusterFailure { line, name, problem }));
            }
        }
        Ok(())
    }
}

fn count<'a>(files: impl Iterator<Item = &'a Change>) -> u64 {
    u64::try_from(files.count()).unwrap_or(u64::MAX)
}

fn has_certificate(change: &Change) -> bool {
    matches!(
        change.file(),
        FileSlot::CaCertificate(_) | FileSlot::LeafCertificate(_) | FileSlot::Kubeconfig(_)
    )
}

/// Makes what it is handed.
#[derive(Clone, Copy)]
struct Worker<'a> {
    form: TreeForm,
    request: &'a TreesRequest,
    stop: &'a AtomicBool,
    provides: Threads,
}

/// A cluster that is about to be made, by its place in the piece.
struct Pending {
    at: usize,
    tree: NewTree,
    place: Option<PathBuf>,
}

impl Worker<'_> {
    fn work(self, work: &Mutex<Receiver<Job>>, results: &Sender<Finished>) {
        let mut provider = Provider::new(self.provides);
        let mut entropy = Buffered::new(SystemEntropy::new());
        loop {
            // The lock is held while waiting, so that the others wait for it instead.
            let job = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { number, entries }) = job else { return };
            // What a panic leaves half is not looked at any more.
            let made = catch_unwind(AssertUnwindSafe(|| self.make(entries, &mut provider, &mut entropy)));
            let outcomes = made.map_err(|panic| {
                self.stop.store(true, Ordering::Relaxed);
                what_it_says(&*panic)
            });
            let has_panicked = outcomes.is_err();
            // Nobody is interested any more when the master has given up.
            let is_over = results.send(Finished { number, outcomes }).is_err();
            if is_over || has_panicked {
                return;
            }
        }
    }

    fn make(
        self,
        entries: Vec<Entry>,
        provider: &mut Provider,
        entropy: &mut Buffered<SystemEntropy>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut pending = Vec::new();
        for entry in entries {
            let mut outcome =
                Outcome { line: entry.line, name: None, remarks: Vec::new(), result: Ok(Success::Dropped) };
            if !self.is_stopped() && !self.request.cancel.is_cancelled() {
                match self.prepare(entry, &mut outcome) {
                    Ok(Some((tree, place))) => pending.push(Pending { at: outcomes.len(), tree, place }),
                    Ok(None) => outcome.result = Ok(Success::Kept),
                    Err(trouble) => {
                        outcome.result = Err(trouble);
                    }
                }
            }
            outcomes.push(outcome);
        }
        let trees: Vec<NewTree> = pending.iter().map(|pending| pending.tree.clone()).collect();
        let made = issue_trees(&trees, now(), entropy, provider);
        for (Pending { at, place, .. }, made) in pending.into_iter().zip(made) {
            let outcome = &mut outcomes[at];
            let Some(name) = &outcome.name else { continue };
            outcome.result = match made {
                Err(error) => Err(error.into()),
                Ok(_) if self.is_stopped() => Ok(Success::Dropped),
                Ok(files) if self.form == TreeForm::Files && !has_place_for_all(name, &files) => {
                    Err(ClusterProblem::Paths.into())
                }
                Ok(files) => {
                    let manifests = self.form.manifests(name, self.request.namespace.as_ref(), &files);
                    let written = place.map_or(Ok(()), |place| self.write(&place, &files, &manifests));
                    written.map(|()| Success::Made { files, manifests })
                }
            };
        }
        outcomes
    }

    fn is_stopped(self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads a line, and returns what is to be made and where; `None` when it is there already.
    fn prepare(
        self,
        entry: Entry,
        outcome: &mut Outcome,
    ) -> Result<Option<(NewTree, Option<PathBuf>)>, Trouble> {
        let Entry { line: _, content, repeats, place } = entry;
        let content = content.ok_or(ClusterProblem::TooLong)?;
        let parsed = ClusterLine::parse(&content);
        outcome.name = match &parsed {
            Ok(line) => Some(line.name.clone()),
            Err(error) => error.name.clone(),
        };
        if let Some(first) = repeats {
            return Err(ClusterProblem::Repeated { first }.into());
        }
        let line = parsed.map_err(ClusterProblem::from)?;
        outcome.remarks = line.config.remarks().to_vec();
        let mut tree = NewTree::from_config(&line.config).map_err(ClusterProblem::from)?;
        if let Some(policy) = &self.request.policy {
            tree = tree.with_policy(policy);
        }
        let Some(place) = place else { return Ok(Some((tree, None))) };
        match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some((tree, Some(place)))),
            Ok(_) if self.request.resume => judge(&tree, &place).map(|()| None).map_err(Trouble::from),
            Ok(_) => Err(ClusterProblem::Exists(place).into()),
            Err(error) => Err(ClusterProblem::Unreadable { path: place, reason: error.to_string() }.into()),
        }
    }

    fn write(self, place: &Path, files: &ChangeSet, manifests: &[SecretManifest]) -> Result<(), Trouble> {
        match self.form {
            TreeForm::Files => write_new_tree(files, place, &mut SystemEntropy::new())
                .map_err(|error| Trouble::Fatal(TreesError::Tree(error))),
            TreeForm::Secrets | TreeForm::ClusterApi => write_manifests(place, manifests)
                .map_err(|source| Trouble::Fatal(TreesError::Write { path: Some(place.to_owned()), source })),
        }
    }
}

/// Returns the text of a panic.
fn what_it_says(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a text").to_owned()
}

/// Returns whether no file of `cluster` lies in another one, and an archive can hold the path of each.
fn has_place_for_all(cluster: &DnsLabel, files: &ChangeSet) -> bool {
    let paths: BTreeSet<&TreePath> = files.changes().iter().map(Change::path).collect();
    let lies_in_another = |path: &TreePath| {
        let mut above = path.parent();
        while above.as_str() != "/" {
            if paths.contains(&above) {
                return true;
            }
            above = above.parent();
        }
        false
    };
    paths.len() == files.changes().len()
        && !paths.iter().any(|path| lies_in_another(path))
        && fits_into_an_archive(cluster, files)
}

/// Refuses what is in the directory `place` unless it is `tree`.
fn judge(tree: &NewTree, place: &Path) -> Result<(), ClusterProblem> {
    let unreadable = |reason| ClusterProblem::Unreadable { path: place.to_owned(), reason };
    let options = NodeOptions {
        root: Some(place.to_owned()),
        arguments: tree.arguments(),
        is_new: true,
        ..NodeOptions::default()
    };
    let snapshot = Node::open(options).and_then(|node| node.scan());
    let snapshot = snapshot.map_err(|error| unreadable(error.to_string()))?;
    match tree.shortfall(&snapshot, now()) {
        None => Ok(()),
        Some(source) => Err(ClusterProblem::NotWhole { path: place.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_panic_of_a_thread_is_an_error_of_the_run() {
        let crew = Crew::of(NonZeroUsize::MIN, None);
        let (jobs, _work) = channel();
        let (results, done) = channel();
        let panic = catch_unwind(|| panic!("number {}", 7)).unwrap_err();
        results.send(Finished { number: 0, outcomes: Err(what_it_says(&*panic)) }).unwrap();
        let stop = AtomicBool::new(false);
        let request = TreesRequest::default();
        let observer = &mut |_: TreesEvent<'_>| {};
        let (directory, collection) = (None, None);
        let master =
            Master { crew, request: &request, jobs, done, directory, collection, stop: &stop, observer };
        let mut summary = TreesSummary::default();
        let run = master.run(Clusters::from_stream(Cursor::new("{}\n")), &mut summary);
        let Err(TreesError::Panicked(text)) = run else { panic!("{run:?}") };
        assert_eq!((text.as_str(), summary), ("number 7", TreesSummary::default()));
        let panic = catch_unwind(|| panic!("literal")).unwrap_err();
        assert_eq!(what_it_says(&*panic), "literal");
    }

    #[test]
    fn any_number_of_threads_can_be_asked_for() {
        let crew = Crew::of(NonZeroUsize::MAX, None);
        assert_eq!((crew.workers, crew.threads()), (usize::MAX, usize::MAX));
        let crew = Crew::of(NonZeroUsize::MAX, Some(2));
        assert_eq!((crew.workers, crew.threads()), (2, usize::MAX - 1));
    }
}
