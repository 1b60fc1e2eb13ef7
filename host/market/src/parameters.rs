//! The rules' numbers, with their defaults. What each means is in VERIFICATION.md.

use anneal_job::{Credits, Price, Span};
use serde::{Deserialize, Serialize};

/// Every number that a market decides by. Written to the log first, so that anybody can check decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// Leased again when this share of the expected time has passed, in per cent.
    pub re_lease_per_cent: u64,
    /// An attempt's own deadline, as a share of the expected time in per cent.
    pub deadline_per_cent: u64,
    /// No task is expected to take less, and one that took less tells nothing about its device's speed.
    pub expected_min: Span,
    /// No task is expected to take more.
    pub expected_max: Span,
    /// How often a provider sends a heartbeat.
    pub heartbeat_every: Span,
    /// A provider that sent none for so long is silent.
    pub silence: Span,
    /// Time to reveal when asked.
    pub reveal: Span,
    /// Time to upload a state when asked, after which somebody else is asked.
    pub upload: Span,
    /// Time to trace an attempt when asked, after which it is silent.
    pub trace: Span,
    /// Paid attempts of a task beyond those planned.
    pub replicas_extra: u8,
    /// Valid results in a row, in a magnitude of gas, after which one attempt may be enough.
    pub adaptive_streak: u32,
    /// Replicated at least this often whatever the streak, in millionths.
    pub replicate_floor_millionths: u32,
    /// One attempt is only enough where the audit drawn for it is at most this likely, in millionths.
    pub single_audit_max_millionths: u32,
    /// Every agreed task is replayed with at least this probability, in millionths.
    pub audit_floor_millionths: u32,
    /// And with at most this.
    pub audit_ceiling_millionths: u32,
    /// What a coalition would lose, times the probability of an audit, is this many times what it would gain.
    pub audit_safety: u64,
    /// A key is an anchor for a task where its cover is worth so many of that task's pay.
    pub anchor_cover_tasks: u64,
    /// How long a task waits for an anchor before a trusted worker takes its place, and how long a task prefers
    /// anchors that share no address with its other attempts.
    pub pairing_patience: Span,
    /// Unpaid first attempts of new keys on one task, each from another network prefix.
    pub shadows_per_task: u32,
    /// For so long after its verdict a task waits for shadows that are open: afterwards they come to nothing, and their
    /// keys try again elsewhere.
    pub shadow_patience: Span,
    /// A job that lacks nothing else waits for a task's shadows as long as the task took, for traces of its faulty attempts
    /// twice as long, and at least so long.
    pub linger_min: Span,
    /// Earnings on an agreement count as cover where so many other anchors could have taken the task.
    pub foreign_anchors_min: u32,
    /// Leases of one network prefix's keys that are no anchors, at once.
    pub prefix_leases_max: u32,
    /// While so many replays are open, a second anchor and not a trusted worker decides where attempts disagree.
    pub replays_room: u32,
    /// While so many replays are open, nothing is leased that a trusted worker would have to decide.
    pub replays_max: u32,
    /// For so long a forfeit is suspended, and can be appealed.
    pub appeal_time: Span,
    /// Valid attempts that one appeal costs.
    pub appeal_matched: u64,
    /// How long earnings are held after a task is final.
    pub hold: Span,
    /// Work that is not final, per key, may be worth this much without any cover.
    pub unreleased_allowance: Credits,
    /// And this many times its cover.
    pub unreleased_leverage: u64,
    /// The network's fee, in millionths of what is paid.
    pub fee_millionths: u32,
    /// Leases that may fail in a row before the provider is paused.
    pub failures_in_a_row_max: u32,
    /// Leases that may be given back in a row before that counts as failing.
    pub give_backs_in_a_row_max: u32,
    /// How long a provider waits after a failed lease; doubles with each further one.
    pub backoff: Span,
    /// The longest such wait.
    pub backoff_max: Span,
    /// How long a provider at fault takes no leases.
    pub fault_pause: Span,
    /// Leases of one device: one runs, the next one's blobs are fetched.
    pub leases_per_device: u32,
    /// Devices of a provider.
    pub devices_per_provider: u32,
    /// Jobs that a developer may have at once.
    pub jobs_per_developer: u32,
    /// Tasks of a job that are open at once.
    pub open_tasks_per_job: u32,
    /// Checkpoints of a job that are kept besides those still needed.
    pub checkpoints_kept: u32,
    /// Verified results kept for a developer.
    pub cached_per_developer: u32,
    /// Replays of a task that may fail before the job is paused.
    pub replay_failures_max: u32,
    /// How long until trusted workers are asked again then.
    pub replay_retry: Span,
    /// Commits that a trace may have.
    pub trace_commits_max: u64,
    /// A class's price in the beginning.
    pub price_initial: Price,
    /// No price is lower.
    pub price_min: Price,
    /// No price is higher.
    pub price_max: Price,
    /// Prices move this often.
    pub price_every: Span,
    /// The most that a price moves at once, in millionths.
    pub price_step_millionths: u32,
    /// Gas per second of a device whose speed is unknown.
    pub speed_default: u64,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            re_lease_per_cent: 150,
            deadline_per_cent: 300,
            expected_min: Span::seconds(20),
            expected_max: Span::hours(2),
            heartbeat_every: Span::seconds(20),
            silence: Span::seconds(90),
            reveal: Span::minutes(5),
            upload: Span::minutes(10),
            trace: Span::minutes(30),
            replicas_extra: 2,
            adaptive_streak: 10,
            replicate_floor_millionths: 10_000,
            single_audit_max_millionths: 100_000,
            audit_floor_millionths: 20_000,
            audit_ceiling_millionths: 1_000_000,
            audit_safety: 2,
            anchor_cover_tasks: 40,
            pairing_patience: Span::seconds(60),
            shadows_per_task: 16,
            shadow_patience: Span::seconds(30),
            linger_min: Span::seconds(3),
            foreign_anchors_min: 3,
            prefix_leases_max: 8,
            replays_room: 16,
            replays_max: 256,
            appeal_time: Span::hours(24 * 7),
            appeal_matched: 10,
            hold: Span::hours(24),
            unreleased_allowance: Credits(100_000_000),
            unreleased_leverage: 4,
            fee_millionths: 50_000,
            failures_in_a_row_max: 5,
            give_backs_in_a_row_max: 10,
            backoff: Span::seconds(10),
            backoff_max: Span::minutes(30),
            fault_pause: Span::hours(24 * 7),
            leases_per_device: 2,
            devices_per_provider: 16,
            jobs_per_developer: 1000,
            open_tasks_per_job: 256,
            checkpoints_kept: 3,
            cached_per_developer: 64,
            replay_failures_max: 3,
            replay_retry: Span::minutes(30),
            trace_commits_max: 65_536,
            price_initial: Price(1000),
            price_min: Price(10),
            price_max: Price(1_000_000),
            price_every: Span::seconds(60),
            price_step_millionths: 50_000,
            speed_default: 1_000_000_000,
        }
    }
}

impl Parameters {
    /// The cover that makes a key an anchor for a task that pays so much. A task that pays nothing still takes
    /// some: nobody becomes an anchor by having nothing.
    pub fn anchor_cover(&self, pay: Credits) -> Credits {
        Credits(pay.0.max(1).saturating_mul(self.anchor_cover_tasks))
    }
}
