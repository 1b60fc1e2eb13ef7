//! What one participant may try with another's leases, blobs and jobs, and what becomes of it: a documented code,
//! nothing lost, nobody else slowed.

use std::{path::PathBuf, time::Duration};

use anneal_api::{
    Client, CommandId, ErrorCode, Nothing,
    endpoints::PauseProvider,
    wire::{
        Batch, BlobQuery, CommitItem, FaultItem, GiveBackItem, GiveBackReason, Poll, ProviderPause,
        RevealItem, SubmitJob,
    },
};
use anneal_coordinator::{Config, Limits};
use anneal_job::{AttemptId, Blob, Digest, FaultCode, HostFault, PlanSpec, Redundancy};
use anneal_market::Parameters;
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Site, client, ended, new_key},
    provider::Provider,
};

/// The code of each item of a batch, in order.
async fn codes(client: &Client, batch: Batch) -> Vec<Option<String>> {
    let reply = client.batch(&batch).await.expect("a batch is answered item by item");
    let items = [reply.commits, reply.reveals, reply.faults, reply.given_back, reply.traces];
    items.into_iter().flatten().map(|item| item.error.map(|error| error.code)).collect()
}

fn code(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_its_holders_and_a_commitment_is_kept() {
    let site = Site::new();
    let (coordinator, keys) = site.start_with_anchors(2).await;
    let mut holder = Provider::enrol_as(&coordinator, &keys[0], None).await;
    let thief = Provider::enrol_as(&coordinator, &keys[1], None).await;
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2)).submit(&developer).await;
    let poll = holder
        .client
        .poll(&Poll { idle: vec![0], seen: 0, wait_ms: 10_000, holds: None })
        .await
        .expect("a poll");
    let lease = poll.leases.into_iter().next().expect("a lease");
    let attempt = lease.attempt;

    // Somebody else's attempt does not exist, whatever is said of it.
    let commit = CommitItem { attempt, commitment: Digest::of(b"mine now") };
    let fault = HostFault { code: FaultCode::DeviceLost, message: "gone".to_owned() };
    let stolen = Batch {
        commits: vec![commit],
        faults: vec![FaultItem { attempt, fault }],
        given_back: vec![GiveBackItem { attempt, reason: GiveBackReason::Policy }],
        ..Batch::default()
    };
    assert_eq!(codes(&thief.client, stolen).await, vec![code("unknown-attempt"); 3]);
    let invented = CommitItem { attempt: AttemptId(Digest::of(b"made up")), ..commit };
    let batch = Batch { commits: vec![invented], ..Batch::default() };
    assert_eq!(codes(&holder.client, batch).await, [code("unknown-attempt")]);

    // The holder commits; it cannot think better of it, nor reveal too early, nor something else.
    let item = holder.execute(lease);
    let other = CommitItem { commitment: Digest::of(b"second thoughts"), ..item };
    let batch = Batch { commits: vec![item, item, other], ..Batch::default() };
    assert_eq!(codes(&holder.client, batch).await, [None, None, code("commitment-changed")]);
    let reveal = holder.reveal(attempt);
    let batch = Batch { reveals: vec![reveal.clone()], ..Batch::default() };
    assert_eq!(codes(&holder.client, batch).await, [code("reveal-too-early")]);
    let batch = Batch { reveals: vec![reveal.clone()], ..Batch::default() };
    assert_eq!(codes(&thief.client, batch).await, [code("signature-wrong")]);

    // With the second attempt committed, what was committed to is asked for, and nothing else is taken.
    let mut others = JoinSet::new();
    others.spawn(thief.run());
    let asked = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let poll = Poll { idle: Vec::new(), seen: 0, wait_ms: 1_000, holds: None };
            if !holder.client.poll(&poll).await.expect("a poll").duties.is_empty() {
                return;
            }
        }
    });
    asked.await.expect("the reveal is asked for");
    let wrong_nonce = RevealItem { nonce: Digest::of(b"another nonce"), ..reveal.clone() };
    let batch = Batch { reveals: vec![wrong_nonce], ..Batch::default() };
    assert_eq!(codes(&holder.client, batch).await, [code("commitment-mismatch")]);
    let mut changed = reveal.clone();
    changed.receipt.receipt.trace_root = Digest::of(b"another trace");
    let batch = Batch { reveals: vec![changed], ..Batch::default() };
    assert_eq!(codes(&holder.client, batch).await, [code("signature-wrong")]);
    let batch = Batch { reveals: vec![reveal], ..Batch::default() };
    assert_eq!(codes(&holder.client, batch).await, [None]);
    others.spawn(holder.run());
    assert!(ended(&developer, id).await.end.is_some(), "none of it was lost");
    others.shutdown().await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_of_others_open_nothing() {
    let site = Site::new();
    let coordinator = site.start().await;
    let (owner, thief) = (client(&coordinator, new_key()).await, client(&coordinator, new_key()).await);
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    let id = job.submit(&owner).await;
    // The thief knows every digest of the job, and its id.
    let submit = SubmitJob { name: "stolen".to_owned(), nonce: 1, spec: job.spec.clone() };
    assert_eq!(thief.submit(&submit).await.expect_err("not its blobs").code(), Some("not-found"));
    let path = site.folder.path().join("stolen");
    for of in [BlobQuery::default(), BlobQuery { job: Some(id), task: None }] {
        let read = thief.download_of(job.spec.component, of, &path, &mut |_, _| {}).await;
        assert_eq!(read.expect_err("not its blob").code(), Some("not-found"), "{of:?}");
    }
    // A state that nobody asked it for.
    let file: PathBuf = site.folder.path().join("state");
    std::fs::write(&file, b"a state").expect("a file");
    let blob = Blob { digest: Digest::of(b"a state"), bytes: 7 };
    let attempt = Some(AttemptId(Digest::of(b"made up")));
    let put = thief.upload(blob, &file, attempt, &mut |_, _| {}).await;
    assert_eq!(put.expect_err("nobody asked").code(), Some("forbidden"));
    for name in ["", "a\u{0}b", "../../etc\npasswd", &"x".repeat(65)] {
        let submit = SubmitJob { name: name.to_owned(), nonce: 2, spec: job.spec.clone() };
        assert_eq!(owner.submit(&submit).await.expect_err("no name").code(), Some("invalid"), "{name:?}");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commands_id_means_one_command() {
    let site = Site::new();
    let coordinator = site.start().await;
    let provider = Provider::enrol(&coordinator, None).await.client;
    let command = CommandId::random().expect("random");
    let pause = async |paused| {
        provider.call_as::<PauseProvider>(command, &ProviderPause { paused }).await.map(|Nothing {}| ())
    };
    pause(true).await.expect("the first time");
    pause(true).await.expect("the same again is answered the same");
    let conflict = pause(false).await.expect_err("another command under its id");
    assert_eq!(conflict.code(), Some(ErrorCode::CommandConflict.name()));
    let view = provider.provider(provider.identity()).await.expect("the provider");
    assert!(view.paused.is_some(), "the second one was not carried out");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiny_jobs_without_end_slow_nobody_else() {
    let site = Site::new();
    let parameters = Parameters { jobs_per_developer: 8, ..site.config().parameters };
    let limits = Limits { requests_per_minute: 600, requests_burst: 60, ..site.config().limits };
    let coordinator = site.start_with(Config { parameters, limits, ..site.config() }).await;
    let (greedy, calm) = (client(&coordinator, new_key()).await, client(&coordinator, new_key()).await);
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    job.submit(&greedy).await;
    // The client waits where it is told to; what is counted here is what the market takes.
    for nonce in 2..=8 {
        let submit = SubmitJob { name: "tiny".to_owned(), nonce, spec: job.spec.clone() };
        greedy.submit(&submit).await.expect("within the quota");
    }
    for nonce in 9..40 {
        let submit = SubmitJob { name: "tiny".to_owned(), nonce, spec: job.spec.clone() };
        let refused = greedy.submit(&submit).await.expect_err("over the quota");
        assert_eq!(refused.code(), Some("too-many"), "{refused}");
    }
    // Somebody else's one job is done while all of these wait for the same provider.
    let id = job.submit(&calm).await;
    let mut providers = JoinSet::new();
    providers.spawn(Provider::enrol(&coordinator, None).await.run());
    assert!(ended(&calm, id).await.end.is_some());
    providers.shutdown().await;
    coordinator.stop().await;
}
