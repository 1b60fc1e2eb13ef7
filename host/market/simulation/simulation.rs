//! A network in a box: one market, providers of all kinds, developers, trusted workers, and a network that
//! delays, loses, repeats and reorders messages. Everything follows from one seed.

pub mod actor;
pub mod random;
pub mod truth;
mod world;

use std::collections::BTreeMap;

use actor::Kind;
use anneal_job::{Redundancy, Span};
use anneal_market::{Parameters, audit::AuditReport};

pub use world::{World, is_harmful};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    /// How many providers of each kind.
    pub providers: BTreeMap<Kind, u32>,
    /// Jobs, each of so many segments and workers, with this redundancy.
    pub jobs: u32,
    /// Jobs of tiny tasks that Sybils pay themselves for.
    pub tiny_jobs: u32,
    pub segments: u32,
    pub workers: u32,
    pub redundancy: Redundancy,
    /// Simulated time until everything must have ended.
    pub horizon: Span,
    /// Messages lost and repeated, of a thousand.
    pub lost: u64,
    pub repeated: u64,
    /// Honest providers that the network's operator vouches for.
    pub anchors: u32,
    /// Network prefixes that all who mean harm share; each its own where 0.
    pub prefixes: u32,
    /// Trusted workers.
    pub trusted: u32,
    /// Jobs are submitted over this time.
    pub jobs_over: Span,
    /// When newcomers join.
    pub newcomers_at: Span,
    /// The rules.
    pub parameters: Parameters,
    /// Checks the books, and the market against its rows, every so many commands; never where 0.
    pub check_every: u64,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub commands: u64,
    pub rejections: BTreeMap<&'static str, u64>,
    pub jobs_ended: u32,
    pub jobs_open: u32,
    pub tasks_final: u64,
    /// Tasks whose first verdict was a lie.
    pub wrong_verdicts: u64,
    /// Of these, how many an audit was expected to miss: the documented probability, summed up.
    pub misses_expected: f64,
    /// And the variance of that.
    pub misses_variance: f64,
    /// Lies that were final.
    pub wrong_accepted: u64,
    /// Tasks whose final state is not the true one: lies, and all that was built on them.
    pub wrong_states: u64,
    /// Wrong verdicts that were overturned.
    pub overturned: u64,
    pub replays: u64,
    /// Gas that trusted workers used, and gas that was paid for.
    pub gas_replayed: u64,
    pub gas_paid: u64,
    /// The same in the second half of the jobs' time, once operators are established.
    pub late_gas_replayed: u64,
    pub late_gas_paid: u64,
    /// The longest that a replay waited for a worker.
    pub replay_age_max: Span,
    pub leases: u64,
    /// Of them, unpaid first attempts of new keys.
    pub shadows: u64,
    /// Honest providers that were never paid.
    pub honest_starved: u64,
    /// The longest that a newcomer waited for its first pay, after it joined.
    pub first_pay_max: Span,
    /// What newcomers were paid in the last half of the jobs' time, each, and what the others were.
    pub newcomer_pay: f64,
    pub established_pay: f64,
    /// When the last job had ended.
    pub ended_at: Span,
    /// Faults of attempts that told the truth.
    pub honest_faulted: u64,
    pub by_kind: BTreeMap<Kind, Sums>,
    pub findings: BTreeMap<&'static str, u64>,
    /// Findings that name another step or operation than the lie began with.
    pub findings_wrong: u64,
    pub rows_live_max: usize,
    pub audit: AuditReport,
}

/// What providers of a kind did and got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub providers: u64,
    pub valid: u64,
    pub lies: u64,
    pub faults: u64,
    /// Paid for honest work, in credits.
    pub honest_pay: u64,
    /// Paid for lies.
    pub lie_pay: u64,
    /// Taken: held earnings and stakes.
    pub forfeited: u64,
    /// What honest work that nobody pays for would have earned: of shadows.
    pub unpaid: u64,
}

impl Sums {
    /// What lying was worth: what it was paid, less what it cost.
    pub fn profit_of_lying(&self) -> i128 {
        i128::from(self.lie_pay) - i128::from(self.forfeited) - i128::from(self.unpaid)
    }
}

impl Setup {
    /// A small network with everybody in it.
    pub fn small(seed: u64) -> Setup {
        let providers = [
            (Kind::Honest, 12),
            (Kind::Churning, 4),
            (Kind::Straggling, 3),
            (Kind::Silent, 2),
            (Kind::Lying, 2),
            (Kind::Farming, 2),
            (Kind::Copying, 1),
            (Kind::Forging, 1),
            (Kind::Colluding, 4),
            (Kind::Sybil, 3),
        ];
        Setup {
            seed,
            providers: BTreeMap::from(providers),
            jobs: 6,
            tiny_jobs: 1,
            segments: 8,
            workers: 2,
            redundancy: Redundancy::Fixed(2),
            horizon: Span::hours(48),
            lost: 20,
            repeated: 20,
            anchors: 3,
            prefixes: 0,
            trusted: 4,
            jobs_over: Span::hours(2),
            newcomers_at: Span::hours(1),
            parameters: Parameters::default(),
            check_every: 0,
        }
    }
}

/// Simulates it.
pub fn simulate(setup: &Setup) -> Outcome {
    World::new(setup.clone()).run()
}
