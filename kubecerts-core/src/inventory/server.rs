//! Who is meant by a URL of a server.

/// The host and the port of a URL, as they stand in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Server<'a> {
    /// What stands before `://`, if that stands there.
    pub(crate) scheme: Option<&'a str>,
    /// A name or an address, without brackets and without a zone in them: Go leaves the zone out when it compares.
    pub(crate) host: &'a str,
    /// Whether the host stands in brackets, where it must be an address of IPv6 ([RFC 3986 §3.2.2]).
    ///
    /// [RFC 3986 §3.2.2]: https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
    pub(crate) is_bracketed: bool,
    /// What stands behind the host and a colon.
    pub(crate) port: Option<&'a str>,
}

impl<'a> Server<'a> {
    /// Takes `url` apart; `None` when a bracket is not closed. What the parts are made of is not looked at.
    pub(crate) fn of_url(url: &'a str) -> Option<Self> {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, url),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some(rest) = authority.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let host = address.split('%').next().unwrap_or_default();
            return Some(Self { scheme, host, is_bracketed: true, port: port.strip_prefix(':') });
        }
        let (host, port) = match authority.split_once(':') {
            // Without brackets more than one colon is an address; kubeadm's endpoints may be so written.
            Some((_, port)) if port.contains(':') => (authority, None),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        Some(Self { scheme, host, is_bracketed: false, port })
    }
}
