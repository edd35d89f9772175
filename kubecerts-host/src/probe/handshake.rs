//! Which certificate a server shows.

use std::time::Duration;

use kubecerts_core::observation::{Handshake, Served};
use kubecerts_core::snapshot::Endpoint;
use kubecerts_core::x509::Certificate;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::connection::{Notes, Witness, block_on, complaint, connect, secure};
use super::line::line;

/// Returns which certificate is served at `endpoint`, which speaks TLS 1.2 or 1.3.
///
/// Whatever the certificate is like: expired, self-signed, of another name, or not even readable. What counts is that it
/// was shown; a server that then demands a client certificate, or breaks off, has shown it all the same. An address is
/// not sent as a name, a name is.
///
/// `deadline` is for all of it, from the look-up of the name to the last message. More than 64 KiB of certificates are not
/// read.
///
/// ```no_run
/// use std::time::Duration;
///
/// use kubecerts_core::catalog::Service;
/// use kubecerts_core::snapshot::Endpoint;
/// use kubecerts_host::probe::handshake;
///
/// let seen = handshake(&Endpoint::new(Service::ApiServer, "127.0.0.1", 6443), Duration::from_secs(5));
/// if let Some(served) = seen.served() {
///     assert!(served.has_key);
/// }
/// ```
///
/// # Panics
/// When it is called within an asynchronous runtime: it blocks.
#[must_use]
pub fn handshake(endpoint: &Endpoint, deadline: Duration) -> Handshake {
    block_on(shake(endpoint, deadline))
        .unwrap_or_else(|error| Handshake::Broken(format!("cannot be asked: no event loop: {error}")))
}

/// Returns what [`handshake`] does.
pub(super) async fn shake(endpoint: &Endpoint, deadline: Duration) -> Handshake {
    let end = Instant::now() + deadline;
    let stream = match timeout_at(end, connect(endpoint)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Handshake::Down(line(&error.to_string())),
        Err(_) => return Handshake::Down(format!("no connection within {deadline:?}")),
    };
    let witness = Witness::new();
    let done = timeout_at(end, secure(endpoint, stream, &witness, None)).await;
    let Notes { leaf, further, has_key, asks_for_client } = witness.notes();
    if let Some(leaf) = leaf {
        if let Ok(Ok(mut stream)) = done {
            // A connection that is closed properly is no error in the server's log.
            let _ = timeout_at(end, stream.shutdown()).await;
        }
        let mut served = Served::new(Certificate::parse_der(&leaf), further);
        (served.has_key, served.asks_for_client) = (has_key, asks_for_client);
        return Handshake::Served(served);
    }
    match done {
        Err(_) => Handshake::Silent,
        Ok(Err(error)) => Handshake::Broken(line(&complaint(&error))),
        Ok(Ok(_)) => Handshake::Broken("shows no certificate".to_owned()),
    }
}
