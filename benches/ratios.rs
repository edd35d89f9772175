//! One table: what is aimed at, and what is reached, as ratios of things that were measured in the same minute by the same process.
//!
//! ```text
//! benches/peers.sh
//! cargo bench -p kubecerts-benches --bench ratios -- [--seconds N] [--kubecerts FILE] [--go-p256 N] …
//! ```
//!
//! The script runs the peers that are programs and hands their rates over. Without them their rows say so. Each contender works for
//! `--seconds` in five turns, in processor time, so a busy machine does not disturb what is not a matter of two cores.

#![expect(clippy::unwrap_used, reason = "a bench stops at whatever is broken")]
#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use kubecerts_benches::clock::{median, take_turns};
use kubecerts_benches::command;
use kubecerts_benches::contenders::{
    self, Contender, HOST, OPENSSL, PEM, RCGEN_AWS_LC, TEMPLATE, UNVERIFIED, VERIFIED,
};
use kubecerts_benches::leaf::Leaf;
use kubecerts_core::issue::bulk::VerificationPolicy;
use kubecerts_core::x509::KeyAlgorithm;

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    let mut table = Table { options: &options, rows: Vec::new() };
    let (p256, rsa) = (Leaf::of(KeyAlgorithm::EcdsaP256), Leaf::of(KeyAlgorithm::Rsa2048));

    if !cfg!(feature = "openssl") {
        println!("SKIPPED OpenSSL in the same process: built without --features openssl");
    }
    let [issue, sign, verify] = [contenders::issue, contenders::sign, contenders::verify]
        .map(|these| Figures::of(these(p256), &options));
    let unverified = issue.per_second(UNVERIFIED);
    let verified = issue.per_second(VERIFIED);
    let raw = sign.per_second_of(OPENSSL);
    table.at_least(
        1.15,
        "P-256, not verified ÷ raw signatures of OpenSSL, same process",
        raw.map(|peer| unverified / peer),
    );
    let program = options.peer("openssl-p256");
    table.at_least(
        1.15,
        "P-256, not verified ÷ `openssl speed ecdsap256`",
        program.map(|peer| unverified / peer),
    );
    table.at_least(
        1.25,
        "P-256, not verified ÷ rcgen on aws-lc",
        Some(unverified / issue.per_second(RCGEN_AWS_LC)),
    );
    let go = options.peer("go-p256");
    table.at_least(1.7, "P-256, verified ÷ Go's `CreateCertificate`", go.map(|peer| verified / peer));
    table.info("P-256, verified ÷ not verified", Some(verified / unverified));
    table.info("P-256, our verifier ÷ aws-lc's", Some(verify.per_second(HOST) / verify.per_second("aws-lc")));
    let bulk = options.peer("openssl-ca-p256");
    table.info("P-256, verified ÷ `openssl ca -infiles`", bulk.map(|peer| verified / peer));
    table.rates("P-256, certificates/s", &issue);
    table.rates("P-256, signatures/s", &sign);
    table.rates("P-256, verified signatures/s", &verify);

    let [issue, sign, verify] = [contenders::issue, contenders::sign, contenders::verify]
        .map(|these| Figures::of(these(rsa), &options));
    let verified = issue.per_second(VERIFIED);
    let raw = sign.per_second_of(OPENSSL);
    table.at_least(
        0.95,
        "RSA-2048, verified ÷ raw signatures of OpenSSL, same process",
        raw.map(|peer| verified / peer),
    );
    let program = options.peer("openssl-rsa2048");
    table.at_least(0.95, "RSA-2048, verified ÷ `openssl speed rsa2048`", program.map(|peer| verified / peer));
    table.info(
        "RSA-2048, verified ÷ rcgen on aws-lc, not verified",
        Some(verified / issue.per_second(RCGEN_AWS_LC)),
    );
    let go = options.peer("go-rsa2048");
    table.info("RSA-2048, verified ÷ Go's `CreateCertificate`", go.map(|peer| verified / peer));
    table.info(
        "RSA-2048, our verifier ÷ aws-lc's",
        Some(verify.per_second(HOST) / verify.per_second("aws-lc")),
    );
    table.rates("RSA-2048, certificates/s", &issue);
    table.rates("RSA-2048, signatures/s", &sign);
    table.rates("RSA-2048, verified signatures/s", &verify);

    let parts = Figures::of(contenders::parts(p256), &options);
    table.at_most(0.2, "template encoding and assembly, µs", Some(parts.nanoseconds(TEMPLATE) / 1e3));
    table.at_most(1.0, "public PEM, µs", Some(parts.nanoseconds(PEM) / 1e3));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let scaling = (threads > 1).then(|| two_threads(p256, options.slice()));
    table.at_least(1.9, "P-256, verified, 2 threads ÷ 1, by the clock on the wall", scaling);

    let p256_keys = Figures::of(contenders::keys(p256), &options);
    table.rates("P-256 keys/s", &p256_keys);
    let keys = Figures::means_of(contenders::keys(rsa), &options);
    let fastest = ["aws-lc", "graviola", OPENSSL]
        .into_iter()
        .filter_map(|peer| keys.per_second_of(peer))
        .fold(0.0, f64::max);
    table.info(
        "RSA-2048 keys ÷ the fastest of aws-lc, graviola and OpenSSL",
        Some(keys.per_second(HOST) / fastest),
    );
    table.rates("RSA-2048 keys/s", &keys);

    if let Some(kubecerts) = &options.kubecerts {
        commands(Path::new(kubecerts), &keys, threads, &mut table);
    } else {
        println!("SKIPPED kubecerts: no --kubecerts FILE, so `renew` and `check` were not run");
    }
    let (many, few) = (options.peer("bulk-peak-mb"), options.peer("bulk-peak-mb-of-few"));
    table.at_most(64.0, "`bulk sign`, peak, MB", many);
    table.info(
        "`bulk sign`, peak ÷ that of fifty times fewer requests",
        many.zip(few).map(|(many, few)| many / few),
    );
    table.print();
}

