//! The public log. What it says of a private job has salted ids; nothing of a result is in it before no
//! attempt on the task can open any more. `audit` recomputes from it what the market decided.

use anneal_job::{AttemptId, Credits, Digest, FaultCode, Identity, OperatorId, Price, Redundancy, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::{
    Account, DeviceClass, DeviceId, EpochSecret, GiveBackReason, JobTag, Nonce, Parameters, TaskTag,
};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Never before the event before it.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "fields are named with the words of the crate")]
pub enum EventKind {
    /// The rules from here on. The first event of every log.
    RulesSet { parameters: Box<Parameters> },
    /// An epoch of draws begins.
    EpochCommitted { epoch: u64, commitment: Digest },
    /// Every draw of an epoch is final, and can be checked.
    EpochOpened { epoch: u64, secret: EpochSecret },
    /// A provider has joined, and is believed to be this operator's.
    ProviderEnrolled { provider: Identity, operator: OperatorId },
    /// A device is offered.
    DeviceRegistered { provider: Identity, device: DeviceId, class: DeviceClass, software: bool },
    /// A device is no longer offered.
    DeviceWithdrawn { provider: Identity, device: DeviceId },
    /// The market or its owner paused a provider.
    ProviderPaused { provider: Identity, reason: PauseReason },
    /// A provider takes leases again.
    ProviderResumed { provider: Identity },
    /// The network's operator serves an identity no more.
    Banned { identity: Identity, reason: String },
    /// It serves it again.
    Unbanned { identity: Identity, reason: String },
    /// Funds or stake came from outside, or left.
    FundsSet { account: Account, credits: Credits },
    /// Whom the network's operator vouches for from here on.
    AnchorsListed { anchors: BTreeSet<Identity> },
    /// A shadow gave what the others gave: the key is leased work from here on.
    ShadowMatched { task: TaskTag, attempt: AttemptId, provider: Identity },
    /// A shadow gave something else: the key is leased nothing more.
    ShadowDiffered { task: TaskTag, attempt: AttemptId, provider: Identity },
    /// Anchors decided against an attempt: it is not paid, and its key begins anew.
    Dissented { task: TaskTag, attempt: AttemptId, provider: Identity },
    /// A job is there, and this is in escrow.
    /// Where it has a list of providers of its own, they need no anchor.
    JobSubmitted { job: JobTag, redundancy: Redundancy, tasks: u64, escrow: Credits, own_list: bool },
    /// A job takes no new leases for now.
    JobPaused { job: JobTag },
    /// It goes on.
    JobResumed { job: JobTag },
    /// Its developer does not want it any more.
    JobCancelled { job: JobTag },
    /// A job has ended, and this came back from escrow.
    JobEnded { job: JobTag, end: EndKind, refund: Credits },
    /// A task's states are there.
    TaskOpened { job: JobTag, task: TaskTag },
    /// The developer has had this very task verified before; it is not paid for again.
    CacheHit { job: JobTag, task: TaskTag, key: Digest },
    /// A provider holds a task.
    Leased {
        task: TaskTag,
        attempt: AttemptId,
        provider: Identity,
        operator: OperatorId,
        class: DeviceClass,
        lease_epoch: u64,
        price: Price,
        shadow: bool,
        anchor: bool,
    },
    /// An attempt has ended.
    Committed { attempt: AttemptId, commitment: Digest },
    /// An attempt will give no receipt.
    AttemptClosed { attempt: AttemptId, reason: CloseReason },
    /// What was committed to. Published with the verdict, not when it was received.
    Revealed { attempt: AttemptId, receipt_root: Digest, nonce: Nonce, key: Digest, gas: u64 },
    /// A trusted worker's finding.
    Replayed { task: TaskTag, key: Digest, gas: u64 },
    /// What counts.
    Verdict { task: TaskTag, key: Digest, evidence: Evidence, attempts: Vec<Judged> },
    /// An earlier verdict was wrong: what was built on it is run again, at the expense of who is at fault.
    Overturned { task: TaskTag, key: Digest, tasks_reset: u64 },
    /// The coordinator's disk lost a verified state: it is made again, at the network's expense.
    StateLost { job: JobTag, tasks_reset: u64 },
    /// An attempt gave what a replay does not. Its key's held earnings and stake are suspended.
    Fault {
        task: TaskTag,
        attempt: AttemptId,
        operator: OperatorId,
        expected: Digest,
        found: Digest,
        suspended: Credits,
    },
    /// The owner of a faulty attempt has it decided once more, on another backend.
    Appealed { attempt: AttemptId, provider: Identity },
    /// What that backend gave: the fault stands, or it was none and what it took is held again.
    AppealDecided { attempt: AttemptId, provider: Identity, key: Digest, stands: bool },
    /// What a fault took is the network's: nobody has appealed in time, or the appeal was lost.
    ForfeitFinal { attempt: AttemptId, provider: Identity, credits: Credits },
    /// Where a faulty attempt first differs; the end of a dispute.
    Finding { task: TaskTag, attempt: AttemptId, finding: Finding },
    /// An attempt is paid for its gas.
    Paid {
        task: TaskTag,
        attempt: AttemptId,
        gas: u64,
        price: Price,
        credits: Credits,
        fee: Credits,
        payer: Payer,
    },
    /// Nothing about a task can change any more; this was drawn for it.
    TaskFinal { task: TaskTag, audit: Option<AuditDraw>, replicate: Option<ReplicateDraw> },
    /// A class's price has moved.
    PriceMoved { class: DeviceClass, price: Price, demand: u64, supply: u64 },
    /// There were too many classes, and nobody with verified work had devices of this one: its price is that of a new
    /// class again.
    ClassForgotten { class: DeviceClass },
}

