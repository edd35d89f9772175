//! Nobody: this was built without the feature `openssl`, which needs the library's headers.

use kubecerts_core::x509::SignedMessage;

use crate::contenders::Contender;
use crate::leaf::Leaf;

pub(crate) const fn issue(_: &'static Leaf) -> Option<Contender> {
    None
}

pub(crate) const fn sign(_: &'static Leaf) -> Option<Contender> {
    None
}

pub(crate) const fn verify(_: &'static Leaf, _: &'static [SignedMessage<'static>]) -> Option<Contender> {
    None
}

pub(crate) const fn keys(_: &'static Leaf) -> Option<Contender> {
    None
}