/// The rows of the command, with everything that it does: start, scan, keys, journal, backup, fsync.
fn commands(kubecerts: &Path, keys: &Figures, threads: usize, table: &mut Table<'_>) {
    let runs = if table.options.seconds < 1.0 { 3 } else { 12 };
    let rsa = command::Tree::of("kubeadm-v136-rsa2048");
    let renewals = rsa.times(kubecerts, &["renew", "--all", "--yes"], runs);
    let mean = renewals.iter().sum::<f64>() / f64::from(runs);
    let expected = f64::from(rsa.credentials()) * keys.nanoseconds(HOST) / 1e9;
    let cores = f64::from(u32::try_from(threads.min(2)).unwrap());
    table.at_most(
        1.15,
        "`renew --all`, RSA-2048, mean ÷ (its keys ÷ 2 cores)",
        Some(mean / (expected / cores)),
    );
    table.info("`renew --all`, RSA-2048, mean, ms", Some(mean * 1e3));
    let p256 = command::Tree::of("kubeadm-v136-ecdsa-p256");
    let renewals = p256.times(kubecerts, &["renew", "--all", "--yes"], runs);
    table.at_most(50.0, "`renew --all`, P-256, median, ms", Some(median(renewals) * 1e3));
    let peak = p256.peak(kubecerts, &["renew", "--all", "--yes"]);
    table.at_most(20.0, "`renew --all`, P-256, peak, MB", peak);
    for (name, tree) in [("RSA-2048", &rsa), ("P-256", &p256)] {
        let checks = tree.times(kubecerts, &["check"], runs * 2);
        table.at_most(5.0, &format!("`check`, {name}, median, ms"), Some(median(checks) * 1e3));
        table.at_most(10.0, &format!("`check`, {name}, peak, MB"), tree.peak(kubecerts, &["check"]));
    }
}

/// Returns how much more two threads do than one in the same time, each with its own batches.
fn two_threads(leaf: &'static Leaf, slice: Duration) -> f64 {
    let rate = move || {
        let mut contender = contenders::batch(VERIFIED, leaf, VerificationPolicy::Every);
        contender.work();
        let (begin, mut made) = (Instant::now(), 0.0);
        loop {
            contender.work();
            made += f64::from(contender.pieces());
            let elapsed = begin.elapsed();
            if elapsed >= slice {
                break made / elapsed.as_secs_f64();
            }
        }
    };
    let ratio = |_| {
        let alone = rate();
        let together: f64 = thread::scope(|scope| {
            let other = scope.spawn(rate);
            rate() + other.join().unwrap()
        });
        together / alone
    };
    median((0..ROUNDS).map(ratio).collect())
}

