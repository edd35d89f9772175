//! The hostile servers, as a client of rustls meets them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use kubecerts_standin_server::hostile;
use kubecerts_standin_server::hostile::TlsVersion;

use crate::support::{get, handshake, now, shown};

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Returns the first bytes that come within a moment.
fn first_bytes(port: u16) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(at(port))?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut bytes = vec![0; 64];
    let length = stream.read(&mut bytes)?;
    bytes.truncate(length);
    Ok(bytes)
}

#[test]
fn the_silent_one_says_nothing() {
    assert_eq!(first_bytes(hostile::silent()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn the_closing_one_closes() {
    assert!(first_bytes(hostile::closes()).is_ok_and(|bytes| bytes.is_empty()));
}

#[test]
fn garbage_and_drips_are_no_handshake() {
    assert!(handshake(at(hostile::garbage()), None).is_err());
    assert_eq!(first_bytes(hostile::slow_drip()).unwrap(), [22]);
}

#[test]
fn rustls_refuses_chains_and_certificates_above_64_kilobytes() {
    for port in [hostile::endless_chain(10_000_000), hostile::many_names(10_000).port] {
        let refused = handshake(at(port), None).unwrap_err().to_string();
        assert!(refused.contains("HandshakePayloadTooLarge"), "{refused}");
    }
}

#[test]
fn rustls_takes_what_is_below() {
    assert!(handshake(at(hostile::endless_chain(50_000)), None).is_ok());
    let many = hostile::many_names(1_000);
    assert_eq!(shown(at(many.port)).unwrap(), many.leaf);
    assert_eq!(many.leaf.alternative_names().as_slice().len(), 1_000);
}

#[test]
fn expired_and_self_signed_certificates_are_shown() {
    let expired = hostile::expired();
    assert_eq!(shown(at(expired.port)).unwrap(), expired.leaf);
    assert!(expired.leaf.not_after() < now());
    let own = hostile::self_signed();
    assert_eq!(shown(at(own.port)).unwrap(), own.leaf);
    assert!(own.leaf.is_self_issued());
    assert_eq!(get(at(own.port), None, "/livez").unwrap(), (200, "ok".to_owned()));
}

#[test]
fn a_demand_for_a_client_certificate_fails_the_handshake_or_the_first_read() {
    let old = hostile::demands_client_certificate(TlsVersion::Tls12);
    assert!(handshake(at(old.port), None).unwrap_err().to_string().contains("CertificateRequired"));
    let new = hostile::demands_client_certificate(TlsVersion::Tls13);
    assert_eq!(shown(at(new.port)).unwrap(), new.leaf);
    assert!(get(at(new.port), None, "/livez").unwrap_err().to_string().contains("CertificateRequired"));
}

#[test]
fn http_never_ends_or_never_begins() {
    for shown in [hostile::endless_http(), hostile::endless_head()] {
        let mut stream = handshake(at(shown.port), None).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut vec![0; 1_000_000]).unwrap();
    }
    let mut stream = handshake(at(hostile::silent_http().port), None).unwrap();
    stream.sock.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
