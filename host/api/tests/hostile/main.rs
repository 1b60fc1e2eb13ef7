//! A coordinator that means harm, and a client that must come to no harm by it: every call ends, with an error that
//! says why; no file appears that was not asked for; no more is written than was named.

mod coordinator;

use std::{path::Path, sync::Arc};

use anneal_api::{
    Client, ClientError, ClientOptions, CoordinatorUrl, SecretKey,
    client::Retry,
    wire::{JobQuery, Poll},
};
use anneal_job::{Blob, Digest, JobId};
use coordinator::{Answer, Coordinator};

const WAIT_NOT: Poll = Poll { idle: Vec::new(), seen: 0, wait_ms: 0, holds: None };

async fn client(coordinator: &Coordinator) -> Client {
    let url: CoordinatorUrl = coordinator.url().parse().expect("a URL");
    let key = Arc::new(SecretKey::generate().expect("random bytes"));
    let options = ClientOptions { retry: Retry::ONCE, ..ClientOptions::new(url, key) };
    Client::connect(options).await.expect("it answers who it is")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let coordinator = Coordinator::start(Answer::Endless { status: 200 }).await;
    let error = client(&coordinator).await.poll(&WAIT_NOT).await.expect_err("it has no end");
    assert!(matches!(error, ClientError::Network { .. }), "{error}");
    // 64 MiB is what a reply may have; what the connection holds comes on top.
    assert!(coordinator.sent() < 96 << 20, "{} bytes were taken", coordinator.sent());
    let coordinator = Coordinator::start(Answer::Endless { status: 500 }).await;
    let error = client(&coordinator).await.poll(&WAIT_NOT).await.expect_err("nor has this refusal");
    assert!(matches!(error, ClientError::Network { .. }), "{error}");
    assert!(coordinator.sent() < 96 << 20, "{} bytes were taken", coordinator.sent());
}

#[tokio::test]
async fn a_name_that_is_a_path_is_no_name() {
    let path = "../../../../home/owner/.ssh/id";
    for key in ["attempt", "task_id"] {
        let lease = format!(r#"{{"leases":[{{"{key}":"{path}"}}],"duties":[],"revision":1,"none":[]}}"#);
        let coordinator = Coordinator::start(Answer::Json(lease)).await;
        let error = client(&coordinator).await.poll(&WAIT_NOT).await.expect_err("it is no digest");
        let ClientError::Protocol { detail, .. } = &error else { panic!("{error}") };
        assert!(
            detail.contains("digest") || detail.contains("hexadecimal") || detail.contains("64"),
            "{detail}"
        );
    }
    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000), String::new(), "null".to_owned()] {
        let coordinator = Coordinator::start(Answer::Json(deep)).await;
        let client = client(&coordinator).await;
        let error = client.job(JobId(Digest::of(b"job")), &JobQuery::default()).await.expect_err("no job");
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_blob_ends_at_its_size_and_is_what_was_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("blob");
    let blob = Blob { digest: Digest::of(b"what was asked for"), bytes: 18 };

    let coordinator = Coordinator::start(Answer::Endless { status: 200 }).await;
    let error = client(&coordinator).await.download(blob, &path, &mut |_, _| {}).await.expect_err("too long");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    assert!(!path.exists(), "{:?}", names(folder.path()));
    let written: u64 = names(folder.path())
        .iter()
        .map(|name| folder.path().join(name).metadata().expect("there").len())
        .sum();
    assert!(written < 4 << 20, "{written} bytes were written");

    let coordinator = Coordinator::start(Answer::Json("what nobody wanted".to_owned())).await;
    let error = client(&coordinator).await.download(blob, &path, &mut |_, _| {}).await.expect_err("others");
    assert!(matches!(error, ClientError::BlobDigest { .. }), "{error}");
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn who_sends_nothing_for_ever_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("blob");
    let coordinator = Coordinator::start(Answer::Json(String::new())).await;
    let blob = Blob { digest: Digest::of(b"what was asked for"), bytes: 18 };
    let error =
        client(&coordinator).await.download(blob, &path, &mut |_, _| {}).await.expect_err("nothing came");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    assert!(coordinator.answered() < 10, "it was asked {} times", coordinator.answered());
}

#[tokio::test]
async fn an_upload_that_never_gets_further_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    std::fs::write(&path, b"finished work").expect("written");
    let blob = Blob { digest: Digest::of(b"finished work"), bytes: 13 };
    for offset in [0, 5, 13, 1_u64 << 40] {
        let stands = format!(r#"{{"offset":{offset},"complete":false}}"#);
        let coordinator = Coordinator::start(Answer::Json(stands)).await;
        let error = client(&coordinator).await.upload(blob, &path, None, &mut |_, _| {}).await;
        let error = error.expect_err("it never ends");
        assert!(matches!(error, ClientError::Protocol { .. }), "{offset}: {error}");
        assert!(coordinator.answered() < 30, "{offset}: it was asked {} times", coordinator.answered());
    }
    assert_eq!(std::fs::read(&path).expect("it stays"), b"finished work");
}
