//! Views are pages: a job with a great many metrics, tasks, neighbours or providers is shown in pieces of a bounded
//! size, and what stands out in a curve is in it.

use anneal_api::wire::{JobListQuery, JobQuery, JobState, JobView, ProviderListQuery, SubmitJob};
use anneal_job::{ParameterValue, PlanSpec, Redundancy};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, SPIKE, Site, client, ended, new_key},
    page::get,
    provider::{Provider, enrolment},
};

/// Metrics of a task.
const METRICS: i64 = 10_000;
/// Bytes of a page without receipts.
const PAGE_BYTES_MAX: usize = 4 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_many_metrics_is_shown_in_small_pages() {
    let site = Site::new();
    let anchors = [new_key(), new_key()];
    let coordinator = site.start_vouching(&anchors).await;
    let mut providers = JoinSet::new();
    for key in &anchors {
        let client = client(&coordinator, key.clone()).await;
        providers.spawn(Provider::enrol_with(client, key.clone(), None).await.run());
    }
    let developer = client(&coordinator, new_key()).await;
    let over = [("n".to_owned(), (0..12).map(ParameterValue::Integer).collect())].into();
    let mut job = Job::new(site.folder.path(), PlanSpec::Map { over }, Redundancy::Fixed(2));
    job.spec.private = false;
    job.spec.parameters.insert("metrics".to_owned(), ParameterValue::Integer(METRICS));
    let id = job.submit(&developer).await;
    let first = ended(&developer, id).await;
    assert_eq!(first.summary.state, JobState::Completed, "{:?}", first.reason);
    providers.shutdown().await;

    // As it comes over the wire, in one answer: few points, and all of the curve that one looks for.
    let whole = get(&coordinator, &format!("/v1/jobs/{id}"), None).await;
    assert!(whole.len() < PAGE_BYTES_MAX, "{} bytes", whole.len());
    let view: JobView = serde_json::from_str(whole.split_once("\r\n\r\n").expect("a body").1).expect("a job");
    assert_eq!((view.tasks.len(), view.next), (12, None));
    for task in &view.tasks {
        let verdict = task.verdict.as_ref().expect("a verdict");
        assert_eq!((verdict.metrics_total, verdict.metrics.len() <= 64), (METRICS as u64, true));
        assert!(verdict.metrics.iter().any(|metric| metric.value == 1e6), "what stands out is there");
        assert!(task.attempts.iter().all(|attempt| attempt.receipt.is_none()));
    }
    let points = JobQuery { points: Some(u64::MAX), ..JobQuery::default() };
    let more = developer.job(id, &points).await.expect("the job");
    let lengths = more.tasks.iter().map(|task| task.verdict.as_ref().map_or(0, |found| found.metrics.len()));
    assert!(lengths.clone().all(|length| (1_000..=2_000).contains(&length)));

    // With receipts a page ends early and says where the next begins; together they are all of it.
    let mut query = JobQuery { receipts: Some(true), ..JobQuery::default() };
    let (mut tasks, mut pages) = (Vec::new(), 0);
    loop {
        let page = developer.job(id, &query).await.expect("a page");
        pages += 1;
        tasks.extend(page.tasks);
        let Some(next) = page.next else { break };
        assert_eq!(next, tasks.len() as u64);
        query.from = Some(next);
    }
    assert!(pages > 1, "{pages}");
    assert_eq!(tasks.iter().map(|task| task.index).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
    for task in &tasks {
        let receipts: Vec<_> = task.attempts.iter().filter_map(|attempt| attempt.receipt.as_ref()).collect();
        assert!(!receipts.is_empty() && receipts.iter().all(|receipt| receipt.holds()));
        let anneal_job::ReceiptOutcome::Completed { completed, .. } = &receipts[0].receipt.outcome else {
            panic!("it completed")
        };
        assert_eq!(completed.metrics[SPIKE as usize].value, 1e6);
    }
    let end = first.end.expect("an end");
    let last = completed_last(&tasks);
    assert_eq!(end.metrics["loss"], last);
    // Pages of a size that is asked for.
    let query = JobQuery { from: Some(5), tasks: Some(4), ..JobQuery::default() };
    let page = developer.job(id, &query).await.expect("a page");
    assert_eq!((page.tasks[0].index, page.tasks.len(), page.next), (5, 4, Some(9)));
    let query = JobQuery { from: Some(u64::MAX), tasks: Some(4), ..JobQuery::default() };
    let page = developer.job(id, &query).await.expect("a page");
    assert_eq!((page.tasks.len(), page.next), (0, None));
    coordinator.stop().await;
}

fn completed_last(tasks: &[anneal_api::wire::TaskView]) -> f64 {
    let verdict = tasks.last().and_then(|task| task.verdict.as_ref()).expect("a verdict");
    verdict.metrics.last().expect("a metric").value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_pages_that_lose_and_repeat_nothing() {
    let site = Site::new();
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    job.upload(&developer).await;
    // Sent at once, so that several have one time.
    let mut submitting = JoinSet::new();
    for nonce in 0..30 {
        let (developer, spec) = (developer.clone(), job.spec.clone());
        submitting.spawn(async move {
            let submit = SubmitJob { name: "one of many".to_owned(), nonce, spec };
            developer.submit(&submit).await.expect("submitted").job
        });
    }
    let mut submitted = submitting.join_all().await;
    let mut listed = Vec::new();
    let mut query = JobListQuery { limit: Some(7), ..JobListQuery::default() };
    loop {
        let page = developer.jobs(&query).await.expect("a page").jobs;
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        (query.before, query.before_job) = (Some(last.submitted), Some(last.id));
        listed.extend(page.iter().map(|job| job.id));
    }
    submitted.sort();
    listed.sort();
    assert_eq!(listed, submitted);
    let first = developer.jobs(&JobListQuery { limit: Some(20), ..JobListQuery::default() }).await;
    let first = first.expect("a page");
    assert_eq!(developer.more_jobs(&first).await.expect("the rest").expect("ten more").jobs.len(), 10);

    let mut enrolled = Vec::new();
    for _ in 0..23 {
        let provider = client(&coordinator, new_key()).await;
        provider.enrol(&enrolment()).await.expect("enrolled");
        enrolled.push(provider.identity());
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let query = ProviderListQuery { limit: Some(5), after };
        let page = developer.providers(&query).await.expect("a page");
        assert!(page.providers.len() <= 5);
        listed.extend(page.providers.iter().map(|provider| provider.identity));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    enrolled.sort();
    listed.sort();
    assert_eq!(listed, enrolled);
    coordinator.stop().await;
}
