//! One request of HTTP/1.1 over one fresh connection, in bounded time and memory.

use std::error::Error;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;

/// An answer, whatever it says.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// There is no connection, or it broke.
    Broken(String),
    /// It takes too long.
    Late,
}

/// Sends `method path` over what `connect` connects to and returns the answer, with a body of at most `limit` bytes.
///
/// `deadline` bounds all of it. A connection is never used twice, so that none has to be found broken.
pub(super) fn exchange<S>(
    method: Method,
    path: &str,
    limit: usize,
    deadline: Duration,
    connect: impl Future<Output = io::Result<S>>,
) -> Result<Answer, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: &(dyn Error + 'static)| NoAnswer::Broken(reasons(error));
    let request = Request::builder()
        .method(method)
        .uri(path)
        // The name is no matter on a socket, but HTTP/1.1 wants one.
        .header(HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| broken(&error))?;
    let exchanged = async {
        let stream = connect.await.map_err(|error| broken(&error))?;
        let (mut requests, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // It ends with the runtime, which ends with this exchange.
        tokio::spawn(driver);
        let answer = requests.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), limit).collect().await;
        let body = body.map_err(|error| NoAnswer::Broken(format!("its answer cannot be read: {error}")))?;
        Ok(Answer { status, body: body.to_bytes() })
    };
    let answer = runtime
        .block_on(async { tokio::time::timeout(deadline, exchanged).await })
        .unwrap_or(Err(NoAnswer::Late));
    runtime.shutdown_background();
    answer
}

/// Returns the messages of `error` and all its causes: hyper's own tell only what it was doing.
fn reasons(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
