//! Jobs as developers submit and watch them.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{
    AttemptId, Blob, Credits, Digest, Entry, Identity, JobId, Limits, Metric, ParameterValue, Place,
    PlanSpec, Price, Redundancy, Task, TaskId, Timestamp, Versions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SignedReceipt;
use crate::Signature;

/// A job to be run. Its component and inputs must be uploaded before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitJob {
    /// For people: at most 64 bytes, no control characters.
    pub name: String,
    /// Chosen by the developer: the same job with another nonce is another job.
    pub nonce: u64,
    /// What is to be run.
    pub spec: JobSpec,
}

/// What would this cost?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteJob {
    /// What would be run; its blobs need not be there.
    pub spec: JobSpec,
}

/// Everything a job's result depends on, and how it is to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The component's file; its digest is the component's name.
    pub component: Blob,
    /// One safetensors file with all inputs, as the sandbox reads it; null where there are none.
    pub inputs_blob: Option<Blob>,
    /// The tensor digest of each input.
    pub inputs: BTreeMap<String, Digest>,
    /// The job's seed.
    pub seed: u64,
    /// How it unrolls.
    pub plan: PlanSpec,
    /// What the guest is told.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// What each task may use.
    pub limits: Limits,
    /// Contract, numerics, gas.
    pub versions: Versions,
    /// How many operators must agree.
    pub redundancy: Redundancy,
    /// What a machine must have.
    #[serde(default)]
    pub requirements: JobRequirements,
    /// The most the developer pays for 10^9 gas.
    pub price_cap: Price,
    /// What the developer thinks that a task uses; for expected times until a task has been verified.
    #[serde(default)]
    pub gas_expected: Option<u64>,
    /// Providers that may take it; anybody where empty.
    #[serde(default)]
    pub allow: BTreeSet<Identity>,
    /// Shown to nobody else, and in the log under salted ids only.
    pub private: bool,
    /// Software GPUs may take it.
    #[serde(default)]
    pub test: bool,
    /// By the developer over [`component_claim`](super::component_claim) of the component. Providers that choose
    /// their developers take no job without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_signature: Option<Signature>,
}

impl JobSpec {
    /// The task at an index of the plan, where it starts from these states, in the plan's order.
    pub fn task(&self, index: usize, states: Vec<Digest>) -> Option<Task> {
        let planned = self.plan.task(index)?;
        let mut parameters = self.parameters.clone();
        parameters.extend(planned.parameters);
        Some(Task {
            component: self.component.digest,
            entry: planned.entry,
            place: planned.place,
            job_seed: self.seed,
            parameters,
            inputs: self.inputs.clone(),
            states,
            limits: self.limits,
            versions: self.versions,
        })
    }
}

/// What a machine must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobRequirements {
    /// Bytes of the device's memory.
    pub memory_bytes: u64,
    /// Features by name, all of them: `cpu`, `gpu` and the like.
    pub features: BTreeSet<String>,
    /// Gas per second, as measured on verified tasks.
    pub speed_gas_per_second: u64,
}

/// What a job costs at least and at most; nothing is charged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// Tasks of its plan.
    pub tasks: u64,
    /// Paid attempts of a task as planned.
    pub replicas: u8,
    /// Paid attempts of a task at most: stragglers and disagreements.
    pub replicas_max: u8,
    /// If every task uses the gas that the developer expects, at today's price: no promise.
    pub expected: Credits,
    /// The hard cap: it will never cost more.
    pub cap: Credits,
}

/// A submitted job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// Its name here.
    pub job: JobId,
    /// With which the public log's names are made: to keep, and to audit one's own job with.
    pub salt: Digest,
    /// What is in escrow.
    pub quote: Quote,
}

/// The path of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobPath {
    /// The job.
    pub job: JobId,
}

/// What of a job is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobQuery {
    /// Waits until the job's revision is another one than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// How long to wait for that, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// Tasks from this index on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// So many tasks at most; 1,000 where it is not said, which is the most. There may be fewer where they are large:
    /// [`JobView::next`] says where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// So many points of a task's metrics at most; 64 where it is not said, 2,000 is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<u64>,
    /// With the receipts, which hold every metric: large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<bool>,
}

/// Which jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobListQuery {
    /// So many at most, the newest first; 100 where it is not said, which is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only those submitted before this: for the next page, when the last job of this one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// And those submitted just then that come after this one: for the next page, the last job of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_job: Option<JobId>,
}

/// A list of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// The newest first.
    pub jobs: Vec<JobSummary>,
}

/// A job in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobSummary {
    /// Its name here.
    pub id: JobId,
    /// Its name for people.
    pub name: String,
    /// Whose it is.
    pub owner: Identity,
    /// How far it is.
    pub state: JobState,
    /// Whether only its owner sees it.
    pub private: bool,
    /// Whether it is a test.
    pub test: bool,
    /// When it came.
    pub submitted: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Tasks with a verdict.
    pub tasks_done: u64,
    /// Tasks of its plan.
    pub tasks: u64,
    /// Paid so far.
    pub spent: Credits,
    /// The hard cap.
    pub cap: Credits,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Its component is looked at and compiled before any task opens.
    Admitting,
    /// Its tasks are leased and judged.
    Running,
    /// Two operators' machines failed on one task, or the like; it says why.
    Paused,
    /// No new leases; active ones finish. Then it is failed or cancelled.
    Ending,
    /// Ended: every task has a verdict.
    Completed,
    /// Ended: the guest failed.
    Failed,
    /// Ended: its owner wanted so.
    Cancelled,
}

