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

use std::array;
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
            let mut seeds = [0; 1 + MESSAGES];
            io::stdin().read_exact(&mut seeds).unwrap();
            begin();
            return (work.run)(seeds);
        }
    }
    let Some(begin) = address_of_begin() else {
        println!("SKIPPED constant_time: valgrind is not installed");
        return;
    };
    let seeds: Vec<Seeds> = (0..RUNS).map(seeds_of_key).collect();
    for Work { name, is_constant, .. } in WORKS {
        let traces: BTreeSet<_> = seeds.iter().map(|seeds| trace(name, seeds, begin)).collect();
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
    run: fn(Seeds),
    is_constant: bool,
}

const WORKS: [Work; 2] = [
    Work { name: "sign", run: |seeds| drop(signatures(seeds)), is_constant: true },
    Work { name: "verify", run: verify, is_constant: false },
];

/// By what a key is made, and the random bytes of each signature.
type Seeds = [u8; 1 + MESSAGES];

/// Returns the seeds of the key `key`, with which every signature has two numbers of 32 bytes each and no byte for their signs.
fn seeds_of_key(key: u8) -> Seeds {
    let own = FixedSigningKey::new(&private_key(key)).unwrap();
    let has_usual_form = |message: usize, seed: u8| {
        let mut is_usual = false;
        own.sign([message_of(message).as_slice()].into_iter(), &mut Streams(&[seed]), |signature| {
            is_usual = signature.is_some_and(|der| der.len() == 70 && der[3] == 32);
        })
        .unwrap();
        is_usual
    };
    let seed_of = |message| (0..=u8::MAX).find(|seed| has_usual_form(message, *seed)).unwrap();
    array::from_fn(|at| if at == 0 { key } else { seed_of(at - 1) })
}

/// Signs as many messages as are signed together at least.
fn signatures([key, random @ ..]: Seeds) -> Vec<Vec<u8>> {
    let mut signatures = Vec::with_capacity(MESSAGES);
    let key = FixedSigningKey::new(&private_key(key)).unwrap();
    let messages: [[u8; 1]; MESSAGES] = array::from_fn(message_of);
    key.sign(messages.iter().map(<[u8; 1]>::as_slice), &mut Streams(&random), |signature| {
        signatures.push(signature.unwrap().to_vec());
    })
    .unwrap();
    signatures
}

fn verify(seeds: Seeds) {
    let key = private_key(seeds[0]).public_key();
    let verifier = FixedKey::new(&key, SignatureAlgorithm::EcdsaWithSha256);
    let messages: [[u8; 1]; MESSAGES] = array::from_fn(message_of);
    let signatures = signatures(seeds);
    let signed: Vec<SignedMessage<'_>> = messages
        .iter()
        .zip(&signatures)
        .map(|(message, signature)| SignedMessage { message, signature })
        .collect();
    assert_eq!(verifier.first_invalid(&signed), None);
}

fn message_of(number: usize) -> [u8; 1] {
    [number as u8]
}

fn private_key(seed: u8) -> PrivateKey {
    let mut secret = [0; 32];
    // Another byte than those of random bytes have.
    fill(&mut secret, u16::from(seed) << 8 | 0xff);
    PrivateKey::parse_pkcs8(&[&PKCS_8[..], &secret].concat()).unwrap()
}

/// Bytes by a seed for each signature; to be different is all that is asked of them.
struct Streams<'a>(&'a [u8]);

impl Entropy for Streams<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ProviderError> {
        for (random, seed) in out.chunks_mut(32).zip(self.0) {
            fill(random, u16::from(*seed));
        }
        Ok(())
    }
}

fn fill(out: &mut [u8], seed: u16) {
    let mut state = u64::from(seed);
    for byte in out {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
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
fn trace(work: &str, seeds: &Seeds, begin: u64) -> Trace {
    let mut under_valgrind = Command::new("valgrind");
    under_valgrind.args(["--tool=lackey", "--basic-counts=no", "--trace-mem=yes"]);
    under_valgrind.arg(env::current_exe().unwrap()).arg(work);
    under_valgrind.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = under_valgrind.spawn().unwrap();
    // Arguments and environment are looked at before it begins, so the seeds are not among them.
    child.stdin.take().unwrap().write_all(seeds).unwrap();
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

/// So many are signed together at least, see `issue::Batched`.
const MESSAGES: usize = 8;
const RUNS: u8 = 3;
/// The argument with which the program prints where `begin` is.
const BEGIN: &str = "--begin";
/// PKCS#8 of a key on P-256 without its public half, up to the key (RFC 5958, RFC 5915).
const PKCS_8: [u8; 35] = [
    0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20,
];
