//! Servers that a probe may meet instead of a component.
//!
//! Each listens on a free port of 127.0.0.1, serves every connection on a thread of its own, and ends with the process.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubecerts_core::time::{Seconds, Timestamp};
use kubecerts_core::x509::{AlternativeName, AlternativeNames, Certificate};
use kubecerts_testkit::{Draft, MemoryTree};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, ServerConfig, ServerConnection, StreamOwned};

use crate::authority::trusting;
use crate::listen::{configuration, configuration_of};
use crate::throwaway::{AUTHORITY, AUTHORITY_KEY, LEAF, LEAF_KEY, certified, tree};

/// Accepts connections and never says anything.
#[must_use]
pub fn silent() -> u16 {
    listen(|stream| wait_for_end(&stream))
}

/// Answers with what is not TLS and not HTTP either.
#[must_use]
pub fn garbage() -> u16 {
    listen(|mut stream| {
        stream.write_all(&[0xde, 0xad, 0xbe, 0xef, 0, 0, 0xff, b'\n'].repeat(512))?;
        wait_for_end(&stream)
    })
}

/// Closes every connection as soon as it is there.
#[must_use]
pub fn closes() -> u16 {
    listen(|stream| stream.shutdown(std::net::Shutdown::Both))
}

/// Begins a record of TLS and sends one byte of it a second: 16 KiB, for four and a half hours.
#[must_use]
pub fn slow_drip() -> u16 {
    listen(|mut stream| {
        for byte in [22, 3, 3, 0x40, 0].into_iter().chain(std::iter::repeat_n(0, 0x4000)) {
            stream.write_all(&[byte])?;
            thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    })
}

/// Shows a chain of about `bytes`, at most 16 MB, over TLS 1.2 or 1.3: the same authority again and again.
#[must_use]
pub fn endless_chain(bytes: usize) -> u16 {
    let tree = now_tree();
    let authority = tree.certificate(AUTHORITY).as_der().to_vec();
    let length = bytes.min(LONGEST_CHAIN).div_ceil(authority.len());
    let chain = std::iter::once(tree.certificate(LEAF).as_der().to_vec())
        .chain(std::iter::repeat_n(authority, length));
    serve(configuration(&certified(chain.collect(), &tree.private_key(LEAF_KEY)), None), answer)
}

/// Shows a certificate with `names` alternative names, of about 25 bytes each.
#[must_use]
pub fn many_names(names: usize) -> Shown {
    let name = |number| AlternativeName::Dns(format!("name-{number:05}.example.test"));
    show(now_tree(), |leaf| leaf.alternative_names = AlternativeNames::new((0..names).map(name).collect()))
}

/// Shows a certificate that expired yesterday; its authority is still valid.
#[must_use]
pub fn expired() -> Shown {
    let yesterday = now().minus(Seconds::from_days(1));
    show(now_tree(), |leaf| {
        leaf.not_before = yesterday.minus(Seconds::from_days(365));
        leaf.not_after = yesterday;
    })
}

/// Shows a certificate that is its own authority.
#[must_use]
pub fn self_signed() -> Shown {
    let tree = now_tree();
    let key = tree.private_key(LEAF_KEY);
    let mut leaf = Draft::of(&tree.certificate(LEAF));
    leaf.issuer = leaf.subject.clone();
    leaf.authority_key_identifier = None;
    let leaf = leaf.signed_by(&key);
    let port = serve(configuration(&certified(vec![leaf.clone()], &key), None), answer);
    Shown::new(port, &leaf)
}

/// Demands a client certificate and refuses those of unknown authorities, which is all of them.
///
/// Over TLS 1.2 the handshake fails; over TLS 1.3 it succeeds for the client, and the first read fails.
///
/// # Panics
/// Never: the authority is one that kubeadm would make.
#[must_use]
pub fn demands_client_certificate(version: TlsVersion) -> Shown {
    let tree = now_tree();
    let authority = CertificateDer::from(tree.certificate(AUTHORITY).as_der().to_vec());
    let versions = match version {
        TlsVersion::Tls12 => [&TLS12],
        TlsVersion::Tls13 => [&TLS13],
    };
    let leaf = tree.certificate(LEAF).as_der().to_vec();
    let pair = certified(vec![leaf.clone()], &tree.private_key(LEAF_KEY));
    let clients = trusting(vec![authority]).expect("the authority is kubeadm's");
    Shown::new(serve(configuration_of(&versions, &pair, Some(clients)), answer), &leaf)
}

/// Answers every request with a body that never ends.
#[must_use]
pub fn endless_http() -> Shown {
    plain(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let chunk = [b"1000\r\n".as_slice(), &[b'o'; 0x1000], b"\r\n"].concat();
        loop {
            stream.write_all(&chunk)?;
        }
    })
}

/// Answers every request with a head that never ends.
#[must_use]
pub fn endless_head() -> Shown {
    plain(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            stream.write_all(b"X-Filler: oooooooooooooooooooooooooooooooooooooooooooooooooooo\r\n")?;
        }
    })
}

/// Ends the handshake well and then never answers a request.
#[must_use]
pub fn silent_http() -> Shown {
    plain(|stream| wait_for_end(&stream.sock))
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A server and the certificate that it shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shown {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The certificate.
    pub leaf: Certificate,
}

impl Shown {
    fn new(port: u16, leaf: &[u8]) -> Self {
        Self {
            port,
            leaf: Certificate::parse_der(leaf).expect("a certificate that was just made can be parsed"),
        }
    }
}

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// Shows a sound certificate and does `then` after the handshake.
fn plain(then: impl Fn(&mut Tls) -> io::Result<()> + Send + Sync + 'static) -> Shown {
    let tree = now_tree();
    let leaf = tree.certificate(LEAF).as_der().to_vec();
    let pair = certified(vec![leaf.clone()], &tree.private_key(LEAF_KEY));
    Shown::new(serve(configuration_of(ALL_VERSIONS, &pair, None), then), &leaf)
}

/// Shows the API server's certificate of `tree` after `change`, and answers requests.
fn show(tree: MemoryTree, change: impl FnOnce(&mut Draft)) -> Shown {
    let mut leaf = Draft::of(&tree.certificate(LEAF));
    change(&mut leaf);
    let leaf = leaf.signed_by(&tree.private_key(AUTHORITY_KEY));
    let pair = certified(vec![leaf.clone()], &tree.private_key(LEAF_KEY));
    Shown::new(serve(configuration(&pair, None), answer), &leaf)
}

fn serve(
    config: Arc<ServerConfig>,
    then: impl Fn(&mut Tls) -> io::Result<()> + Send + Sync + 'static,
) -> u16 {
    listen(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        then(&mut stream)
    })
}

fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A client that goes away is what most of this is for.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    port
}

/// Answers one request with `ok`.
fn answer(stream: &mut Tls) -> io::Result<()> {
    let mut request = [0; 4096];
    // What is asked does not matter, and a request of a probe comes in one piece.
    let _ = stream.read(&mut request)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Reads and forgets until the client leaves.
fn wait_for_end(stream: &TcpStream) -> io::Result<()> {
    io::copy(&mut &*stream, &mut io::sink()).map(drop)
}

fn now_tree() -> MemoryTree {
    tree(SEED, now())
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(i64::try_from(now.as_secs()).unwrap_or_default())
}

/// Any will do: hostile servers may share keys.
const SEED: u64 = 666;

/// The length of a chain is written in three bytes.
const LONGEST_CHAIN: usize = 16_000_000;
