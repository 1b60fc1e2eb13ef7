//! Replays are served in turn: a developer whose one task takes for ever holds up nobody, and how long the oldest
//! waits can be seen.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use anneal_api::{Client, wire::JobState};
use anneal_coordinator::{
    AdmitError, Config, Coordinator, Limits, ReplayDone, ReplayError, ReplayRequest, Replayer,
};
use anneal_job::{PlanSpec, Redundancy};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Oracle, Site, client, ended, new_key},
    provider::Provider,
};

/// The seed of a job with a million epochs.
const ENDLESS: u64 = 666;

/// A trusted worker that an endless task keeps busy for as long as it may.
#[derive(Default)]
struct Slow {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// Endless replays that have begun.
    begun: u64,
    /// The test is over.
    is_over: bool,
}

impl Replayer for Slow {
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, ReplayError> {
        if request.task.job_seed != ENDLESS {
            return Oracle.replay(request);
        }
        let mut state = self.state.lock().expect("no panic");
        state.begun += 1;
        self.news.notify_all();
        drop(self.news.wait_timeout_while(state, request.time, |state| !state.is_over).expect("no panic"));
        Err(ReplayError::OutOfTime)
    }

    fn admit(&self, component: &Path, time: Duration) -> Result<(), AdmitError> {
        Oracle.admit(component, time)
    }
}

/// Two operators who disagree about a job of this seed.
async fn disputed(
    site: &Site,
    coordinator: &Coordinator,
    seed: u64,
    running: &mut JoinSet<()>,
) -> (Client, anneal_job::JobId) {
    let developer = client(coordinator, new_key()).await;
    let mut providers = Vec::new();
    for lie in [None, Some((1, 2))] {
        providers.push(Provider::enrol(coordinator, lie).await);
    }
    let mut job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2));
    job.spec.seed = seed;
    job.spec.allow = providers.iter().map(|provider| provider.client.identity()).collect();
    let id = job.submit(&developer).await;
    for provider in providers {
        running.spawn(provider.run());
    }
    (developer, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_replays_hold_up_nobody() {
    let site = Site::new();
    let limits = Limits {
        replay_workers: 1,
        replay_slice: Duration::from_millis(200),
        replay_time_max: Duration::from_secs(3600),
        ..site.config().limits
    };
    let slow = Arc::new(Slow::default());
    let config = Config { limits, ..site.config() };
    let coordinator = Coordinator::start(config, slow.clone()).await.expect("it starts");
    let mut running = JoinSet::new();
    // More of them than there are workers.
    let mut endless = Vec::new();
    for _ in 0..3 {
        endless.push(disputed(&site, &coordinator, ENDLESS, &mut running).await);
    }
    let waiting = slow.clone();
    let begun = tokio::task::spawn_blocking(move || {
        let state = waiting.state.lock().expect("no panic");
        let patience = Duration::from_secs(60);
        waiting.news.wait_timeout_while(state, patience, |state| state.begun < 5).expect("no panic").0.begun
    });
    assert!(begun.await.expect("no panic") >= 5, "they have begun, and some anew");

    let (honest, job) = disputed(&site, &coordinator, 1, &mut running).await;
    let view = ended(&honest, job).await;
    assert_eq!(view.summary.state, JobState::Completed, "{:?}", view.reason);
    let health = honest.health().await.expect("health");
    assert_eq!(health.replays_open, 3, "the endless ones are not answered: {health:?}");
    assert!(health.replays_running >= 1, "{health:?}");
    for (developer, id) in endless {
        let view = developer.job(id, &Default::default()).await.expect("the job");
        assert_eq!(view.summary.state, JobState::Running);
    }
    running.shutdown().await;
    slow.state.lock().expect("no panic").is_over = true;
    slow.news.notify_all();
    coordinator.stop().await;
}
