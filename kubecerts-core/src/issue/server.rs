//! The URL of an API server, as a kubeconfig states it.

use core::net::Ipv6Addr;

/// Returns whether `text` is a URL of a host over TLS: `https://host`, with a port and a path if need be. Nothing in it needs
/// quotes in YAML.
pub(super) fn is_server(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (is_host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address.parse::<Ipv6Addr>().is_ok(), None),
        Some((address, rest)) => {
            (address.parse::<Ipv6Addr>().is_ok(), Some(rest.strip_prefix(':').unwrap_or_default()))
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            (!host.is_empty() && host.chars().all(is_plain), port)
        }
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    is_host && port.is_none_or(is_port) && path.chars().all(|c| is_plain(c) || c == '/')
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_".contains(c)
}

#[cfg(test)]
mod tests {
    use super::is_server;

    #[test]
    fn a_server_is_a_host_over_tls() {
        for good in [
            "https://a",
            "https://a.example.com:6443",
            "https://10.0.0.1:6443/",
            "https://[fd00::1]:6443",
            "https://[fd00::1]",
            "https://rancher.example.com/k8s/clusters/c-1",
        ] {
            assert!(is_server(good), "{good}");
        }
        for bad in [
            "",
            "x",
            "https://",
            "https:///a",
            "http://x",
            "http://x y",
            "https://x y",
            "ftp://x",
            "https://a:0",
            "https://a:65536",
            "https://a:+1",
            "https://a:",
            "https://:6443",
            "https://fd00::1",
            "https://[fd00::1]x",
            "https://[a]:1",
            "https://[",
            "https://user@host",
            "https://a?b",
            "https://a\n",
            "HTTPS://a",
        ] {
            assert!(!is_server(bad), "{bad:?}");
        }
    }
}
