//! A fast look at a line: may it speak of certificates at all?
//!
//! Almost all lines of a log do not, so this decides how long a large one takes. It is the search of Wu and Manber for many
//! words at once: two bytes at the end of a window tell how far the window may move, mostly over its whole length.

/// Returns whether `line` has one of the words without which nothing in it can be understood.
pub(super) fn may_matter(line: &[u8]) -> bool {
    let mut end = WINDOW;
    while let Some(window) = line.get(end.wrapping_sub(WINDOW)..end) {
        let shift = SHIFTS[block(window[WINDOW - 2], window[WINDOW - 1])];
        if shift == 0 {
            let from_here = &line[end - WINDOW..];
            if WORDS.iter().any(|word| from_here.starts_with(word)) {
                return true;
            }
            end += 1;
        } else {
            end += shift as usize;
        }
    }
    false
}

/// The words. A capital at the beginning of a sentence is left out, so that one spelling does for both.
const WORDS: [&[u8]; 45] = [
    b"x509: ",
    b"ertific",
    b"ERTIFIC",
    b"nauthorized",
    b"tls: ",
    b"TLS hands",
    b"handshake failed",
    b"be logged in",
    b"provide credentials",
    b"bearer token",
    b"crypto/",
    b"asn1: ",
    b"key pair",
    b"public key",
    b"private key",
    b"PEM block",
    b"PEM data",
    b"X509",
    b"ssl3_",
    b"SSL: ",
    b"SSL alert",
    b"SSL routines",
    b"verify error",
    b"bootstrap kubeconfig",
    b"no such file or dir",
    b"permission denied",
    b"connection refused",
    b"unable to handle the request",
    b"missing response from",
    b"\"kubernetes-admin\" cannot",
    b"HTTP response to",
    b"HTTP request to",
    b"got the wrong",
    b"JWS signature",
    b"kubeadm-certs",
    b"not allowed to modify",
    b"\"kube-apiserver\" cannot",
    b"kube-apiserver\\\" cannot",
    b"kube-apiserver-kubelet-client",
    b"was refused",
    b"CA bundle",
    b"PKIX path",
    b"Metrics API not",
    // journald has a line that is no text as numbers
    b"SSAGE\":[",
    // as JSON has it
    b"kubernetes-admin\\\" cannot",
];

/// The length of the shortest word.
const WINDOW: usize = 4;

/// How far a window may move whose last two bytes these are; 0 where a word may begin with it.
const SHIFTS: [u8; 4096] = shifts();

const fn shifts() -> [u8; 4096] {
    let mut shifts = [WINDOW as u8 - 1; 4096];
    let mut index = 0;
    while index < WORDS.len() {
        let word = WORDS[index];
        assert!(word.len() >= WINDOW);
        let mut end = 2;
        while end <= WINDOW {
            let shift = (WINDOW - end) as u8;
            let entry = &mut shifts[block(word[end - 2], word[end - 1])];
            if shift < *entry {
                *entry = shift;
            }
            end += 1;
        }
        index += 1;
    }
    shifts
}

/// Returns the entry of two bytes. Others share it, which costs a comparison and nothing else.
const fn block(first: u8, second: u8) -> usize {
    (first as usize & 0x3f) << 6 | (second as usize & 0x3f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_wherever_it_stands() {
        for word in WORDS {
            for before in 0..9 {
                for after in [0, 1, 7] {
                    let mut line = vec![b'e'; before];
                    line.extend_from_slice(word);
                    line.extend(vec![b'r'; after]);
                    assert!(may_matter(&line), "{}", String::from_utf8_lossy(&line));
                    line[before] ^= 0x80;
                    assert!(!may_matter(&line), "{}", String::from_utf8_lossy(&line));
                }
            }
        }
    }

    #[test]
    fn short_lines_and_other_lines_have_none() {
        for line in [&b""[..], b"x", b"x50", b"etcdserver/api/etcdhttp: /health OK (status code 200)"] {
            assert!(!may_matter(line));
        }
    }
}
