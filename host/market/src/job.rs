//! Jobs: how far the plan has come, and what it has cost.

use std::collections::{BTreeMap, VecDeque};

use anneal_job::{Credits, Digest, Entry, Identity, JobId, PlanSpec, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{EndKind, JobEnd, JobTag, StateRef};

/// A job that has not ended; in its last row, how it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who pays.
    pub developer: Identity,
    /// What the log's ids are salted with.
    pub salt: Digest,
    /// Its name in the log.
    pub tag: JobTag,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Whether it goes on.
    pub status: JobStatus,
    /// What is left of its hard cap.
    pub escrow: Credits,
    /// What was paid from it.
    pub spent: Credits,
    /// Gas times price that was not worth a whole credit yet.
    pub remainder: u64,
    /// Tasks of its plan.
    pub tasks: u32,
    /// Every task before this index exists or has existed.
    pub next: u32,
    /// Tasks with a verdict and a stored state.
    pub done: u32,
    /// How often a verdict was overturned.
    pub generation: u32,
    /// Tasks before this index are run again after an overturned verdict, and not at the developer's expense.
    pub rerun_below: u32,
    /// States that tasks still need, or might again.
    pub states: BTreeMap<u32, StateRef>,
    /// States that nothing needs, oldest first: kept for the developer.
    pub checkpoints: VecDeque<(u32, Digest)>,
    /// Gas of the last verified task of each entry.
    pub gas_seen: BTreeMap<Entry, u64>,
    /// How it has ended.
    pub end: Option<JobEnd>,
}

impl Job {
    /// Whether no task of its plan is wanted any more.
    pub(crate) fn lacks_nothing(&self) -> bool {
        self.done == self.tasks || matches!(self.status, JobStatus::Ending { .. })
    }
}

/// Whether a job goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum JobStatus {
    /// Its component is being looked at: no task is open yet.
    Admitting,
    /// Tasks are leased.
    Running,
    /// No new leases until the developer resumes it.
    Paused {
        /// Why, and what to do.
        message: String,
    },
    /// No new leases; it ends when its attempts have.
    Ending {
        /// As what.
        kind: EndKind,
        /// The guest's message.
        message: Option<String>,
    },
}

impl JobStatus {
    /// In a word.
    pub fn name(&self) -> &'static str {
        match self {
            JobStatus::Admitting => "admitting",
            JobStatus::Running => "running",
            JobStatus::Paused { .. } => "paused",
            JobStatus::Ending { .. } => "ending",
        }
    }
}

/// The first task that depends on the task at `index`; all from there on do.
pub(crate) fn first_descendant(plan: &PlanSpec, index: u32) -> u32 {
    let PlanSpec::Train { workers, .. } = plan else { return plan.task_count() as u32 };
    if index == 0 || *workers == 1 {
        return index + 1;
    }
    // A round is its workers and their merge: a worker's state goes into the merge, a merge's into all after.
    let per_round = workers + 1;
    let position = (index - 1) % per_round;
    index + (workers - position).max(1)
}

/// Whether the task's state is only ever a way to the job's last one.
pub(crate) fn is_passing(plan: &PlanSpec, index: u32) -> bool {
    matches!(plan, PlanSpec::Train { .. }) && (index as usize) + 2 < plan.task_count()
}
