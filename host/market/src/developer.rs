//! Developers: their funds, and the verified results they need not pay for twice.

use anneal_job::{Credits, Digest, Identity, OperatorId, ReceiptOutcome, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

/// A developer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Developer {
    /// The key.
    pub id: Identity,
    /// Free for jobs.
    pub available: Credits,
    /// Jobs that have not ended.
    pub jobs: u32,
    /// Its funds were paid in, and not only granted.
    #[serde(default)]
    pub funded: bool,
}

/// A verified result of a developer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cached {
    /// Whose.
    pub developer: Identity,
    /// Of which task.
    pub task: TaskId,
    /// What came out.
    pub outcome: ReceiptOutcome,
    /// The digest over its commits.
    pub trace_root: Digest,
    /// Operators that agreed.
    pub replicas: u8,
    /// Whether a trusted worker gave the same.
    pub replayed: bool,
    /// The operators, and how often each was at fault: one more, and this is worth nothing.
    pub operators: Vec<(OperatorId, u32)>,
    /// When it was verified: the oldest goes first.
    pub at: Timestamp,
}

impl Developer {
    pub(crate) fn new(id: Identity) -> Developer {
        Developer { id, available: Credits::ZERO, jobs: 0, funded: false }
    }
}
