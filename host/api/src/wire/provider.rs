//! Providers: enrolling, polling for work, and the batch in which they report.

use anneal_job::{BackendChoice, Digest, HostFault, Task, Versions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlobRef, SignedReceipt};
use crate::{AttemptId, ErrorBody, Identity, JobId, Nonce32, Timestamp};

/// Says who provides and with what. Sent again when anything changes; devices not named are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// For people: at most 64 bytes, no control characters.
    pub name: String,
    /// Where earnings go, once there is money; never shown to anybody.
    pub payout: Option<String>,
    /// At most 64.
    pub devices: Vec<DeviceOffer>,
}

/// A device that takes work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceOffer {
    /// The provider's own name for it, like `gpu0`: letters, digits, `-`, at most 32.
    pub device: String,
    /// `cpu` or `gpu`.
    pub backend: BackendChoice,
    /// What is compared and priced together: the vendor's name of the model.
    pub class: String,
    /// Driver and version.
    pub driver: String,
    /// Bytes of memory that work may use.
    pub memory_bytes: u64,
    /// A program that plays a GPU: it gets tests only.
    pub software: bool,
    /// What it can run.
    pub versions: Versions,
    /// Credits per 10^9 gas that it wants at least.
    pub price_floor_per_ggas: u64,
    /// The conformance vectors that it passed with this driver.
    pub selftest: SelftestSummary,
}

/// A passed selftest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelftestSummary {
    /// Vectors that were run.
    pub vectors: u32,
    /// Vectors that gave another digest.
    pub failures: u32,
}

/// Asks for work and for what the coordinator wants of leases held; waits where there is neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Devices that would take a lease now; the same device twice for two leases.
    pub idle: Vec<String>,
    /// The revision of the duties that the last reply had; it waits while there are no others.
    pub seen: u64,
    /// How long to wait, at most.
    pub wait_ms: u64,
}

/// Work and duties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PollReply {
    /// New leases.
    pub leases: Vec<Lease>,
    /// Everything that the coordinator waits for from this provider: all of it, each time.
    pub duties: Vec<Duty>,
    /// The revision of the duties.
    pub revision: u64,
}

/// A task, held by one provider until a deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The attempt's name.
    pub attempt: AttemptId,
    /// Counts the leases of the attempt's task; part of the commitment.
    pub lease_epoch: u64,
    /// Which device it is for.
    pub device: String,
    /// The job.
    pub job: JobId,
    /// What to run; its id is recomputed, not believed.
    pub task: Task,
    /// The component's bytes.
    pub component: BlobRef,
    /// The file with all inputs.
    pub inputs: Option<BlobRef>,
    /// The files of the states it starts from, in order; their state digests are `task.states`.
    pub states: Vec<BlobRef>,
    /// Until when to commit.
    pub deadline: Timestamp,
    /// How long it takes, as far as can be known.
    pub expected_ms: u64,
    /// How often a heartbeat is wanted.
    pub heartbeat_ms: u64,
    /// Whether it earns nothing.
    pub test: bool,
}

/// What the coordinator wants of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "duty", rename_all = "kebab-case")]
pub enum Duty {
    /// The receipt and the nonce that were committed to.
    Reveal {
        /// Whose.
        attempt: AttemptId,
        /// Until when.
        deadline: Timestamp,
    },
    /// The state's file.
    Upload {
        /// Whose.
        attempt: AttemptId,
        /// Which.
        blob: BlobRef,
        /// Until when.
        deadline: Timestamp,
    },
    /// The digests of commits or operations.
    Trace {
        /// Whose.
        attempt: AttemptId,
        /// How fine.
        level: TraceLevel,
        /// Until when.
        deadline: Timestamp,
    },
    /// Nothing more: stop running it; it will not be paid.
    Stop {
        /// Whose.
        attempt: AttemptId,
        /// Why, as a stable word.
        reason: String,
    },
    /// Finished with: receipts and states of it may be deleted.
    Forget {
        /// Whose.
        attempt: AttemptId,
    },
}

/// How fine a trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TraceLevel {
    /// A digest per commit.
    Commits,
    /// A digest per operation of this step.
    Operations(u64),
}

/// Everything a provider has to say at once; at most 1,000 items.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Batch {
    /// Leases that are worked on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heartbeats: Vec<Heartbeat>,
    /// Finished attempts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<CommitItem>,
    /// Reveals that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reveals: Vec<RevealItem>,
    /// Leases that this machine cannot finish.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultItem>,
    /// Traces that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceItem>,
}

/// One reply per item, in the order of the batch's fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchReply {
    /// For each heartbeat.
    pub heartbeats: Vec<HeartbeatReply>,
    /// For each commit.
    pub commits: Vec<ItemReply>,
    /// For each reveal.
    pub reveals: Vec<ItemReply>,
    /// For each fault.
    pub faults: Vec<ItemReply>,
    /// For each trace.
    pub traces: Vec<ItemReply>,
}

/// What became of an item: null where it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemReply {
    /// Why it was refused.
    pub error: Option<ErrorBody>,
}

/// A lease is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Which.
    pub attempt: AttemptId,
    /// Its epoch.
    pub lease_epoch: u64,
}

/// What becomes of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatReply {
    /// Until when to commit; null where there is no such lease any more.
    pub deadline: Option<Timestamp>,
}

/// Commits to a receipt without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitItem {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its epoch.
    pub lease_epoch: u64,
    /// Over task, attempt, epoch, provider, receipt root and nonce.
    pub commitment: Digest,
}

/// Shows what was committed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealItem {
    /// The signed account.
    pub receipt: SignedReceipt,
    /// The nonce of the commitment.
    pub nonce: Nonce32,
}

/// A lease that this machine cannot finish; no result, no fault of the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultItem {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its epoch.
    pub lease_epoch: u64,
    /// What happened.
    pub fault: HostFault,
    /// The owner's limits gave it back: nobody's failure.
    pub released: bool,
}

/// The trace that a duty asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceItem {
    /// Which attempt.
    pub attempt: AttemptId,
    /// How fine.
    pub level: TraceLevel,
    /// A digest per commit, or per operation of the step.
    pub digests: Vec<Digest>,
}

/// The providers of a coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Providers {
    /// Those heard of last, first; at most 1,000.
    pub providers: Vec<ProviderView>,
}

/// A provider as everybody sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderView {
    /// Who.
    pub identity: Identity,
    /// Its name for people.
    pub name: String,
    /// When it enrolled.
    pub enrolled: Timestamp,
    /// When it was heard of last.
    pub seen: Timestamp,
    /// Why it gets no leases; null where it does.
    pub paused: Option<String>,
    /// Valid results in a row.
    pub valid_in_a_row: u64,
    /// Valid results.
    pub valid: u64,
    /// Results that a replay faulted.
    pub faulted: u64,
    /// Gas of its valid results.
    pub gas_verified: u64,
    /// Credits earned; null for everybody else.
    pub credits: Option<u64>,
    /// Its devices.
    pub devices: Vec<DeviceView>,
}

/// A device as everybody sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceView {
    /// The provider's name for it.
    pub device: String,
    /// `cpu` or `gpu`.
    pub backend: BackendChoice,
    /// Its class.
    pub class: String,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// A program that plays a GPU.
    pub software: bool,
    /// Gas per second on verified tasks; null before the first.
    pub gas_per_second: Option<u64>,
    /// Leases it holds.
    pub leases: u32,
}
