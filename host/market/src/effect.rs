//! What the service is to do after a command. Each may come twice, and doing it twice does no harm.

use anneal_job::{AttemptId, Digest, Identity, JobId, Metric, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{DeviceClass, JobEnd, Posting, ReplayId, StateRef, TraceLevel, Waiting};

/// An instruction for the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// Run this task on a trusted worker, and answer with [`crate::Command::ReplayAnswer`]. The blob of the
    /// state that comes out must be kept under its digest before the answer.
    Replay(Box<ReplayOrder>),
    /// Look at a job's component, and answer with [`crate::Command::Admitted`].
    Admit {
        /// The job.
        waiting: Waiting,
    },
    /// Devices that wait for leases may ask again.
    Wake {
        /// Of this class; of every class where `None`.
        class: Option<DeviceClass>,
        /// For so many leases: waking a few more devices than that is enough.
        slots: u64,
    },
    /// This provider has demands: answer its waiting heartbeat now.
    Call {
        /// Who.
        provider: Identity,
    },
    /// A verified task's metrics: for the job's owner, or everybody where the job is public.
    PublishMetrics {
        /// The job.
        job: JobId,
        /// The task's index in the plan.
        index: u32,
        /// The try.
        generation: u32,
        /// In the order they were reported.
        metrics: Vec<Metric>,
    },
    /// A task's state has been verified and is stored: a checkpoint.
    KeepBlob {
        /// The job.
        job: JobId,
        /// The task's index in the plan.
        index: u32,
        /// The state's file.
        blob: Digest,
    },
    /// The job no longer needs this state: drop it unless [`crate::Market::blobs`] names it.
    DropBlob {
        /// The job.
        job: JobId,
        /// The task's index in the plan.
        index: u32,
        /// The state's file.
        blob: Digest,
    },
    /// Credits have moved.
    Post {
        /// From where to where.
        posting: Posting,
    },
    /// A job has ended.
    JobEnded {
        /// The job.
        job: JobId,
        /// How.
        end: JobEnd,
    },
    /// A provider must be told why it gets no leases.
    TellProvider {
        /// Who.
        provider: Identity,
        /// A sentence, with what to do.
        message: String,
    },
    /// A developer must be told why a job stands still.
    TellDeveloper {
        /// The job.
        job: JobId,
        /// A sentence, with what to do.
        message: String,
    },
}

/// A replay that a trusted worker is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayOrder {
    /// Its name.
    pub replay: ReplayId,
    /// What is to be run.
    pub task: anneal_job::Task,
    /// The component's file.
    pub component: Digest,
    /// The file with all inputs.
    pub inputs_blob: Option<Digest>,
    /// The states it starts from, in the task's order.
    pub states: Vec<StateRef>,
    /// What is to be digested.
    pub level: TraceLevel,
    /// On another backend than the one that replays usually run on.
    #[serde(default)]
    pub other_backend: bool,
    /// For the worker's queue: somebody waits for a dispute, nobody for an audit.
    pub urgent: bool,
    /// Whose job it is, or who appeals: trusted workers serve them in turn.
    pub developer: Identity,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// Whose attempts it judges: the worker need not know, the page shows it.
    pub attempts: Vec<AttemptId>,
}
