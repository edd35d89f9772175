//! What the benches share: the certificate that everybody makes, those who make it, and a clock that a busy machine does not disturb.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a bench stops at whatever is broken")]

pub mod clock;
pub mod command;
pub mod contenders;
pub mod instructions;
pub mod leaf;
mod peers;
