//! Many certificates of one authority: a stream of requests in, a stream of certificates out.
//!
//! [`BulkIssuer::run`] takes requests from an iterator, in pieces of up to 256, on as many threads as it was given. Each thread has a
//! [`Batch`](kubecerts_core::issue::bulk::Batch) and serial numbers of its own; the signer and the verifier are shared. Certificates
//! leave in the order of the requests, whatever thread made them, through a [`Sink`]. No more than three pieces a thread are in memory
//! at any time, however long the streams are.
//!
//! Where requests come from: [`requests_of`] reads PEM or JSON lines, [`requests_in`] a directory; [`of_shard`] leaves out what is not
//! this process's. Where certificates go: [`StreamSink`], [`DirectorySink`]. What a run that was killed left is taken over by
//! [`Leftover`] and, of files of their own, by [`DirectorySink::claim`].

mod chunk;
mod directory;
mod input;
mod issuer;
mod output;
mod request;
mod resume;

pub use directory::{CertificateDirectory, DirectorySink, NewFiles, RequestDirectory, requests_in};
pub use input::{InputError, Requests, of_shard, requests_of};
pub use issuer::{BulkIssuer, End, KeySources, Progress, Stopped, Totals};
pub use output::{OutputFile, StreamForm, StreamSink};
pub use request::{BulkRequest, Content, Issued, Made, Outcome, Prior, Refusal, Sink};
pub use resume::{Leftover, ResumeError};

pub use crate::cancel::{Cancel, UntilCancelled};
pub use crate::shard::{InvalidShard, OnError, Shard};
