//! Certificates from an authority whose key is kept elsewhere: what to ask it for, and what became of its answers.
//!
//! 1. [`wanted_certificates`] says what each slot needs: what it has, or what a [`ClusterIntent`](crate::plan::ClusterIntent)
//!    asks for.
//! 2. [`make_requests`] makes keys, requests and the [`RequestManifest`], which says all that a request alone does not.
//! 3. [`Answers::read`] finds certificates in whatever came back.
//! 4. [`judge_answers`] compares them with the manifest and the tree, and names every [`ImportDeviation`].
//! 5. [`import_changes`] gives the files to write.
//!
//! The manifest and the answers are foreign input. Files are named by their slots and never by a document, and a manifest may not
//! ask for more than kubeadm's catalogue or the certificate that is replaced.

mod answer;
mod chain;
mod compare;
mod deviation;
mod install;
mod judge;
#[cfg(feature = "serde")]
pub mod manifest;
mod requests;
mod wanted;

pub use answer::{AnswerFile, Answers};
pub use deviation::{Gravity, ImportDeviation, ImportField};
pub use install::{Completeness, ImportError, RequestKeys, import_changes};
pub(crate) use judge::is_kubeadms;
pub use judge::{Accepted, Foreign, Import, NotRead, judge_answers};
pub use requests::{
    IssuerIdentity, RequestError, RequestFile, RequestManifest, RequestRecord, RequestSet, make_requests,
    request_files,
};
pub(crate) use wanted::profile;
pub use wanted::{LeftOut, NewKubeconfig, Wanted, WantedCertificate, WantedSource, wanted_certificates};
