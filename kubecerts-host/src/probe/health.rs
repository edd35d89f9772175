//! What a program says of its own health.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kubecerts_core::observation::Health;
use kubecerts_core::snapshot::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::client::ResolvesClientCert;

use super::ClientIdentity;
use super::connection::{Witness, block_on, chain, complaint, connect, secure};
use super::line::line;

/// Returns what `endpoint` answers at `path` over HTTP/1.1, with TLS where the service has it.
///
/// This is a probe of life: the certificate of the server is not verified, because an expired one is a finding of its own
/// and does not make a program less alive. So nothing secret is sent, not even a token: `identity`, if there is one, is
/// shown to a server that asks for it, which proves who asks without giving anything away.
///
/// `deadline` is for all of it. Of an answer at most 16 KiB of headers and 8 KiB of text are read, and of what a well
/// program says nothing at all.
///
/// # Panics
/// When it is called within an asynchronous runtime: it blocks.
#[must_use]
pub fn health(
    endpoint: &Endpoint,
    path: &str,
    identity: Option<&ClientIdentity>,
    deadline: Duration,
) -> Health {
    block_on(ask(endpoint, path, identity.map(ClientIdentity::resolver), deadline))
        .unwrap_or_else(|error| Health::Silent(format!("cannot be asked: no event loop: {error}")))
}

/// Returns what [`health`] does.
pub(super) async fn ask(
    endpoint: &Endpoint,
    path: &str,
    client: Option<Arc<dyn ResolvesClientCert>>,
    deadline: Duration,
) -> Health {
    let end = Instant::now() + deadline;
    // Keeps the connection going, and ends it when it is dropped.
    let mut driver = JoinSet::new();
    match timeout_at(end, request(endpoint, path, client, &mut driver)).await {
        Ok(Ok(answer)) => judge(answer, end).await,
        Ok(Err(reason)) => Health::Silent(line(&reason)),
        Err(_) => Health::Silent(format!("no answer within {deadline:?}")),
    }
}

/// Sends the request and returns the head of the answer.
async fn request(
    endpoint: &Endpoint,
    path: &str,
    client: Option<Arc<dyn ResolvesClientCert>>,
    driver: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String> {
    let request = Request::get(path)
        .header(HOST, endpoint.to_string())
        .header(USER_AGENT, concat!("kubecerts/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| format!("{path:?} cannot be asked for: {error}"))?;
    let stream = connect(endpoint).await.map_err(|error| error.to_string())?;
    if endpoint.service.is_secure() {
        let stream = secure(endpoint, stream, &Witness::new(), client).await;
        send(request, stream.map_err(|error| complaint(&error))?, driver).await
    } else {
        send(request, stream, driver).await
    }
}

async fn send(
    request: Request<Empty<Bytes>>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    driver: &mut JoinSet<()>,
) -> Result<Response<Incoming>, String> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEADERS_LIMIT);
    let (mut requests, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    driver.spawn(async {
        // Whoever waits for the answer hears of it too.
        let _ = connection.await;
    });
    requests.send_request(request).await.map_err(|error| chain(&error))
}

/// Returns what an answer means, having read as much of its text by `end` as is needed for that.
async fn judge(answer: Response<Incoming>, end: Instant) -> Health {
    match answer.status() {
        StatusCode::OK => Health::Well,
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Health::Reserved(status.as_u16()),
        status => {
            let mut text = Vec::new();
            let mut body = answer.into_body();
            // What comes too late, or breaks off, leaves what is there.
            while let Ok(Some(Ok(frame))) = timeout_at(end, body.frame()).await {
                let part = frame.into_data().unwrap_or_default();
                text.extend_from_slice(&part[..part.len().min(TEXT_LIMIT - text.len())]);
                if text.len() == TEXT_LIMIT {
                    break;
                }
            }
            match gist(&String::from_utf8_lossy(&text)) {
                gist if gist.is_empty() => Health::Unwell(status.as_u16().to_string()),
                gist => Health::Unwell(format!("{}: {gist}", status.as_u16())),
            }
        }
    }
}

/// Returns what matters of `text` in one line: the checks that failed, in the words of the API server, else the first line.
fn gist(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    // `[+]ping ok` comes before `[-]etcd failed: reason withheld` (`apiserver/pkg/server/healthz/healthz.go`).
    let failed: Vec<&str> = lines().filter(|line| line.starts_with("[-]")).collect();
    if failed.is_empty() { line(lines().next().unwrap_or_default()) } else { line(&failed.join(", ")) }
}

/// In bytes; 8 KiB is the least that hyper takes.
const HEADERS_LIMIT: usize = 16 << 10;
/// In bytes; the API server's list of failed checks has less than 4 KiB.
const TEXT_LIMIT: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gist_is_what_failed_or_the_first_line() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]x failed: y\nreadyz check failed\n";
        assert_eq!(gist(text), "[-]etcd failed: reason withheld, [-]x failed: y");
        assert_eq!(gist("\n internal error\x07\nmore"), "internal error\\u{7}");
        assert_eq!(gist(""), "");
    }
}
