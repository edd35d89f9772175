//! What a run that was killed left in a file of certificates.
//!
//! The file is read beside the requests. Each certificate in it has to be the one of a request, in the order of the requests; whether
//! it is right is judged where the others are made. The last one may be cut off.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::iter::Fuse;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kubecerts_core::issue::sign::{SigningProfile, is_refused};
use kubecerts_core::x509::{Certificate, CertificateRequest, decode_blocks};
use serde::Deserialize;

use super::directory::read_small;
use super::input::{LARGEST, json_problem, parse_line};
use super::output::{KeptPart, StreamForm};
use super::{BulkRequest, Content, InputError, OutputFile, Prior};

/// The certificates that a run before this one left.
#[derive(Debug)]
pub struct Leftover {
    input: BufReader<Positioned>,
    form: StreamForm,
    profile: SigningProfile,
    kept: Arc<KeptPart>,
    /// Where the next certificate ends.
    read: u64,
    next: Option<Kept>,
    is_over: bool,
}

/// A certificate that was read.
#[derive(Debug)]
struct Kept {
    der: Vec<u8>,
    certificate: Certificate,
    /// The place of its request, where the form says so.
    position: Option<u64>,
}

impl Kept {
    fn is_for(&self, asked: &[u8]) -> bool {
        let subject = self.certificate.subject().as_der();
        asked.strip_prefix(subject).is_some_and(|key| key == self.certificate.public_key().as_der())
    }
}

impl Leftover {
    /// Reads `file`, which is to hold certificates in `form` for what `profile` says.
    ///
    /// # Errors
    /// The reason when the file cannot be read.
    pub fn of(file: &OutputFile, form: StreamForm, profile: SigningProfile) -> io::Result<Self> {
        let (file, kept) = file.reader()?;
        let input = BufReader::with_capacity(LARGEST, Positioned { file, at: 0 });
        Ok(Self { input, form, profile, kept, read: 0, next: None, is_over: false })
    }

    /// Tells each of `requests` what was made of it.
    ///
    /// PEM does not say of which request a certificate is: it is that of the next one with its subject and its key, unless this one is
    /// refused and one of the 255 after it has them too. A request without a certificate among others that have theirs was refused.
    pub fn beside<I>(mut self, requests: I) -> impl Iterator<Item = Result<BulkRequest, InputError>> + use<I>
    where
        I: Iterator<Item = Result<BulkRequest, InputError>>,
    {
        let mut ahead = Ahead { requests: requests.fuse(), window: VecDeque::new() };
        let mut has_failed = false;
        std::iter::from_fn(move || {
            if has_failed {
                return None;
            }
            let paired = self.next_paired(&mut ahead);
            has_failed = !matches!(paired, Ok(Some(_)));
            paired.transpose()
        })
    }

    fn next_paired<I>(&mut self, ahead: &mut Ahead<I>) -> Result<Option<BulkRequest>, InputError>
    where
        I: Iterator<Item = Result<BulkRequest, InputError>>,
    {
        self.fill()?;
        if self.next.as_ref().is_some_and(|kept| kept.position.is_none()) {
            ahead.fill();
        }
        match ahead.next() {
            Some(Ok(seen)) => self.pair(seen, ahead).map(Some),
            Some(Err(error)) => Err(error),
            None => self.end().map(|()| None),
        }
    }

    fn pair<I>(&mut self, seen: Seen, ahead: &Ahead<I>) -> Result<BulkRequest, InputError>
    where
        I: Iterator<Item = Result<BulkRequest, InputError>>,
    {
        let Seen { mut request, asked } = seen;
        let Some(kept) = &self.next else { return Ok(request) };
        let is_own = match kept.position {
            Some(position) if position < request.position => {
                return Err(ResumeError::Position { position }.into());
            }
            Some(position) => position == request.position,
            None => match (&request.content, &asked) {
                (Content::Request(bytes), Some(asked)) if kept.is_for(asked) => {
                    // To look at a request as a whole takes as long as to sign it, and is done only where it matters.
                    !(ahead.has(asked) && is_refused(bytes, self.profile))
                }
                _ => false,
            },
        };
        if !is_own {
            request.prior = Prior::Refused;
            return Ok(request);
        }
        request.prior = self.next.take().map_or(Prior::None, |kept| Prior::Certificate(kept.der));
        self.kept.end.store(self.read, Ordering::Relaxed);
        Ok(request)
    }

