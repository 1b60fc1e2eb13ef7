//! Proxies that this coordinator's owner trusts, and where a request that comes through one came from. Pure.
//!
//! A trusted proxy adds the address it was called from to `X-Forwarded-For` or `Forwarded`. So the client is the
//! rightmost address there that is no trusted proxy itself; what stands left of it the client wrote. Whoever is no
//! trusted proxy is where it says it is: where its connection comes from.

use std::{net::IpAddr, str::FromStr};

use http::HeaderMap;
use serde::Deserialize;
use thiserror::Error;

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// A network that is trusted to say where requests came from: `10.0.0.0/8`, `::1/128`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0} is no network: write an address, or an address, `/` and the bits of its prefix, like 10.0.0.0/8"
)]
pub struct NetworkError(String);

/// What a trusted proxy said makes no sense, so nobody knows who asks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ForwardedError {
    /// An entry is no address.
    #[error("the proxy's header {0} does not say an address")]
    NoAddress(&'static str),
    /// Two headers, of which the client may have written one.
    #[error(
        "x-forwarded-for and forwarded say different addresses; have the proxy set one and remove the other"
    )]
    TwoAddresses,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - self.bits;
                (u32::from(own) ^ u32::from(other)).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - self.bits;
                (u128::from(own) ^ u128::from(other)).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let wrong = || NetworkError(text.chars().take(60).collect());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
        };
        if bits > all { Err(wrong()) } else { Ok(Network { address, bits }) }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Network, NetworkError> {
        text.parse()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Whether an address is one of the trusted proxies.
pub(crate) fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// Where a request came from: its connection's address, or what trusted proxies say.
pub(crate) fn client_address(
    trusted: &[Network],
    connection: IpAddr,
    headers: &HeaderMap,
) -> Result<IpAddr, ForwardedError> {
    let connection = connection.to_canonical();
    if !is_trusted(trusted, connection) {
        return Ok(connection);
    }
    let by_list = client_of(trusted, headers, FORWARDED_FOR, Some)?;
    let by_standard = client_of(trusted, headers, FORWARDED, for_of)?;
    match (by_list, by_standard) {
        (Some(one), Some(other)) if one != other => Err(ForwardedError::TwoAddresses),
        (one, other) => Ok(one.or(other).unwrap_or(connection)),
    }
}

/// The rightmost address of a header that is no trusted proxy; the leftmost where all are.
fn client_of<'a>(
    trusted: &[Network],
    headers: &'a HeaderMap,
    name: &'static str,
    part: impl Fn(&'a str) -> Option<&'a str>,
) -> Result<Option<IpAddr>, ForwardedError> {
    let no_address = || ForwardedError::NoAddress(name);
    let mut last = None;
    // Several headers of one name are one list.
    for value in headers.get_all(name).iter().rev() {
        let text = value.to_str().map_err(|_| no_address())?;
        for entry in text.rsplit(',') {
            let address = part(entry.trim()).and_then(address).ok_or_else(no_address)?;
            last = Some(address);
            if !is_trusted(trusted, address) {
                return Ok(last);
            }
        }
    }
    Ok(last)
}

/// The value of `for=` of an element of `Forwarded`.
fn for_of(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut of = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value);
    let value = of.next()?;
    match of.next() {
        None => Some(value.trim_matches('"')),
        Some(_) => None,
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    plain.or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().expect("a network")).collect()
    }

    #[test]
    fn networks_read_and_contain() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "::1"),
            ("0.0.0.0/0", "255.1.2.3", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:9::1", "2001:db9::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let [read] = networks(&[network])[..] else { panic!("one") };
            assert!(read.contains(ip(inside)) && !read.contains(ip(outside)), "{network}");
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for wrong in
            ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0/8", "::/129", "a/8", "10.0.0.0/+8"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let trusted = networks(&["127.0.0.1", "10.0.0.0/8"]);
        let check = |connection: &str, headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            client_address(&trusted, ip(connection), &map).ok()
        };
        let list = "x-forwarded-for";
        for (connection, headers, expected) in [
            // Nobody else's word counts.
            ("192.0.2.9", vec![(list, "198.51.100.1")], Some("192.0.2.9")),
            ("127.0.0.1", vec![], Some("127.0.0.1")),
            ("127.0.0.1", vec![(list, "198.51.100.1")], Some("198.51.100.1")),
            // What the client made up stands on the left.
            ("127.0.0.1", vec![(list, "203.0.113.5, 198.51.100.1")], Some("198.51.100.1")),
            ("127.0.0.1", vec![(list, "nonsense, 198.51.100.1")], Some("198.51.100.1")),
            ("10.1.1.1", vec![(list, "203.0.113.5, 198.51.100.1, 10.2.2.2")], Some("198.51.100.1")),
            ("10.1.1.1", vec![(list, "203.0.113.5"), (list, "198.51.100.1, 10.2.2.2")], Some("198.51.100.1")),
            ("127.0.0.1", vec![(list, "10.3.3.3")], Some("10.3.3.3")),
            ("127.0.0.1", vec![(list, "198.51.100.1:4711")], Some("198.51.100.1")),
            ("127.0.0.1", vec![(list, "[2001:db8::1]:4711")], Some("2001:db8::1")),
            ("127.0.0.1", vec![(list, "unknown")], None),
            ("127.0.0.1", vec![(list, "")], None),
            ("127.0.0.1", vec![("forwarded", "for=198.51.100.1;proto=https")], Some("198.51.100.1")),
            (
                "127.0.0.1",
                vec![("forwarded", "for=203.0.113.5, For=\"[2001:db8::1]:80\"")],
                Some("2001:db8::1"),
            ),
            ("127.0.0.1", vec![("forwarded", "for=_hidden")], None),
            ("127.0.0.1", vec![("forwarded", "for=198.51.100.1;for=203.0.113.5")], None),
            // One of the two the client may have written.
            ("127.0.0.1", vec![(list, "198.51.100.1"), ("forwarded", "for=203.0.113.5")], None),
            (
                "127.0.0.1",
                vec![(list, "198.51.100.1"), ("forwarded", "for=198.51.100.1")],
                Some("198.51.100.1"),
            ),
        ] {
            assert_eq!(check(connection, &headers), expected.map(ip), "{connection} {headers:?}");
        }
    }
}
