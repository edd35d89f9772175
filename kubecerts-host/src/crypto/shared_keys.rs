//! One source of keys for several who ask.

use std::fmt;
use std::sync::Arc;

use kubecerts_core::issue::{KeyReply, KeyRequest, KeySource};
use kubecerts_core::provider::ProviderError;

use super::KeyMaker;

/// A source of keys that all its clones share, such as a [`KeyPool`](super::KeyPool) for the threads of a
/// [`BulkIssuer`](crate::bulk::BulkIssuer).
///
/// A [`KeySource`] belongs to whoever asks it; a [`KeyMaker`] may be asked by many. This makes of one as many of the other as there
/// are clones.
pub struct SharedKeys<M: ?Sized>(Arc<M>);

impl<M> SharedKeys<M> {
    /// Returns the first to share `maker`.
    #[must_use]
    pub fn new(maker: M) -> Self {
        Self(Arc::new(maker))
    }
}

impl<M: ?Sized> From<Arc<M>> for SharedKeys<M> {
    fn from(maker: Arc<M>) -> Self {
        Self(maker)
    }
}

impl<M: ?Sized> Clone for SharedKeys<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: KeyMaker + ?Sized> KeyMaker for SharedKeys<M> {
    fn make(&self, request: &KeyRequest) -> Result<KeyReply, ProviderError> {
        self.0.make(request)
    }
}

impl<M: KeyMaker + ?Sized> KeySource for SharedKeys<M> {
    fn generate(&mut self, requests: &[KeyRequest]) -> Result<Vec<KeyReply>, ProviderError> {
        requests.iter().map(|request| self.make(request)).collect()
    }
}

impl<M: fmt::Debug + ?Sized> fmt::Debug for SharedKeys<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedKeys").field(&&*self.0).finish()
    }
}
