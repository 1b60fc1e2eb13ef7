//! The address of a coordinator: `https://host[:port]`, or `http://` on loopback only.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CoordinatorUrl {
    tls: bool,
    host: String,
    port: u16,
}

/// Why a text is no coordinator's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Not of the form.
    #[error("\"{0}\" is no coordinator's address: write https://host or https://host:port")]
    Malformed(String),
    /// Plain HTTP to another machine.
    #[error("plain http:// is for loopback only; write https://{0}")]
    PlainBeyondLoopback(String),
}

impl CoordinatorUrl {
    /// Whether connections are TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Scheme, host and port, without a slash at the end.
    pub fn base(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// Whether a host's name or address is this machine.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for CoordinatorUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<CoordinatorUrl, UrlError> {
        let malformed = || UrlError::Malformed(text.chars().take(100).collect());
        let uri: http::Uri = text.parse().map_err(|_| malformed())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(malformed()),
        };
        let authority = uri.authority().ok_or_else(malformed)?;
        let alone = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !alone || authority.as_str().contains('@') {
            return Err(malformed());
        }
        let host = authority.host().to_lowercase();
        if host.is_empty() {
            return Err(malformed());
        }
        if !tls && !is_loopback(&host) {
            return Err(UrlError::PlainBeyondLoopback(authority.to_string()));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(CoordinatorUrl { tls, host, port })
    }
}

impl TryFrom<String> for CoordinatorUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<CoordinatorUrl, UrlError> {
        text.parse()
    }
}

impl From<CoordinatorUrl> for String {
    fn from(url: CoordinatorUrl) -> String {
        url.base()
    }
}

impl fmt::Display for CoordinatorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_show() {
        for (text, shown) in [
            ("https://Example.org", Some("https://example.org:443")),
            ("https://example.org:8443/", Some("https://example.org:8443")),
            ("http://127.0.0.1:7070", Some("http://127.0.0.1:7070")),
            ("http://[::1]:7070", Some("http://[::1]:7070")),
            ("http://localhost", Some("http://localhost:80")),
            ("http://localhost.example.org", None),
            ("http://10.0.0.1", None),
            ("https://user@example.org", None),
            ("https://example.org/path", None),
            ("example.org", None),
            ("ftp://example.org", None),
            ("", None),
        ] {
            let url = text.parse::<CoordinatorUrl>().ok().map(|url| url.to_string());
            assert_eq!(url.as_deref(), shown, "{text}");
        }
    }
}
