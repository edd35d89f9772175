//! One thread's work on one piece of the input.

use std::io::ErrorKind;
use std::mem;

use kubecerts_core::issue::bulk::{Batch, BulkError};
use kubecerts_core::issue::sign::{NotIssued, SigningNote, SigningRefusal, prove_issued};
use kubecerts_core::issue::{KeyReply, KeyRequest, KeySource, Signer};
use kubecerts_core::provider::Buffered;
use kubecerts_core::x509::{KeyAlgorithm, PrivateKey, Verifier, decode_blocks};

use super::directory::read_small;
use super::input::parse_line;
use super::issuer::PIECE;
use super::{
    BulkIssuer, BulkRequest, Content, Issued, Made, OnError, Outcome, Prior, Refusal, Sink, Stopped,
};
use crate::{SystemEntropy, is_there};

/// What a thread has of its own.
pub(super) struct Worker<'a, S: ?Sized, K> {
    issuer: &'a BulkIssuer<'a>,
    batch: Batch<'a>,
    serials: Buffered<SystemEntropy>,
    keys: Option<Box<dyn KeySource>>,
    signer: &'a S,
    verifier: &'a (dyn Verifier + Send + Sync),
    sink: &'a K,
}

/// A piece that waits for its turn.
pub(super) struct Finished<P> {
    pub(super) prepared: P,
    pub(super) requests: u64,
    pub(super) issued: u64,
    pub(super) before: u64,
    pub(super) refused: Vec<(u64, Option<String>, Refusal)>,
    pub(super) notes: Vec<(u64, SigningNote)>,
    /// Whether the run ends with it.
    pub(super) is_end: bool,
}

/// What became of a request, before anything was signed.
enum Fate {
    Added { key: Option<PrivateKey>, notes: Vec<SigningNote> },
    Before,
    Refused(Refusal),
}

impl<'a, S: Signer + Sync + ?Sized, K: Sink> Worker<'a, S, K> {
    pub(super) fn new(
        issuer: &'a BulkIssuer<'a>,
        signer: &'a S,
        verifier: &'a (dyn Verifier + Send + Sync),
        sink: &'a K,
    ) -> Result<Self, SigningRefusal> {
        let batch = Batch::new(issuer.authority, issuer.terms)?;
        let serials = Buffered::new(SystemEntropy::new());
        Ok(Self { issuer, batch, serials, keys: None, signer, verifier, sink })
    }

    pub(super) fn process(&mut self, requests: &mut [BulkRequest]) -> Result<Finished<K::Prepared>, Stopped> {
        self.batch.clear();
        let mut keys = self.generate(requests)?.into_iter();
        let mut fates = Vec::with_capacity(requests.len());
        let mut is_end = false;
        for request in requests.iter_mut() {
            let fate = self.decide(request, &mut keys)?;
            is_end = matches!(fate, Fate::Refused(_)) && self.issuer.on_error == OnError::Stop;
            fates.push(fate);
            if is_end {
                break;
            }
        }
        if !self.batch.is_empty() {
            self.batch.issue(self.signer, self.verifier, self.issuer.verification)?;
        }
        let mut certificates = self.batch.certificates();
        let outcomes: Vec<Outcome<'_>> = requests
            .iter()
            .zip(&fates)
            .map(|(request, fate)| Outcome {
                position: request.position,
                name: request.name.as_deref(),
                made: match fate {
                    Fate::Added { key, notes } => Ok(Made::Now(Issued {
                        certificate: certificates.next().expect("there is one for each that was added"),
                        key: key.as_ref(),
                        notes,
                    })),
                    Fate::Before => Ok(Made::Before),
                    Fate::Refused(refusal) => Err(refusal),
                },
            })
            .collect();
        let prepared = self.sink.prepare(&outcomes)?;
        drop(outcomes);
        let (refused, notes) = (Vec::new(), Vec::new());
        let mut finished = Finished { prepared, requests: 0, issued: 0, before: 0, refused, notes, is_end };
        for (request, fate) in requests.iter_mut().zip(fates) {
            finished.requests += 1;
            match fate {
                Fate::Added { notes, .. } => {
                    finished.issued += 1;
                    finished.notes.extend(notes.into_iter().map(|note| (request.position, note)));
                }
                Fate::Before => finished.before += 1,
                Fate::Refused(refusal) => {
                    finished.refused.push((request.position, request.name.take(), refusal));
                }
            }
        }
        Ok(finished)
    }

    /// Makes the keys that the requests wait for, all at once.
    fn generate(&mut self, requests: &[BulkRequest]) -> Result<Vec<KeyReply>, Stopped> {
        let slot = self.issuer.terms.profile.slot();
        let mut first = None;
        let mut wanted = Vec::new();
        for request in requests {
            if let Content::NewKey { algorithm, .. } = &request.content {
                first.get_or_insert(request.position);
                wanted.push(KeyRequest::new(slot, *algorithm));
            }
        }
        let Some(position) = first else { return Ok(Vec::new()) };
        let source = self.keys.get_or_insert_with(self.issuer.keys);
        let keys = source.generate(&wanted).map_err(|source| Stopped::Key { position, source })?;
        if keys.len() != wanted.len() {
            let reason = format!("{} keys were asked for and {} made", wanted.len(), keys.len());
            return Err(Stopped::Key {
                position,
                source: kubecerts_core::provider::ProviderError::new(reason),
            });
        }
        Ok(keys)
    }

