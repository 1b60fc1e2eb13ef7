//! The meter of a task: gas, the bytes and the number of live tensors. What is charged is the same on every
//! machine; whoever meters the task collects it. Nothing here knows what a machine really uses.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{Exhausted, limits};

/// Counts what a task uses.
#[derive(Debug)]
pub struct Meter {
    gas_pending: AtomicU64,
    gas_left: AtomicU64,
    gas_max: u64,
    bytes_live: AtomicU64,
    bytes_peak: AtomicU64,
    bytes_max: u64,
    tensors_live: AtomicU64,
}

impl Meter {
    /// A meter that allows this many bytes of live tensors, and any gas.
    pub fn new(bytes_max: u64) -> Arc<Meter> {
        Meter::with_gas(bytes_max, u64::MAX)
    }

    /// A meter that allows this many bytes of live tensors, and this gas in all.
    pub fn with_gas(bytes_max: u64, gas_max: u64) -> Arc<Meter> {
        Arc::new(Meter {
            gas_pending: AtomicU64::new(0),
            gas_left: AtomicU64::new(gas_max),
            gas_max,
            bytes_live: AtomicU64::new(0),
            bytes_peak: AtomicU64::new(0),
            bytes_max,
            tensors_live: AtomicU64::new(0),
        })
    }

    /// Charges gas before the work that it is for, to be collected with [`Meter::take_gas`].
    ///
    /// # Errors
    /// Where there is not so much left: the work is not to be done.
    pub fn charge_gas(&self, gas: u64) -> Result<(), Exhausted> {
        let pending = self.gas_pending.load(Ordering::Relaxed).saturating_add(gas);
        self.gas_pending.store(pending, Ordering::Relaxed);
        if pending > self.gas_left.load(Ordering::Relaxed) {
            return Err(Exhausted::Gas { limit: self.gas_max });
        }
        Ok(())
    }

    /// The gas charged since the last call. Whoever meters the task subtracts it from its budget before the
    /// guest goes on.
    pub fn take_gas(&self) -> u64 {
        self.gas_pending.swap(0, Ordering::Relaxed)
    }

    /// From now on, until it is taken, so much may be charged.
    pub fn leave_gas(&self, gas: u64) {
        self.gas_left.store(gas, Ordering::Relaxed);
    }

    /// Bytes of live tensors, with what their records and handles count.
    pub fn bytes_live(&self) -> u64 {
        self.bytes_live.load(Ordering::Relaxed)
    }

    /// The most bytes that were live at once.
    pub fn bytes_peak(&self) -> u64 {
        self.bytes_peak.load(Ordering::Relaxed)
    }

    /// Recorded tensors that are alive.
    pub fn tensors_live(&self) -> u64 {
        self.tensors_live.load(Ordering::Relaxed)
    }

    /// Counts bytes that are held from now on.
    ///
    /// # Errors
    /// Where the task's limit does not allow them; nothing is counted then.
    pub fn hold(&self, bytes: u64) -> Result<(), Exhausted> {
        let needed = self.bytes_live().saturating_add(bytes);
        if needed > self.bytes_max {
            return Err(Exhausted::TensorBytes { needed, limit: self.bytes_max });
        }
        self.bytes_live.store(needed, Ordering::Relaxed);
        self.bytes_peak.fetch_max(needed, Ordering::Relaxed);
        Ok(())
    }

    /// Counts bytes no more that were held.
    pub fn release(&self, bytes: u64) {
        self.bytes_live.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts a tensor that holds these bytes.
    pub(crate) fn add_tensor(&self, bytes: u64) -> Result<(), Exhausted> {
        if self.tensors_live() >= limits::LIVE_TENSORS_MAX {
            return Err(Exhausted::LiveTensors { limit: limits::LIVE_TENSORS_MAX });
        }
        self.hold(bytes)?;
        self.tensors_live.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts it no more.
    pub(crate) fn remove_tensor(&self, bytes: u64) {
        self.tensors_live.fetch_sub(1, Ordering::Relaxed);
        self.release(bytes);
    }
}
