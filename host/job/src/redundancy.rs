//! How many machines must agree on a task.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Replicas of a task.
pub const REDUNDANCY_MAX: u8 = 8;

/// How many operators' attempts must agree before a result counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Redundancy {
    /// Two at first; fewer for providers that have long been right.
    #[default]
    Adaptive,
    /// Always so many, 1 to [`REDUNDANCY_MAX`].
    Fixed(u8),
}

/// A text that is no redundancy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("redundancy is \"adaptive\" or a whole number from 1 to {REDUNDANCY_MAX}")]
pub struct RedundancyError;

impl Redundancy {
    /// So many, where that is a redundancy.
    pub const fn fixed(replicas: u8) -> Option<Redundancy> {
        if replicas >= 1 && replicas <= REDUNDANCY_MAX { Some(Redundancy::Fixed(replicas)) } else { None }
    }

    /// The most replicas that a task is planned with.
    pub const fn replicas_max(self) -> u8 {
        match self {
            Redundancy::Adaptive => 2,
            Redundancy::Fixed(replicas) => replicas,
        }
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Redundancy::Adaptive => f.write_str("adaptive"),
            Redundancy::Fixed(replicas) => replicas.fmt(f),
        }
    }
}

impl FromStr for Redundancy {
    type Err = RedundancyError;

    fn from_str(text: &str) -> Result<Redundancy, RedundancyError> {
        if text == "adaptive" {
            return Ok(Redundancy::Adaptive);
        }
        text.parse().ok().and_then(Redundancy::fixed).ok_or(RedundancyError)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u8),
    Text(String),
}

impl Serialize for Redundancy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Redundancy::Adaptive => serializer.serialize_str("adaptive"),
            Redundancy::Fixed(replicas) => serializer.serialize_u8(*replicas),
        }
    }
}

impl<'de> Deserialize<'de> for Redundancy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Redundancy, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(replicas) => Redundancy::fixed(replicas).ok_or(RedundancyError),
            Written::Text(text) => text.parse(),
        }
        .map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Redundancy {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Redundancy".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "How many operators must agree: a number, or \"adaptive\".",
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": REDUNDANCY_MAX },
                { "const": "adaptive" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redundancies_read_and_show() {
        for redundancy in [Redundancy::Adaptive, Redundancy::Fixed(1), Redundancy::Fixed(8)] {
            assert_eq!(redundancy.to_string().parse(), Ok(redundancy));
            let json = serde_json::to_string(&redundancy).expect("JSON");
            assert_eq!(serde_json::from_str::<Redundancy>(&json).expect("reads back"), redundancy);
        }
        for text in ["0", "9", "Adaptive", "", "-1"] {
            assert!(text.parse::<Redundancy>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Redundancy>("0").is_err());
    }
}
