//! Who knows digest and size of a private blob has nothing of it: at no door does naming count as having.

use std::{path::Path, sync::Arc, time::Duration};

use anneal_api::{
    Client, Nothing,
    endpoints::{GetUpload, PutBlob},
    wire::{BlobPath, BlobQuery, Duty, JobQuery, Poll, UploadQuery},
};
use anneal_coordinator::{AdmitError, Config, ReplayDone, ReplayError, ReplayRequest, Replayer, Vouched};
use anneal_job::{AttemptId, Blob, Digest, PlanSpec, Redundancy};

use anneal_market::Parameters;

use crate::{
    fixture::{Job, Site, client, new_key, truth},
    provider::Provider,
};

/// A trusted worker that has no time.
struct Idle;

impl Replayer for Idle {
    fn replay(&self, _: &ReplayRequest) -> Result<ReplayDone, ReplayError> {
        Err(ReplayError::Failed("it has no time".to_owned()))
    }

    fn admit(&self, _: &Path, _: Duration) -> Result<(), AdmitError> {
        Ok(())
    }
}

/// Everything that a client may try without the bytes; each answer as a code, or what it got.
async fn try_without_bytes(thief: &Client, blob: Blob, attempt: Option<AttemptId>) -> Vec<String> {
    let at = BlobPath { digest: blob.digest };
    let mut answers = Vec::new();
    let said = |result: Result<anneal_api::wire::UploadState, anneal_api::ClientError>| match result {
        Ok(state) => format!("{} {}", state.offset, state.complete),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    };
    for offset in [0, 1, blob.bytes - 1, blob.bytes] {
        let query = UploadQuery { offset, bytes: blob.bytes, attempt };
        // A call of this kind sends no bytes.
        answers.push(said(thief.call::<PutBlob>(&at, &query, &Nothing {}).await));
    }
    answers.push(said(thief.call::<GetUpload>(&at, &Nothing {}, &Nothing {}).await));
    answers.push(format!("{:?}", thief.missing(&[blob.digest]).await.expect("an answer").len()));
    answers
}

async fn may_read(client: &Client, blob: Blob, of: BlobQuery, site: &Site) -> bool {
    let path = site.folder.path().join(format!("{}-read", client.identity()));
    let read = client.download_of(blob, of, &path, &mut |_, _| {}).await;
    if let Err(error) = &read {
        assert_eq!(error.code(), Some("not-found"), "{error}");
    }
    let _whatever_came = std::fs::remove_file(path);
    read.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_blob_is_as_one_that_nobody_has() {
    let site = Site::new();
    let coordinator = site.start().await;
    let (victim, thief) = (client(&coordinator, new_key()).await, client(&coordinator, new_key()).await);
    let secret = "PRIVATE TRAINING DATA ".repeat(10);
    let path = site.folder.path().join("secret");
    std::fs::write(&path, &secret).expect("a file");
    let blob = Blob { digest: Digest::of(secret.as_bytes()), bytes: secret.len() as u64 };
    victim.upload(blob, &path, None, &mut |_, _| {}).await.expect("uploaded");
    let unknown = Blob { digest: Digest::of(b"nobody has it"), ..blob };
    let answers = try_without_bytes(&thief, blob, None).await;
    assert_eq!(answers, try_without_bytes(&thief, unknown, None).await, "existence shows nowhere");
    assert!(!answers.iter().any(|answer| answer.ends_with("true")), "{answers:?}");
    let attempt = Some(AttemptId(Digest::of(b"made up")));
    assert_eq!(
        try_without_bytes(&thief, blob, attempt).await,
        try_without_bytes(&thief, unknown, attempt).await
    );
    // As component or inputs of a job it is refused like one that nobody has.
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    for (component, inputs) in [(blob, job.spec.inputs_blob), (job.spec.component, Some(blob))] {
        let mut spec = job.spec.clone();
        (spec.component, spec.inputs_blob) = (component, inputs);
        let submit = anneal_api::wire::SubmitJob { name: "stolen".to_owned(), nonce: 1, spec };
        assert_eq!(thief.submit(&submit).await.expect_err("not its own").code(), Some("not-found"));
    }
    assert!(!may_read(&thief, blob, BlobQuery::default(), &site).await);
    assert!(may_read(&victim, blob, BlobQuery::default(), &site).await);
    // Who sends the bytes has it, like the first one.
    thief.upload(blob, &path, None, &mut |_, _| {}).await.expect("uploaded");
    assert!(may_read(&thief, blob, BlobQuery::default(), &site).await);
    coordinator.stop().await;
}

/// The task's true state is what the victim has: so every receipt that names it is right, whatever the rules of
/// verification are, and only possession is at stake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_names_a_private_blob_opens_nothing_before_its_bytes_were_sent() {
    let site = Site::new();
    let anchors = [new_key(), new_key()];
    // Nobody but who is asked for the state can give it: the coordinator itself replays nothing.
    let parameters =
        Parameters { audit_floor_millionths: 0, audit_ceiling_millionths: 0, ..site.config().parameters };
    let vouched =
        Vouched { anchors: anchors.iter().map(|key| key.identity()).collect(), ..Vouched::default() };
    let config = Config { vouched, parameters, ..site.config() };
    let coordinator = site.start_replaying(config, Arc::new(Idle)).await;
    let (victim, thief) = (client(&coordinator, new_key()).await, client(&coordinator, new_key()).await);
    let mut job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2));
    job.spec.private = false;
    let task = job.spec.task(0, Vec::new()).expect("a task");
    let state = truth(&task).state;
    let blob = Blob { digest: Digest::of(&state), bytes: state.len() as u64 };
    let path = site.folder.path().join("state");
    std::fs::write(&path, &state).expect("a file");
    victim.upload(blob, &path, None, &mut |_, _| {}).await.expect("uploaded");

    let mut providers = Vec::new();
    for key in &anchors {
        let client = client(&coordinator, key.clone()).await;
        providers.push(Provider::enrol_with(client, key.clone(), None).await);
    }
    let id = job.submit(&thief).await;
    let of_job = BlobQuery { job: Some(id), task: Some(0) };
    let mut tried = false;
    let stealing = async {
        loop {
            for provider in &mut providers {
                let poll = Poll { idle: vec![0], seen: 0, wait_ms: 500, holds: None };
                let reply = provider.client.poll(&poll).await.expect("a poll");
                for duty in &reply.duties {
                    let Duty::Upload { attempt, .. } = duty else { continue };
                    tried = true;
                    let answers = try_without_bytes(&provider.client, blob, Some(*attempt)).await;
                    assert!(!answers.iter().any(|answer| answer.ends_with("true")), "{answers:?}");
                    assert!(!may_read(&thief, blob, BlobQuery::default(), &site).await);
                    assert!(!may_read(&thief, blob, of_job, &site).await);
                    assert!(!may_read(&provider.client, blob, of_job, &site).await);
                    let view = thief.job(id, &JobQuery::default()).await.expect("the job");
                    assert!(view.summary.ended.is_none(), "a state that was not sent ends no job");
                }
                provider.answer(&reply).await;
            }
            let view = thief.job(id, &JobQuery::default()).await.expect("the job");
            if view.summary.ended.is_some() {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), stealing).await.expect("it ends");
    assert!(tried, "somebody was asked for the state");
    // The bytes were sent: now they are the developer's, and the job is public.
    assert!(may_read(&thief, blob, BlobQuery::default(), &site).await);
    assert!(may_read(&client(&coordinator, new_key()).await, blob, of_job, &site).await);
    assert!(may_read(&victim, blob, BlobQuery::default(), &site).await);
    coordinator.stop().await;
}
