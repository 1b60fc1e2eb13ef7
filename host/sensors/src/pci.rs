//! Where a device sits: how one that wgpu shows is found again at NVML and in /sys.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A place on the PCI bus, as lspci writes it: `0000:01:00.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain; drivers write it with four or eight digits.
    pub domain: u32,
    /// Bus.
    pub bus: u8,
    /// Device on the bus.
    pub device: u8,
    /// Function of the device.
    pub function: u8,
}

/// Vendor and model, as lspci writes them: `10de:2335`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciId {
    /// Who made it.
    pub vendor: u16,
    /// What it is.
    pub device: u16,
}

/// NVIDIA.
pub(crate) const VENDOR_NVIDIA: u16 = 0x10de;

/// A text that names no place or model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{found:?} is not written like {example}")]
pub struct PciError {
    found: String,
    example: &'static str,
}

impl FromStr for PciAddress {
    type Err = PciError;

    fn from_str(text: &str) -> Result<PciAddress, PciError> {
        let parse = || {
            let (place, function) = text.trim().rsplit_once('.')?;
            let mut parts = place.rsplit(':');
            let address = PciAddress {
                device: hex(parts.next()?)?.try_into().ok()?,
                bus: hex(parts.next()?)?.try_into().ok()?,
                domain: parts.next().map_or(Some(0), hex)?,
                function: hex(function)?.try_into().ok()?,
            };
            parts.next().is_none().then_some(address)
        };
        parse().ok_or_else(|| PciError { found: text.chars().take(40).collect(), example: "0000:01:00.0" })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

impl FromStr for PciId {
    type Err = PciError;

    fn from_str(text: &str) -> Result<PciId, PciError> {
        let parse = || {
            let (vendor, device) = text.trim().split_once(':')?;
            Some(PciId { vendor: hex(vendor)?.try_into().ok()?, device: hex(device)?.try_into().ok()? })
        };
        parse().ok_or_else(|| PciError { found: text.chars().take(40).collect(), example: "10de:2335" })
    }
}

impl fmt::Display for PciId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)
    }
}

/// A number in base 16, without a sign.
fn hex(digits: &str) -> Option<u32> {
    let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_read_however_it_is_written() {
        let expected = PciAddress { domain: 0, bus: 0xc1, device: 0, function: 0 };
        for text in ["0000:c1:00.0", "00000000:C1:00.0", "c1:00.0", " 0000:C1:00.0\n"] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string(), "0000:c1:00.0");
        assert_eq!("10DE:2335".parse::<PciId>().expect("an id").to_string(), "10de:2335");
    }

    #[test]
    fn other_texts_are_no_place() {
        for text in
            ["", ".", "0000:c1:00", "0:0:0:0.0", "c1:+0.0", "1ff:00.0", "c1:00.0.0", "100000000:c1:00.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
        for text in ["", ":", "10de", "10de:", "10de:12345", "10de:2:3"] {
            assert!(text.parse::<PciId>().is_err(), "{text}");
        }
    }
}
