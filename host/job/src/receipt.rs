//! The account of an attempt: what a provider commits to, and reveals when no attempt on the task can open
//! any more. Signatures go around it at the edges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, Completed, Digest, GuestFailure, Identity, RecordHasher, TaskId, Versions, result_digest,
};

/// Bytes by their SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Blob {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many.
    pub bytes: u64,
}

/// What an attempt says that a task gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The task that was run.
    pub task: TaskId,
    /// What became of it.
    pub outcome: ReceiptOutcome,
    /// [`trace_root`] over the digest of each commit.
    pub trace_root: Digest,
    /// The component that was run.
    pub component: Digest,
    /// What it was run by.
    pub versions: Versions,
    /// The class of device that computed.
    pub device_class: String,
    /// Whose attempt it was.
    pub provider: Identity,
    /// Of the lease.
    pub lease_epoch: u64,
    /// Given with the lease: without it, nobody can guess what the receipt's digest in the public log covers.
    pub salt: Digest,
}

/// What can be in a receipt: a host's fault never is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ReceiptOutcome {
    /// The task has a result.
    Completed {
        /// The result.
        completed: Completed,
        /// The state's file, as our writer writes it.
        state_blob: Blob,
    },
    /// The guest failed, as it will on every machine.
    GuestFailure {
        /// How.
        failure: GuestFailure,
    },
}

/// What a commitment covers, besides the nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitmentFields {
    /// The task's tag from the lease: its id with the job's salt.
    pub task_tag: Digest,
    /// The attempt.
    pub attempt: AttemptId,
    /// Of the lease.
    pub lease_epoch: u64,
    /// Whose attempt it is.
    pub provider: Identity,
    /// [`Receipt::root`].
    pub receipt_root: Digest,
}

impl CommitmentFields {
    /// What is sent before anything of the result is: the digest of all fields and 256 random bits.
    pub fn commitment(&self, nonce: &[u8; 32]) -> Digest {
        let mut hasher = RecordHasher::new("anneal commitment 1");
        hasher.bytes(self.task_tag.as_bytes()).bytes(self.attempt.0.as_bytes()).number(self.lease_epoch);
        hasher.bytes(self.provider.as_bytes()).bytes(self.receipt_root.as_bytes()).bytes(nonce).finish()
    }
}

/// The digest over the digests of all commits, in order.
pub fn trace_root(commits: &[Digest]) -> Digest {
    let mut hasher = RecordHasher::new("anneal trace 1");
    hasher.number(commits.len() as u64);
    for commit in commits {
        hasher.bytes(commit.as_bytes());
    }
    hasher.finish()
}

impl Receipt {
    /// The digest of the whole receipt.
    pub fn root(&self) -> Digest {
        let mut hasher = RecordHasher::new("anneal receipt 1");
        hasher.bytes(self.salt.as_bytes()).bytes(self.task.0.as_bytes());
        hasher.bytes(self.outcome.key(self.salt).as_bytes()).bytes(self.outcome.message().as_bytes());
        hasher.bytes(self.trace_root.as_bytes()).bytes(self.component.as_bytes());
        let Versions { contract, numerics, gas } = self.versions;
        for number in contract.into_iter().chain([numerics, gas]) {
            hasher.number(u64::from(number));
        }
        hasher.bytes(self.device_class.as_bytes()).bytes(self.provider.as_bytes()).number(self.lease_epoch);
        hasher.finish()
    }
}

impl ReceiptOutcome {
    /// What two attempts must agree on, as one digest; salted, so that the public log tells it to no stranger.
    pub fn key(&self, salt: Digest) -> Digest {
        let mut hasher = RecordHasher::new("anneal comparison 1");
        hasher.bytes(salt.as_bytes());
        match self {
            ReceiptOutcome::Completed { completed, state_blob } => {
                hasher.bytes(b"completed").bytes(completed.result.as_bytes());
                hasher.bytes(state_blob.digest.as_bytes()).number(state_blob.bytes);
                hasher.number(completed.gas).number(completed.steps);
            }
            ReceiptOutcome::GuestFailure { failure } => {
                hasher.bytes(b"guest failure").number(failure.code as u64).number(failure.gas);
            }
        }
        hasher.finish()
    }

