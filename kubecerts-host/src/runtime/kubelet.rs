//! Whether the kubelet is alive: without it, no static pod that is stopped comes back.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use tokio::net::TcpStream;

use super::http::{NoAnswer, exchange};
use super::processes;

/// Somebody who knows whether the kubelet is alive. Closures are, for tests.
pub trait KubeletCheck {
    /// Looks now.
    ///
    /// # Errors
    /// How it was seen that the kubelet is not alive, or why that could not be seen.
    fn alive(&mut self) -> Result<(), String>;
}

impl<F: FnMut() -> Result<(), String>> KubeletCheck for F {
    fn alive(&mut self) -> Result<(), String> {
        self()
    }
}

/// Looks for a process of the kubelet on this host.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct KubeletProcess;

impl KubeletCheck for KubeletProcess {
    fn alive(&mut self) -> Result<(), String> {
        match processes::running(Path::new("/proc"), "kubelet") {
            Ok(found) if found.is_empty() => Err("there is no process of it".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("/proc cannot be listed: {error}")),
        }
    }
}

/// Asks the kubelet's health endpoint, `http://127.0.0.1:10248/healthz` by default.
#[derive(Clone, Debug)]
pub struct KubeletHealth {
    address: SocketAddr,
    deadline: Duration,
}

impl KubeletHealth {
    /// Returns a check that asks at `address` and waits at most `deadline`.
    #[must_use]
    pub const fn new(address: SocketAddr, deadline: Duration) -> Self {
        Self { address, deadline }
    }
}

impl KubeletCheck for KubeletHealth {
    fn alive(&mut self) -> Result<(), String> {
        let (address, deadline) = (self.address, self.deadline);
        let connect = TcpStream::connect(address);
        match exchange(Method::GET, "/healthz", BODY_LIMIT, deadline, connect) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("http://{address}/healthz answers with status {}", answer.status)),
            Err(NoAnswer::Broken(detail)) => {
                Err(format!("http://{address}/healthz does not answer: {detail}"))
            }
            Err(NoAnswer::Late) => {
                Err(format!("http://{address}/healthz did not answer within {deadline:?}"))
            }
        }
    }
}

/// The kubelet says `ok`, or a line for each of its checks.
const BODY_LIMIT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Returns what the check says of an endpoint that answers with `answer` and then closes.
    fn asked(answer: Vec<u8>) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            // The client may have turned away.
            let _ = stream.write_all(&answer);
        });
        let said = KubeletHealth::new(address, Duration::from_secs(10)).alive();
        server.join().unwrap();
        said.map_err(|text| text.replace(&address.to_string(), "HERE"))
    }

    #[test]
    fn a_kubelet_that_says_ok_is_alive_and_no_other() {
        assert_eq!(asked(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()), Ok(()));
        let sick = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec();
        assert_eq!(asked(sick), Err("http://HERE/healthz answers with status 500".to_owned()));
        for garbage in [b"".to_vec(), b"\x15\x03\x01\0\x02\x02F".to_vec(), vec![b'x'; 4 << 20]] {
            assert!(asked(garbage).unwrap_err().starts_with("http://HERE/healthz does not answer: "));
        }
        let mut endless = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n".to_vec();
        endless.resize(4 << 20, b'o');
        assert!(asked(endless).unwrap_err().contains("length limit exceeded"));
    }

    #[test]
    fn a_kubelet_that_hangs_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let said = KubeletHealth::new(address, Duration::from_millis(50)).alive().unwrap_err();
        assert!(said.ends_with("did not answer within 50ms"), "{said}");
        drop(listener);
        assert!(KubeletHealth::new(address, Duration::from_secs(10)).alive().is_err());
    }
}
