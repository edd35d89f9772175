//! The laws of lists that are read a piece at a time: requests for certificates, and clusters.

use std::fmt::Write;
use std::io::BufReader;
use std::sync::OnceLock;

use kubecerts_core::catalog::CaSlot;
use kubecerts_core::issue::NewTree;
use kubecerts_core::issue::bulk::{BulkAuthority, BulkTerms};
use kubecerts_core::issue::sign::{SignerName, SigningProfile};
use kubecerts_core::manifest::{ClusterLine, ClusterLineProblem, KubeadmConfig};
use kubecerts_core::time::Seconds;
use kubecerts_core::x509::Certificate;
use kubecerts_host::bulk::{
    BulkIssuer, Content, End, Made, Outcome, Prior, Sink, Stopped, StreamForm, requests_of,
};
use kubecerts_host::crypto::Threads;
use kubecerts_testkit::{Fixture, Seeded, at};

/// Requests come in the order of the stream, whatever pieces it is read in; none is larger than 64 KiB, and all together are no larger
/// than the stream; what was understood is read again as the same. Each is signed or refused, in the order.
pub fn bulk_requests(data: &[u8]) {
    let (form, asked) = read(data, 1 << 16);
    let (same_form, same) = read(data, 7);
    assert!(form == same_form && asked == same, "what is read depends on the size of a buffer");
    let kept = |asked: &Asked| match asked {
        Asked::Request(bytes) | Asked::Line(bytes) => Some(bytes.clone()),
        Asked::Refused(_) => None,
    };
    let understood: Vec<Vec<u8>> = asked.iter().filter_map(kept).collect();
    assert!(understood.iter().all(|bytes| bytes.len() <= 64 << 10), "no request is larger");
    assert!(understood.iter().map(Vec::len).sum::<usize>() <= data.len(), "nothing is kept twice");
    let mut rest = data;
    for bytes in &understood {
        let at = rest.windows(bytes.len()).position(|window| window == bytes);
        rest = &rest[at.expect("a request is a piece of the stream") + bytes.len()..];
    }
    let again = understood.concat();
    if form == StreamForm::Pem || again.trim_ascii_start().starts_with(b"{") {
        let (_, again) = read(&again, 1 << 16);
        let again: Vec<Vec<u8>> = again.iter().filter_map(kept).collect();
        assert!(again == understood, "requests alone are read as other requests");
    }
    if asked.len() <= MOST_SIGNED {
        signed(data, asked.len());
    }
}

/// What stands in a stream of requests.
#[derive(Debug, Eq, PartialEq)]
enum Asked {
    Request(Vec<u8>),
    Line(Vec<u8>),
    Refused(String),
}

fn read(data: &[u8], buffer: usize) -> (StreamForm, Vec<Asked>) {
    let requests = requests_of(BufReader::with_capacity(buffer, data)).expect("memory can be read");
    let form = requests.form();
    let mut asked = Vec::new();
    for (request, position) in requests.zip(1..) {
        let request = request.expect("memory can be read");
        assert_eq!((request.position, request.prior), (position, Prior::None));
        asked.push(match (form, request.content) {
            (StreamForm::Pem, Content::Request(bytes)) => Asked::Request(bytes),
            (StreamForm::JsonLines, Content::Line(bytes)) => Asked::Line(bytes),
            (_, Content::Broken(reason)) => Asked::Refused(reason),
            (_, other) => panic!("{other:?} comes from no stream of this form"),
        });
    }
    (form, asked)
}

/// Every request becomes a certificate or a refusal.
fn signed(data: &[u8], count: usize) {
    static AUTHORITY: OnceLock<BulkAuthority> = OnceLock::new();
    let now = at("2027-01-01T00:00:00Z");
    let authority = AUTHORITY.get_or_init(|| {
        let snapshot = Fixture::named("kubeadm-v136-ecdsa-p256").tree().snapshot();
        BulkAuthority::from_snapshot(&snapshot, CaSlot::Cluster, now).expect("kubeadm made it")
    });
    let profile = SigningProfile::Signer(SignerName::ApiServerClient);
    let terms = BulkTerms { profile, lifetime: Seconds(86_400), now };
    let issuer = BulkIssuer::new(authority, terms).with_threads(Threads::ONE);
    let requests = requests_of(data).expect("memory can be read");
    let totals = issuer.run(requests, &Seeded::provider(1), &Judge, &mut |_| {}).expect("the terms hold");
    assert_eq!((totals.end, totals.requests), (Ok(End::Complete), count as u64));
    assert_eq!(totals.issued + totals.refused, totals.requests);
}

/// Looks at what comes out, and keeps nothing.
struct Judge;

impl Sink for Judge {
    type Prepared = ();

    fn prepare(&self, outcomes: &[Outcome<'_>]) -> Result<(), Stopped> {
        assert!(outcomes.is_sorted_by_key(|outcome| outcome.position), "the order is that of the stream");
        for Outcome { made, .. } in outcomes {
            let Ok(Made::Now(issued)) = made else { continue };
            let certificate = Certificate::parse_der(issued.certificate).expect("it was made here");
            assert!(!certificate.is_authority(), "nobody becomes an authority by asking");
        }
        Ok(())
    }

    fn accept(&self, (): ()) -> Result<(), Stopped> {
        Ok(())
    }

    fn finish(&self, _: &Result<End, Stopped>) -> Result<(), Stopped> {
        Ok(())
    }
}

/// A line says its name alone as it says it with everything else, and means the same with blanks around it; the text of a file within a
/// line means what the file does.
pub fn cluster_line(data: &[u8]) {
    match ClusterLine::parse(data) {
        Ok(line) => {
            assert_eq!(ClusterLine::name_of(data).as_ref(), Some(&line.name));
            let blanks = [data, b" \n"].concat();
            assert_eq!(ClusterLine::parse(&blanks).as_ref(), Ok(&line), "blanks behind it mean something");
            let _ = NewTree::from_config(&line.config);
        }
        Err(error) => {
            let _ = error.to_string();
            assert!(error.name.is_none() || ClusterLine::name_of(data) == error.name);
        }
    }
    let Ok(text) = str::from_utf8(data) else { return };
    let line = ClusterLine::parse(cluster_of(text).as_bytes());
    match (line, KubeadmConfig::parse(data)) {
        (Ok(line), Ok(config)) => assert_eq!((line.name.as_str(), line.config), ("a", config)),
        (Err(error), Ok(config)) => {
            assert_eq!((error.problem, config.is_of_joining_node()), (ClusterLineProblem::Joins, true));
        }
        (Err(error), Err(damage)) => assert_eq!(error.problem, ClusterLineProblem::Config(damage)),
        (Ok(line), Err(damage)) => panic!("{line:?} is no configuration: {damage}"),
    }
}

/// Returns the line of a cluster whose configuration is `text`.
pub(crate) fn cluster_of(text: &str) -> String {
    let mut line = r#"{"name": "a", "config": ""#.to_owned();
    for c in text.chars() {
        match c {
            ' '..='~' if c != '"' && c != '\\' => line.push(c),
            '\u{10000}'.. => line.push(c),
            _ => write!(line, "\\u{:04x}", u32::from(c)).expect("a text takes what is written"),
        }
    }
    line + "\"}"
}

/// To sign takes a tenth of a millisecond, and more than one piece would only take longer.
const MOST_SIGNED: usize = 24;
