//! The limit on a guest's linear memories, summed, and on its tables. Not tensors: the engine's meter counts
//! those.

use anneal_job::{FailureCode, FaultCode};
use wasmtime::ResourceLimiter;

use crate::{ending::Ending, limits};

/// Counts what a store's memories and tables hold.
pub(crate) struct MemoryLimiter {
    bytes: u64,
    bytes_max: u64,
    table_elements: usize,
}

impl MemoryLimiter {
    pub(crate) fn new(bytes_max: u64) -> MemoryLimiter {
        MemoryLimiter { bytes: 0, bytes_max, table_elements: 0 }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // Beyond the memory's own type the instruction gives −1, everywhere.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let needed = self.bytes.saturating_add(desired.saturating_sub(current) as u64);
        if needed > self.bytes_max {
            let message = format!(
                "the guest's memory would hold {needed} bytes, over its limit of {}: keep data in tensors, \
                 or raise limits.memory in job.toml",
                self.bytes_max
            );
            return Err(Ending::failure(FailureCode::Memory, message).into());
        }
        self.bytes = needed;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // More than 32 bits can address: asked before the limiter, and −1 everywhere. A test holds these
        // words.
        if error.to_string().starts_with("memory growth exceeds memory type's limits") {
            return Ok(());
        }
        // The size was granted above, so this is the operating system's refusal: never a result.
        let message =
            format!("the machine gave the guest no memory: {error}; close other programs and try again");
        Err(Ending::fault(FaultCode::OutOfMemory, message).into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let needed = self.table_elements.saturating_add(desired.saturating_sub(current));
        if needed > limits::TABLE_ELEMENTS_MAX {
            let message = format!(
                "the guest's function tables would hold {needed} elements, at most {} are allowed",
                limits::TABLE_ELEMENTS_MAX
            );
            return Err(Ending::failure(FailureCode::Limit, message).into());
        }
        self.table_elements = needed;
        Ok(true)
    }
}
