//! A component that runs in this process.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::apiserver::ApiServer;
use crate::controller::Controller;
use crate::etcd::Etcd;
use crate::kubelet::Kubelet;
use crate::listen::{Site, log, serve};
use crate::{Command, Component, InvalidCommand, Mode};

/// A component at work on a thread of its own; dropping it ends it and closes its ports.
#[derive(Debug)]
pub struct StandIn {
    addresses: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Starts what `command` says.
    ///
    /// # Errors
    /// [`StartError`] where the real component would end at once, and when a mode wants it to.
    ///
    /// # Panics
    /// When the system gives neither a thread nor an event queue.
    pub fn start(command: &Command) -> Result<Self, StartError> {
        let mut delay = None;
        for mode in command.modes() {
            match mode {
                Mode::NeverComesBackAfter(file) if file.exists() => {
                    return Err(StartError::NeverComesBack { file: file.clone() });
                }
                Mode::WantsKubeconfig(file) => {
                    let kubeconfig = command.file("kubeconfig")?;
                    let [wanted, found] = [file, &kubeconfig].map(|file| fs::read(file).ok());
                    if wanted.is_some() && wanted != found {
                        return Err(StartError::WantsKubeconfig { file: kubeconfig, wanted: file.clone() });
                    }
                }
                Mode::SlowStart(span) => delay = Some(*span),
                _ => {}
            }
        }

        let runtime =
            Builder::new_current_thread().enable_all().build().expect("the system has an event queue");
        let mut ports = Vec::new();
        for (address, site) in sites(command, &runtime)? {
            ports.push((bind(address).map_err(|error| StartError::bind(address, &error))?, site));
        }
        let addresses = ports.iter().map(|(socket, _)| socket.local_addr()).collect::<Result<_, _>>();
        let addresses: Vec<SocketAddr> = addresses.expect("a bound socket has an address");
        // A port in use is told here and now, unless it is too early to listen.
        let starting = match delay {
            None => {
                let _context = runtime.enter();
                Starting::Now(listen(ports)?)
            }
            Some(delay) => Starting::After(delay, ports),
        };
        // Tests wait for these lines, so they come when it is true.
        for address in &addresses {
            log(&format!("{} listens on {address}", command.component()));
        }
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.spawn(starting.serve());
            // A sender that is gone stops as well; what is left of the tasks goes with the runtime.
            drop(runtime.block_on(stopped));
        });
        Ok(Self { addresses, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the addresses that are listened on: of etcd first those for clients, then for peers, then for metrics.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended too.
            drop(thread.join());
        }
    }
}

/// A port that is taken, and what will be served there.
type Port<S> = (S, Arc<dyn Site>);

/// The ports at the start.
enum Starting {
    Now(Vec<Port<TcpListener>>),
    After(Duration, Vec<Port<TcpSocket>>),
}

impl Starting {
    async fn serve(self) {
        let ports = match self {
            Self::Now(ports) => ports,
            Self::After(delay, ports) => {
                sleep(delay).await;
                match listen(ports) {
                    Ok(ports) => ports,
                    Err(error) => return log(&error.to_string()),
                }
            }
        };
        for (listener, site) in ports {
            tokio::spawn(serve(listener, site));
        }
    }
}

/// Returns what `command` serves where, and lets `runtime` do what it does besides.
fn sites(command: &Command, runtime: &Runtime) -> Result<Vec<Port<SocketAddr>>, StartError> {
    Ok(match command.component() {
        Component::ApiServer => {
            vec![(command.secure_address()?, Arc::new(ApiServer::start(command)?))]
        }
        Component::ControllerManager | Component::Scheduler => {
            let (controller, calls) = Controller::start(command)?;
            let controller = Arc::new(controller);
            runtime.spawn(Arc::clone(&controller).run(calls));
            vec![(command.secure_address()?, controller)]
        }
        Component::Kubelet => vec![(command.secure_address()?, Arc::new(Kubelet::start()))],
        Component::Etcd => {
            let mut ports: Vec<Port<SocketAddr>> = Vec::new();
            for address in command.urls("listen-client-urls")? {
                ports.push((address, Arc::new(Etcd::for_clients(command)?)));
            }
            for address in command.urls("listen-peer-urls")? {
                ports.push((address, Arc::new(Etcd::for_peers(command)?)));
            }
            for address in command.urls("listen-metrics-urls")? {
                ports.push((address, Arc::new(Etcd::for_metrics(command))));
            }
            ports
        }
    })
}

/// Takes `address` without listening there: whoever connects is refused.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The connections of the predecessor may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(ports: Vec<Port<TcpSocket>>) -> Result<Vec<Port<TcpListener>>, StartError> {
    let listen = |(socket, site): Port<TcpSocket>| {
        let address = socket.local_addr().expect("a bound socket has an address");
        Ok((socket.listen(BACKLOG).map_err(|error| StartError::bind(address, &error))?, site))
    };
    ports.into_iter().map(listen).collect()
}

/// Why a component ends as soon as it starts.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The command line is wrong.
    #[error(transparent)]
    Command(#[from] InvalidCommand),
    /// A file of credentials cannot be used.
    #[error("{detail}")]
    Credentials {
        /// The file, and what is wrong with it.
        detail: String,
    },
    /// A port cannot be had.
    #[error("cannot listen on {address}: {detail}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        detail: String,
    },
    /// A mode wants the component to end.
    #[error("{} is there", file.display())]
    NeverComesBack {
        /// The file that says so.
        file: PathBuf,
    },
    /// A mode wants another kubeconfig.
    #[error("{} is not what {} is", file.display(), wanted.display())]
    WantsKubeconfig {
        /// The kubeconfig.
        file: PathBuf,
        /// The file that it should be the same as.
        wanted: PathBuf,
    },
}

impl StartError {
    pub(crate) fn credentials(detail: String) -> Self {
        Self::Credentials { detail }
    }

    fn bind(address: SocketAddr, error: &io::Error) -> Self {
        Self::Bind { address, detail: error.to_string() }
    }
}

/// How many connections may wait to be accepted; the default of the standard library.
const BACKLOG: u32 = 128;