    fn decide(
        &mut self,
        request: &mut BulkRequest,
        keys: &mut impl Iterator<Item = KeyReply>,
    ) -> Result<Fate, Stopped> {
        let name = &mut request.name;
        let bytes = match mem::replace(&mut request.content, Content::Broken(String::new())) {
            Content::Request(bytes) => bytes,
            Content::Line(line) => match parse_line(&line) {
                Ok((bytes, told)) => {
                    *name = told.or_else(|| name.take());
                    bytes
                }
                Err(reason) => return self.refused(request, Refusal::Unreadable(reason)),
            },
            Content::File(file) => match read_small(&file) {
                Ok(bytes) => bytes,
                Err(error) => return self.refused(request, Refusal::Unreadable(error.to_string())),
            },
            Content::Broken(reason) => return self.refused(request, Refusal::Unreadable(reason)),
            Content::Key { subject, names, key } => {
                let added = self.batch.add_key(&subject, &names, &key, &mut self.serials);
                return added_or_refused(added.map(|()| (None, Vec::new())));
            }
            Content::NewKey { subject, names, .. } => {
                let key = keys.next().expect("they were counted").into_private_key();
                let added = self.batch.add_key(&subject, &names, &key.public_key(), &mut self.serials);
                return added_or_refused(added.map(|()| (Some(key), Vec::new())));
            }
        };
        match mem::take(&mut request.prior) {
            Prior::None => {}
            Prior::Certificate(der) => {
                let foreign = |reason: NotIssued| Stopped::Foreign {
                    position: request.position,
                    reason: reason.to_string(),
                };
                return self.prove(&der, &bytes).map(|()| Fate::Before).map_err(foreign);
            }
            Prior::Refused => {
                return match added_or_refused(self.add(&bytes))? {
                    Fate::Refused(refusal) => Ok(Fate::Refused(refusal)),
                    _ => Err(Stopped::Foreign {
                        position: request.position,
                        reason: "it has no certificate there, and the next ones do".to_owned(),
                    }),
                };
            }
            Prior::File(file) => match read_small(&file) {
                Ok(pem) => {
                    let der = sole_certificate(&pem);
                    let proof = der.ok_or(None).and_then(|der| self.prove(&der, &bytes).map_err(Some));
                    return Ok(match proof {
                        Ok(()) => Fate::Before,
                        Err(Some(reason)) => Fate::Refused(Refusal::Occupied { file, reason: Some(reason) }),
                        Err(None) => {
                            let reason = kubecerts_core::x509::Damage::Nothing("certificate in PEM");
                            let reason = Some(NotIssued::Damaged(reason));
                            Fate::Refused(Refusal::Occupied { file, reason })
                        }
                    });
                }
                // A link that leads nowhere is in the way all the same.
                Err(error) if error.kind() == ErrorKind::NotFound && !is_there(&file) => {}
                Err(_) => return Ok(Fate::Refused(Refusal::Occupied { file, reason: None })),
            },
        }
        added_or_refused(self.add(&bytes))
    }

    fn add(&mut self, request: &[u8]) -> Result<(Option<PrivateKey>, Vec<SigningNote>), BulkError> {
        self.batch.add_request(request, &mut self.serials).map(|notes| (None, notes))
    }

    /// Something that is no request cannot have a certificate either.
    fn refused(&self, request: &BulkRequest, refusal: Refusal) -> Result<Fate, Stopped> {
        match request.prior {
            Prior::Certificate(_) => {
                Err(Stopped::Foreign { position: request.position, reason: refusal.to_string() })
            }
            _ => Ok(Fate::Refused(refusal)),
        }
    }

    fn prove(&self, certificate: &[u8], request: &[u8]) -> Result<(), NotIssued> {
        let BulkIssuer { authority, terms, .. } = self.issuer;
        prove_issued(certificate, request, terms.profile, authority, self.verifier, terms.now)
    }
}

fn added_or_refused(
    added: Result<(Option<PrivateKey>, Vec<SigningNote>), BulkError>,
) -> Result<Fate, Stopped> {
    match added {
        Ok((key, notes)) => Ok(Fate::Added { key, notes }),
        Err(BulkError::Refused(refusal)) => Ok(Fate::Refused(Refusal::Rules(refusal))),
        Err(BulkError::Failed(error)) => Err(error.into()),
    }
}

/// Returns the certificate in `pem`, if it holds exactly that.
fn sole_certificate(pem: &[u8]) -> Option<Vec<u8>> {
    let mut blocks = decode_blocks(pem).into_iter();
    let block = blocks.next()?.ok()?;
    (blocks.next().is_none() && block.label() == "CERTIFICATE").then(|| block.secret_bytes().to_vec())
}

impl Content {
    /// Returns how much of a piece it fills: keys take long, and large requests much room.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::NewKey { algorithm: KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384, .. } => 1,
            Self::NewKey { .. } => PIECE / 4,
            Self::Request(bytes) | Self::Line(bytes) => 1 + bytes.len() / LARGE,
            Self::File(_) | Self::Key { .. } | Self::Broken(_) => 1,
        }
    }
}

/// A request of this size, in bytes, counts twice. The usual ones have half a kibibyte to two.
const LARGE: usize = 4096;
