//! Looking after a coordinator's data: damage is found wherever it is and before anybody reads it, a backup brings all
//! of it back, one process works in a folder, and who is banned is served no more.

use std::{path::Path, sync::Arc};

use anneal_api::wire::{Ban, BlobQuery, JobState, Poll};
use anneal_coordinator::{
    Config, Coordinator, Limits, StartError, backup,
    blobs::{BlobPlace, Blobs},
    check,
    store::{SqliteStore, StoreUrl},
};
use anneal_job::{Identity, PlanSpec, Redundancy};
use tokio::task::JoinSet;

use crate::{
    fixture::{Job, Oracle, Site, client, ended, new_key},
    provider::Provider,
};

/// A page of the database.
const PAGE_BYTES: usize = 4096;

/// A coordinator that has done something, and was stopped.
async fn used() -> Site {
    let site = Site::new();
    let coordinator = site.start().await;
    let mut running = JoinSet::new();
    for _ in 0..2 {
        running.spawn(Provider::enrol(&coordinator, None).await.run());
    }
    let developer = client(&coordinator, new_key()).await;
    let plan = PlanSpec::Train { segments: 6, workers: 2 };
    let id = Job::new(site.folder.path(), plan, Redundancy::Fixed(2)).submit(&developer).await;
    assert!(ended(&developer, id).await.end.is_some());
    running.shutdown().await;
    coordinator.stop().await;
    site
}

fn path_of(store: &StoreUrl) -> &Path {
    match store {
        StoreUrl::Sqlite(path) => path,
        StoreUrl::Postgres(_) => panic!("a site's store is a file"),
    }
}

