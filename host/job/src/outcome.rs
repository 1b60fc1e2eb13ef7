//! What becomes of an attempt: a result, the guest's failure, or the host's fault.
//!
//! The first two are deterministic and comparable; a host's fault is never a result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, RecordHasher};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The task has a result.
    Completed(Completed),
    /// The guest failed, as it will on every machine.
    GuestFailure(GuestFailure),
    /// This machine failed; the task is to be tried again.
    HostFault(HostFault),
}

/// The result of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// "The hash": over state and metrics.
    pub result: Digest,
    /// Over the state alone: what the next task names as its input.
    pub state: Digest,
    /// In the order they were reported; evaluate's own come last.
    pub metrics: Vec<Metric>,
    /// Gas used.
    pub gas: u64,
    /// Commits.
    pub steps: u64,
}

/// A named number at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The step the guest named.
    pub step: u64,
    /// Finite, below 2^62 in magnitude.
    pub value: f64,
}

/// Why the guest failed: deterministic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuestFailure {
    /// The kind.
    pub code: FailureCode,
    /// What happened, where, and what to do.
    pub message: String,
    /// Gas used until then: the same on every machine, and paid like a result's.
    pub gas: u64,
}

/// The kinds of guest failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// The guest returned an error.
    Error,
    /// The guest panicked; the message has file and line.
    Panic,
    /// The guest trapped.
    Trap,
    /// Gas ran out.
    Gas,
    /// Linear memory ran out.
    Memory,
    /// Logical tensor bytes ran out.
    TensorMemory,
    /// Too many live handles.
    Handles,
    /// Too many operations between two commits.
    StepNodes,
    /// Another cap of the contract: metrics, names, hostcall bytes.
    Limit,
    /// A saturated value reached a state, a metric or a read.
    Overflow,
    /// What the guest returned is no state: names, counts.
    State,
}

/// Why this machine failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostFault {
    /// The kind.
    pub code: FaultCode,
    /// What happened and what to do.
    pub message: String,
}

/// The kinds of host fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultCode {
    /// Over the wall-clock time the host allows.
    TimeOut,
    /// The native stack ran out: its depth differs between machines.
    StackOverflow,
    /// The GPU was lost or its driver failed.
    DeviceLost,
    /// The machine had no memory left.
    OutOfMemory,
    /// The worker was killed or crashed.
    WorkerDied,
    /// A file could not be read or written.
    Io,
    /// The operating system cannot confine the worker as its owner insists.
    Confinement,
    /// A library in the process changed how its threads compute with floating-point numbers.
    FloatMode,
    /// The worker did not stand when its owner's limits said so, and was ended. It is to be tried again here, once
    /// they let it.
    Held,
    /// The task is defined by other versions than this program runs.
    Versions,
    /// A bug of ours.
    Internal,
}

/// The digest of a state: the tensors ascending by name, each with its tensor digest.
pub fn state_digest<'a>(tensors: impl IntoIterator<Item = (&'a str, Digest)>) -> Digest {
    let mut sorted: Vec<(&str, Digest)> = tensors.into_iter().collect();
    sorted.sort_unstable();
    let mut hasher = RecordHasher::new("anneal state 1");
    for (name, digest) in sorted {
        hasher.bytes(name.as_bytes()).bytes(digest.as_bytes());
    }
    hasher.finish()
}

/// The digest of a result: its state and its metrics in order.
pub fn result_digest(state: Digest, metrics: &[Metric]) -> Digest {
    let mut hasher = RecordHasher::new("anneal result 1");
    hasher.bytes(state.as_bytes());
    for metric in metrics {
        // Adding zero clears the sign of a zero, which is no part of a number here.
        let bits = (metric.value + 0.0).to_bits();
        hasher.bytes(metric.name.as_bytes()).number(metric.step).number(bits);
    }
    hasher.finish()
}
