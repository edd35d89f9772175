//! Disturbs the real binary on a real disk: kills it, fills its disk, starts it twice, looks at it while it works.
//!
//! What a disk in memory proves for every single operation is seen here at random instants, with the real kernel below.
//! Each test prints how often it hit what it aimed at.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "a test of random instants says which it hit")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "tests start the binary, wait for it and look at files"
)]

mod full_disk;
mod kill;
mod modes;
mod rivals;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod support;
mod two;
mod watched;