    fn end(&mut self) -> Result<(), InputError> {
        self.fill()?;
        match &self.next {
            Some(kept) => {
                let subject = kept.certificate.subject().to_string();
                Err(ResumeError::NoRequest { subject, offset: self.kept.end.load(Ordering::Relaxed) }.into())
            }
            None => Ok(()),
        }
    }

    /// Reads the next certificate, unless it was read or there is none.
    fn fill(&mut self) -> Result<(), InputError> {
        if self.next.is_some() || self.is_over {
            return Ok(());
        }
        let offset = self.read;
        let foreign = |reason: String| InputError::from(ResumeError::Foreign { offset, reason });
        let text = match self.form {
            StreamForm::Pem => self.read_block()?,
            StreamForm::JsonLines => self.read_line()?,
        };
        let Some(text) = text else {
            self.is_over = true;
            self.check_tail(offset)?;
            self.kept.is_whole.store(true, Ordering::Relaxed);
            return Ok(());
        };
        let (pem, position) = match self.form {
            StreamForm::Pem => (text, None),
            StreamForm::JsonLines => {
                let Line { position, name: _, certificate } =
                    serde_json::from_slice(&text).map_err(|error| foreign(json_problem(&error)))?;
                (certificate.into_bytes(), Some(position))
            }
        };
        let block = decode_blocks(&pem).into_iter().next();
        let block = block.ok_or_else(|| foreign("it is no PEM".to_owned()))?;
        let block = block.map_err(|damage| foreign(damage.to_string()))?;
        let der = block.secret_bytes().to_vec();
        let certificate = Certificate::parse_der(&der).map_err(|damage| foreign(damage.to_string()))?;
        self.next = Some(Kept { der, certificate, position });
        Ok(())
    }

    /// Reads a whole block, and nothing else.
    fn read_block(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let mut block = Vec::new();
        loop {
            let before = block.len();
            self.take_line(&mut block)?;
            let line = &block[before..];
            if !line.ends_with(b"\n") || (before == 0 && line != BEGIN) || block.len() > LARGEST {
                return Ok(None);
            }
            if line == END {
                self.read += block.len() as u64;
                return Ok(Some(block));
            }
        }
    }

    fn read_line(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let mut line = Vec::new();
        self.take_line(&mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(None);
        }
        self.read += line.len() as u64;
        Ok(Some(line))
    }

    fn take_line(&mut self, into: &mut Vec<u8>) -> Result<(), InputError> {
        let read = self.input.by_ref().take(LARGEST as u64).read_until(b'\n', into);
        read.map(drop).map_err(|error| InputError::read(&error))
    }

