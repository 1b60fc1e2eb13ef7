//! Device buffers by size, used again when their last holder drops them.
//!
//! What a buffer held before stays in it while one task runs: every kernel overwrites an output before
//! anything reads it. Between tasks the pool is cleared, and wgpu gives new buffers as zeros. The pool counts
//! what it has given and kept, and gives no more than its limit. Not an allocator of parts of buffers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bytes of unused buffers that are kept.
const FREE_BYTES_MAX: u64 = 1 << 30;
/// The smallest buffer.
const SIZE_MIN: u64 = 256;

/// The buffers of a device: those that are not used, and how many bytes there are of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Free>>);

#[derive(Debug, Default)]
struct Free {
    by_size: HashMap<u64, Vec<wgpu::Buffer>>,
    /// Of these.
    bytes: u64,
    /// Of all buffers that live, these among them.
    bytes_live: u64,
    bytes_max: Option<u64>,
}

/// A buffer would go over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverLimit {
    pub(crate) needed: u64,
    pub(crate) limit: u64,
}

/// A buffer that goes back when dropped.
#[derive(Debug)]
pub(crate) struct Pooled {
    buffer: Option<wgpu::Buffer>,
    pool: Pool,
}

impl Pool {
    /// All its buffers together hold at most this many bytes.
    pub(crate) fn limit(&self, bytes_max: Option<u64>) {
        self.free().bytes_max = bytes_max;
    }

    /// A buffer of at least this many bytes; `create` makes one of a given size.
    ///
    /// # Errors
    /// Where it would go over the limit, though every unused buffer were given back.
    pub(crate) fn take(
        &self,
        bytes: u64,
        create: impl FnOnce(u64) -> wgpu::Buffer,
    ) -> Result<Pooled, OverLimit> {
        let size = size_class(bytes);
        let mut free = self.free();
        let unused = free.by_size.get_mut(&size).and_then(Vec::pop);
        if unused.is_some() {
            free.bytes -= size;
        } else {
            free.make_room(size)?;
        }
        drop(free);
        let buffer = unused.unwrap_or_else(|| create(size));
        Ok(Pooled { buffer: Some(buffer), pool: self.clone() })
    }

    /// Gives all unused buffers back to the device.
    pub(crate) fn clear(&self) {
        self.free().clear();
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Free {
    /// Counts a buffer of this size that is about to be made.
    fn make_room(&mut self, size: u64) -> Result<(), OverLimit> {
        let over = |live: u64, limit: u64| live.saturating_add(size) > limit;
        if let Some(limit) = self.bytes_max {
            if over(self.bytes_live, limit) {
                self.clear();
            }
            if over(self.bytes_live, limit) {
                return Err(OverLimit { needed: self.bytes_live.saturating_add(size), limit });
            }
        }
        self.bytes_live = self.bytes_live.saturating_add(size);
        Ok(())
    }

    fn clear(&mut self) {
        self.bytes_live -= self.bytes;
        self.bytes = 0;
        self.by_size.clear();
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
        } else {
            free.bytes_live -= size;
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
    fn what_lives_is_counted_and_limited() {
        let mut free = Free { bytes_max: Some(1000), ..Free::default() };
        assert_eq!(free.make_room(600), Ok(()));
        assert_eq!(free.make_room(500), Err(OverLimit { needed: 1100, limit: 1000 }));
        // Unused ones make room.
        free.bytes = 600;
        assert_eq!(free.make_room(500), Ok(()));
        assert_eq!((free.bytes, free.bytes_live), (0, 500));
        assert_eq!(free.make_room(u64::MAX), Err(OverLimit { needed: u64::MAX, limit: 1000 }));
        free.bytes_max = None;
        assert_eq!(free.make_room(5000), Ok(()));
    }

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
