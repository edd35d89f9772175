//! Servers that mean ill, or are worse than dead: each costs a bounded time and a bounded amount of memory.
//!
//! The only test here, because the memory of a whole process is measured.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the other tests of the probe use the rest")]
mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubecerts_core::catalog::Service;
use kubecerts_core::observation::{Handshake, Health};
use kubecerts_core::x509::{AlternativeName, AlternativeNames};
use kubecerts_host::probe::{handshake, health};
use kubecerts_testkit::{MemoryTree, TreeBuilder};
use tokio_rustls::rustls::SupportedProtocolVersion;

use server::{Server, Tls, VERSIONS, pair};

#[test]
fn hostile_endpoints_cost_a_bounded_time_and_memory() {
    let tree = TreeBuilder::kubeadm().build();
    let (of_tls, of_http) = (hostile_to_tls(&tree), hostile_to_http(&tree));
    let kinds = of_tls.len() + of_http.len();
    let before = resident("VmRSS");
    // From here on the peak is counted anew.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let mut worst = Duration::ZERO;
    let mut timed = |name: &str, look: &dyn Fn()| {
        let begun = Instant::now();
        look();
        worst = worst.max(begun.elapsed());
        assert!(begun.elapsed() < DEADLINE + SLACK, "{name} took {:?}", begun.elapsed());
    };
    for (name, server, expected) in &of_tls {
        timed(name, &|| {
            let seen = handshake(&server.endpoint(Service::ApiServer), DEADLINE);
            let told = match &seen {
                Handshake::Silent => "silent",
                Handshake::Broken(reason) => reason,
                other => panic!("{name}: {other:?}"),
            };
            assert!(told.contains(expected) && told.len() < 250, "{name}: {told}");
        });
        timed(name, &|| {
            let seen = health(&server.endpoint(Service::ApiServer), "/readyz", None, DEADLINE);
            assert!(matches!(&seen, Health::Silent(reason) if reason.len() < 250), "{name}: {seen:?}");
        });
    }
    for (name, server, service) in &of_http {
        timed(name, &|| match health(&server.endpoint(*service), "/readyz", None, DEADLINE) {
            Health::Silent(reason) | Health::Unwell(reason) => {
                assert!(reason.len() < 1500, "{name}: {reason}")
            }
            other => panic!("{name}: {other:?}"),
        });
    }
    let growth = resident("VmHWM").saturating_sub(before);
    say(&format!(
        "hostile endpoints: {kinds} kinds, worst {:.2} s of {DEADLINE:?}, peak resident growth {:.1} MiB",
        worst.as_secs_f64(),
        growth as f64 / 1024.0
    ));
    assert!(growth < 64 << 10, "{growth} KiB");
}

/// Returns servers that never get as far as a certificate that could be read, and what is told of them.
fn hostile_to_tls(tree: &MemoryTree) -> Vec<(&'static str, Server, &'static str)> {
    const TOO_MUCH: &str = "more certificates than a server has any reason to";
    let pour = |bytes: Vec<u8>| Server::start(move |mut stream| while stream.write_all(&bytes).is_ok() {});
    vec![
        ("never answers", Server::start(hold), "silent"),
        ("closes at once", Server::start(drop), ""),
        ("listens and then closes", Server::start(|mut stream| listen(&mut stream)), "closes the connection"),
        ("sends garbage", pour((0..=255).rev().cycle().take(16 << 10).collect()), "does not speak TLS"),
        ("sends zeros", pour(vec![0; 16 << 10]), "does not speak TLS"),
        ("speaks HTTP", pour(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), "does not speak TLS"),
        ("sends records beyond their limit", pour([&[22, 3, 3, 255, 255], &[0; 65535][..]].concat()), ""),
        ("sends empty records for ever", pour([22, 3, 3, 0, 0].repeat(3000)), ""),
        ("sends warnings for ever", pour([21, 3, 3, 0, 2, 1, 90].repeat(2000)), ""),
        ("changes ciphers for ever", pour([20, 3, 3, 0, 1, 1].repeat(2000)), ""),
        ("drips", Server::start(drip), "silent"),
        ("greets and is silent", plain(|stream| hold(stream.try_clone().unwrap())), "silent"),
        (
            "sends a chain of 10 MB",
            plain(|stream| send_certificates(stream, &[0x5a; 1000], 10_000)),
            TOO_MUCH,
        ),
        (
            "sends ever more certificates",
            plain(|stream| send_certificates(stream, &[0x5a; 1000], 16_000)),
            TOO_MUCH,
        ),
        ("sends many empty certificates", plain(|stream| send_certificates(stream, &[], 21_000)), ""),
        ("sends a certificate with 10000 names, TLS 1.2", with_names(tree, 10_000, VERSIONS[0]), TOO_MUCH),
        ("sends a certificate with 10000 names, TLS 1.3", with_names(tree, 10_000, VERSIONS[1]), TOO_MUCH),
    ]
}