    /// Refuses a tail that is not what a certificate begins with. A machine that lost power may have left zeros behind it.
    fn check_tail(&mut self, offset: u64) -> Result<(), InputError> {
        let file = &mut self.input.get_mut().file;
        let failed = |error: io::Error| InputError::read(&error);
        let mut tail = Vec::new();
        Positioned { file: file.try_clone().map_err(failed)?, at: offset }
            .take(LARGEST as u64)
            .read_to_end(&mut tail)
            .map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len() - offset;
        let text = tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len());
        let begin = match self.form {
            StreamForm::Pem => BEGIN,
            StreamForm::JsonLines => LINE_BEGIN,
        };
        let common = text.min(begin.len());
        let is_start = tail[..common] == begin[..common];
        let rest = &tail[common..text];
        let is_text = match self.form {
            StreamForm::Pem => is_cut_block(rest),
            StreamForm::JsonLines => !rest.contains(&b'\n'),
        };
        let is_over = length == tail.len() as u64 || self.is_zero(offset + text as u64).map_err(failed)?;
        let zeros = tail[text..].iter().all(|byte| *byte == 0);
        if is_start && is_text && is_over && zeros {
            return Ok(());
        }
        let reason = "it is neither a certificate nor the beginning of one".to_owned();
        Err(ResumeError::Foreign { offset, reason }.into())
    }

    /// Returns whether there are only zeros from `at` on.
    fn is_zero(&mut self, at: u64) -> io::Result<bool> {
        let mut reader = Positioned { file: self.input.get_ref().file.try_clone()?, at };
        let mut buffer = vec![0; LARGEST];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(true),
                read if buffer[..read].iter().any(|byte| *byte != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}

/// Returns whether `rest` is base64 and, at its end, the beginning of the last line.
fn is_cut_block(rest: &[u8]) -> bool {
    let dashes = rest.iter().position(|byte| *byte == b'-').unwrap_or(rest.len());
    let (digits, end) = rest.split_at(dashes);
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\n".contains(byte);
    digits.iter().all(is_digit) && END.starts_with(end) && end != END
}

/// A request, and whose certificate for which key it asks for, where that was looked at.
struct Seen {
    request: BulkRequest,
    asked: Option<Vec<u8>>,
}

/// The requests, of which some are read before it is their turn.
struct Ahead<I: Iterator> {
    requests: Fuse<I>,
    window: VecDeque<Result<Seen, InputError>>,
}

impl<I: Iterator<Item = Result<BulkRequest, InputError>>> Ahead<I> {
    /// Looks at as many requests as are kept at a time.
    fn fill(&mut self) {
        while self.window.len() < AHEAD && !matches!(self.window.back(), Some(Err(_))) {
            let Some(request) = self.requests.next() else { return };
            self.window.push_back(request.map(|mut request| {
                read_content(&mut request);
                let asked = match &request.content {
                    Content::Request(bytes) => CertificateRequest::subject_and_key(bytes),
                    _ => None,
                };
                Seen { request, asked }
            }));
        }
    }

    fn next(&mut self) -> Option<Result<Seen, InputError>> {
        let new = |request: Result<_, _>| request.map(|request| Seen { request, asked: None });
        self.window.pop_front().or_else(|| self.requests.next().map(new))
    }

    /// Returns whether another request that was looked at asks for the same.
    fn has(&self, asked: &[u8]) -> bool {
        self.window.iter().flatten().any(|seen| seen.asked.as_deref() == Some(asked))
    }
}

/// Replaces a line of JSON or a file by the request in it, where there is one.
fn read_content(request: &mut BulkRequest) {
    match &request.content {
        Content::Line(line) => {
            if let Ok((bytes, name)) = parse_line(line) {
                request.content = Content::Request(bytes);
                request.name = name;
            }
        }
        Content::File(path) => {
            if let Ok(bytes) = read_small(path) {
                request.content = Content::Request(bytes);
            }
        }
        _ => {}
    }
}

#[derive(Deserialize)]
struct Line {
    position: u64,
    #[serde(rename = "name")]
    #[expect(dead_code, reason = "it is the request that has a name")]
    name: Option<String>,
    certificate: String,
}

/// Reads a file from a place of its own, which nobody who writes to it moves.
#[derive(Debug)]
struct Positioned {
    file: std::fs::File,
    at: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Why what a run before this one left cannot be added to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// It is not what such a run writes.
    #[error("what is there already is no output of these requests: at byte {offset}: {reason}")]
    Foreign {
        /// Where it is not.
        offset: u64,
        /// What is there.
        reason: String,
    },
    /// A certificate is for a request that is not among these.
    #[error(
        "what is there already is no output of these requests: request {position} is not among them, or not in this order"
    )]
    Position {
        /// The place of the request.
        position: u64,
    },
    /// There are certificates for which there is no request.
    #[error(
        "what is there already is no output of these requests: none is left for {subject} at byte {offset}"
    )]
    NoRequest {
        /// Whose certificate is left over.
        subject: String,
        /// Where it begins.
        offset: u64,
    },
}

/// So many requests are looked at before it is their turn: a piece of the run, some 200 KiB.
const AHEAD: usize = 256;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----\n";
const END: &[u8] = b"-----END CERTIFICATE-----\n";
const LINE_BEGIN: &[u8] = b"{\"position\":";
