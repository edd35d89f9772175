//! The effects of kubecerts: reads and replaces files, holds the clock and the system's random source.
//!
//! It decides nothing that a plan should have decided, and prints nothing.

#![deny(unsafe_code)]

pub mod disk;
