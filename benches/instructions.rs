//! How many instructions a certificate costs, and that it is no more than it was.
//!
//! ```text
//! cargo bench -p kubecerts-benches --bench instructions
//! ```
//!
//! The program runs itself under valgrind, with so much work and with twice as much: the difference is the work without what comes before
//! it. Only what leaves nothing to chance is counted, so that two runs give the same number to the last digit: signatures with their random
//! nonces are not among it. See docs/benchmarks.md.

#![expect(clippy::unwrap_used, reason = "a bench stops at whatever is broken")]
#![expect(clippy::print_stdout, reason = "the numbers are the output")]

use std::env;
use std::process::Command;

use kubecerts_benches::contenders::{self, PARSE, PEM, TEMPLATE};
use kubecerts_benches::instructions::count;
use kubecerts_benches::leaf::Leaf;
use kubecerts_core::x509::KeyAlgorithm;

/// What is counted, and how many instructions of each may be for one certificate: a quarter more than the 1296, 4404 and 41,565 that were
/// counted on 2026-11-23 (rustc 1.95, x86-64, the profile of benches), because another compiler chooses others.
const MOST: [(&str, u64); 3] = [(TEMPLATE, 1_620), (PEM, 5_500), (PARSE, 52_000)];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, name, times] = &arguments[..]
        && flag == WORK
    {
        return work(name, times.parse().unwrap());
    }
    let mut costly = Vec::new();
    for (name, most) in MOST {
        let Some([once, again, twice]) = counts(name) else {
            println!("SKIPPED instructions: valgrind is not installed");
            return;
        };
        assert_eq!(once, again, "{name}: two runs of the same work differ");
        let one = (twice - once) / (u64::from(TIMES) * u64::from(pieces(name)));
        println!("instructions of {name}: {one} for a certificate, {most} at most");
        if one > most {
            costly.push(name);
        }
    }
    assert!(costly.is_empty(), "{costly:?} cost more instructions than they may");
}

/// Returns what the work `name` costs, what it costs again, and what twice as much costs.
fn counts(name: &str) -> Option<[u64; 3]> {
    let count = |times: u32| {
        let mut itself = Command::new(env::current_exe().unwrap());
        count(itself.args([WORK, name, &times.to_string()]))
    };
    // As many digits in both, so that no argument is longer than the other.
    Some([count(TIMES)?, count(TIMES)?, count(TIMES * 2)?])
}

fn work(name: &str, times: u32) {
    let mut parts = contenders::parts(Leaf::of(KeyAlgorithm::EcdsaP256));
    let part = parts.iter_mut().find(|part| part.name() == name).unwrap();
    (0..times).for_each(|_| part.work());
}

fn pieces(name: &str) -> u32 {
    let parts = contenders::parts(Leaf::of(KeyAlgorithm::EcdsaP256));
    parts.iter().find(|part| part.name() == name).unwrap().pieces()
}

/// The argument with which the program does the work instead of counting.
const WORK: &str = "--work";
/// How often the work is done, and twice as often.
const TIMES: u32 = 40;
