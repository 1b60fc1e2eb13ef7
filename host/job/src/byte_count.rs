//! Sizes in bytes: `"64 MiB"` in a manifest and in messages.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes. Shown in the largest binary unit that loses nothing worth seeing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no size: write a whole number and B, KiB, MiB, GiB or TiB, like \"64 MiB\"")]
pub struct ByteCountError(pub String);

impl FromStr for ByteCount {
    type Err = ByteCountError;

    fn from_str(text: &str) -> Result<ByteCount, ByteCountError> {
        let error = || ByteCountError(text.chars().take(40).collect());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(trimmed.len());
        let (digits, unit) = trimmed.split_at(end);
        let number: u64 = digits.replace('_', "").parse().map_err(|_| error())?;
        let unit = match unit.trim() {
            "" => "B",
            unit => unit,
        };
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        number.checked_mul(*factor).map(ByteCount).ok_or_else(error)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &(unit, factor) = UNITS.iter().find(|(_, factor)| self.0 >= *factor).unwrap_or(&("B", 1));
        if self.0.is_multiple_of(factor) {
            write!(f, "{} {unit}", self.0 / factor)
        } else {
            write!(f, "{:.1} {unit}", self.0 as f64 / factor as f64)
        }
    }
}

impl schemars::JsonSchema for ByteCount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteCount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Bytes as a whole number, or a text with a binary unit.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9][0-9_]* ?(B|KiB|MiB|GiB|TiB)?$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_show() {
        for (text, bytes) in [("0", 0), ("64 MiB", 64 << 20), ("1GiB", 1 << 30), ("1_024 KiB", 1 << 20)] {
            assert_eq!(text.parse(), Ok(ByteCount(bytes)), "{text}");
        }
        for text in ["", "MiB", "64 MB", "-1", "1.5 GiB", "99999999999 TiB", "64 MiB x"] {
            assert!(text.parse::<ByteCount>().is_err(), "{text}");
        }
        assert_eq!(ByteCount(64 << 20).to_string(), "64 MiB");
        assert_eq!(ByteCount(37_900).to_string(), "37.0 KiB");
        assert_eq!(ByteCount(0).to_string(), "0 B");
    }
}