/// A job with its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// As in the list.
    pub summary: JobSummary,
    /// Changes whenever anything here does.
    pub revision: u64,
    /// What was submitted; null for whom it is none of their business.
    pub spec: Option<JobSpec>,
    /// What was put into escrow for it.
    pub quote: Quote,
    /// With which the public log's names are made; null for whom it is none of their business.
    pub salt: Option<Digest>,
    /// Why it is paused or failed.
    pub reason: Option<String>,
    /// What it ended with.
    pub end: Option<JobEnd>,
    /// Its tasks, by index; those asked for.
    pub tasks: Vec<TaskView>,
    /// Where the next page of tasks begins; null where this is the last one.
    #[serde(default)]
    pub next: Option<u64>,
}

/// What a completed job ended with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobEnd {
    /// "The hash": over all results.
    pub result: Digest,
    /// The last value of each metric; of 256 names at most.
    pub metrics: BTreeMap<String, f64>,
    /// The last state that has weights: a train's last segment or merge, a single's own.
    pub state: Option<Blob>,
}

/// A task and its attempts. Nothing of a result is here before its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Its place in the plan.
    pub index: u64,
    /// The exported function.
    pub entry: Entry,
    /// Where it stands in training.
    pub place: Place,
    /// How far it is.
    pub state: TaskState,
    /// Its name; null while a state it starts from is missing.
    pub task: Option<TaskId>,
    /// Every attempt so far.
    pub attempts: Vec<AttemptView>,
    /// What was found.
    pub verdict: Option<VerdictView>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// For a state that it starts from.
    Waiting,
    /// For a provider.
    Open,
    /// Leased as often as it must be.
    Leased,
    /// For reveals.
    Revealing,
    /// Attempts disagree, or it is audited: the coordinator runs it itself.
    Replaying,
    /// Its state is being uploaded.
    Uploading,
    /// It has a verdict.
    Done,
    /// Never will be.
    Dropped,
}

/// An attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    /// Its name.
    pub attempt: AttemptId,
    /// Who.
    pub provider: Identity,
    /// On what kind of device.
    pub device_class: String,
    /// How far it is.
    pub state: AttemptState,
    /// When it was leased.
    pub leased: Timestamp,
    /// When it committed.
    pub committed: Option<Timestamp>,
    /// What it earned.
    pub earned: Credits,
    /// Its receipt, once the verdict is known, where the query asks for it.
    pub receipt: Option<SignedReceipt>,
}

/// What was found about a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictView {
    /// When.
    pub at: Timestamp,
    /// Over state and metrics; null where the guest failed.
    pub result: Option<Digest>,
    /// Over the state.
    pub state: Option<Digest>,
    /// The state's file.
    pub state_blob: Option<Blob>,
    /// In the order they were reported. Where there are more than were asked for, the first, last, lowest and highest
    /// of each name are among them; a receipt has all.
    pub metrics: Vec<Metric>,
    /// How many there are in all.
    #[serde(default)]
    pub metrics_total: u64,
    /// Gas used.
    pub gas: u64,
    /// What decided.
    pub by: VerdictBy,
    /// Whom it faults, down to the operation.
    pub faults: Vec<FaultView>,
}

/// An attempt that a replay contradicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultView {
    /// The attempt.
    pub attempt: AttemptId,
    /// Where it went wrong.
    #[serde(flatten)]
    pub finding: FindingView,
}

/// Where a faulted attempt first differs from the replay: the end of a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum FindingView {
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
        /// What the replay gives; zeros where it has no such operation.
        expected: Digest,
        /// What the attempt gave; zeros where it has no such operation.
        found: Digest,
    },
    /// A commit, all of whose operations agree when looked at one by one.
    Commit {
        /// The segment in training.
        segment: u32,
        /// The commit within the task, from 0.
        step: u64,
        /// What the replay gives; zeros where it has no such commit.
        expected: Digest,
        /// What the attempt gave; zeros where it has no such commit.
        found: Digest,
    },
    /// The attempt's trace is not the one that its receipt commits to, or is right where its result is not.
    Forged,
    /// No trace came before the deadline.
    Silent,
    /// There is no trace to compare: the task is too long to be traced, or the worker failed.
    Untraced,
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictBy {
    /// The quorum's agreement.
    Agreement,
    /// The coordinator's own replay.
    Replay,
    /// An earlier verdict on the same task.
    Cache,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptState {
    /// It runs.
    Leased,
    /// It has committed to a receipt.
    Committed,
    /// Its receipt is known to the coordinator.
    Revealed,
    /// Its receipt is the verdict's.
    Valid,
    /// A replay found its receipt wrong.
    Faulted,
    /// It was silent where it had to speak.
    Forfeited,
    /// Its machine failed.
    HostFault,
    /// It was given back, or its deadline passed before it committed.
    Ended,
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// How far the job is now.
    pub state: JobState,
}
