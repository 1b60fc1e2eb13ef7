//! Attempts: executions under a lease, from the lease to the verdict.

use anneal_job::{
    AttemptId, CommitmentFields, Credits, Digest, Identity, OperatorId, Price, Receipt, Span, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{CloseReason, DeviceClass, DeviceId, Nonce, TaskKey, TaskTag};

/// An attempt on a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// On which task.
    pub task: TaskKey,
    /// The task's name in commitments.
    pub task_tag: TaskTag,
    /// Whose.
    pub provider: Identity,
    /// Who is believed to own the provider.
    pub operator: OperatorId,
    /// On which device.
    pub device: DeviceId,
    /// Of which class.
    pub class: DeviceClass,
    /// Paid for 10^9 gas.
    pub price: Price,
    /// A new key's first: extra, unpaid, and judged by what the others give.
    #[serde(default)]
    pub shadow: bool,
    /// Its key was an anchor for the task when it was leased.
    #[serde(default)]
    pub anchor: bool,
    /// The lease's number.
    pub lease_epoch: u64,
    /// When it was leased.
    pub leased_at: Timestamp,
    /// How long the device took until its commitment, after what it had done before.
    pub worked: Span,
    /// How long it was expected to take.
    pub expected: Span,
    /// Work committed before this is paid.
    pub deadline: Timestamp,
    /// What it is expected to earn, as long as that counts against its operator's cover.
    pub value: Credits,
    /// Over its expected time by half, or silent: the task was offered to others.
    pub doubtful: bool,
    /// Where it is.
    pub state: AttemptState,
    /// What it has earned, where its operator still holds it.
    pub earned: Option<Earned>,
    /// When it is to be looked at.
    pub wake_at: Option<Timestamp>,
}

/// Where an attempt is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum AttemptState {
    /// Somebody works on it.
    Leased,
    /// It was silent when the others were enough; it may still commit.
    Superseded,
    /// It has ended, and nobody knows how.
    Committed {
        /// To what.
        commitment: Digest,
        /// When.
        at: Timestamp,
        /// Until when it is to be revealed, once that was asked.
        reveal_by: Option<Timestamp>,
    },
    /// Its receipt is there.
    Revealed {
        /// When it was committed to.
        at: Timestamp,
        /// What was committed to.
        receipt: Box<Receipt>,
        /// The commitment's random bits.
        nonce: Nonce,
        /// Whether it agrees with the verdict, once there is one.
        valid: Option<bool>,
    },
    /// There will be no receipt.
    Closed {
        /// Why.
        why: CloseReason,
    },
}

/// What an attempt has earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earned {
    /// How much.
    pub credits: Credits,
    /// How often its operator had been at fault by then: once more, and it is forfeited.
    pub faults: u32,
}

impl Attempt {
    /// What its commitment covers.
    pub(crate) fn commitment_fields(&self, receipt_root: Digest) -> CommitmentFields {
        CommitmentFields {
            task_tag: self.task_tag.0,
            attempt: self.id,
            lease_epoch: self.lease_epoch,
            provider: self.provider,
            receipt_root,
        }
    }

    /// Whether somebody may still work on it in good time.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, AttemptState::Leased)
    }

    /// Whether its receipt is promised and not there yet.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(self.state, AttemptState::Committed { .. })
    }

    /// Whether it is a shadow that came, or may come, to something.
    pub(crate) fn is_shadowing(&self) -> bool {
        self.shadow && !matches!(self.state, AttemptState::Closed { .. })
    }

    /// Whether it may still end up paid.
    pub(crate) fn may_be_paid(&self) -> bool {
        !self.shadow
            && !matches!(self.state, AttemptState::Closed { .. })
            && !matches!(self.state, AttemptState::Revealed { valid: Some(false), .. })
    }

    /// Whether it counts towards the replicas that the task needs.
    pub(crate) fn counts(&self) -> bool {
        match self.state {
            _ if self.shadow => false,
            AttemptState::Leased => !self.doubtful,
            AttemptState::Committed { .. } | AttemptState::Revealed { .. } => true,
            AttemptState::Superseded | AttemptState::Closed { .. } => false,
        }
    }

    /// Whether its operator must not get this task again. Who gave it back or had bad luck may.
    pub(crate) fn excludes_operator(&self) -> bool {
        match self.state {
            AttemptState::Closed { why } => {
                matches!(why, CloseReason::InvalidReceipt | CloseReason::NotRevealed)
            }
            _ => true,
        }
    }

    /// Whether nothing more will come of it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, AttemptState::Closed { .. } | AttemptState::Revealed { valid: Some(_), .. })
    }

    /// The receipt, where it is there.
    pub fn receipt(&self) -> Option<&Receipt> {
        match &self.state {
            AttemptState::Revealed { receipt, .. } => Some(receipt),
            _ => None,
        }
    }
}
