//! The stand-ins do what real components were seen to do, and the hostile servers what their names say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "all/apiserver.rs"]
mod apiserver;
#[path = "all/binary.rs"]
mod binary;
#[path = "all/controller.rs"]
mod controller;
#[path = "all/etcd.rs"]
mod etcd;
#[path = "all/hostile.rs"]
mod hostile;
mod support;
