//! The table `[limits]`.

use super::{ManifestError, section::Section};
use crate::{ByteCount, Limits};

/// Gas of a task: what no machine of today gets through in a day.
const GAS_MAX: u64 = 1_000_000_000_000_000_000;
/// The address space of a 32-bit guest.
const MEMORY_MAX: ByteCount = ByteCount(1 << 32);
const TENSOR_MEMORY_MAX: ByteCount = ByteCount(1 << 40);
const HANDLES_MAX: u64 = 10_000_000;

pub(super) fn parse(section: &Section<'_>) -> Result<Limits, ManifestError> {
    let mut limits = Limits::DEFAULT;
    if let Some(field) = section.get("gas") {
        limits.gas = field.integer(1, GAS_MAX, "2_000_000_000_000")?;
    }
    if let Some(field) = section.get("memory") {
        limits.memory_bytes = field.size(ByteCount(64 << 10), MEMORY_MAX, "\"64 MiB\"")?.0;
    }
    if let Some(field) = section.get("tensor-memory") {
        limits.tensor_bytes = field.size(ByteCount(1 << 10), TENSOR_MEMORY_MAX, "\"1 GiB\"")?.0;
    }
    if let Some(field) = section.get("handles") {
        limits.handles = field.integer(1, HANDLES_MAX, "100_000")? as u32;
    }
    Ok(limits)
}
