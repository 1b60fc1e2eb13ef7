//! What is asked of the market. Whoever is named in a command has been authenticated.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Credits, Digest, HostFault, Identity, JobId, Price, Receipt};
use serde::{Deserialize, Serialize};

use crate::{
    Account, DeviceClass, DeviceId, EpochSecret, JobSpec, ReplayId, ReplayOutcome, TraceLevel, TraceReport,
};

/// A request to the market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// A provider joins. Enrolling again changes its marks at most.
    Enrol {
        /// Who.
        provider: Identity,
        /// What makes related keys likely.
        marks: OperatorMarks,
    },
    /// A device is there, or has changed: replaces what was known of this number.
    RegisterDevice {
        /// Whose.
        provider: Identity,
        /// Its number.
        device: DeviceId,
        /// What it is.
        offer: DeviceOffer,
    },
    /// A provider joins, or says anew what it offers: devices that it does not name are withdrawn. All of it is done,
    /// or nothing.
    EnrolWith {
        /// Who.
        provider: Identity,
        /// Where it comes from: the turn and the limits of its prefix.
        marks: OperatorMarks,
        /// Everything that it offers.
        devices: BTreeMap<DeviceId, DeviceOffer>,
    },
    /// A job is to be run; its blobs are there. The reply is [`crate::Reply::Submitted`].
    Submit {
        /// Who pays.
        developer: Identity,
        /// Chosen by the developer: the same job with another nonce is another job.
        nonce: u64,
        /// What is to be run.
        spec: Box<JobSpec>,
    },
    /// The same, where nobody has looked at the component yet: no task opens before [`Command::Admitted`].
    SubmitUnadmitted {
        /// Who pays.
        developer: Identity,
        /// As above.
        nonce: u64,
        /// What is to be run.
        spec: Box<JobSpec>,
    },
    /// A component was looked at and compiled, or cannot be. From the service.
    Admitted {
        /// The component.
        component: Digest,
        /// Why it cannot be run.
        refusal: Option<String>,
    },
    /// What a job would cost at most; changes nothing.
    Quote {
        /// Who asks.
        developer: Identity,
        /// What would be run.
        spec: Box<JobSpec>,
    },
    /// No new leases for a job; what runs finishes, is judged and paid, the rest is refunded.
    Cancel {
        /// Whose job it is.
        developer: Identity,
        /// The job.
        job: JobId,
    },
    /// A paused job goes on.
    ResumeJob {
        /// Whose job it is.
        developer: Identity,
        /// The job.
        job: JobId,
    },
    /// A device is no longer offered: leases on it end, and their tasks go to others.
    WithdrawDevice {
        /// Whose.
        provider: Identity,
        /// Which.
        device: DeviceId,
    },
    /// A device has nothing to do. The reply is a lease, or [`crate::Reply::Nothing`].
    AskLease {
        /// Who asks.
        provider: Identity,
        /// With which device.
        device: DeviceId,
        /// Works for no less.
        price_floor: Price,
    },
    /// A provider is there; the reply says what is wanted of it.
    Heartbeat {
        /// Who.
        provider: Identity,
        /// Leases that it holds.
        attempts: Vec<AttemptId>,
        /// Whether these are all of them: one that is not named, and was not given just now, is then taken from it.
        all: bool,
    },
    /// An attempt has ended; this commits to its receipt.
    Commit {
        /// Whose attempt it is.
        provider: Identity,
        /// The attempt.
        attempt: AttemptId,
        /// `anneal_job::CommitmentFields::commitment`.
        commitment: Digest,
    },
    /// The receipt that was committed to, once it is asked for.
    Reveal {
        /// Whose attempt it is.
        provider: Identity,
        /// The attempt.
        attempt: AttemptId,
        /// What was committed to.
        receipt: Box<Receipt>,
        /// The random bits of the commitment.
        nonce: Nonce,
    },
    /// The provider's machine failed: no result, the task is leased again.
    HostFault {
        /// Whose attempt it was.
        provider: Identity,
        /// The attempt.
        attempt: AttemptId,
        /// What failed.
        fault: HostFault,
    },
    /// The provider does not go on.
    GiveBack {
        /// Whose attempt it was.
        provider: Identity,
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: GiveBackReason,
    },
    /// A blob has been received whole, and has this SHA-256. From the service.
    BlobStored {
        /// The blob.
        blob: Digest,
        /// The attempt that was asked to upload it.
        attempt: AttemptId,
    },
    /// A blob that was stored is gone, or no longer has this SHA-256: disks forget. From the service, which has
    /// looked.
    BlobLost {
        /// The blob.
        blob: Digest,
    },
    /// A trusted worker's answer to [`crate::Effect::Replay`]. From the service.
    ReplayAnswer {
        /// Which replay.
        replay: ReplayId,
        /// What came out.
        outcome: Box<ReplayOutcome>,
    },
    /// The answer to [`crate::Demand::Trace`].
    TraceAnswer {
        /// Whose attempt it is.
        provider: Identity,
        /// The attempt.
        attempt: AttemptId,
        /// The level that was asked for.
        level: TraceLevel,
        /// The digests.
        report: TraceReport,
    },
    /// A provider says that a fault of its attempt is none: the task is replayed once more, on another backend.
    Appeal {
        /// Who.
        provider: Identity,
        /// The attempt.
        attempt: AttemptId,
    },
    /// A provider takes no new leases for a while, by its own wish.
    PauseProvider {
        /// Who.
        provider: Identity,
    },
    /// A provider takes leases again, also after the market paused it, once its backoff is over.
    ResumeProvider {
        /// Who.
        provider: Identity,
    },
    /// An identity is served no more. From the network's operator.
    Ban {
        /// Who.
        identity: Identity,
        /// Why, for the log.
        reason: String,
    },
    /// It is served again. From the network's operator.
    Unban {
        /// Who.
        identity: Identity,
        /// Why, for the log.
        reason: String,
    },
    /// Time has passed. From the service, at least once a second.
    Tick,
    /// A new epoch of secret draws begins; the last one's secret is published when all its draws are final.
    /// From the service, once an hour, and before the first job.
    BeginEpoch {
        /// 256 random bits. Only their digest is published for now.
        secret: EpochSecret,
    },
    /// A developer's funds that nobody paid in: they buy work, and that work counts as no cover.
    Grant {
        /// Who gets it.
        owner: Identity,
        /// How much it has then at least.
        credits: Credits,
    },
    /// Whom the network's operator vouches for, in place of whom it did before. From the service.
    SetLists {
        /// Anchors without cover.
        anchors: BTreeSet<Identity>,
        /// Developers, work for whom counts as cover.
        developers: BTreeSet<Identity>,
    },
    /// What an account holds from now on; what is missing or left over comes from or goes to outside.
    SetFunds {
        /// [`Account::Available`] or [`Account::Stake`].
        account: Account,
        /// The amount.
        credits: Credits,
    },
}

