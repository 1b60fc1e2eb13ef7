//! Tasks: from the moment their states are there until nothing about them can change any more.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{AttemptId, Digest, OperatorId, ReceiptOutcome, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{AuditDraw, Evidence, Finding, ReplicateDraw, StateRef, TaskKey, TaskTag, TraceReport};

/// A task of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its place.
    pub key: TaskKey,
    /// Its id.
    pub id: TaskId,
    /// Its name in the log and in commitments.
    pub tag: TaskTag,
    /// When its states were there.
    pub opened_at: Timestamp,
    /// The states it starts from.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub states: Vec<StateRef>,
    /// How many operators must agree.
    pub needed: u8,
    /// In the order they were leased.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub attempts: Vec<AttemptId>,
    /// How far it is.
    pub phase: Phase,
    /// No new leases, and its result is used by nobody: the job was cancelled or a verdict overturned.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub closing: bool,
    /// Paid from forfeits and fees: a verdict before it was overturned.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub rerun: bool,
    /// Its verdict is an earlier one's, so nobody is paid.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub cached: bool,
    /// What counts.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub verdict: Option<Verdict>,
    /// What trusted workers found, each with its commits' digests while a dispute needs them.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub truths: Vec<Truth>,
    /// Replays that have been ordered and not answered.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub replays: BTreeMap<u32, PendingReplay>,
    /// The number of the next replay.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub replay_next: u32,
    /// Replays that failed.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub replay_failures: u32,
    /// After too many, trusted workers are asked again then.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub replay_retry_at: Option<Timestamp>,
    /// Faulty attempts that are being traced.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub disputes: BTreeMap<AttemptId, Dispute>,
    /// Disputes that have ended.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub findings: BTreeMap<AttemptId, Finding>,
    /// Who is asked for the state's file.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub upload: Option<Upload>,
    /// How many have been asked for it.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub uploads_asked: u32,
    /// The draw that decided about a second attempt.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub replicate: Option<ReplicateDraw>,
    /// What was drawn at the verdict.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub audit: Option<AuditDraw>,
    /// Anchors whose machines failed.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub host_faults: BTreeSet<OperatorId>,
    /// Attempts of keys that are no anchors which came to nothing or were late: anchors, or a trusted worker, do the
    /// rest.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub stumbles: u8,
    /// A trusted worker decides in the place of an anchor.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub trusted: bool,
    /// It is not waited longer than this for what may never come: for an anchor in whose place a trusted worker
    /// decides, or for shadows once there is a verdict.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub waits_until: Option<Timestamp>,
    /// When it is to be looked at.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub wake_at: Option<Timestamp>,
}

/// Rows are written often, and most of what a task may hold it does not.
fn is_empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Attempts run, or are wanted.
    Open,
    /// No attempt can open any more; receipts are asked for.
    Revealing,
    /// Receipts disagree, or need a trusted worker's word.
    Replaying,
    /// There is a verdict; the state's file is on its way.
    Storing,
    /// Successors may start; audits, disputes and late attempts may be open.
    Done,
}

/// What counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The outcome.
    pub outcome: ReceiptOutcome,
    /// Its comparison key.
    pub key: Digest,
    /// The digest over its commits.
    pub trace_root: Digest,
    /// What it rests on.
    pub evidence: Evidence,
    /// When it was found.
    pub at: Timestamp,
}

/// What a trusted worker found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The outcome.
    pub outcome: ReceiptOutcome,
    /// Its comparison key.
    pub key: Digest,
    /// The digest over its commits.
    pub trace_root: Digest,
    /// The commits' digests.
    pub commits: Vec<Digest>,
}

/// A replay that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum PendingReplay {
    /// The task's true outcome.
    Outcome,
    /// The operations of a step, for the dispute of this attempt.
    Operations {
        /// The attempt.
        attempt: AttemptId,
        /// The commit.
        step: u64,
    },
}

/// A faulty attempt that is being traced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dispute {
    /// Silent after that.
    pub deadline: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// How far a dispute is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum Stage {
    /// The attempt's commits are asked for.
    Commits,
    /// The operations of the first differing commit are asked for.
    Operations {
        /// The commit.
        step: u64,
        /// Its digest by the replay.
        expected: Digest,
        /// Its digest by the attempt.
        found: Digest,
        /// The replay's operations.
        truth: Option<TraceReport>,
        /// The attempt's operations.
        claim: Option<TraceReport>,
    },
}

/// Who is asked for a state's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The attempt.
    pub attempt: AttemptId,
    /// Somebody else is asked after that.
    pub deadline: Timestamp,
}

impl Task {
    pub(crate) fn new(
        key: TaskKey,
        id: TaskId,
        tag: TaskTag,
        opened_at: Timestamp,
        states: Vec<StateRef>,
        needed: u8,
    ) -> Task {
        Task {
            key,
            id,
            tag,
            opened_at,
            states,
            needed,
            attempts: Vec::new(),
            phase: Phase::Open,
            closing: false,
            rerun: false,
            cached: false,
            verdict: None,
            truths: Vec::new(),
            replays: BTreeMap::new(),
            replay_next: 0,
            replay_failures: 0,
            replay_retry_at: None,
            disputes: BTreeMap::new(),
            findings: BTreeMap::new(),
            upload: None,
            uploads_asked: 0,
            replicate: None,
            audit: None,
            host_faults: BTreeSet::new(),
            stumbles: 0,
            trusted: false,
            waits_until: None,
            wake_at: None,
        }
    }

    /// Whether everybody who must answer has.
    pub(crate) fn has_open_questions(&self) -> bool {
        !self.replays.is_empty() || !self.disputes.is_empty()
    }

    /// The epochs that draws for it came from.
    pub(crate) fn draw_epochs(&self) -> impl Iterator<Item = u64> {
        let audit = self.audit.map(|draws| draws.epoch);
        self.replicate.map(|draw| draw.epoch).into_iter().chain(audit)
    }

    /// When somebody must be asked again, or has been silent for too long.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let disputes = self.disputes.values().map(|dispute| dispute.deadline).min();
        let upload = self.upload.map(|upload| upload.deadline);
        disputes.into_iter().chain(upload).chain(self.replay_retry_at).chain(self.waits_until).min()
    }
}
