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
    /// The most memory that a device of the class has shown.
    pub memory_bytes_max: u64,
}