/// Returns servers that answer a request in a way that has no end or no sense, and as what they are asked.
fn hostile_to_http(tree: &MemoryTree) -> Vec<(&'static str, Server, Service)> {
    const TLS: Service = Service::ApiServer;
    const PLAIN: Service = Service::KubeletHealth;
    let pour = |first: &'static str, rest: &'static str| {
        Server::without_tls(move |to, _| {
            let _ = to.write_all(first.as_bytes());
            while to.write_all(rest.repeat(100).as_bytes()).is_ok() {}
        })
    };
    let sound = || Tls::of(tree, "apiserver");
    vec![
        ("does not answer", Server::with_tls(sound(), |_, _| sleep(DEADLINE * 3)), TLS),
        ("closes", Server::with_tls(sound(), |_, _| {}), TLS),
        (
            "sends headers for ever, with TLS",
            Server::with_tls(sound(), |to, _| {
                let _ = to.write_all(b"HTTP/1.1 200 OK\r\n");
                while to.write_all(b"x-header: value\r\n").is_ok() {}
            }),
            TLS,
        ),
        ("sends headers for ever", pour("HTTP/1.1 200 OK\r\n", "x: y\r\n"), PLAIN),
        ("sends one header for ever", pour("HTTP/1.1 200 OK\r\nx: ", "y"), PLAIN),
        ("promises for ever", pour("", "HTTP/1.1 103 Early Hints\r\n\r\n"), PLAIN),
        ("sends garbage", pour("", "\0\u{1}\u{2}\u{3}"), PLAIN),
        ("sends a text for ever", pour("HTTP/1.1 500 E\r\n\r\n", "x"), PLAIN),
        ("sends empty lines for ever", pour("HTTP/1.1 500 E\r\n\r\n", "\n"), PLAIN),
        (
            "sends a chunk beyond any size",
            pour("HTTP/1.1 500 E\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n", "x"),
            PLAIN,
        ),
        (
            "extends its chunk for ever",
            pour("HTTP/1.1 500 E\r\ntransfer-encoding: chunked\r\n\r\n1;", "x"),
            PLAIN,
        ),
        (
            "drips",
            Server::without_tls(|to, _| {
                while to.write_all(b"H").is_ok() {
                    sleep(Duration::from_secs(1));
                }
            }),
            PLAIN,
        ),
    ]
}

/// Reads whatever comes until the client goes away.
fn hold(mut stream: TcpStream) {
    let mut nothing = [0; 1024];
    while stream.read(&mut nothing).is_ok_and(|count| count > 0) {}
}

/// Reads one message of a client.
fn listen(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

/// Begins a record of TLS, a byte a second.
fn drip(mut stream: TcpStream) {
    for byte in [22, 3, 3, 64, 0, 2].into_iter().cycle() {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        sleep(Duration::from_secs(1));
    }
}

/// Returns a server that agrees to TLS 1.2, in which certificates are not encrypted, and goes on with `rest`.
fn plain(rest: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Server {
    Server::start(move |mut stream| {
        listen(&mut stream);
        let mut hello = vec![2, 0, 0, 38, 3, 3];
        hello.extend([7; 32]);
        // No session, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, no compression.
        hello.extend([0, 0xc0, 0x2f, 0]);
        send_record(&mut stream, &hello);
        rest(&mut stream);
        hold(stream);
    })
}

/// Sends `certificate` so many times, in one message.
fn send_certificates(stream: &mut TcpStream, certificate: &[u8], count: usize) {
    let length = |length: usize| [(length >> 16) as u8, (length >> 8) as u8, length as u8];
    let list = count * (3 + certificate.len());
    assert!(list + 3 < 1 << 24, "no message is longer");
    send_record(stream, &[&[11][..], &length(list + 3), &length(list)].concat());
    let some = [&length(certificate.len()), certificate].concat().repeat(16);
    for _ in 0..count / 16 {
        send_record(stream, &some);
    }
    send_record(stream, &some[..(count % 16) * (3 + certificate.len())]);
}

fn send_record(stream: &mut TcpStream, content: &[u8]) {
    for part in content.chunks(16 << 10) {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        let _ = stream.write_all(&[&[22, 3, 3][..], &length, part].concat());
    }
}

fn with_names(
    tree: &MemoryTree,
    count: u32,
    versions: &'static [&'static SupportedProtocolVersion],
) -> Server {
    let mut tree = tree.clone();
    let names = (0..count).map(|n| AlternativeName::Dns(format!("node-{n}.example.org"))).collect();
    tree.redraft(&pair("apiserver").0, &pair("ca").1, |draft| {
        draft.alternative_names = AlternativeNames::new(names);
    });
    Server::with_tls(Tls::of(&tree, "apiserver").versions(versions), |_, _| {})
}

/// Returns the amount of memory in KiB that the kernel calls `name`.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[expect(clippy::print_stderr, reason = "what was measured is to be seen")]
fn say(line: &str) {
    eprintln!("{line}");
}

const DEADLINE: Duration = Duration::from_secs(1);
/// What a busy machine may take beyond the deadline.
const SLACK: Duration = Duration::from_secs(10);
