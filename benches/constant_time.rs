//! That a signature takes the same instructions at the same addresses, whatever the key and the nonce are.
//!
//! ```text
//! cargo bench -p kubecerts-benches --bench constant_time
//! ```
//!
//! The program runs itself under valgrind, with other keys and other random bytes each time, and compares the traces: the address of
//! every instruction, and the address and size of everything that it reads or writes. A branch or an address that depends on a secret
//! makes them differ. The form of a signature in DER depends on the signature, which is public, so only such are made whose numbers have
//! 32 bytes each. Verification may take the time it wants, and does; that the traces of it differ shows that differences are found.

#![expect(clippy::unwrap_used, reason = "a bench stops at whatever is broken")]
#![expect(clippy::print_stdout, reason = "the verdict is the output")]

use std::collections::BTreeSet;
use std::env;
use std::hash::{DefaultHasher, Hasher as _};
use std::hint::black_box;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use kubecerts_core::provider::{Entropy, ProviderError};
use kubecerts_core::x509::{
    FixedKey, FixedSigningKey, PrivateKey, SignatureAlgorithm, SignedMessage, Verifier as _,
};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [argument] = &arguments[..] {
        if argument == BEGIN {
            return println!("{}", begin as *const () as usize);
        }
        if let Some(work) = WORKS.iter().find(|known| known.name == argument) {
            let mut seed = [0; 2];
            io::stdin().read_exact(&mut seed).unwrap();
            begin();
            return (work.run)(u16::from_be_bytes(seed));
        }
    }
    let Some(begin) = address_of_begin() else {
        println!("SKIPPED constant_time: valgrind is not installed");
        return;
    };
    let seeds: Vec<u16> = (0..=u16::MAX).filter(|seed| has_usual_form(*seed)).take(RUNS).collect();
    for Work { name, is_constant, .. } in WORKS {
        let traces: BTreeSet<_> = seeds.iter().map(|seed| trace(name, *seed, begin)).collect();
        let lengths: BTreeSet<u64> = traces.iter().map(|trace| trace.lines).collect();
        println!(
            "{name} with {RUNS} keys: traces that differ: {}, instructions, reads and writes: {lengths:?}",
            traces.len()
        );
        assert!(lengths.first() > Some(&1_000_000), "{name}: the trace is too short to be one");
        assert_eq!(traces.len() == 1, is_constant, "{name}: the traces are the same, or are not");
    }
}

/// What is traced.
struct Work {
    name: &'static str,
    run: fn(u16),
    is_constant: bool,
}

const WORKS: [Work; 2] = [
    Work { name: "sign", run: |seed| drop(signatures(seed)), is_constant: true },
    Work { name: "verify", run: verify, is_constant: false },
];

/// Signs two messages with a key and random bytes that come from `seed`.
fn signatures(seed: u16) -> Vec<Vec<u8>> {
    let mut signatures = Vec::with_capacity(MESSAGES.len());
    let key = FixedSigningKey::new(&key(seed)).unwrap();
    key.sign(MESSAGES.into_iter(), &mut Stream(seed), |signature| {
        signatures.push(signature.unwrap().to_vec());
    })
    .unwrap();
    signatures
}

fn verify(seed: u16) {
    let verifier = FixedKey::new(&key(seed).public_key(), SignatureAlgorithm::EcdsaWithSha256);
    let signatures = signatures(seed);
    let signed: Vec<SignedMessage<'_>> = MESSAGES
        .into_iter()
        .zip(&signatures)
        .map(|(message, signature)| SignedMessage { message, signature })
        .collect();
    assert_eq!(verifier.first_invalid(&signed), None);
}

/// Returns whether both numbers of both signatures have 32 bytes and no byte for the sign.
fn has_usual_form(seed: u16) -> bool {
    signatures(seed).iter().all(|der| der.len() == 70 && der[3] == 32)
}

fn key(seed: u16) -> PrivateKey {
    let mut secret = [0; 32];
    Stream(seed.wrapping_add(1)).fill(&mut secret).unwrap();
    PrivateKey::parse_pkcs8(&[&PKCS_8[..], &secret].concat()).unwrap()
}

/// Bytes by a seed; to be different is all that is asked of them.
struct Stream(u16);

impl Entropy for Stream {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        let mut state = u64::from(self.0);
        for byte in out {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        Ok(())
    }
}

/// What a run did, as far as it matters whether another did the same.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Trace {
    lines: u64,
    hash: u64,
}

/// Where what is compared begins. Before that, every program looks at random bytes of the system.
#[inline(never)]
fn begin() {
    black_box(());
}

/// Returns the address at which `begin` is under valgrind, which is the same in each run; `None` without valgrind.
fn address_of_begin() -> Option<u64> {
    let mut under_valgrind = Command::new("valgrind");
    under_valgrind.args(["--tool=none", "-q"]).arg(env::current_exe().unwrap()).arg(BEGIN);
    let output = under_valgrind.output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.trim().parse().unwrap())
}

/// Returns the trace of `work` from `begin` on.
fn trace(work: &str, seed: u16, begin: u64) -> Trace {
    let mut under_valgrind = Command::new("valgrind");
    under_valgrind.args(["--tool=lackey", "--basic-counts=no", "--trace-mem=yes"]);
    under_valgrind.arg(env::current_exe().unwrap()).arg(work);
    under_valgrind.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = under_valgrind.spawn().unwrap();
    // Arguments and environment are looked at before it begins, so the seed is not among them.
    child.stdin.take().unwrap().write_all(&seed.to_be_bytes()).unwrap();
    let (mut hasher, mut lines) = (DefaultHasher::new(), 0);
    let mut has_begun = false;
    for line in BufReader::new(child.stderr.take().unwrap()).split(b'\n') {
        let line = line.unwrap();
        has_begun |= instruction(&line) == Some(begin);
        // What valgrind says itself has the number of the process in it.
        if has_begun && !line.starts_with(b"==") {
            hasher.write(&line);
            lines += 1;
        }
    }
    let status = child.wait().unwrap();
    assert!(status.success(), "{under_valgrind:?}: {status}");
    Trace { lines, hash: hasher.finish() }
}

/// Returns the address in a line of the trace such as `I  0018f127,6`.
fn instruction(line: &[u8]) -> Option<u64> {
    let address = line.strip_prefix(b"I  ")?.split(|byte| *byte == b',').next()?;
    u64::from_str_radix(str::from_utf8(address).ok()?, 16).ok()
}

const MESSAGES: [&[u8]; 2] = [b"one", b"two"];
const RUNS: usize = 3;
/// The argument with which the program prints where `begin` is.
const BEGIN: &str = "--begin";
/// PKCS#8 of a key on P-256 without its public half, up to the key (RFC 5958, RFC 5915).
const PKCS_8: [u8; 35] = [
    0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20,
];
