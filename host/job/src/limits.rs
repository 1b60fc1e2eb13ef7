//! What a task may use. Every field is part of the task's identity: the same on every machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::RecordHasher;

/// What a task may use before it fails, deterministically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Gas: instructions of the guest and operations on tensors.
    pub gas: u64,
    /// Bytes of the guest's linear memories together.
    pub memory_bytes: u64,
    /// Logical bytes of live tensors.
    pub tensor_bytes: u64,
    /// Live tensor handles.
    pub handles: u32,
}

impl Limits {
    /// What a manifest gets that says nothing.
    pub const DEFAULT: Limits =
        Limits { gas: 2_000_000_000_000, memory_bytes: 64 << 20, tensor_bytes: 1 << 30, handles: 100_000 };

    /// Adds every limit to a record.
    pub fn add_to(&self, hasher: &mut RecordHasher) {
        let Limits { gas, memory_bytes, tensor_bytes, handles } = *self;
        hasher.number(gas).number(memory_bytes).number(tensor_bytes).number(u64::from(handles));
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
