//! Device buffers by size, used again when their last holder drops them.
//!
//! What a buffer held before stays in it: every kernel overwrites an output before anything reads it, so
//! nothing passes from one task to the next. Not an allocator of parts of buffers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes of unused buffers that are kept.
const FREE_BYTES_MAX: u64 = 1 << 30;
/// The smallest buffer.
const SIZE_MIN: u64 = 256;

/// The unused buffers of a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Free>>);

#[derive(Debug, Default)]
struct Free {
    by_size: HashMap<u64, Vec<wgpu::Buffer>>,
    bytes: u64,
}

/// A buffer that goes back when dropped.
#[derive(Debug)]
pub(crate) struct Pooled {
    buffer: Option<wgpu::Buffer>,
    pool: Pool,
}

impl Pool {
    /// A buffer of at least this many bytes; `create` makes one of a given size.
    pub(crate) fn take(&self, bytes: u64, create: impl FnOnce(u64) -> wgpu::Buffer) -> Pooled {
        let size = size_class(bytes);
        let mut free = self.free();
        let unused = free.by_size.get_mut(&size).and_then(Vec::pop);
        if unused.is_some() {
            free.bytes -= size;
        }
        drop(free);
        let buffer = unused.unwrap_or_else(|| create(size));
        Pooled { buffer: Some(buffer), pool: self.clone() }
    }

    /// Gives all unused buffers back to the device.
    pub(crate) fn clear(&self) {
        *self.free() = Free::default();
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pooled {
    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        self.buffer.as_ref().expect("a buffer is there until it is dropped")
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        let size = buffer.size();
        let mut free = self.pool.free();
        if free.bytes + size <= FREE_BYTES_MAX {
            free.bytes += size;
            free.by_size.entry(size).or_default().push(buffer);
        }
    }
}

/// Powers of two and the steps of a quarter between them, so that at most a fifth is wasted.
fn size_class(bytes: u64) -> u64 {
    let bytes = bytes.max(SIZE_MIN);
    let step = (bytes.next_power_of_two() / 8).max(SIZE_MIN);
    bytes.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_hold_and_do_not_waste() {
        for (bytes, class) in [(1, 256), (256, 256), (257, 512), (1 << 20, 1 << 20), (128 << 20, 128 << 20)] {
            assert_eq!(size_class(bytes), class);
        }
        for bytes in (1..100_000_000).step_by(999_983) {
            let class = size_class(bytes);
            assert!(
                class >= bytes && class.is_multiple_of(256) && (class as f64) < bytes as f64 * 1.26 + 512.0
            );
        }
    }
}
