//! A stream that remembers why it broke.
//!
//! HTTP/2 tells a call that its connection is gone, and not why. Why matters here: with TLS 1.3 a member refuses a client
//! certificate after the client's handshake is over, by an alert in place of the first answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where an [`Observed`] stream leaves the kind and the text of its first error.
pub(super) type Fault = Arc<OnceLock<(io::ErrorKind, String)>>;

/// `S`, whose first error goes to a [`Fault`] too.
pub(super) struct Observed<S> {
    stream: S,
    fault: Fault,
    /// Set once writing has failed, after which there is nothing to do but to read what the other side said before.
    unwritable: Option<io::Error>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Observed<S> {
    pub(super) const fn new(stream: S, fault: Fault) -> Self {
        Self { stream, fault, unwritable: None }
    }

    fn read(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, into));
        Poll::Ready(result.inspect_err(|error| self.note(error)))
    }

    /// Returns the error of a stream that cannot be written to: the alert before the connection was reset, if there is one.
    fn last_words(&mut self, context: &mut Context<'_>, error: io::Error) -> Poll<io::Error> {
        let mut scratch = [0; 512];
        let mut scratch = ReadBuf::new(&mut scratch);
        loop {
            scratch.clear();
            match self.read(context, &mut scratch) {
                Poll::Pending => {
                    self.unwritable = Some(error);
                    return Poll::Pending;
                }
                Poll::Ready(Err(said)) => return Poll::Ready(said),
                Poll::Ready(Ok(())) if scratch.filled().is_empty() => {
                    self.note(&error);
                    return Poll::Ready(error);
                }
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    fn write<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let error = match self.unwritable.take() {
            Some(error) => error,
            None => match ready!(write(Pin::new(&mut self.stream), context)) {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(error) => error,
            },
        };
        self.last_words(context, error).map(Err)
    }

    fn note(&self, error: &io::Error) {
        // Only the first error is the cause.
        let _ = self.fault.set((error.kind(), error.to_string()));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().read(context, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
