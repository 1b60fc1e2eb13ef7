//! Blobs over the wire: ranges, goings-on, quotas, corruption, the sweep.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anneal_api::{Client, ClientError, ClientOptions, client::Throttle, endpoints::UPLOAD_PIECE_BYTES_MAX};
use anneal_coordinator::{Config, Limits};
use anneal_job::{Blob, Digest};

use crate::fixture::{Site, client, new_key};

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_blob_travels_in_pieces_and_back() {
    let site = Site::new();
    let coordinator = site.start().await;
    let client = client(&coordinator, new_key()).await;
    let content = bytes(2 * UPLOAD_PIECE_BYTES_MAX + 12_345);
    let blob = Blob { digest: Digest::of(&content), bytes: content.len() as u64 };
    let (up, down) = (site.folder.path().join("up"), site.folder.path().join("down"));
    std::fs::write(&up, &content).expect("a file");
    let mut told = Vec::new();
    client.upload(blob, &up, None, &mut |done, _| told.push(done)).await.expect("uploaded");
    assert_eq!(told.len(), 3);
    assert!(client.missing(&[blob.digest]).await.expect("an answer").is_empty());
    // What an earlier download left is gone on with.
    std::fs::write(site.folder.path().join("down.part"), &content[..1_000_000]).expect("a part");
    let mut first = None;
    client.download(blob, &down, &mut |done, _| first = first.or(Some(done))).await.expect("downloaded");
    assert!(first.expect("progress") > 1_000_000);
    assert_eq!(std::fs::read(&down).expect("the file"), content);
    // A part with wrong bytes is found out, and the next try begins anew.
    std::fs::write(site.folder.path().join("again.part"), b"wrong").expect("a part");
    let again = site.folder.path().join("again");
    let wrong = client.download(blob, &again, &mut |_, _| {}).await;
    assert!(matches!(wrong, Err(ClientError::BlobDigest { .. })), "{wrong:?}");
    client.download(blob, &again, &mut |_, _| {}).await.expect("downloaded");
    // Rotten on the coordinator's disk: the client does not take it.
    let stored =
        site.folder.path().join("blobs").join(&blob.digest.to_string()[..2]).join(blob.digest.to_string());
    let mut rotten = content.clone();
    rotten[7] ^= 1;
    std::fs::write(&stored, rotten).expect("the stored file");
    let wrong = client.download(blob, &site.folder.path().join("rotten"), &mut |_, _| {}).await;
    assert!(matches!(wrong, Err(ClientError::BlobDigest { .. })), "{wrong:?}");
    // It is found at rest, too, and its keeper hears that it must be uploaded again.
    assert_eq!(coordinator.scrub().await.expect("a pass over all blobs"), 1);
    assert_eq!(client.missing(&[blob.digest]).await.expect("an answer"), [blob.digest]);
    assert!(!stored.exists(), "nobody is given what has rotted");
    client.upload(blob, &up, None, &mut |_, _| {}).await.expect("uploaded again");
    assert_eq!(coordinator.scrub().await.expect("a pass over all blobs"), 0);
    std::fs::remove_file(&stored).expect("lost");
    assert_eq!(coordinator.scrub().await.expect("a pass over all blobs"), 1);
    // Somebody else has it not, and learns nothing.
    let stranger = crate::fixture::client(&coordinator, new_key()).await;
    assert_eq!(stranger.missing(&[blob.digest]).await.expect("an answer"), [blob.digest]);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_travels_no_faster_than_its_client_is_allowed_to_either_way() {
    const A_SECOND: u64 = 100_000;
    let site = Site::new();
    let coordinator = site.start().await;
    let url = format!("http://{}", coordinator.address()).parse().expect("an address");
    let options = ClientOptions::new(url, new_key());
    let options = ClientOptions { throttle: Some(Arc::new(Throttle::new(A_SECOND))), ..options };
    let client = Client::connect(options).await.expect("it answers");
    let content = bytes(3 * A_SECOND as usize);
    let blob = Blob { digest: Digest::of(&content), bytes: content.len() as u64 };
    let (up, down) = (site.folder.path().join("up"), site.folder.path().join("down"));
    std::fs::write(&up, &content).expect("a file");
    let (began, mut told) = (Instant::now(), Vec::new());
    client.upload(blob, &up, None, &mut |done, _| told.push(done)).await.expect("uploaded");
    // A second's worth at once; the last piece is paid for by what comes after it.
    assert_eq!(told, [A_SECOND, 2 * A_SECOND, 3 * A_SECOND]);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    let pieces = |took: Duration| took.as_secs_f64() * A_SECOND as f64;
    client.download(blob, &down, &mut |_, _| {}).await.expect("downloaded");
    let (travelled, allowed) = (2 * blob.bytes, pieces(began.elapsed()));
    // The last frame that came may not be paid for yet.
    assert!(allowed >= (travelled - A_SECOND) as f64, "{travelled} bytes where {allowed} may");
    assert_eq!(std::fs::read(&down).expect("the file"), content);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold_and_old_blobs_go() {
    let site = Site::new();
    let limits = Limits {
        identity_bytes_max: 100,
        blob_bytes_max: 1_000,
        blob_retention: Duration::ZERO,
        ..site.config().limits
    };
    let coordinator = site.start_with(Config { limits, ..site.config() }).await;
    let client = client(&coordinator, new_key()).await;
    let upload = async |name: &str, count: usize| {
        let content = bytes(count);
        let path = site.folder.path().join(name);
        std::fs::write(&path, &content).expect("a file");
        let blob = Blob { digest: Digest::of(&content), bytes: count as u64 };
        client.upload(blob, &path, None, &mut |_, _| {}).await.map(|()| blob)
    };
    let small = upload("small", 60).await.expect("within the quota");
    assert_eq!(upload("second", 61).await.expect_err("over it").code(), Some("quota-bytes"));
    assert_eq!(upload("large", 1_001).await.expect_err("no blob is so large").code(), Some("blob-too-large"));
    // What lies is thrown away, and does not count.
    let path = site.folder.path().join("lie");
    std::fs::write(&path, b"a lie").expect("a file");
    let lie =
        client.upload(Blob { digest: Digest::of(b"truth"), bytes: 5 }, &path, None, &mut |_, _| {}).await;
    assert_eq!(lie.expect_err("other bytes").code(), Some("blob-digest"));
    // No live job needs it, and it is older than nothing at all.
    let later = std::time::Instant::now();
    while later.elapsed() < Duration::from_millis(2) {
        std::hint::spin_loop();
    }
    assert_eq!(coordinator.sweep().await.expect("a sweep"), 1);
    assert_eq!(client.missing(&[small.digest]).await.expect("an answer"), [small.digest]);
    upload("second", 61).await.expect("there is room again");
    coordinator.stop().await;
}
