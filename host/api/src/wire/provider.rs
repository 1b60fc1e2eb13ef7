//! Providers: enrolling, polling for work, and the batch in which they report.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{
    AttemptId, Blob, Credits, Digest, HostFault, Identity, JobId, Price, RecordHasher, Span, Task, TaskId,
    Timestamp, Versions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SignedReceipt;
use crate::{ErrorBody, SecretKey, Signature};

/// Devices of a provider.
pub const DEVICES_MAX: usize = 64;
/// Items of a batch.
pub const BATCH_ITEMS_MAX: usize = 1_000;

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

/// A device that takes work, and what it has shown that it can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceOffer {
    /// The provider's own number for it.
    pub device: u32,
    /// For people, as the driver says it: at most 100 bytes.
    pub name: String,
    /// What prices go by: 1 to 32 lower-case letters, digits, `-` or `.`, like `nvidia-24g` or `cpu`.
    pub class: String,
    /// Bytes of memory that work may use.
    pub memory_bytes: u64,
    /// Features by name: `cpu`, `gpu` and the like.
    pub features: BTreeSet<String>,
    /// A program that plays a GPU: it takes tests only.
    pub software: bool,
    /// It has passed the conformance vectors of these versions with its present driver.
    pub selftest: Option<Versions>,
    /// Gas per second in the selftest; verified tasks correct it.
    pub speed_gas_per_second: u64,
    /// Credits per 10^9 gas that it wants at least.
    pub price_floor: Price,
}

/// Asks for work and for what the coordinator wants of leases held; waits where there is neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poll {
    /// Devices that would take a lease now; the same device twice for two leases.
    pub idle: Vec<u32>,
    /// The revision of the duties that the last reply had; it waits while there are no others.
    pub seen: u64,
    /// How long to wait, at most.
    pub wait_ms: u64,
    /// Every attempt that it has and has not finished: what the coordinator takes it to have besides is given to
    /// others. Where nothing is said, nothing is taken back.
    #[serde(default)]
    pub holds: Option<Vec<AttemptId>>,
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
    /// For each idle device that got none, why.
    pub none: Vec<NoLease>,
    /// What 10^9 gas pay now on each of this provider's devices, so that it may compare it with its costs.
    #[serde(default)]
    pub prices: BTreeMap<u32, Price>,
}

/// Why there is no work for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoLease {
    /// The device.
    pub device: u32,
    /// A stable word: `no-tasks`, `none-fits` and the like, or the market's reason to refuse: `provider-paused`.
    pub hint: String,
}

/// A task, held by one provider until a deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// The attempt's name.
    pub attempt: AttemptId,
    /// Goes into the commitment and the receipt.
    pub lease_epoch: u64,
    /// Which device it is for.
    pub device: u32,
    /// The task's name in commitments.
    pub task_tag: Digest,
    /// Goes into the receipt.
    pub salt: Digest,
    /// What to run.
    pub task: Task,
    /// Its id; recomputed, not believed.
    pub task_id: TaskId,
    /// Whose job it is; an earlier version's coordinator does not say it.
    #[serde(default)]
    pub developer: Option<LeaseDeveloper>,
    /// The component's file.
    pub component: Blob,
    /// The file with all inputs.
    pub inputs_blob: Option<Blob>,
    /// The states it starts from, in the task's order.
    pub states: Vec<StateRef>,
    /// How long it is expected to take.
    pub expected: Span,
    /// Commit before this to be paid.
    pub deadline: Timestamp,
    /// Send a heartbeat this often.
    pub heartbeat_every: Span,
    /// What is paid for 10^9 gas.
    pub price: Price,
    /// A new key's first attempt: extra, unpaid, and what the key is believed by afterwards.
    #[serde(default)]
    pub shadow: bool,
}

/// Whose job a lease is of: as the coordinator says, and as the developer has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseDeveloper {
    /// Who.
    pub identity: Identity,
    /// By them over [`component_claim`] of the lease's component; null where they signed nothing.
    pub component_signature: Option<Signature>,
}

impl LeaseDeveloper {
    /// Whether the developer signed this component; `None` where there is no signature.
    pub fn signed(&self, component: Digest) -> Option<bool> {
        let signature = self.component_signature?;
        Some(signature.is_by(&self.identity, &component_claim(component)))
    }
}

/// What a developer signs of a component: that it is theirs to have run.
pub fn component_claim(component: Digest) -> Digest {
    RecordHasher::new("anneal component 1").bytes(component.as_bytes()).finish()
}

/// A developer's signature over a component.
pub fn sign_component(key: &SecretKey, component: Digest) -> Signature {
    key.sign(&component_claim(component))
}

