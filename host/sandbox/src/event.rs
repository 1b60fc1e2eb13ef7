//! What is heard from a running attempt: progress, metrics, the log, traces. No part of an outcome but the
//! metrics, which the outcome repeats.

use anneal_job::{Digest, Metric, RecordHasher};
use serde::{Deserialize, Serialize};

use crate::pace::PaceReport;

/// Hears events as they come.
pub trait Observer {
    /// Something happened.
    fn observe(&mut self, event: Event);
}

impl<F: FnMut(Event)> Observer for F {
    fn observe(&mut self, event: Event) {
        self(event);
    }
}

/// Something that happened in an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// So much of so much is done. Not every report of the guest is passed on.
    Progress {
        /// Done.
        done: u64,
        /// Of how much.
        total: u64,
    },
    /// The guest reported a metric.
    Metric(Metric),
    /// The guest, or the host about the guest, has a line for the developer. Without control characters but
    /// line breaks and tabs.
    Log {
        /// The line.
        line: String,
    },
    /// The guest is about to trap.
    Panic(Panic),
    /// So many commits are behind us. Not every commit is passed on.
    Step {
        /// Commits.
        steps: u64,
    },
    /// How the attempt was held to its pace, where it has one.
    Paced(PaceReport),
    /// A traced commit.
    TracedStep(TracedStep),
    /// A traced operation.
    TracedOperation(TracedOperation),
}

/// The last words of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where, in the guest's sources.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// What to trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trace", rename_all = "kebab-case")]
pub enum Trace {
    /// Nothing.
    #[default]
    Off,
    /// A digest of every tensor of every commit.
    Steps,
    /// That, and a digest of every operation that one step evaluates.
    Operations {
        /// The step: how many commits came before it.
        step: u64,
    },
}

/// The tensors of a commit; after the last commit, those of the returned state, ascending by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedStep {
    /// How many commits came before it.
    pub step: u64,
    /// In the guest's order.
    pub tensors: Vec<TracedTensor>,
}

impl TracedStep {
    /// One digest over what the commit's tensors are: what two machines compare. Who computed what together
    /// is no part of it.
    pub fn digest(&self) -> Digest {
        let mut hasher = RecordHasher::new("anneal commit 1");
        hasher.number(self.step).number(self.tensors.len() as u64);
        for tensor in &self.tensors {
            hasher.bytes(tensor.dtype.as_bytes()).number(tensor.shape.len() as u64);
            for &size in &tensor.shape {
                hasher.number(size as u64);
            }
            hasher.bytes(tensor.digest.as_bytes());
        }
        hasher.finish()
    }
}

/// One tensor of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedTensor {
    /// The contract's function that made it.
    pub label: String,
    /// Its element type.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its digest.
    pub digest: Digest,
    /// The operations that are computed together with it when nothing is traced; only where this step's
    /// operations are.
    pub group: Option<String>,
}

/// One evaluated operation, in the order they were recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedOperation {
    /// How many commits came before it.
    pub step: u64,
    /// Its place among all that the task recorded.
    pub sequence: u64,
    /// The contract's function that recorded it.
    pub label: String,
    /// The operation itself: one of several where the function is composed.
    pub operation: String,
    /// Element type and shape of the output and of the inputs.
    pub shapes: String,
    /// The digest of the output.
    pub digest: Digest,
}