    /// Gas used.
    pub const fn gas(&self) -> u64 {
        match self {
            ReceiptOutcome::Completed { completed, .. } => completed.gas,
            ReceiptOutcome::GuestFailure { failure } => failure.gas,
        }
    }

    /// Commits, where it has completed.
    pub const fn steps(&self) -> Option<u64> {
        match self {
            ReceiptOutcome::Completed { completed, .. } => Some(completed.steps),
            ReceiptOutcome::GuestFailure { .. } => None,
        }
    }

    /// The state's file, where it has completed.
    pub const fn state_blob(&self) -> Option<Blob> {
        match self {
            ReceiptOutcome::Completed { state_blob, .. } => Some(*state_blob),
            ReceiptOutcome::GuestFailure { .. } => None,
        }
    }

    /// Whether the parts agree with each other: the result is the digest of state and metrics.
    pub fn is_consistent(&self) -> bool {
        match self {
            ReceiptOutcome::Completed { completed, .. } => {
                completed.metrics.iter().all(|metric| metric.value.is_finite())
                    && result_digest(completed.state, &completed.metrics) == completed.result
            }
            ReceiptOutcome::GuestFailure { .. } => true,
        }
    }

    fn message(&self) -> &str {
        match self {
            ReceiptOutcome::Completed { .. } => "",
            ReceiptOutcome::GuestFailure { failure } => &failure.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FailureCode, Metric};

    fn completed(gas: u64) -> ReceiptOutcome {
        let state = Digest::of(b"state");
        let metrics = vec![Metric { name: "loss".to_owned(), step: 1, value: 0.5 }];
        let completed = Completed { result: result_digest(state, &metrics), state, metrics, gas, steps: 1 };
        ReceiptOutcome::Completed { completed, state_blob: Blob { digest: Digest::of(b"file"), bytes: 4 } }
    }

    #[test]
    fn outcomes_agree_in_all_that_counts() {
        let salt = Digest::of(b"salt");
        assert_eq!(completed(5).key(salt), completed(5).key(salt));
        assert_ne!(completed(5).key(salt), completed(6).key(salt));
        assert_ne!(completed(5).key(salt), completed(5).key(Digest::of(b"other")));
        let failure = |code, message: &str| ReceiptOutcome::GuestFailure {
            failure: GuestFailure { code, message: message.to_owned(), gas: 5 },
        };
        let panic = failure(FailureCode::Panic, "here");
        assert_eq!(panic.key(salt), failure(FailureCode::Panic, "there").key(salt));
        assert_ne!(panic.key(salt), failure(FailureCode::Gas, "here").key(salt));
        assert_ne!(panic.key(salt), completed(5).key(salt));
    }

    #[test]
    fn a_receipt_that_contradicts_itself_shows() {
        assert!(completed(5).is_consistent());
        let ReceiptOutcome::Completed { mut completed, state_blob } = completed(5) else { panic!() };
        completed.metrics[0].value = 0.25;
        assert!(!ReceiptOutcome::Completed { completed, state_blob }.is_consistent());
    }

    #[test]
    fn a_commitment_covers_everything() {
        let fields = CommitmentFields {
            task_tag: Digest::of(b"task"),
            attempt: AttemptId(Digest::of(b"attempt")),
            lease_epoch: 1,
            provider: Identity::from_bytes([1; 32]),
            receipt_root: Digest::of(b"root"),
        };
        let base = fields.commitment(&[0; 32]);
        let others = [
            CommitmentFields { task_tag: Digest::of(b"x"), ..fields },
            CommitmentFields { attempt: AttemptId(Digest::of(b"x")), ..fields },
            CommitmentFields { lease_epoch: 2, ..fields },
            CommitmentFields { provider: Identity::from_bytes([2; 32]), ..fields },
            CommitmentFields { receipt_root: Digest::of(b"x"), ..fields },
        ];
        for other in others {
            assert_ne!(base, other.commitment(&[0; 32]), "{other:?}");
        }
        assert_ne!(base, fields.commitment(&[1; 32]));
    }
}