/// What was asked for.
struct Options {
    is_test: bool,
    seconds: f64,
    kubecerts: Option<String>,
    peers: BTreeMap<String, f64>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self { is_test: false, seconds: 1.0, kubecerts: None, peers: BTreeMap::new() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} has no value"));
            match argument.as_str() {
                // What cargo says to every bench.
                "--bench" => {}
                "--test" => options.is_test = true,
                "--seconds" => options.seconds = value().parse().unwrap(),
                "--kubecerts" => options.kubecerts = Some(value()),
                "--go-p256"
                | "--go-rsa2048"
                | "--openssl-p256"
                | "--openssl-rsa2048"
                | "--openssl-ca-p256"
                | "--bulk-peak-mb"
                | "--bulk-peak-mb-of-few" => {
                    let rate = value().parse().unwrap();
                    options.peers.insert(argument.trim_start_matches('-').to_owned(), rate);
                }
                other => println!("{other} is not for this bench"),
            }
        }
        options
    }

    fn peer(&self, name: &str) -> Option<f64> {
        self.peers.get(name).copied()
    }

    fn slice(&self) -> Duration {
        if self.is_test { Duration::ZERO } else { Duration::from_secs_f64(self.seconds / 5.0) }
    }
}

/// How long everybody takes.
struct Figures {
    names: Vec<&'static str>,
    nanoseconds: Vec<f64>,
}

impl Figures {
    fn of(mut contenders: Vec<Contender>, options: &Options) -> Self {
        let rounds = if options.is_test { 1 } else { ROUNDS };
        let nanoseconds = take_turns(&mut contenders, rounds, options.slice());
        Self { names: contenders.iter().map(Contender::name).collect(), nanoseconds }
    }

    /// The same for what takes another while every time: the mean of many, not the median of a few.
    fn means_of(mut contenders: Vec<Contender>, options: &Options) -> Self {
        let nanoseconds = take_turns(&mut contenders, 1, options.slice() * 20);
        Self { names: contenders.iter().map(Contender::name).collect(), nanoseconds }
    }

    fn nanoseconds(&self, name: &str) -> f64 {
        let index = self.names.iter().position(|other| *other == name);
        self.nanoseconds[index.unwrap_or_else(|| panic!("nobody is called {name}"))]
    }

    fn per_second(&self, name: &str) -> f64 {
        1e9 / self.nanoseconds(name)
    }

    /// The same for somebody who need not be there.
    fn per_second_of(&self, name: &str) -> Option<f64> {
        self.names.contains(&name).then(|| self.per_second(name))
    }
}

/// The table, as it grows.
struct Table<'a> {
    options: &'a Options,
    rows: Vec<[String; 4]>,
}

impl Table<'_> {
    fn at_least(&mut self, target: f64, work: &str, measured: Option<f64>) {
        self.row(work, format!("≥ {target}"), measured, |value| value >= target);
    }

    fn at_most(&mut self, target: f64, work: &str, measured: Option<f64>) {
        self.row(work, format!("≤ {target}"), measured, |value| value <= target);
    }

    fn info(&mut self, work: &str, measured: Option<f64>) {
        let measured = measured.map_or("not run".to_owned(), figure);
        self.rows.push([work.to_owned(), String::new(), measured, String::new()]);
    }

    fn row(&mut self, work: &str, target: String, measured: Option<f64>, is_met: impl Fn(f64) -> bool) {
        let mark = match measured {
            Some(value) if is_met(value) => "✓",
            Some(_) => "✗",
            None => "",
        };
        let measured = measured.map_or("not run".to_owned(), figure);
        self.rows.push([work.to_owned(), target, measured, mark.to_owned()]);
    }

    /// Prints the rates behind the ratios; they are of this machine and of this minute.
    fn rates(&self, what: &str, figures: &Figures) {
        let rates: Vec<String> =
            figures.names.iter().map(|name| format!("{name} {}", figure(figures.per_second(name)))).collect();
        println!("{what}: {}", rates.join(", "));
    }

    fn print(&self) {
        println!("\n| work | target | measured | |\n|---|---:|---:|---|");
        for [work, target, measured, mark] in &self.rows {
            println!("| {work} | {target} | {measured} | {mark} |");
        }
    }
}

/// Returns `value` with about three figures.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// How often everybody takes a turn.
const ROUNDS: usize = 5;
