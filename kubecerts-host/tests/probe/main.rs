//! The probe before real TLS servers on the loopback: sound and odd ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod handshakes;
mod health;
mod node;
mod openssl;
mod server;
