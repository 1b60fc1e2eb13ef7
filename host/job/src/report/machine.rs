//! `anneal devices` and `anneal selftest`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `anneal devices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DevicesReport {
    /// What this machine can compute on, the preferred one first.
    pub devices: Vec<DeviceReport>,
}

/// What computes tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceReport {
    /// `cpu`, `gpu` or `reference`.
    pub backend: String,
    /// The device's name as its driver gives it.
    pub name: String,
    /// Driver and version.
    pub driver: String,
    /// Threads of the CPU that compute.
    pub threads: usize,
    /// Bytes of memory, where known.
    pub memory_bytes: Option<u64>,
    /// A program that plays a GPU.
    pub software: bool,
    /// Where it sits, like `0000:01:00.0`, where its driver says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci_address: Option<String>,
    /// Vendor and model, like `10de:2335`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
}

/// `anneal selftest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelftestReport {
    /// Every backend of the machine.
    pub backends: Vec<SelftestBackend>,
}

/// A backend's conformance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelftestBackend {
    /// What was tested.
    pub device: DeviceReport,
    /// Vectors that were run.
    pub vectors: usize,
    /// Vectors that gave another digest than they must, by name and with both.
    pub failures: Vec<String>,
    /// Wall-clock time.
    pub seconds: f64,
}
