//! Who a coordinator is, what it allows, how it does.

use anneal_job::{Identity, Timestamp, Versions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The first thing that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// Always `anneal`.
    pub service: String,
    /// The version of these wire types.
    pub api: u32,
    /// Whom requests are signed for, and who signs the log.
    pub coordinator: Identity,
    /// Its clock.
    pub now: Timestamp,
    /// What it runs.
    pub versions: ServiceVersions,
    /// What it allows.
    pub limits: LimitsReport,
}

/// Versions of what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceVersions {
    /// `anneal`'s.
    pub anneal: String,
    /// What tasks must name: contract, numerics, gas.
    pub task: Option<Versions>,
}

/// What a stranger may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsReport {
    /// Bytes of a blob.
    pub blob_bytes_max: u64,
    /// Bytes of one piece of an upload.
    pub upload_piece_bytes_max: u64,
    /// Bytes that an identity may keep.
    pub identity_bytes_max: u64,
    /// Unfinished jobs of an identity.
    pub identity_jobs_max: u32,
    /// Requests per minute of an identity.
    pub identity_requests_per_minute: u32,
    /// How long a long poll may wait.
    pub wait_ms_max: u64,
}

/// Whether an identity is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Who.
    pub identity: Identity,
    /// Whether it is not.
    pub banned: bool,
    /// Why: stands in the log, for everybody to read. At most 200 characters, no control characters.
    pub reason: String,
}

/// How the network does; open to all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Whether commands are taken: the store answers and a leader is known.
    pub ready: bool,
    /// Whether this process leads.
    pub leader: bool,
    /// The leader's epoch.
    pub epoch: u64,
    /// Since this process started.
    pub uptime_seconds: u64,
    /// Enrolled providers.
    pub providers: u64,
    /// Providers heard of within the last minute.
    pub providers_live: u64,
    /// Unfinished jobs.
    pub jobs_live: u64,
    /// Tasks that are not final.
    pub tasks_live: u64,
    /// Attempts on them.
    pub attempts_live: u64,
    /// Entries of the log.
    pub log_entries: u64,
    /// Replays by trusted workers that are ordered and not answered; where this process does not lead, none.
    pub replays_open: u64,
    /// Of these, how many run.
    pub replays_running: u64,
    /// How long ago the oldest of them was ordered.
    pub replays_oldest_seconds: u64,
    /// How far this process' clock, which the network goes by, is ahead of the system's.
    pub clock_ahead_ms: u64,
    /// Free bytes of the fullest disk that it writes to.
    pub disk_free_bytes: u64,
    /// Jobs that wait for their components to be looked at.
    pub admissions_waiting: u64,
    /// How long the oldest of them has waited.
    pub admissions_oldest_seconds: u64,
}
