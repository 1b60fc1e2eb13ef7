//! Replays by trusted workers and traces by providers: their names, levels and answers.

use anneal_job::{AttemptId, Digest, ReceiptOutcome};
use serde::{Deserialize, Serialize};

use crate::{TaskKey, TraceReport};

/// One replay: the same id asks for the same work, so an effect that is repeated does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplayId {
    /// The task.
    pub task: TaskKey,
    /// From 0 within the task.
    pub number: u32,
    /// For the appeal of this attempt's owner, and not for the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appeal: Option<AttemptId>,
}

/// What a run digests besides its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "level", rename_all = "kebab-case")]
pub enum TraceLevel {
    /// Nothing.
    None,
    /// Each commit.
    Commits,
    /// Each operation of one step.
    Operations {
        /// The commit, from 0.
        step: u64,
    },
}

/// What a trusted worker found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum ReplayOutcome {
    /// The task's true outcome; at the level of operations, only the trace is looked at.
    Done {
        /// What is true.
        outcome: ReceiptOutcome,
        /// `anneal_job::trace_root` over all commits' digests.
        trace_root: Digest,
        /// As the level says.
        trace: TraceReport,
    },
    /// The worker does not run the task's versions: it says nothing about the task, and asking again is no use.
    Cannot {
        /// Which it runs instead.
        message: String,
    },
    /// The worker failed: it is asked again, and after three times the job is paused.
    Failed {
        /// What happened.
        message: String,
    },
}
