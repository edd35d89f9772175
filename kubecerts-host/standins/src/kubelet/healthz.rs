//! The address at which a kubelet says that it is alive.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// Answers `ok` to `GET /healthz`, and 404 to all else, until `stop` is set.
pub(crate) fn serve(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            // A caller that goes away or hangs is its own affair.
            Ok((stream, _)) => drop(answer(stream)),
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut head, mut length) = ([0; 4096], 0);
    while length < head.len() && !head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[length..])? {
            0 => break,
            more => length += more,
        }
    }
    let is_healthz = head.starts_with(b"GET /healthz");
    let (status, body) =
        if is_healthz { ("200 OK", "ok") } else { ("404 Not Found", "404 page not found\n") };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n")?;
    write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
