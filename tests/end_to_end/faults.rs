//! Faults that must lose nothing, in real processes: every job ends with the digest that it has undisturbed, nobody
//! honest is faulted, every attempt has an end, and the log holds. `tests/soak faults` does the same for longer.

mod blobs;
mod clock;
mod disk;
mod line;

use std::time::Duration;

use anneal_api::wire::JobState;
use anneal_job::JobId;
use anneal_tests::{
    campaign::Campaign,
    network::{Developer, JobLine, Kept, Kill, Ledger, Network, check},
};

/// A job that takes longer hangs.
const JOB_TIME: Duration = Duration::from_secs(600);

#[test]
fn kills_of_coordinator_provider_and_worker_lose_nothing_while_strangers_flood_it() {
    let kills = vec![(Kill::Coordinator, 4), (Kill::Provider, 4), (Kill::Worker, 4)];
    let campaign = Campaign { kept: Kept::Sqlite, kills, seed: 3, providers: 3, flooded: true };
    let outcome = campaign.run(&mut |_| {});
    assert_eq!(outcome.struck.len(), 12);
    let waste = outcome.waste.expect("strangers flooded it");
    assert!(waste.requests > 100 && waste.refused < waste.requests, "they were heard: {waste:?}");
}

#[test]
fn kills_of_leader_and_follower_lose_nothing() {
    let kills = vec![(Kill::Leader, 2), (Kill::Follower, 1), (Kill::LeaderStopped, 1), (Kill::Provider, 1)];
    let campaign = Campaign { kept: Kept::Postgres, kills, seed: 4, providers: 3, flooded: false };
    let outcome = campaign.run(&mut |_| {});
    assert_eq!(outcome.struck.len(), 5);
}

/// A job that was submitted ends as it does undisturbed, and nothing is wrong with the log.
fn ends_undisturbed(network: &Network, developer: &Developer, line: &JobLine, job: JobId) -> Ledger {
    let (view, _) = developer.ended(job, JOB_TIME);
    assert_eq!(view.summary.state, JobState::Completed, "{:?}\n{}", view.reason, network.said());
    let result = view.end.map(|end| end.result.to_string());
    assert_eq!(result, Some(line.undisturbed()), "{}", network.said());
    check(developer)
}
