//! The signed account of an attempt.

use anneal_job::{Digest, FailureCode, Metric, RecordHasher, TaskId, Versions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BlobRef;
use crate::{AttemptId, Identity, SecretKey, Signature};

/// What an attempt came to. The same for every honest provider but for who, when and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The lease's attempt.
    pub attempt: AttemptId,
    /// The lease's epoch.
    pub lease_epoch: u64,
    /// The task.
    pub task: TaskId,
    /// The component's bytes.
    pub component: Digest,
    /// Contract, numerics, gas.
    pub versions: Versions,
    /// Who ran it.
    pub provider: Identity,
    /// On what kind of device.
    pub device_class: String,
    /// Over the digests of its commits, in order.
    pub commits_root: Digest,
    /// How it ended.
    pub outcome: ReceiptOutcome,
}

/// How an attempt ended that can be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReceiptOutcome {
    /// The task has a result.
    Completed {
        /// Over state and metrics.
        result: Digest,
        /// Over the state alone.
        state: Digest,
        /// The state's file.
        state_blob: BlobRef,
        /// In the order they were reported.
        metrics: Vec<Metric>,
        /// Gas used.
        gas: u64,
        /// Commits.
        steps: u64,
    },
    /// The guest failed, as it will on every machine.
    GuestFailure {
        /// The kind.
        code: FailureCode,
        /// What happened.
        message: String,
        /// Gas used.
        gas: u64,
    },
}

/// A receipt and its provider's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// The account.
    pub receipt: Receipt,
    /// By `receipt.provider` over [`Receipt::root`].
    pub signature: Signature,
}

impl Receipt {
    /// What is committed to and signed: over every field.
    pub fn root(&self) -> Digest {
        let mut hasher = RecordHasher::new("anneal receipt 1");
        hasher.number(self.attempt.0).number(self.lease_epoch);
        hasher.bytes(self.task.0.as_bytes()).bytes(self.component.as_bytes());
        let Versions { contract, numerics, gas } = self.versions;
        for number in contract.into_iter().chain([numerics, gas]) {
            hasher.number(u64::from(number));
        }
        hasher.bytes(self.provider.as_bytes()).bytes(self.device_class.as_bytes());
        hasher.bytes(self.commits_root.as_bytes());
        match &self.outcome {
            ReceiptOutcome::Completed { result, state, state_blob, metrics, gas, steps } => {
                hasher.bytes(b"completed").bytes(result.as_bytes()).bytes(state.as_bytes());
                hasher.bytes(state_blob.digest.as_bytes()).number(state_blob.bytes);
                // The result digest covers the metrics' values; here their number suffices.
                hasher.number(metrics.len() as u64).number(*gas).number(*steps);
            }
            ReceiptOutcome::GuestFailure { code, message, gas } => {
                let code = serde_json::to_string(code).expect("a code is a word");
                hasher.bytes(b"guest-failure").bytes(code.as_bytes()).bytes(message.as_bytes()).number(*gas);
            }
        }
        hasher.finish()
    }

    /// Signs it.
    pub fn sign(self, key: &SecretKey) -> SignedReceipt {
        let signature = key.sign(&self.root());
        SignedReceipt { receipt: self, signature }
    }
}

impl SignedReceipt {
    /// Whether its provider signed it.
    pub fn holds(&self) -> bool {
        self.signature.is_by(&self.receipt.provider, &self.receipt.root())
    }
}
