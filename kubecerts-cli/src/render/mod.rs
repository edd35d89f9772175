//! Results into words: tables, texts, documents.

pub(crate) mod authorities;
pub(crate) mod bulk;
pub(crate) mod calendar;
pub(crate) mod creation;
pub(crate) mod doctor;
pub(crate) mod documents;
pub(crate) mod explanation;
pub(crate) mod external;
pub(crate) mod fleet;
pub(crate) mod forecast;
pub(crate) mod kubeadm;
pub(crate) mod measured;
pub(crate) mod span;
pub(crate) mod sticking;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod trees;
pub(crate) mod usage;
