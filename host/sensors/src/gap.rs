//! What a source says where it has no value: whether the machine has no such sensor or it failed, and why.

use std::fmt::Display;

use anneal_policy::{Sensor, SensorName};
use serde::{Deserialize, Serialize};

/// A value, or why there is none.
pub(crate) type Found<T> = Result<T, Gap>;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// Whether it is there and failed; else the machine has none, as far as can be told.
    pub(crate) is_lost: bool,
    /// For the owner: what was tried, what happened, what to do.
    pub(crate) why: String,
}

/// A sensor without a value, for the owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Which.
    pub sensor: SensorName,
    /// Whether it is there and failed; else the machine has none, as far as can be told.
    pub lost: bool,
    /// What was tried, what happened, what to do.
    pub why: String,
}

impl Gap {
    /// The machine has none.
    pub(crate) fn absent(why: impl Display) -> Gap {
        Gap { is_lost: false, why: why.to_string() }
    }

    /// It is there, and reading it failed.
    pub(crate) fn lost(why: impl Display) -> Gap {
        Gap { is_lost: true, why: why.to_string() }
    }
}

/// What was found as policy takes it; why something was not is kept.
pub(crate) fn sensor<T>(name: SensorName, found: Found<T>, missing: &mut Vec<Missing>) -> Sensor<T> {
    match found {
        Ok(value) => Sensor::Value(value),
        Err(Gap { is_lost, why }) => {
            missing.push(Missing { sensor: name, lost: is_lost, why });
            if is_lost { Sensor::Lost } else { Sensor::Absent }
        }
    }
}
