//! Runs every law for some seconds without libFuzzer, nightly or a C++ compiler.
//!
//! ```text
//! cargo run --manifest-path fuzz/Cargo.toml --release --bin smoke -- --seconds 5 [TARGET…]
//! cargo run --manifest-path fuzz/Cargo.toml --release --bin smoke -- --write-seeds fuzz/corpus
//! cargo run --manifest-path fuzz/Cargo.toml --release --bin smoke -- --replay FILE TARGET
//! ```
//!
//! The inputs are a fixed sequence: seeds as they are, then mutations of them. Nothing guides them, so this finds less
//! than a fuzzer would in the same time; it keeps the laws compiled and the shallow defects out. A broken law leaves
//! its input in `fuzz/artifacts/TARGET/` and the run ends with status 1.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kubecerts_fuzz::{LAWS, Law, seeds, tokens};

fn main() -> ExitCode {
    let mut seconds = 5;
    let mut targets = Vec::new();
    let mut replayed = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => match arguments.next().and_then(|value| value.parse().ok()) {
                Some(value) => seconds = value,
                None => return usage(),
            },
            "--write-seeds" => match arguments.next() {
                Some(directory) => return write_seeds(Path::new(&directory)),
                None => return usage(),
            },
            "--replay" => match arguments.next() {
                Some(file) => replayed = Some(file),
                None => return usage(),
            },
            name => match LAWS.into_iter().find(|(target, _)| *target == name) {
                Some(found) => targets.push(found),
                None => return usage(),
            },
        }
    }
    if targets.is_empty() {
        targets.extend(LAWS);
    }
    if let Some(file) = replayed {
        let input = fs::read(&file).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
        targets.iter().for_each(|(_, law)| law(&input));
        return ExitCode::SUCCESS;
    }
    let mut holds = true;
    for (name, law) in targets {
        holds &= run(name, law, Duration::from_secs(seconds));
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one law and prints how often; returns whether it held.
fn run(name: &str, law: Law, span: Duration) -> bool {
    let seeds = seeds(name);
    let mut mutator = Mutator { state: 0x9e37_79b9_7f4a_7c15, tokens: tokens(name) };
    let start = Instant::now();
    let mut unchanged = seeds.iter();
    let mut executions = 0_u32;
    let mut slowest = Duration::ZERO;
    // The seeds themselves are all run, however short the time.
    while unchanged.len() > 0 || start.elapsed() < span {
        let input = unchanged.next().cloned().unwrap_or_else(|| mutator.mutate(&seeds));
        let begun = Instant::now();
        let held = catch_unwind(|| law(&input)).is_ok();
        let took = begun.elapsed();
        if !held || took > TOO_LONG {
            let how = if held { format!("took {took:.1?}") } else { "is broken".to_owned() };
            let kept = keep(name, &input);
            println!("{name:<14} {how} after {executions} executions: {}", kept.display());
            return false;
        }
        slowest = slowest.max(took);
        executions += 1;
    }
    let rate = f64::from(executions) / start.elapsed().as_secs_f64();
    println!("{name:<14} {executions:>8} executions, {rate:>6.0} a second, slowest {slowest:.1?}");
    true
}

/// An input of some kilobytes that takes so long is a hang to whoever waits for it.
const TOO_LONG: Duration = Duration::from_secs(10);

/// The longest input in bytes; longer ones only take longer.
const LONGEST: usize = 64 * 1024;

/// Makes inputs out of others, always in the same sequence (xorshift64*).
struct Mutator {
    state: u64,
    tokens: &'static [&'static str],
}

impl Mutator {
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.mutate_once(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate_once(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(32)).min(input.len());
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.byte(),
            2 => input.insert(at, self.byte()),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            5 => input.truncate(at),
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(256)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            replaces => {
                let token = self.tokens[self.below(self.tokens.len())];
                let end = if replaces == 7 { end } else { at };
                input.splice(at..end, token.bytes());
            }
        }
    }

    /// Returns a byte, every other time one that is a border of something.
    fn byte(&mut self) -> u8 {
        const BORDERS: [u8; 10] = [0, 1, b'\t', b'\n', b'\r', b' ', 0x7f, 0x80, 0x82, 0xff];
        match self.below(2) {
            0 => BORDERS[self.below(BORDERS.len())],
            _ => self.next().to_be_bytes()[0],
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits fit") % bound
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Writes the seeds of every target below `directory`, where libFuzzer looks for them.
fn write_seeds(directory: &Path) -> ExitCode {
    for (name, _) in LAWS {
        let directory = directory.join(name);
        let seeds = seeds(name);
        for seed in &seeds {
            write(&directory.join(format!("seed-{:016x}", digest(seed))), seed);
        }
        println!("{:>4} seeds in {}", seeds.len(), directory.display());
    }
    ExitCode::SUCCESS
}

/// Keeps an input that broke a law, and returns where.
fn keep(name: &str, input: &[u8]) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    let path = directory.join(format!("smoke-{:016x}", digest(input)));
    write(&path, input);
    path
}

fn write(path: &Path, content: &[u8]) {
    let directory = path.parent().unwrap_or(path);
    let done = fs::create_dir_all(directory).and_then(|()| fs::write(path, content));
    done.unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn usage() -> ExitCode {
    let targets: Vec<&str> = LAWS.iter().map(|(name, _)| *name).collect();
    eprintln!("usage: smoke [--seconds N] [--write-seeds DIR] [--replay FILE] [TARGET…]");
    eprintln!("targets: {}", targets.join(", "));
    ExitCode::from(2)
}
