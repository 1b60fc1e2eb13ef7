//! The way of a job: submitted, leased, committed, revealed, judged, uploaded, ended; a liar found out.

use std::time::Duration;

use anneal_api::wire::{AttemptState, FindingView, JobListQuery, JobQuery, JobState, TaskState, VerdictBy};
use anneal_job::{PlanSpec, Redundancy, job_result};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Site, client, ended, new_key},
    provider::Provider,
};

const TRAIN: PlanSpec = PlanSpec::Train { segments: 3, workers: 2 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_ends_with_the_results_that_all_agree_on() {
    let site = Site::new();
    let (coordinator, keys) = site.start_with_anchors(3).await;
    let mut providers = JoinSet::new();
    for key in &keys {
        providers.spawn(Provider::enrol_as(&coordinator, key, None).await.run());
    }
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), TRAIN, Redundancy::Fixed(2));
    let quote = developer.quote(job.spec.clone()).await.expect("a quote");
    assert_eq!((quote.tasks, quote.replicas), (11, 2));
    let id = job.submit(&developer).await;
    let view = ended(&developer, id).await;
    assert_eq!(view.summary.state, JobState::Completed, "{:?}", view.reason);
    assert!(view.summary.spent <= view.summary.cap);
    assert_eq!(view.tasks.len(), 11);
    let mut results = Vec::new();
    for task in &view.tasks {
        assert_eq!(task.state, TaskState::Done, "task {}", task.index);
        let verdict = task.verdict.as_ref().expect("a verdict");
        let valid: Vec<_> =
            task.attempts.iter().filter(|attempt| attempt.state == AttemptState::Valid).collect();
        assert!(valid.len() >= 2, "task {}", task.index);
        for attempt in valid {
            let receipt = attempt.receipt.as_ref().expect("a receipt");
            assert!(receipt.holds() && receipt.receipt.provider == attempt.provider);
            assert_eq!(Some(receipt.receipt.task), task.task);
        }
        results.push(verdict.result.expect("a result"));
    }
    let end = view.end.expect("an end");
    assert_eq!(end.result, job_result(&results));
    assert!(end.metrics.contains_key("loss"));
    // The trained state can be fetched by its owner, and by nobody else.
    let state = end.state.expect("a state");
    let path = site.folder.path().join("weights");
    developer.download(state, &path, &mut |_, _| {}).await.expect("the weights");
    assert_eq!(std::fs::metadata(&path).expect("a file").len(), state.bytes);
    let stranger = client(&coordinator, new_key()).await;
    let refused = stranger.download(state, &site.folder.path().join("stolen"), &mut |_, _| {}).await;
    assert_eq!(refused.expect_err("not theirs").code(), Some("not-found"));
    let refused = stranger.job(id, &JobQuery::default()).await;
    assert_eq!(refused.expect_err("private").code(), Some("not-found"));
    assert_eq!(developer.jobs(&JobListQuery::default()).await.expect("a list").jobs.len(), 1);
    assert!(stranger.jobs(&JobListQuery::default()).await.expect("a list").jobs.is_empty());
    providers.shutdown().await;
    // The log says what happened, and nobody can change it.
    let mut text = String::new();
    let summary = stranger.audit(|page| text += &serde_json::to_string(page).expect("JSON")).await;
    let summary = summary.expect("the log").expect("it holds");
    assert!(summary.entries > 50 && summary.heads > 5, "{summary:?}");
    assert!(text.contains("job-ended") && !text.contains(&id.to_string()), "private ids are salted");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liar_is_found_out_down_to_the_operation() {
    let site = Site::new();
    let (coordinator, keys) = site.start_with_anchors(2).await;
    let mut providers = JoinSet::new();
    let liar = Provider::enrol_as(&coordinator, &keys[0], Some((2, 1))).await;
    let lies = liar.client.identity();
    providers.spawn(liar.run());
    let honest = Provider::enrol_as(&coordinator, &keys[1], None).await;
    let honest_identity = honest.client.identity();
    providers.spawn(honest.run());
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2)).submit(&developer).await;
    let view = ended(&developer, id).await;
    assert_eq!(view.summary.state, JobState::Completed, "{:?}", view.reason);
    let task = &view.tasks[0];
    let verdict = task.verdict.as_ref().expect("a verdict");
    assert_eq!(verdict.by, VerdictBy::Replay);
    let state = |identity| {
        let attempt = task.attempts.iter().find(|attempt| attempt.provider == identity);
        attempt.map(|attempt| attempt.state)
    };
    assert_eq!(state(lies), Some(AttemptState::Faulted));
    assert_eq!(state(honest_identity), Some(AttemptState::Valid));
    // The finding may come after the job's end: then the task's row is written again.
    let finding = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let query = JobQuery { wait_ms: Some(500), ..JobQuery::default() };
            let view = developer.job(id, &query).await.expect("the job");
            let faults =
                view.tasks[0].verdict.as_ref().map(|verdict| verdict.faults.clone()).unwrap_or_default();
            if let Some(fault) = faults.first() {
                return fault.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    let finding = finding.await.expect("a finding");
    let FindingView::Operation { step, operation, name, found, .. } = &finding.finding else {
        panic!("down to the operation: {finding:?}");
    };
    assert_eq!((*step, *operation, name.as_str()), (2, 1, "operation-1"), "{finding:?}");
    assert_eq!(*found, anneal_job::Digest::of(b"a lie"));
    let provider = developer.provider(lies).await.expect("the liar");
    assert_eq!((provider.faulted, provider.earned), (1, None));
    assert!(provider.paused.is_some());
    providers.shutdown().await;
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_ends_and_refunds() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), TRAIN, Redundancy::Fixed(2)).submit(&developer).await;
    let stranger = client(&coordinator, new_key()).await;
    assert_eq!(stranger.cancel(id).await.expect_err("not theirs").code(), Some("unknown-job"));
    developer.cancel(id).await.expect("cancelled");
    let view = ended(&developer, id).await;
    assert_eq!((view.summary.state, view.summary.spent.0), (JobState::Cancelled, 0));
    // Once more is no harm, and what is over does not go on.
    assert_eq!(developer.cancel(id).await.expect("it is").state, JobState::Cancelled);
    assert_eq!(developer.resume(id).await.expect_err("it is over").code(), Some("job-state"));
    assert_eq!(stranger.resume(id).await.expect_err("not theirs").code(), Some("unknown-job"));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_provider_is_woken_by_a_job() {
    let site = Site::new();
    let coordinator = site.start().await;
    let mut provider = Provider::enrol(&coordinator, None).await;
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    let began = std::time::Instant::now();
    let (reply, _) = tokio::join!(provider.turn(30_000), job.submit(&developer));
    assert_eq!(reply.leases.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(15), "it waited for its own time to be over");
    coordinator.stop().await;
}