/// A task's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateRef {
    /// The digest over its tensors: what a task names.
    pub state: Digest,
    /// Its file.
    pub blob: Blob,
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
        blob: Blob,
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
    /// Stop: nobody wants this attempt any more, or it is not the provider's.
    Stop {
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
    /// A digest per operation of one step.
    Operations {
        /// The step, from 0.
        step: u64,
    },
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
    /// Attempts that failed for this machine's sake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultItem>,
    /// Leases that are given back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_back: Vec<GiveBackItem>,
    /// Traces that were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceItem>,
    /// Faulty attempts that another backend is to decide once more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub appeals: Vec<AttemptId>,
}

impl Batch {
    /// How many items it has.
    pub fn items(&self) -> usize {
        let Batch { heartbeats, commits, reveals, faults, given_back, traces, appeals } = self;
        let ended = commits.len() + reveals.len() + faults.len() + given_back.len();
        heartbeats.len() + ended + traces.len() + appeals.len()
    }
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
    /// For each lease given back.
    pub given_back: Vec<ItemReply>,
    /// For each trace.
    pub traces: Vec<ItemReply>,
    /// For each appeal.
    pub appeals: Vec<ItemReply>,
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
}

/// What becomes of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeartbeatReply {
    /// Whether to go on; a `stop` is a duty, too.
    pub wanted: bool,
}

/// Commits to a receipt without showing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitItem {
    /// Which attempt.
    pub attempt: AttemptId,
    /// `CommitmentFields::commitment`: over task, attempt, epoch, provider, receipt root and nonce.
    pub commitment: Digest,
}

/// Shows what was committed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealItem {
    /// The signed account.
    pub receipt: SignedReceipt,
    /// The 32 random bytes of the commitment, as a digest is written.
    pub nonce: Digest,
}

/// The provider's machine failed: no result, the task is leased again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultItem {
    /// Which attempt.
    pub attempt: AttemptId,
    /// What failed.
    pub fault: HostFault,
}

/// The provider does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveBackItem {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Why.
    pub reason: GiveBackReason,
}

/// Why a provider does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GiveBackReason {
    /// Its owner's limits of heat, power or time, or its owner needs the machine.
    Policy,
    /// It is being stopped.
    Shutdown,
    /// A blob could not be got.
    Blob,
    /// The task is of versions that it does not run; its device gets no lease until it is registered again.
    Versions,
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
    /// At the level of operations: their names in the contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// Whether a provider wants leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderPause {
    /// True: no new leases. False: again, also after the coordinator paused it, once its backoff is over.
    pub paused: bool,
}

/// Which providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderListQuery {
    /// So many at most; 100 where it is not said, 1,000 is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only those whose identity comes after this one: [`Providers::next`] of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Identity>,
}

/// A page of the providers of a coordinator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Providers {
    /// Of this page those heard of last, first.
    pub providers: Vec<ProviderView>,
    /// After which identity the next page begins; null where this is the last one.
    #[serde(default)]
    pub next: Option<Identity>,
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
    /// When the answering process last heard of it.
    pub seen: Option<Timestamp>,
    /// Why it gets no leases; null where it does.
    pub paused: Option<String>,
    /// How far it is believed.
    pub standing: ProviderStanding,
    /// What it would surely lose by a fault: held earnings of work that others have vouched for.
    pub cover: Credits,
    /// Its faults whose forfeits are not final; null for everybody else.
    pub cases: Option<Vec<CaseView>>,
    /// Valid results in a row.
    pub valid_in_a_row: u64,
    /// Valid results.
    pub valid: u64,
    /// Results that a replay faulted.
    pub faulted: u64,
    /// Gas of its valid results.
    pub gas_verified: u64,
    /// What it earned; null for everybody else.
    pub earned: Option<Credits>,
    /// Its devices.
    pub devices: Vec<DeviceView>,
}

/// How far a provider is believed. See VERIFICATION.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderStanding {
    /// Its next attempt is a shadow.
    New,
    /// It works beside anchors.
    Known,
    /// The coordinator's operator vouches for it.
    Listed,
    /// Its shadow gave another result than everybody else: it gets no leases.
    Barred,
}

/// A fault whose forfeit is not final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseView {
    /// The attempt.
    pub attempt: AttemptId,
    /// The job that it was for.
    pub job: JobId,
    /// What is suspended.
    pub credits: Credits,
    /// Until when it can be appealed.
    pub until: Timestamp,
    /// Another backend decides at the moment.
    pub appealed: bool,
}

/// A device as everybody sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceView {
    /// The provider's number for it.
    pub device: u32,
    /// As its driver calls it.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// A program that plays a GPU.
    pub software: bool,
    /// Gas per second, as far as is known.
    pub speed_gas_per_second: u64,
    /// Leases it holds.
    pub leases: u32,
}
