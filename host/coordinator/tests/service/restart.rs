//! Nothing is lost when a coordinator ends, however it ends; and nothing happens twice.

use anneal_api::{
    CommandId, ErrorCode,
    wire::{Batch, Heartbeat, JobState, Poll},
};
use anneal_coordinator::Config;
use anneal_job::{PlanSpec, Redundancy, Span};
use anneal_market::Parameters;
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Site, client, ended, new_key},
    provider::Provider,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_on_after_restarts() {
    let site = Site::new();
    let keys = [new_key(), new_key()];
    let coordinator = site.start_vouching(&keys).await;
    let developer_key = new_key();
    let developer = client(&coordinator, developer_key.clone()).await;
    let plan = PlanSpec::Train { segments: 6, workers: 1 };
    let id = Job::new(site.folder.path(), plan.clone(), Redundancy::Fixed(2)).submit(&developer).await;
    let mut providers = Vec::new();
    for key in &keys {
        let client = client(&coordinator, key.clone()).await;
        providers.push(Provider::enrol_with(client, key.clone(), None).await);
    }
    // Each provider holds a commitment that is not revealed when the coordinator ends.
    for provider in &mut providers {
        assert_eq!(provider.turn(5_000).await.leases.len(), 1);
    }
    coordinator.stop().await;
    let coordinator = site.start_vouching(&keys).await;
    let mut running = JoinSet::new();
    for (provider, key) in providers.into_iter().zip(&keys) {
        running.spawn(provider.moved(client(&coordinator, key.clone()).await).run());
    }
    let developer = client(&coordinator, developer_key).await;
    let view = ended(&developer, id).await;
    assert_eq!(view.summary.state, JobState::Completed, "{:?}", view.reason);
    running.shutdown().await;
    coordinator.stop().await;

    // The same job on an undisturbed coordinator ends with the same hash.
    let calm = Site::new();
    let coordinator = calm.start().await;
    let mut running = JoinSet::new();
    for _ in 0..2 {
        running.spawn(Provider::enrol(&coordinator, None).await.run());
    }
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(calm.folder.path(), plan, Redundancy::Fixed(2)).submit(&developer).await;
    let undisturbed = ended(&developer, id).await;
    assert_eq!(view.end.map(|end| end.result), undisturbed.end.map(|end| end.result));
    running.shutdown().await;
    let summary = developer.audit(|_| {}).await.expect("the log").expect("it holds");
    assert!(summary.entries > 0);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_comes_again_gets_the_same_answer() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1)).submit(&developer).await;
    let provider = Provider::enrol(&coordinator, None).await.client;
    let command = CommandId::random().expect("random");
    let poll = Poll { idle: vec![0], seen: 0, wait_ms: 0, holds: None };
    let poll_as = async |client: &anneal_api::Client, poll: &Poll| {
        client.call_as::<anneal_api::endpoints::PollProvider>(command, poll).await
    };
    let first = poll_as(&provider, &poll).await.expect("a lease");
    assert_eq!(first.leases.len(), 1);
    let again = poll_as(&provider, &poll).await.expect("the same");
    assert_eq!(again.leases, first.leases);
    let other = Poll { wait_ms: 1, ..poll.clone() };
    let conflict = poll_as(&provider, &other).await.expect_err("another command");
    assert_eq!(conflict.code(), Some(ErrorCode::CommandConflict.name()));
    coordinator.stop().await;
    // Even by the next process.
    let coordinator = site.start().await;
    let provider = client(&coordinator, provider.key()).await;
    let again = poll_as(&provider, &poll).await.expect("the same");
    assert_eq!(again.leases, first.leases);
    assert!(provider.batch(&Batch::default()).await.is_ok());
    coordinator.stop().await;
}

/// An attempt goes on for as long as it takes: what a poll names is not taken for forgotten, nor is anything by a
/// provider that names nothing at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_poll_should_name_and_does_not_is_taken_back() {
    let site = Site::new();
    // Every lease is older than this by the next command.
    let parameters = Parameters { silence: Span(0), ..site.config().parameters };
    let coordinator = site.start_with(Config { parameters, ..site.config() }).await;
    let developer = client(&coordinator, new_key()).await;
    Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1)).submit(&developer).await;
    let provider = Provider::enrol(&coordinator, None).await.client;
    let poll = async |idle: &[u32], holds| {
        let poll = Poll { idle: idle.to_vec(), seen: 0, wait_ms: 0, holds };
        provider.poll(&poll).await.expect("a poll").leases
    };
    let leases = poll(&[0], Some(Vec::new())).await;
    let [lease] = &leases[..] else { panic!("one task, one lease: {leases:?}") };
    let attempt = lease.attempt;
    let is_wanted = async || {
        let batch = Batch { heartbeats: vec![Heartbeat { attempt }], ..Batch::default() };
        provider.batch(&batch).await.expect("a batch").heartbeats[0].wanted
    };
    for holds in [Some(vec![attempt]), None] {
        assert!(poll(&[], holds).await.is_empty());
        assert!(is_wanted().await, "it runs");
    }
    poll(&[], Some(Vec::new())).await;
    assert!(!is_wanted().await, "it was forgotten");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_does_not_take_over_the_data() {
    let site = Site::new();
    site.start().await.stop().await;
    let config = anneal_coordinator::Config { key: new_key(), ..site.config() };
    let coordinator =
        anneal_coordinator::Coordinator::start(config, std::sync::Arc::new(crate::fixture::Oracle)).await;
    let coordinator = coordinator.expect("it listens");
    let mut options = anneal_api::ClientOptions::new(
        format!("http://{}", coordinator.address()).parse().expect("a URL"),
        new_key(),
    );
    options.retry = anneal_api::client::Retry::ONCE;
    let client = anneal_api::Client::connect(options).await.expect("it answers");
    assert_eq!(client.pause(true).await.expect_err("it does not lead").code(), Some("not-leader"));
    coordinator.stop().await;
}
