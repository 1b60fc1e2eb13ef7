//! Classes of devices: what prices go by.

use anneal_job::Price;
use serde::{Deserialize, Serialize};

use crate::DeviceClass;

/// A class of devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name.
    pub name: DeviceClass,
    /// For 10^9 gas, now.
    pub price: Price,
    /// Gas per second of its anchors' devices on verified tasks; 0 until there is one.
    #[serde(default)]
    pub speed_gas_per_second: u64,
    /// The most memory that a device of the class has shown.
    pub memory_bytes_max: u64,
}
