//! Components are looked at before their jobs open: what cannot be admitted costs no provider a lease, what was looked
//! at once is not looked at again, and a restart forgets none that wait.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anneal_api::wire::{JobState, Poll, SubmitJob};
use anneal_coordinator::{AdmitError, Config, Coordinator, ReplayDone, ReplayError, ReplayRequest, Replayer};
use anneal_job::{PlanSpec, Redundancy};

use crate::{
    fixture::{Job, Oracle, Site, admitted, client, ended, new_key},
    provider::Provider,
};

/// A worker that refuses a component, or fails itself.
#[derive(Default)]
struct Door {
    looks: AtomicU64,
    is_shut: AtomicBool,
    is_broken: AtomicBool,
}

impl Replayer for Door {
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, ReplayError> {
        Oracle.replay(request)
    }

    fn admit(&self, component: &Path, time: Duration) -> Result<(), AdmitError> {
        assert_eq!(time, Duration::from_secs(5), "nothing needs a second slice");
        assert!(component.is_file());
        self.looks.fetch_add(1, Relaxed);
        if self.is_broken.load(Relaxed) {
            return Err(AdmitError::Failed("no room for its code".to_owned()));
        }
        match self.is_shut.load(Relaxed) {
            true => Err(AdmitError::Refused("it imports the network".to_owned())),
            false => Ok(()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_admitted_is_nobodys_lease() {
    let site = Site::new();
    let door = Arc::new(Door::default());
    door.is_shut.store(true, Relaxed);
    let coordinator = Coordinator::start(site.config(), door.clone()).await.expect("it starts");
    let provider = Provider::enrol(&coordinator, None).await;
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    let id = job.submit(&developer).await;
    let view = ended(&developer, id).await;
    assert_eq!(view.summary.state, JobState::Failed);
    assert!(view.reason.expect("it says why").contains("it imports the network"));
    assert_eq!(view.summary.spent.0, 0);
    let poll = Poll { idle: vec![0], seen: 0, wait_ms: 0, holds: None };
    assert!(provider.client.poll(&poll).await.expect("a poll").leases.is_empty());
    // The next job with it is refused at once, also by the next process.
    let submit = |nonce| SubmitJob { name: "again".to_owned(), nonce, spec: job.spec.clone() };
    let refused = developer.submit(&submit(2)).await.expect_err("known");
    assert_eq!(refused.code(), Some("component-refused"), "{refused}");
    assert!(refused.to_string().contains("it imports the network"));
    coordinator.stop().await;
    let coordinator = Coordinator::start(site.config(), door.clone()).await.expect("it starts");
    let developer = client(&coordinator, developer.key()).await;
    assert_eq!(developer.submit(&submit(3)).await.expect_err("known").code(), Some("component-refused"));
    assert_eq!(door.looks.load(Relaxed), 1, "looked at once");
    coordinator.stop().await;
    // Another version may admit what this one does not.
    door.is_shut.store(false, Relaxed);
    let config = Config { version: "another".to_owned(), ..site.config() };
    let coordinator = Coordinator::start(config, door.clone()).await.expect("it starts");
    let developer = client(&coordinator, developer.key()).await;
    let id = developer.submit(&submit(4)).await.expect("looked at anew").job;
    assert_eq!(admitted(&developer, id).await.summary.state, JobState::Running);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_cannot_look_says_nothing_of_the_component() {
    let site = Site::new();
    let door = Arc::new(Door::default());
    door.is_broken.store(true, Relaxed);
    let coordinator = Coordinator::start(site.config(), door.clone()).await.expect("it starts");
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    job.upload(&developer).await;
    let submit = SubmitJob { name: "waits".to_owned(), nonce: 1, spec: job.spec.clone() };
    let id = developer.submit(&submit).await.expect("submitted").job;
    let looked = async {
        while door.looks.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looked).await.expect("it is looked at");
    let view = developer.job(id, &Default::default()).await.expect("the job");
    assert_eq!(view.summary.state, JobState::Admitting);
    assert_eq!(developer.health().await.expect("health").admissions_waiting, 1);
    coordinator.stop().await;
    // It waits for a machine that can.
    door.is_broken.store(false, Relaxed);
    let coordinator = Coordinator::start(site.config(), door.clone()).await.expect("it starts");
    let developer = client(&coordinator, developer.key()).await;
    assert_eq!(admitted(&developer, id).await.summary.state, JobState::Running);
    coordinator.stop().await;
}
