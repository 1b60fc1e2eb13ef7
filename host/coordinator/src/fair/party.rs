//! Who competes for something: a key, and the network prefix that it comes from. Keys cost nothing; prefixes do.

use std::net::{IpAddr, SocketAddr};

use anneal_job::Identity;

/// Somebody who wants a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Party {
    /// Where it comes from.
    pub prefix: Prefix,
    /// Who it is there.
    pub key: Key,
}

/// A part of the network that one person may well have all of: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// This machine, or a trusted proxy itself: many may come from it, so it has no limit of its own.
    Local,
    /// 24 bits.
    V4([u8; 3]),
    /// 48 bits.
    V6([u8; 6]),
}

/// Who somebody is within a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Who signed.
    Identity(Identity),
    /// Who did not.
    Address(IpAddr),
    /// One connection of an address that many come from.
    Connection(SocketAddr),
}

impl Prefix {
    /// The prefix of an address.
    pub fn of(address: IpAddr) -> Prefix {
        match address.to_canonical() {
            address if address.is_loopback() => Prefix::Local,
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Prefix::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Prefix::V6([a, b, c, d, e, f])
            }
        }
    }
}

impl Party {
    /// Who signed, from an address.
    pub fn of(identity: Identity, address: IpAddr) -> Party {
        Party { prefix: Prefix::of(address), key: Key::Identity(identity) }
    }

    /// Who did not sign.
    pub fn unsigned(address: IpAddr) -> Party {
        Party { prefix: Prefix::of(address), key: Key::Address(address.to_canonical()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_one_person_may_have_all_of() {
        let of = |text: &str| Prefix::of(text.parse().expect("an address"));
        assert_eq!(of("192.0.2.1"), of("192.0.2.255"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.9"));
        assert_eq!(of("2001:db8:1::1"), of("2001:db8:1:ffff::"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_eq!([of("127.0.0.1"), of("127.9.9.9"), of("::1")], [Prefix::Local; 3]);
    }
}
