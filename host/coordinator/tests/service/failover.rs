//! Two processes on one PostgreSQL: one leads, the other takes over, and nothing is lost.

use std::sync::Arc;

use anneal_api::wire::JobState;
use anneal_coordinator::{Config, Coordinator, Vouched, blobs::BlobPlace};
use anneal_job::{PlanSpec, Redundancy};
use anneal_tests::postgres::Cluster;
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Oracle, Site, client, ended, new_key},
    provider::Provider,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_takes_over() {
    let cluster = Cluster::shared();
    let store = cluster.database().parse().expect("a URL");
    let site = Site { store, ..Site::new() };
    let keys = [new_key(), new_key()];
    let vouched =
        || Vouched { anchors: keys.iter().map(|key| key.identity()).collect(), ..Vouched::default() };
    let first = site.start_vouching(&keys).await;
    let second_folder = tempfile::tempdir().expect("a folder");
    let blobs = BlobPlace::Folder(site.folder.path().join("blobs"));
    let config =
        Config { scratch: second_folder.path().to_owned(), blobs, vouched: vouched(), ..site.config() };
    let second = Coordinator::start(config, Arc::new(Oracle)).await.expect("it starts");
    let developer_key = new_key();
    let developer = client(&first, developer_key.clone()).await;
    let plan = PlanSpec::Train { segments: 3, workers: 1 };
    let id = Job::new(site.folder.path(), plan, Redundancy::Fixed(2)).submit(&developer).await;
    // A provider that knows the second process only is served by the first one through it.
    let mut providers = Vec::new();
    for key in &keys {
        let client = client(&second, key.clone()).await;
        providers.push(Provider::enrol_with(client, key.clone(), None).await);
    }
    for provider in &mut providers {
        assert_eq!(provider.turn(5_000).await.leases.len(), 1);
    }
    let led = developer.health().await.expect("health");
    assert!(led.leader);
    first.stop().await;
    let mut running = JoinSet::new();
    for provider in providers {
        running.spawn(provider.run());
    }
    let developer = client(&second, developer_key).await;
    let view = ended(&developer, id).await;
    assert_eq!(view.summary.state, JobState::Completed, "{:?}", view.reason);
    let health = developer.health().await.expect("health");
    assert!(health.leader && health.epoch > led.epoch);
    developer.audit(|_| {}).await.expect("the log").expect("one chain by both");
    running.shutdown().await;
    second.stop().await;
}
