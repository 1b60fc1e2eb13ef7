//! What evaluates recorded tensors: the interface between the engine and a backend.

use std::sync::Arc;

use thiserror::Error;

use crate::{Tensor, Value, WrongMode, governor::Gate, value::Elements};

/// A backend. It computes exactly what the reference interpreter computes, or it is broken.
pub trait Executor: Send {
    /// What this is.
    fn device(&self) -> &DeviceInfo;

    /// The values of the targets, in order. Nodes that hold a value already are not computed again; the
    /// executor does not store values into nodes.
    ///
    /// # Errors
    /// Only the machine's: an operation never fails on data.
    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError>;

    /// The elements of a value that this executor made, or of one in host memory.
    ///
    /// # Errors
    /// Only the machine's.
    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError>;

    /// A copy of the value where this executor works best; the default keeps it in host memory.
    ///
    /// # Errors
    /// Only the machine's.
    fn place(&mut self, value: Value) -> Result<Value, ExecutorError> {
        Ok(value)
    }

    /// Leaves nothing of what was computed so far where a next task could find it. Values that are still held
    /// stay whole. The default has nothing to forget.
    fn forget(&mut self) {}

    /// Of each target, a sentence naming the operations that are computed together with it in a plan for all of
    /// them: what a developer is told when a difference vanishes once every operation is looked at.
    fn groups_of(&mut self, targets: &[Tensor]) -> Vec<String> {
        targets.iter().map(|target| target.op().name().to_owned()).collect()
    }

    /// From now on passes this gate between any two pieces of work, none of which is planned to take longer
    /// than [`crate::governor::PIECE_MAX`]; none with `None`. The default is for backends that nobody lends out:
    /// their caller passes the gate before each evaluation.
    fn govern(&mut self, gate: Option<Arc<dyn Gate>>) {
        drop(gate);
    }
}

/// What a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The backend's name: `cpu`, `gpu`, `reference`.
    pub backend: &'static str,
    /// The device's name as its driver gives it.
    pub name: String,
    /// Driver and version, where there is one.
    pub driver: String,
    /// Threads of the CPU that compute.
    pub threads: usize,
    /// Bytes of memory for tensors, where known.
    pub memory_bytes: Option<u64>,
    /// A program that plays a GPU: it runs tests, and never earns.
    pub software: bool,
}

/// The machine failed, not the task: never a result.
#[derive(Debug, Error)]
pub enum ExecutorError {
    /// The device went away or its driver failed.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// The machine has no memory left.
    #[error("the device is out of memory: {0}")]
    OutOfMemory(String),
    /// A thread did not compute as results are defined, or was about to.
    #[error(transparent)]
    FloatMode(#[from] WrongMode),
    /// The gate ended the work.
    #[error("the work was stopped")]
    Stopped,
    /// A value of another executor was given.
    #[error("a tensor of another device was given to {0}")]
    ForeignValue(&'static str),
}
