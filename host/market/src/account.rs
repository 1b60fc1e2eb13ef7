//! Where credits can be. Every credit is in exactly one account; what leaves one enters another.

use anneal_job::{Credits, Identity, JobId, OperatorId};
use serde::{Deserialize, Serialize};

/// A place for credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "account", rename_all = "kebab-case")]
pub enum Account {
    /// The world: what was put in less what was taken out. The only account that can be below nothing.
    Outside,
    /// A developer's, free for jobs.
    Available {
        /// Whose.
        owner: Identity,
    },
    /// For a job's tasks, up to its hard cap.
    Escrow {
        /// The job.
        job: JobId,
    },
    /// Earned for verified tasks, and not yet released.
    Held {
        /// Whose.
        provider: Identity,
    },
    /// Taken from a key at fault, as long as its owner may appeal.
    Suspended {
        /// Whose.
        provider: Identity,
    },
    /// Released: a provider may take it out.
    Payable {
        /// Whose.
        provider: Identity,
    },
    /// Put down by an operator against its own faults.
    Stake {
        /// Whose.
        operator: OperatorId,
    },
    /// Taken from operators at fault: pays for what must be run again.
    Forfeits,
    /// The network's fees.
    Fees,
}

/// Credits that go from one account to another. Already done in the market; a ledger may keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Where they were.
    pub from: Account,
    /// Where they are.
    pub to: Account,
    /// How many, never zero.
    pub credits: Credits,
}
