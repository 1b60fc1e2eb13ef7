//! Many at once: every attempt is judged, and who only waits leaves nothing behind. How fast it goes is measured by
//! `tests/soak load`; no time decides anything here.

use std::time::Duration;

use anneal_api::wire::{AttemptState, JobQuery, JobState, Poll, VerdictBy};
use anneal_job::{ParameterValue, PlanSpec, Redundancy};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Site, client, ended, new_key},
    page::get,
    provider::{Provider, enrolment},
};

/// Tasks of each job.
const TASKS: u64 = 120;
/// Jobs, each of its own developer.
const JOBS: u64 = 2;
/// Providers that work.
const PROVIDERS: usize = 24;
/// Providers that wait.
const WAITING: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_attempts_of_many_providers_are_all_judged() {
    let site = Site::new();
    let (coordinator, keys) = site.start_with_anchors(PROVIDERS).await;
    let mut running = JoinSet::new();
    for key in &keys {
        running.spawn(Provider::enrol_as(&coordinator, key, None).await.run());
    }
    let mut jobs = Vec::new();
    for seed in 0..JOBS {
        let developer = client(&coordinator, new_key()).await;
        let over = [("n".to_owned(), (0..TASKS as i64).map(ParameterValue::Integer).collect())].into();
        let mut job = Job::new(site.folder.path(), PlanSpec::Map { over }, Redundancy::Fixed(2));
        job.spec.seed = seed;
        jobs.push((job.submit(&developer).await, developer));
    }
    for (id, developer) in &jobs {
        ended(developer, *id).await;
        let view = developer
            .job(*id, &JobQuery { receipts: Some(true), ..JobQuery::default() })
            .await
            .expect("the job");
        assert_eq!(view.summary.state, JobState::Completed, "{:?}", view.reason);
        assert_eq!((view.summary.tasks_done, view.tasks.len() as u64), (TASKS, TASKS));
        let mut earned = 0;
        for task in &view.tasks {
            let verdict = task.verdict.as_ref().expect("a verdict");
            assert!(verdict.by == VerdictBy::Agreement && verdict.faults.is_empty(), "{verdict:?}");
            let valid: Vec<_> =
                task.attempts.iter().filter(|attempt| attempt.state == AttemptState::Valid).collect();
            assert!(valid.len() >= 2, "{task:?}");
            assert_ne!(valid[0].provider, valid[1].provider);
            let receipts = valid.iter().map(|attempt| attempt.receipt.as_ref().expect("a signed receipt"));
            assert!(receipts.clone().all(anneal_api::wire::SignedReceipt::holds));
            earned += valid.iter().map(|attempt| attempt.earned.0).sum::<u64>();
        }
        // To within one credit per payment: the rest of one goes into the next.
        assert!(view.summary.spent.0.abs_diff(earned) <= 2 * TASKS, "{} {earned}", view.summary.spent.0);
    }
    let developer = &jobs[0].1;
    let settled = async {
        while developer.health().await.expect("health").attempts_live > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Audits go on after the jobs' ends.
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("nothing stays open");
    assert!(running.try_join_next().is_none(), "no provider broke");
    running.shutdown().await;
    let summary = developer.audit(|_| {}).await.expect("the log").expect("it holds");
    // Leased, committed, revealed and paid for each attempt; opened, judged and final for each task.
    assert!(summary.entries >= JOBS * TASKS * (2 * 4 + 3), "{summary:?}");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_waits_leaves_nothing_behind() {
    let site = Site::new();
    let coordinator = site.start().await;
    let mut clients = Vec::new();
    for _ in 0..WAITING {
        let client = client(&coordinator, new_key()).await;
        client.enrol(&enrolment()).await.expect("enrolled");
        clients.push(client);
    }
    let number = async |name: &str| {
        let text = get(&coordinator, "/metrics", None).await;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("anneal_{name} ")));
        line.and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
    };
    let (rows, entries) = (rows(&site), number("log_entries").await);
    // Ten polls of each that end by themselves, and one that is cut off while it waits.
    let mut polling = JoinSet::new();
    for client in clients {
        polling.spawn(async move {
            for _ in 0..10 {
                let poll = Poll { idle: vec![0], seen: 0, wait_ms: 20, holds: None };
                assert!(client.poll(&poll).await.expect("a poll").leases.is_empty());
            }
            client.poll(&Poll { idle: vec![0], seen: 0, wait_ms: 30_000, holds: None }).await
        });
    }
    let until = async |wanted: u64| {
        let waiting = async {
            while number("polls_waiting").await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("so many polls wait");
    };
    until(WAITING as u64).await;
    // Nothing is kept of a thousand polls, and nothing but prices moved.
    assert_eq!(self::rows(&site), rows);
    let logged = number("log_entries").await - entries;
    assert!(logged < 10, "{logged} log entries were written");
    polling.shutdown().await;
    until(0).await;
    // A lease goes to who waits now, and to nobody who is gone.
    let mut provider = Provider::enrol(&coordinator, None).await;
    let developer = client(&coordinator, new_key()).await;
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    let (reply, _) = tokio::join!(provider.turn(30_000), job.submit(&developer));
    assert_eq!(reply.leases.len(), 1);
    coordinator.stop().await;
}

/// Rows that the coordinator keeps, of things that live or have ended and of commands.
fn rows(site: &Site) -> i64 {
    let path = site.folder.path().join("coordinator.sqlite");
    let database = rusqlite::Connection::open(path).expect("the database is there");
    let count = "SELECT (SELECT count(*) FROM live_item) + (SELECT count(*) FROM item) + (SELECT count(*) FROM command)";
    database.query_row(count, [], |row| row.get(0)).expect("a number")
}