/// Who pays for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payer {
    /// The job's escrow, with the network's fee.
    Developer,
    /// Forfeits, then fees: a task that is run again after an overturned verdict.
    Network,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Evidence {
    /// So many keys' attempts agree, at least one of them an anchor's, and none disagrees.
    Quorum {
        /// How many had to.
        needed: u8,
    },
    /// Anchors agree with each other against keys that are none.
    Anchors {
        /// How many.
        agreeing: u8,
    },
    /// Trusted workers' replays.
    Replay,
}

/// An attempt under a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The attempt.
    pub attempt: AttemptId,
    /// Whether it agrees.
    pub valid: bool,
}

/// The draw that decides whether an agreed task is replayed; published only when the task is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditDraw {
    /// The epoch whose secret was used.
    pub epoch: u64,
    /// The probability, in millionths.
    pub millionths: u32,
    /// Whether it was replayed for that.
    pub audited: bool,
}

/// The draw that decides whether a task of a trusted provider is run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicateDraw {
    /// The trusted provider's attempt.
    pub attempt: AttemptId,
    /// In millionths.
    pub millionths: u32,
    /// Whether it was replicated for that.
    pub replicated: bool,
    /// The epoch whose secret was used.
    pub epoch: u64,
}

/// Why an attempt will give no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum CloseReason {
    /// The provider does not go on.
    GivenBack {
        /// Why.
        why: GiveBackReason,
    },
    /// The provider's machine failed.
    HostFault {
        /// The kind.
        code: FaultCode,
    },
    /// It did not commit before its deadline.
    Expired,
    /// It did not reveal before its deadline.
    NotRevealed,
    /// Its receipt contradicts itself, the task or the lease.
    InvalidReceipt,
    /// It was silent, and the others were enough; it may still commit until its own deadline.
    Superseded,
}

/// Why a provider takes no leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum PauseReason {
    /// Its owner's wish.
    Owner,
    /// So many leases in a row failed.
    Failures {
        /// How many.
        in_a_row: u32,
    },
    /// A replay gave something else than one of its attempts.
    Fault,
}

/// Where a faulty attempt first differs from the replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    /// An operation.
    Operation {
        /// The segment in training.
        segment: u32,
        /// The commit within the task, from 0.
        step: u64,
        /// The operation within the step, from 0.
        operation: u64,
        /// Its name in the contract.
        name: String,
        /// What the replay gives.
        expected: Digest,
        /// What the attempt gave.
        found: Digest,
    },
    /// A commit, all of whose operations agree when looked at one by one.
    Commit {
        /// The segment in training.
        segment: u32,
        /// The commit within the task, from 0.
        step: u64,
        /// What the replay gives.
        expected: Digest,
        /// What the attempt gave.
        found: Digest,
    },
    /// The attempt's trace is not the one that its receipt commits to, or is right where its result is not.
    Forged,
    /// No trace came before the deadline.
    Silent,
    /// There is no trace to compare: the task is too long to be traced, or the worker failed.
    Untraced,
}

/// How a job has ended, without its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
    /// Every task has a verified result.
    Completed,
    /// The guest failed, as it will on every machine.
    Failed,
    /// By its developer's wish.
    Cancelled,
}

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnd {
    /// In a word.
    pub kind: EndKind,
    /// The guest's message, where it failed.
    pub message: Option<String>,
    /// What was paid, with fees.
    pub spent: Credits,
    /// What came back.
    pub refund: Credits,
}
