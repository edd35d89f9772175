//! A stand-in for the kubelet, as far as static pods go.
//!
//! It does what a real one was seen to do: a pod of which nothing is left in the runtime is made anew within two seconds,
//! every time; one that was only stopped, or whose container ended, is restarted at once the first time and then after
//! 10, 20, 40 seconds and so on. A manifest that is taken away ends its pod, which lingers in the runtime's list until
//! the next collection; back again, it is the same pod, with its back-off. A manifest that changes is another pod.

mod backoff;
mod credential;
mod healthz;
mod source;
mod worker;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubecerts_core::time::Timestamp;
use kubecerts_standin_server::{Command, StandIn};

use crate::cri::Cri;
use crate::pod::Site;
use source::Source;
use worker::Worker;

/// A kubelet that runs in threads of this process. Dropping it stops it; the containers go on, as those of a real one do.
#[derive(Debug)]
pub struct Kubelet {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    healthz: SocketAddr,
    log: Log,
    _api: Option<StandIn>,
}

/// How a [`Kubelet`] is started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KubeletOptions {
    /// The directory of the manifests.
    pub manifests: PathBuf,
    /// The socket of the runtime.
    pub socket: PathBuf,
    /// The node's name. Default `cp-1`.
    pub node: String,
    /// The directory that stands for `/` in the paths of volumes. Default `/`.
    pub root: PathBuf,
    /// The kubeconfig without whose valid client certificate it does not start. Default none: it starts.
    pub kubeconfig: Option<PathBuf>,
    /// Where it says that it is alive. Default a free port of 127.0.0.1.
    pub healthz: SocketAddr,
    /// Where it serves its API, which answers nobody. Default none.
    pub api: Option<SocketAddr>,
    /// The first wait of the back-off, of which all others are multiples. Default 10 seconds, as in a real kubelet.
    pub unit: Duration,
    /// How often it looks at what runs. Default one second, as in a real kubelet.
    pub relist: Duration,
}

impl KubeletOptions {
    /// Returns the options of a kubelet that runs the pods of `manifests` in the runtime at `socket`.
    #[must_use]
    pub fn new(manifests: &Path, socket: &Path) -> Self {
        Self {
            manifests: manifests.to_owned(),
            socket: socket.to_owned(),
            node: "cp-1".to_owned(),
            root: PathBuf::from("/"),
            kubeconfig: None,
            healthz: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api: None,
            unit: Duration::from_secs(10),
            relist: Duration::from_secs(1),
        }
    }
}

impl Kubelet {
    /// Starts a kubelet. It needs no runtime yet, and goes on when the runtime goes away.
    ///
    /// # Errors
    /// The reason why a real one would exit.
    pub fn start(options: KubeletOptions) -> Result<Self, String> {
        if let Some(kubeconfig) = &options.kubeconfig {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let now = Timestamp::from_unix(i64::try_from(now).unwrap_or(i64::MAX));
            credential::check(kubeconfig, &options.root, now)?;
        }
        let bind = |address| {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        };
        let address = options.healthz;
        let (healthz, listener) =
            bind(address).map_err(|error: std::io::Error| format!("{address}: {error}"))?;
        let api = options.api.map(api).transpose()?;
        let (stop, log) = (Arc::new(AtomicBool::new(false)), Log::default());
        let watcher = {
            let (stop, log) = (stop.clone(), log.clone());
            thread::spawn(move || watch(options, &stop, &log))
        };
        let server = {
            let stop = stop.clone();
            thread::spawn(move || healthz::serve(&listener, &stop))
        };
        Ok(Self { stop, threads: vec![watcher, server], healthz, log, _api: api })
    }

    /// Stops it, as killing a real one does: nothing that ends from now on comes back.
    pub fn stop(self) {
        drop(self);
    }

    /// Returns where it says that it is alive, under `/healthz`.
    #[must_use]
    pub fn healthz(&self) -> SocketAddr {
        self.healthz
    }

    /// Returns what it has done and what has failed, one line each.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a kubelet has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Adds a line, unless it is the last one again.
    fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
}

/// Serves the kubelet's API at `address`.
fn api(address: SocketAddr) -> Result<StandIn, String> {
    let flags = [format!("--bind-address={}", address.ip()), format!("--secure-port={}", address.port())];
    let command = Command::parse(["kubelet".to_owned()].into_iter().chain(flags));
    let command = command.map_err(|error| error.to_string())?;
    StandIn::start(&command).map_err(|error| error.to_string())
}

fn watch(options: KubeletOptions, stop: &AtomicBool, log: &Log) {
    let KubeletOptions { manifests, socket, node, root, kubeconfig: _, healthz: _, api: _, unit, relist } =
        options;
    let site = Site::new(&socket, &node, &root);
    let mut worker = Worker::new(Cri::new(&socket), site, unit, log.clone());
    let mut source = Source::new(manifests, node);
    let mut looked: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        let (has_changed, complaints) = source.read();
        complaints.into_iter().for_each(|complaint| log.add(complaint));
        if has_changed || looked.is_none_or(|looked| looked.elapsed() >= relist) {
            looked = Some(Instant::now());
            if let Err(error) = worker.round(&source.pods()) {
                log.add(error.to_string());
            }
        }
        sleep(POLL);
    }
}

/// A real kubelet is told of changes by the kernel.
const POLL: Duration = Duration::from_millis(100);