/// What makes it likely that keys belong to one person: digests, so that the market learns no address. Related keys
/// are rather not paired; nobody answers for another's fault because of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorMarks {
    /// Of the payout address.
    pub payout: Option<Digest>,
    /// Of the network prefix. `None` on loopback.
    pub network: Option<Digest>,
}

/// A device and what it has shown that it can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceOffer {
    /// What prices go by.
    pub class: DeviceClass,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Features by name.
    pub features: BTreeSet<String>,
    /// A program that plays a GPU: takes test jobs only.
    pub software: bool,
    /// It has passed the conformance vectors of this contract and these numerics.
    pub selftest: Option<anneal_job::Versions>,
    /// Gas per second in the selftest: for pages. What counts is measured on verified tasks.
    pub speed_gas_per_second: u64,
}

/// 256 random bits that keep a commitment from being guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(pub Digest);

/// Why a provider does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GiveBackReason {
    /// Its owner's limits of heat, power or time, or its owner needs the machine.
    Policy,
    /// It is being stopped.
    Shutdown,
    /// A blob could not be got.
    Blob,
    /// The task is of versions that the device does not run, whatever was said of it.
    Versions,
    /// The provider's heartbeats do not name it: it never heard of the lease, or has forgotten it.
    Lost,
    /// The provider no longer offers the device.
    Withdrawn,
}
