//! What the market answers to whoever sent the command.

use anneal_job::{AttemptId, Blob, Credits, Digest, Identity, JobId, Price, Span, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{TaskTag, TraceLevel};

/// The answer to a command that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// There is nothing to say.
    Done,
    /// The job is there.
    Submitted {
        /// Its id.
        job: JobId,
        /// With which the public log's ids are made: the developer's to keep.
        salt: Digest,
        /// What is in escrow.
        quote: Quote,
    },
    /// What a job costs.
    Quoted {
        /// In credits.
        quote: Quote,
    },
    /// Work.
    Lease(Box<Lease>),
    /// No work now: wait for [`crate::Effect::Wake`], at most so long.
    Nothing {
        /// Ask again after this.
        retry_after: Span,
        /// Why there is none.
        hint: NothingHint,
    },
    /// What is wanted of a provider.
    Demands {
        /// One each for some of its attempts.
        demands: Vec<Demand>,
    },
}

/// What a job costs at least and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Tasks of the plan.
    pub tasks: u64,
    /// Paid attempts of a task as planned.
    pub replicas: u8,
    /// Paid attempts of a task at most: stragglers and disagreements.
    pub replicas_max: u8,
    /// If every task uses the gas that the developer expects, at today's price: no promise.
    pub expected: Credits,
    /// The hard cap: this goes into escrow, and what is not used comes back.
    pub cap: Credits,
}

/// Why there is no work for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NothingHint {
    /// No task is open.
    NoTasks,
    /// There are tasks, but none that this device, at this price, may take.
    NoneFits,
    /// The device has all the leases it may have.
    DeviceBusy,
    /// Work that is not final yet is worth as much as the key's cover allows.
    StakeCap,
    /// The key is new, and every task that it could shadow has its shadows: the next one is soon.
    NoShadow,
    /// Other prefixes, or other keys of the prefix, are served first.
    NotYourTurn,
    /// As many replays are open as trusted workers may have before them.
    ReplaysBehind,
    /// A shadow of the key gave another result than everybody else: it is leased nothing.
    Barred,
    /// The class's price is below the provider's floor.
    PriceBelowFloor,
    /// After a failure, the provider waits.
    Backoff,
}

/// A task held by a provider until a deadline: all that is needed to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The attempt's name.
    pub attempt: AttemptId,
    /// Goes into the commitment and the receipt.
    pub lease_epoch: u64,
    /// The task's name in commitments.
    pub task_tag: TaskTag,
    /// Goes into the receipt.
    pub salt: Digest,
    /// What is to be run.
    pub task: anneal_job::Task,
    /// Its id.
    pub task_id: TaskId,
    /// Whose job it is.
    pub developer: Identity,
    /// The developer's signature over the component's digest, where there is one.
    pub component_signature: Option<String>,
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
    /// Extra and unpaid, as a new key's first attempt is.
    pub shadow: bool,
}

/// A task's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRef {
    /// The digest over its tensors: what a task names.
    pub state: Digest,
    /// Its file.
    pub blob: Blob,
}

/// What is wanted of a provider, until it is done or its deadline has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "demand", rename_all = "kebab-case")]
pub enum Demand {
    /// Reveal the receipt.
    Reveal {
        /// Of this attempt.
        attempt: AttemptId,
        /// Until then.
        deadline: Timestamp,
    },
    /// Upload the state's file.
    Upload {
        /// Of this attempt.
        attempt: AttemptId,
        /// The file.
        blob: Blob,
        /// Until then; afterwards somebody else is asked.
        deadline: Timestamp,
    },
    /// Run the attempt again, digesting what the level says.
    Trace {
        /// This attempt.
        attempt: AttemptId,
        /// What is to be digested.
        level: TraceLevel,
        /// Silence until then forfeits the attempt.
        deadline: Timestamp,
    },
    /// Stop: nobody wants this attempt any more, or it is not the provider's.
    Stop {
        /// This attempt.
        attempt: AttemptId,
    },
}

/// The digests of an attempt that is run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceReport {
    /// Of each commit, or of each operation of a step, in order.
    pub digests: Vec<Digest>,
    /// At the level of operations: their names in the contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}