/// What is wrong with a database: also that it cannot be opened.
fn problems(path: &Path, coordinator: Identity) -> Vec<String> {
    match SqliteStore::open(path) {
        Ok(mut store) => check::state(&mut store, coordinator).problems,
        Err(error) => vec![error.to_string()],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_overwritten_page_is_found() {
    let site = used().await;
    let identity = site.key.identity();
    // All of it in one file: what is left of the journal is written back, and no page is free.
    let whole = site.folder.path().join("whole.sqlite");
    SqliteStore::open(path_of(&site.store)).expect("it opens").copy_to(&whole).expect("a copy");
    assert_eq!(problems(&whole, identity), Vec::<String>::new());
    let bytes = std::fs::read(&whole).expect("a file");
    let pages = bytes.len() / PAGE_BYTES;
    assert!(pages > 40, "{pages} pages");
    let damaged = site.folder.path().join("damaged.sqlite");
    let (mut missed, mut tried) = (Vec::new(), 0);
    for page in 0..pages {
        let at = page * PAGE_BYTES;
        let other = (page + pages / 2) % pages * PAGE_BYTES;
        let another = bytes[other..other + PAGE_BYTES].to_vec();
        let mut flipped = bytes[at..at + PAGE_BYTES].to_vec();
        // The last byte of a page is a part of a row wherever the page has any.
        flipped[PAGE_BYTES - 1] ^= 0x10;
        let fills = [vec![0; PAGE_BYTES], vec![0xff; PAGE_BYTES], another, flipped];
        for (kind, fill) in fills.into_iter().enumerate() {
            if fill == bytes[at..at + PAGE_BYTES] {
                continue;
            }
            let mut changed = bytes.clone();
            changed[at..at + PAGE_BYTES].copy_from_slice(&fill);
            std::fs::write(&damaged, changed).expect("a file");
            for journal in ["damaged.sqlite-wal", "damaged.sqlite-shm"] {
                // There may be none.
                let _ = std::fs::remove_file(site.folder.path().join(journal));
            }
            tried += 1;
            if problems(&damaged, identity).is_empty() {
                missed.push((page, kind));
            }
        }
    }
    // A page that was overwritten is found, whatever it holds now. One bit in a page's last row is found where the row
    // is one of the market's, the service's or the log's; short rows of numbers have no seal.
    let whole_pages: Vec<_> = missed.iter().filter(|(_, kind)| *kind < 3).collect();
    assert!(whole_pages.is_empty(), "{whole_pages:?} of {tried}");
    assert!(missed.len() * 4 < pages, "{missed:?} of {pages}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_not_led_on() {
    let site = used().await;
    let path = path_of(&site.store).to_owned();
    let whole = site.folder.path().join("whole.sqlite");
    SqliteStore::open(&path).expect("it opens").copy_to(&whole).expect("a copy");
    let mut bytes = std::fs::read(&whole).expect("a file");
    let at = bytes.len() / PAGE_BYTES / 2 * PAGE_BYTES;
    bytes[at..at + PAGE_BYTES].fill(0xa5);
    std::fs::write(&path, bytes).expect("a file");
    let coordinator = Coordinator::start(site.config(), Arc::new(Oracle)).await.expect("it listens");
    let broken = coordinator.broken().await;
    assert!(broken.contains("the database is damaged") && broken.contains("backup"), "{broken}");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_works_in_a_folder_and_leads_on_a_database() {
    let site = Site::new();
    let first = site.start().await;
    let second = Coordinator::start(site.config(), Arc::new(Oracle)).await;
    match second {
        Err(StartError::InUse(folder)) => assert_eq!(folder, site.config().scratch),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two processes in one folder"),
    }
    // In a folder of its own, but on the same database.
    let scratch = site.folder.path().join("another");
    let second = Coordinator::start(Config { scratch, ..site.config() }, Arc::new(Oracle)).await;
    let second = second.expect("it listens");
    let broken = second.broken().await;
    assert!(broken.contains("another coordinator runs on"), "{broken}");
    second.stop().await;
    first.stop().await;
    site.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_brings_everything_back() {
    let site = used().await;
    let identity = site.key.identity();
    // It runs while it is copied.
    let coordinator = site.start().await;
    let developer = client(&coordinator, new_key()).await;
    let log = developer.audit(|_| {}).await.expect("the log").expect("it holds");
    let (out, back) = (site.folder.path().join("backup"), site.folder.path().join("back"));
    let blobs = site.config().blobs;
    let note = backup::backup(&site.store, &blobs, identity, &out).await.expect("a backup");
    assert!(note.entries >= log.entries && note.blobs > 2 && note.bytes > 0, "{note:?}");
    let again = backup::backup(&site.store, &blobs, identity, &out).await;
    assert!(matches!(again, Err(backup::BackupError::NotEmpty(_))), "{again:?}");
    coordinator.stop().await;

    assert_eq!(backup::restore(&out, &back).await.expect("restored"), note);
    let occupied = backup::restore(&out, &back).await;
    assert!(matches!(occupied, Err(backup::BackupError::NotEmpty(_))), "{occupied:?}");
    let config = Config {
        store: StoreUrl::Sqlite(back.join("state.sqlite")),
        blobs: BlobPlace::Folder(back.join("stored")),
        scratch: back.join("scratch"),
        ..site.config()
    };
    let coordinator = Coordinator::start(config, Arc::new(Oracle)).await.expect("it starts");
    let developer = client(&coordinator, new_key()).await;
    developer.pause(true).await.expect_err("it leads, and nobody is enrolled");
    let restored = developer.audit(|_| {}).await.expect("the log").expect("it holds");
    assert!(restored.entries >= note.entries);
    coordinator.stop().await;

    // A copy that has lost a blob, or a byte of one, is no copy.
    let stored = Blobs::open(&BlobPlace::Folder(out.join("stored"))).expect("blobs");
    let mut copy = SqliteStore::open(&out.join("state.sqlite")).expect("it opens");
    let blob = *check::kept(&mut copy).expect("blobs").keys().next().expect("one at least");
    stored.delete(blob).await.expect("it was there");
    let elsewhere = site.folder.path().join("elsewhere");
    let refused = backup::restore(&out, &elsewhere).await.expect_err("a blob is gone");
    assert!(refused.to_string().contains(&blob.to_string()), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_that_have_changed_are_named() {
    let site = used().await;
    let mut store = SqliteStore::open(path_of(&site.store)).expect("it opens");
    let kept = check::kept(&mut store).expect("blobs");
    let blobs = Blobs::open(&site.config().blobs).expect("blobs");
    let mut checked = check::Checked::default();
    check::blobs(&kept, &blobs, &mut checked).await.expect("they can be read");
    assert_eq!((checked.blobs, checked.problems.len()), (kept.len() as u64, 0));
    let gone = *kept.keys().next().expect("one at least");
    blobs.delete(gone).await.expect("it was there");
    check::blobs(&kept, &blobs, &mut checked).await.expect("they can be read");
    assert_eq!(checked.problems, [format!("the blob {gone} is gone, or its bytes have changed")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_banned_is_served_no_more_until_the_ban_is_lifted() {
    let site = Site::new();
    let coordinator = site.start().await;
    let operator = client(&coordinator, site.key.clone()).await;
    let provider = Provider::enrol(&coordinator, None).await;
    let developer = client(&coordinator, new_key()).await;
    let id = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(2)).submit(&developer).await;
    let poll = Poll { idle: vec![0], seen: 0, wait_ms: 5_000, holds: None };
    assert_eq!(provider.client.poll(&poll).await.expect("a poll").leases.len(), 1);

    let banned = provider.client.identity();
    let ban = |identity, banned, reason: &str| Ban { identity, banned, reason: reason.to_owned() };
    let stranger = developer.set_ban(&ban(banned, true, "I dislike it")).await.expect_err("no operator");
    assert_eq!(stranger.code(), Some("forbidden"));
    for reason in ["", "a\nb", &"x".repeat(201)] {
        let refused = operator.set_ban(&ban(banned, true, reason)).await.expect_err("no reason");
        assert_eq!(refused.code(), Some("invalid"), "{reason:?}");
    }
    let own = operator.set_ban(&ban(operator.identity(), true, "by mistake")).await.expect_err("itself");
    assert_eq!(own.code(), Some("invalid"));
    operator.set_ban(&ban(banned, true, "it floods the network")).await.expect("banned");
    let refused = provider.client.poll(&poll).await.expect_err("banned");
    assert_eq!(refused.code(), Some("banned"));
    assert!(refused.to_string().contains("it floods the network"), "{refused}");

    // Its lease is another's, also after a restart, and a banned developer's job is wound up.
    coordinator.stop().await;
    let coordinator = site.start().await;
    let moved = client(&coordinator, provider.client.key()).await;
    assert_eq!(moved.poll(&poll).await.expect_err("still").code(), Some("banned"));
    let others = [Provider::enrol(&coordinator, None).await, Provider::enrol(&coordinator, None).await];
    for other in &others {
        assert_eq!(other.client.poll(&poll).await.expect("a poll").leases.len(), 1);
    }
    let operator = client(&coordinator, site.key.clone()).await;
    let developer_id = developer.identity();
    operator.set_ban(&ban(developer_id, true, "its jobs are no training")).await.expect("banned");
    operator.job(id, &Default::default()).await.expect_err("a private job is nobody else's");
    operator.set_ban(&ban(developer_id, false, "a mistake")).await.expect("unbanned");
    operator.set_ban(&ban(banned, false, "it was mended")).await.expect("unbanned");
    let developer = client(&coordinator, developer.key()).await;
    let view = developer.job(id, &Default::default()).await.expect("its job");
    assert!(matches!(view.summary.state, JobState::Ending | JobState::Cancelled), "{:?}", view.summary.state);
    assert!(view.reason.expect("it says why").contains("its jobs are no training"));
    moved.poll(&poll).await.expect("it is served again");

    // The log says all of it, for everybody.
    let mut said = Vec::new();
    developer
        .audit(|page| said.extend(page.entries.iter().map(|entry| entry.event.clone())))
        .await
        .expect("the log")
        .expect("it holds");
    for words in ["it floods the network", "its jobs are no training", "it was mended"] {
        assert!(said.iter().any(|event| event.contains("banned") && event.contains(words)), "{words}");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_nearly_full_takes_no_uploads_and_loses_nothing() {
    let site = used().await;
    // No disk is so large.
    let limits = Limits { disk_reserve_bytes: u64::MAX, ..site.config().limits };
    let coordinator = site.start_with(Config { limits, ..site.config() }).await;
    let key = new_key();
    let mut options = anneal_api::ClientOptions::new(
        format!("http://{}", coordinator.address()).parse().expect("a URL"),
        key.clone(),
    );
    options.retry = anneal_api::client::Retry::ONCE;
    let developer = anneal_api::Client::connect(options).await.expect("it answers");
    let job = Job::new(site.folder.path(), PlanSpec::Single, Redundancy::Fixed(1));
    let refused = job.try_upload(&developer).await.expect_err("no room");
    assert_eq!(refused.code(), Some("disk-full"), "{refused}");
    // What needs no room goes on.
    Provider::enrol(&coordinator, None).await;
    developer.audit(|_| {}).await.expect("the log").expect("it holds");
    assert!(developer.health().await.expect("health").disk_free_bytes > 0);
    coordinator.stop().await;
    // With room again, it is taken.
    let coordinator = site.start().await;
    let developer = client(&coordinator, key).await;
    let id = job.submit(&developer).await;
    let path = site.folder.path().join("read back");
    let of = BlobQuery { job: Some(id), task: None };
    developer.download_of(job.spec.component, of, &path, &mut |_, _| {}).await.expect("it was kept");
    coordinator.stop().await;
}
