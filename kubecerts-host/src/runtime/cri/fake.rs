//! A container runtime that answers as a script says.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tonic::Code;

/// What a call is answered with.
pub(super) enum Reply {
    /// A message of gRPC.
    Message(Vec<u8>),
    /// An error of gRPC; its text is percent-encoded.
    Error(Code, &'static str),
    /// A page of HTTP, without gRPC.
    Page(u16),
    /// Nothing, ever.
    Silence,
}

impl Reply {
    pub(super) fn of(message: &impl Message) -> Self {
        Self::Message(message.encode_to_vec())
    }
}

type Script = Arc<dyn Fn(&str, &[u8]) -> Reply + Send + Sync>;

/// A running server, which is over when it is dropped.
pub(super) struct Fake {
    directory: TempDir,
    calls: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Starts a server whose answer to a call is that of `script` to its path and its message.
    pub(super) fn start(script: impl Fn(&str, &[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("cri.sock");
        let (calls, is_over) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (noted, ended) = (Arc::clone(&calls), Arc::clone(&is_over));
        let script: Script = Arc::new(move |path, message| {
            noted.lock().unwrap().push(path.rsplit('/').next().unwrap().to_owned());
            script(path, message)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(socket) }).unwrap();
        let serving = async move {
            while !ended.load(Ordering::SeqCst) {
                let (stream, _) = listener.accept().await.unwrap();
                let script = Arc::clone(&script);
                let serve = service_fn(move |request| answer(Arc::clone(&script), request));
                let server = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), serve));
            }
        };
        let thread = Some(std::thread::spawn(move || runtime.block_on(serving)));
        Self { directory, calls, is_over, thread }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("unix://{}/cri.sock", self.directory.path().display())
    }

    /// Returns the names of the calls since it was asked last.
    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // It waits for a connection.
        let woken = UnixStream::connect(self.directory.path().join("cri.sock"));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

async fn answer(
    script: Script,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    // One byte says whether the message is compressed, four its length.
    let (message, code, text) = match script(&path, &body[5..]) {
        Reply::Message(message) => (Some(message), Code::Ok, ""),
        Reply::Error(code, text) => (None, code, text),
        Reply::Page(status) => {
            let page = Full::new(Bytes::from_static(b"not found")).boxed();
            return Ok(Response::builder().status(status).body(page).unwrap());
        }
        Reply::Silence => pending().await,
    };
    let framed = message.map_or_else(Vec::new, |message| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], length.as_slice(), &message].concat()
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(i32::from(code)));
    trailers.insert("grpc-message", HeaderValue::from_static(text));
    let body = Full::new(Bytes::from(framed)).with_trailers(ready(Some(Ok(trailers)))).boxed();
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}
