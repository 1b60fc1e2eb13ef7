//! A network of one version meets jobs and receipts of another: it takes none and judges none.

use anneal_api::wire::{JobQuery, JobState, SubmitJob};
use anneal_coordinator::{Config, Vouched};
use anneal_job::{PlanSpec, Redundancy, Versions};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Site, VERSIONS, client, new_key},
    provider::Provider,
};

/// What the next release may run.
const NEWER: Versions = Versions { numerics: VERSIONS.numerics + 1, ..VERSIONS };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_other_versions_is_not_taken() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2));
    job.submit(&developer).await;
    for versions in [
        NEWER,
        Versions { gas: VERSIONS.gas + 1, ..VERSIONS },
        Versions { contract: [VERSIONS.contract[0], VERSIONS.contract[1] + 1, 0], ..VERSIONS },
    ] {
        let spec = anneal_api::wire::JobSpec { versions, ..job.spec.clone() };
        let quoted = developer.quote(spec.clone()).await.expect_err("nobody runs it");
        assert_eq!(quoted.code(), Some("versions"), "{quoted}");
        let submit = SubmitJob { name: "of tomorrow".to_owned(), nonce: 2, spec };
        let refused = developer.submit(&submit).await.expect_err("nobody runs it");
        assert_eq!(refused.code(), Some("versions"));
        assert!(refused.to_string().contains(&versions.to_string()), "{refused}");
    }
    let jobs = developer.jobs(&Default::default()).await.expect("a list").jobs;
    assert_eq!(jobs.len(), 1, "none was taken");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_was_updated_judges_nothing_of_before() {
    let site = Site::new();
    // Two whom the operator vouches for: both get a lease.
    let keys = [new_key(), new_key()];
    let vouched =
        || Vouched { anchors: keys.iter().map(|key| key.identity()).collect(), ..Vouched::default() };
    let coordinator = site.start_with(Config { vouched: vouched(), ..site.config() }).await;
    let developer_key = new_key();
    let developer = client(&coordinator, developer_key.clone()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2)).submit(&developer).await;
    let mut providers = Vec::new();
    for (key, lie) in keys.iter().zip([None, Some((1, 2))]) {
        let client = client(&coordinator, key.clone()).await;
        let mut provider = Provider::enrol_with(client, key.clone(), lie).await;
        assert_eq!(provider.turn(5_000).await.leases.len(), 1, "both have committed");
        providers.push(provider);
    }
    coordinator.stop().await;

    let coordinator = site.start_with(Config { versions: NEWER, vouched: vouched(), ..site.config() }).await;
    let developer = client(&coordinator, developer_key).await;
    let mut running = JoinSet::new();
    for (provider, key) in providers.into_iter().zip(&keys) {
        running.spawn(provider.moved(client(&coordinator, key.clone()).await).run());
    }
    // They disagree, and the trusted worker is of another version: it is the job that stands still.
    let mut revision = None;
    let view = loop {
        let query = JobQuery { revision, wait_ms: Some(10_000), ..JobQuery::default() };
        let view = developer.job(id, &query).await.expect("the job");
        if view.summary.state == JobState::Paused {
            break view;
        }
        revision = Some(view.revision);
    };
    let reason = view.reason.expect("it says why");
    assert!(reason.contains(&NEWER.to_string()) && reason.contains("cannot be judged"), "{reason}");
    for key in &keys {
        let provider = developer.provider(key.identity()).await.expect("a provider");
        assert_eq!(provider.faulted, 0, "nobody is faulted by who cannot know");
    }
    running.shutdown().await;
    coordinator.stop().await;
}
