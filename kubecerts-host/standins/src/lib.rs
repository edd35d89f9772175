//! What the tests of kubecerts run against: a real container runtime, and a stand-in for the kubelet.
//!
//! [`Parts`] are real programs out of Debian's packages, [`Containerd`] is one of them running in private, [`Image`]s are
//! made from scratch, and [`Pods`] starts static pods. Nothing here is published.
//!
//! A test that cannot have them says so and returns:
//!
//! ```no_run
//! use kubecerts_standins::{Containerd, Image, PAUSE, Parts, Suite};
//!
//! let parts = match Parts::find() {
//!     Ok(parts) => parts,
//!     Err(reason) => return eprintln!("SKIPPED containerd: {reason}"),
//! };
//! let containerd = Containerd::start(&parts, Suite::Bookworm);
//! containerd.import(&Image::of_busybox(&parts), &[PAUSE, "registry.k8s.io/kube-scheduler:v1.36.2"]);
//! ```

mod archive;
mod cleanup;
mod containerd;
mod cri;
mod image;
mod kubelet;
mod manifest;
mod parts;
mod pod;
mod pods;
mod service;

pub use containerd::Containerd;
pub use image::{Image, PAUSE};
pub use kubelet::{Kubelet, KubeletOptions};
pub use parts::{Parts, Suite};
pub use pods::{Pods, StartedPod};
pub use service::KubeletService;
