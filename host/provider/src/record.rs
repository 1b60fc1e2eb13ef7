//! What is kept of an attempt, so that it survives this process: the lease, and once it was run, the receipt
//! and the nonce that the commitment was made of.

use anneal_api::wire::{Lease, SignedReceipt};
use anneal_job::{CommitmentFields, Digest};
use serde::{Deserialize, Serialize};

/// An attempt on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was leased.
    pub lease: Lease,
    /// What came out; `None` until it has been run.
    pub finished: Option<Finished>,
}

/// An attempt that has been run. Kept secret until the reveal is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The signed account.
    pub receipt: SignedReceipt,
    /// 256 random bits.
    pub nonce: Digest,
    /// Whether the coordinator has the commitment.
    pub committed: bool,
}

impl Record {
    /// What was leased and not yet run.
    pub fn new(lease: Lease) -> Record {
        Record { lease, finished: None }
    }

    /// The commitment, once it was run.
    pub fn commitment(&self) -> Option<Digest> {
        let Finished { receipt, nonce, .. } = self.finished.as_ref()?;
        let fields = CommitmentFields {
            task_tag: self.lease.task_tag,
            attempt: self.lease.attempt,
            lease_epoch: self.lease.lease_epoch,
            provider: receipt.receipt.provider,
            receipt_root: receipt.receipt.root(),
        };
        Some(fields.commitment(nonce.as_bytes()))
    }
}
