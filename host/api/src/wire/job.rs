//! Jobs as developers submit and watch them.

use std::collections::BTreeMap;

use anneal_job::{BackendChoice, Digest, Entry, Metric, Place, TaskId, report::JobReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlobRef, SignedReceipt};
use crate::{AttemptId, Identity, JobId, Timestamp};

/// A job to be run. Its component and inputs must be uploaded before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitJob {
    /// For people: at most 64 bytes, no control characters.
    pub name: String,
    /// Everything the result depends on. `entry` must be null.
    pub job: JobReport,
    /// Bytes of the component; its digest is `job.component`.
    pub component_bytes: u64,
    /// One safetensors file with all inputs; null where there are none.
    pub inputs: Option<BlobRef>,
    /// How often each task is run.
    pub redundancy: Redundancy,
    /// What a device must have.
    pub requirements: JobRequirements,
    /// Credits per 10^9 gas that it may cost at most.
    pub price_cap_per_ggas: u64,
    /// Providers that may run it; anybody where empty.
    pub allow: Vec<Identity>,
    /// Whether only its owner sees it.
    pub private: bool,
    /// A test: software GPUs may run it, and it earns nothing.
    pub test: bool,
}

/// How often each task is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Redundancy {
    /// By this many operators.
    Fixed(u32),
    /// By one or more, as the providers' records allow.
    Adaptive,
}

/// What a device must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequirements {
    /// Where tensors are computed.
    pub backend: BackendChoice,
    /// Bytes of the device's memory.
    pub memory_bytes: u64,
    /// Gas per second, as measured on verified tasks; 0 where any will do.
    pub gas_per_second: u64,
}

/// What a job will cost at most; nothing is charged yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// Tasks of its plan.
    pub tasks: u64,
    /// Gas of all tasks at their limits, once.
    pub gas_max: u64,
    /// Replicas of each task at most.
    pub replicas_max: u32,
    /// The price now, in credits per 10^9 gas.
    pub price_per_ggas: u64,
    /// The hard cap: it will never cost more.
    pub credits_max: u64,
}

/// A submitted job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// Its name here.
    pub job: JobId,
    /// What was reserved.
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
    /// So many tasks at most; 1,000 where it is not said, which is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
}

/// Which jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobListQuery {
    /// So many at most, the newest first; 100 where it is not said, which is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Only those submitted before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
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
    /// Credits paid so far.
    pub credits_spent: u64,
    /// The hard cap.
    pub credits_max: u64,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Its tasks are leased and judged.
    Running,
    /// Two operators' machines failed on one task, or the like; it says why.
    Paused,
    /// No new leases; active ones finish.
    Cancelling,
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
    pub job: Option<JobReport>,
    /// What was reserved.
    pub quote: Quote,
    /// Why it is paused or failed.
    pub reason: Option<String>,
    /// What it ended with.
    pub end: Option<JobEnd>,
    /// Its tasks, by index; those asked for.
    pub tasks: Vec<TaskView>,
}

/// What a completed job ended with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobEnd {
    /// "The hash": over all results.
    pub result: Digest,
    /// The last value of each metric.
    pub metrics: BTreeMap<String, f64>,
    /// The last state that has weights: a train's last segment or merge, a single's own.
    pub state: Option<BlobRef>,
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
    /// `leased`, `committed`, `revealed`, `agreed`, `faulted`, `forfeited`, `expired`, `host-fault`, `released`.
    pub state: String,
    /// When it was leased.
    pub leased: Timestamp,
    /// When it committed.
    pub committed: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Credits it earned.
    pub credits: u64,
    /// Its receipt, once the verdict is known.
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
    pub state_blob: Option<BlobRef>,
    /// In the order they were reported.
    pub metrics: Vec<Metric>,
    /// Gas used.
    pub gas: u64,
    /// `agreement`, `replay` or `cache`.
    pub by: String,
    /// Whom it faults, down to the operation: an object per faulted attempt.
    pub faults: Vec<serde_json::Value>,
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// How far the job is now.
    pub state: JobState,
}
