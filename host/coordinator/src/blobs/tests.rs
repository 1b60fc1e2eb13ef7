//! Uploads and blobs on a local folder.

use std::time::{Duration, SystemTime};

use anneal_job::{Blob, Identity};
use bytes::Bytes;
use http_body_util::BodyExt;
use tempfile::TempDir;

use super::*;
use crate::fair::Party;

const LIMITS: UploadLimits = UploadLimits {
    blob_bytes_max: 1 << 20,
    identity_bytes_max: 3 << 19,
    identity_uploads_max: 2,
    prefix_uploads_max: 3,
    uploads_max: 3,
    idle: Duration::from_secs(60),
};

struct Fixture {
    folder: TempDir,
    blobs: Blobs,
    uploads: Uploads,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(&BlobPlace::Folder(folder.path().join("blobs"))).expect("a place");
    let uploads = Uploads::open(&folder.path().join("uploads"), blobs.clone(), LIMITS).expect("a place");
    Fixture { folder, blobs, uploads }
}

fn identity(number: u8) -> Identity {
    Identity::from_bytes([number; 32])
}

fn party(number: u8) -> Party {
    Party::of(identity(number), [127, 0, 0, 1].into())
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { digest: Digest::of(bytes), bytes: bytes.len() as u64 }
}

async fn read(blobs: &Blobs, digest: Digest, from: u64, to: u64) -> Vec<u8> {
    let body = blobs.body(digest, from, to).await.expect("a blob");
    body.collect().await.expect("its bytes").to_bytes().to_vec()
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let Fixture { folder, blobs, uploads } = fixture();
    let bytes: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
    let whole = blob(&bytes);
    let state = uploads
        .piece(party(1), identity(1), whole, 0, Bytes::copy_from_slice(&bytes[..40_000]))
        .await
        .expect("the first piece");
    assert_eq!((state.offset, state.complete), (40_000, false));
    assert_eq!(blobs.size(whole.digest).await.expect("storage"), None);
    // As a new process would find it.
    let uploads = Uploads::open(&folder.path().join("uploads"), blobs.clone(), LIMITS).expect("a place");
    assert_eq!(uploads.offset(identity(1), whole.digest).await.expect("an offset"), 40_000);
    assert_eq!(uploads.offset(identity(2), whole.digest).await.expect("another's"), 0);
    let elsewhere =
        uploads.piece(party(1), identity(1), whole, 10, Bytes::copy_from_slice(&bytes[10..20])).await;
    assert!(matches!(elsewhere, Err(BlobError::Offset { at: 40_000 })), "{elsewhere:?}");
    let state = uploads
        .piece(party(1), identity(1), whole, 40_000, Bytes::copy_from_slice(&bytes[40_000..]))
        .await
        .expect("the rest");
    assert!(state.complete);
    assert_eq!(blobs.size(whole.digest).await.expect("storage"), Some(100_000));
    assert_eq!(read(&blobs, whole.digest, 0, 100_000).await, bytes);
    assert_eq!(read(&blobs, whole.digest, 65_000, 65_010).await, bytes[65_000..65_010]);
    let copy = folder.path().join("copy");
    blobs.fetch(whole.digest, &copy).await.expect("a copy");
    assert_eq!(std::fs::read(copy).expect("the copy"), bytes);
}

#[tokio::test]
async fn wrong_bytes_become_no_blob() {
    let Fixture { folder: _folder, blobs, uploads } = fixture();
    let promised = Blob { digest: Digest::of(b"promised"), bytes: 8 };
    let wrong = uploads.piece(party(1), identity(1), promised, 0, Bytes::from_static(b"deliverd")).await;
    assert!(matches!(wrong, Err(BlobError::OtherBytes { found }) if found == Digest::of(b"deliverd")));
    assert_eq!(blobs.size(promised.digest).await.expect("storage"), None);
    assert_eq!(uploads.offset(identity(1), promised.digest).await.expect("an offset"), 0);
    let long =
        uploads.piece(party(1), identity(1), promised, 0, Bytes::from_static(b"promised and more")).await;
    assert!(matches!(long, Err(BlobError::OtherSize { expected: 8 })));
    assert!(
        uploads
            .piece(party(1), identity(1), promised, 0, Bytes::from_static(b"promised"))
            .await
            .expect("all of it")
            .complete
    );
    // Rotten on disk: what is fetched is compared with its name.
    let rotten = fixture();
    let file = rotten.folder.path().join("file");
    std::fs::write(&file, b"rotten").expect("a file");
    rotten.blobs.keep_file(promised.digest, &file).await.expect("kept unseen");
    let fetched = rotten.blobs.fetch(promised.digest, &rotten.folder.path().join("copy")).await;
    assert!(matches!(fetched, Err(BlobError::OtherBytes { .. })));
}

#[tokio::test]
async fn what_a_crash_left_of_a_blob_goes_and_the_blobs_stay() {
    let Fixture { folder, blobs, uploads } = fixture();
    let whole = blob(b"whole");
    uploads.piece(party(1), identity(1), whole, 0, Bytes::from_static(b"whole")).await.expect("all of it");
    let name = whole.digest.to_string();
    let inner = folder.path().join("blobs").join(&name[..2]);
    let files = || std::fs::read_dir(&inner).expect("a folder").count();
    assert_eq!(files(), 1, "nothing is left beside the blob");
    std::fs::write(inner.join(format!("{name}.7.part")), b"who").expect("a part");
    assert_eq!(uploads.sweep(SystemTime::now()).await.expect("a sweep"), 0, "somebody may be writing it");
    assert_eq!(uploads.sweep(SystemTime::now() + LIMITS.idle * 2).await.expect("a sweep"), 1);
    assert_eq!((files(), read(&blobs, whole.digest, 0, 5).await), (1, b"whole".to_vec()));
}

#[tokio::test]
async fn uploads_have_limits_and_who_has_less_finds_room() {
    let Fixture { folder, blobs: _, uploads } = fixture();
    let large = Blob { digest: Digest::of(b"large"), bytes: LIMITS.blob_bytes_max + 1 };
    assert!(matches!(
        uploads.piece(party(1), identity(1), large, 0, Bytes::from_static(b"x")).await,
        Err(BlobError::OverLimit { .. })
    ));
    let begin = async |owner: u8, name: &[u8], piece: &'static [u8]| {
        let blob = Blob { digest: Digest::of(name), bytes: 9 };
        uploads.piece(party(owner), identity(owner), blob, 0, Bytes::from_static(piece)).await
    };
    let files = || std::fs::read_dir(folder.path().join("uploads")).expect("a folder").count();
    begin(1, b"a", b"x").await.expect("the first");
    begin(1, b"b", b"x").await.expect("the second");
    assert!(matches!(begin(1, b"c", b"x").await, Err(BlobError::OverLimit { .. })));
    begin(2, b"a", b"x").await.expect("another's");
    begin(3, b"a", b"x").await.expect("in place of one of who has two");
    assert_eq!(files(), 3);
    assert!(matches!(begin(4, b"a", b"x").await, Err(BlobError::Busy)), "all have as much");
    begin(4, b"a", b"xy").await.expect("who has sent more may stay");
    // All of it at once needs no place.
    assert!(begin(5, b"123456789", b"123456789").await.expect("all of it").complete);
    assert_eq!(uploads.sweep(SystemTime::now()).await.expect("a sweep"), 0);
    let later = SystemTime::now() + LIMITS.idle * 2;
    assert_eq!(uploads.sweep(later).await.expect("a sweep"), 3);
    assert_eq!(files(), 0);
    begin(3, b"a", b"x").await.expect("there is room again");
    let huge = Blob { digest: Digest::of(b"huge"), bytes: LIMITS.blob_bytes_max };
    let huge = |name: &[u8]| Blob { digest: Digest::of(name), ..huge };
    uploads.piece(party(9), identity(9), huge(b"1"), 0, Bytes::from_static(b"x")).await.expect("the first");
    let more = uploads.piece(party(9), identity(9), huge(b"2"), 0, Bytes::from_static(b"x")).await;
    assert!(matches!(more, Err(BlobError::OverLimit { .. })), "{more:?}");
}

#[tokio::test]
async fn naming_what_another_has_gives_nothing() {
    let Fixture { folder: _folder, blobs, uploads } = fixture();
    let secret = blob(b"what the victim uploaded");
    uploads
        .piece(party(1), identity(1), secret, 0, Bytes::from_static(b"what the victim uploaded"))
        .await
        .expect("all of it");
    // No bytes, a wrong one, the end without the beginning: none is an upload, and all are told as for a blob that
    // nobody has.
    let unknown = Blob { digest: Digest::of(b"nobody has it"), bytes: secret.bytes };
    for piece in [&b""[..], b"A"] {
        let mut told = Vec::new();
        for blob in [secret, unknown] {
            let state = uploads.piece(party(2), identity(2), blob, 0, Bytes::from_static(piece)).await;
            told.push(state.expect("a beginning"));
            assert!(!told[0].complete && uploads.sweep(SystemTime::now()).await.is_ok());
            uploads.sweep(SystemTime::now() + LIMITS.idle * 2).await.expect("a sweep");
        }
        assert_eq!(told[0], told[1]);
    }
    for (offset, piece) in [(secret.bytes, &b""[..]), (secret.bytes - 1, b"d"), (1, b"hat")] {
        for blob in [secret, unknown] {
            let refused = uploads.piece(party(2), identity(2), blob, offset, Bytes::from_static(piece)).await;
            assert!(matches!(refused, Err(BlobError::Offset { at: 0 })), "{refused:?}");
        }
    }
    let wrong = uploads
        .piece(party(2), identity(2), secret, 0, Bytes::from_static(b"what the victim uploadeD"))
        .await;
    assert!(matches!(wrong, Err(BlobError::OtherBytes { .. })), "{wrong:?}");
    assert_eq!(uploads.offset(identity(2), secret.digest).await.expect("an offset"), 0);
    assert_eq!(blobs.size(secret.digest).await.expect("storage"), Some(secret.bytes));
}

#[test]
fn places_read() {
    assert_eq!("data/blobs".parse(), Ok(BlobPlace::Folder("data/blobs".into())));
    assert!(matches!("s3://bucket/a/b".parse(), Ok(BlobPlace::S3 { bucket, prefix, .. })
        if bucket == "bucket" && prefix == "a/b"));
    for text in ["", "s3://", "ftp://x"] {
        assert!(text.parse::<BlobPlace>().is_err(), "{text}");
    }
}

/// 20 MiB: more parts than one, and no whole number of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_of_s3_keeps_blobs_as_a_folder_does() {
    let storage = anneal_tests::s3::Storage::start();
    let place: BlobPlace = storage.place().parse().expect("a place");
    let place = place
        .with_settings(storage.settings().into_iter().chain([("AWS_NONSENSE".to_owned(), String::new())]));
    let blobs = Blobs::open(&place).expect("a place");
    let folder = tempfile::tempdir().expect("a folder");
    for bytes in [0, 1, 372, 20 << 20] {
        let bytes: Vec<u8> = (0..bytes).map(|at: u32| (at % 251) as u8).collect();
        let whole = blob(&bytes);
        assert_eq!(blobs.size(whole.digest).await.expect("storage"), None);
        let path = folder.path().join("upload");
        std::fs::write(&path, &bytes).expect("written");
        blobs.keep_file(whole.digest, &path).await.expect("kept");
        assert!(!path.exists());
        assert_eq!(blobs.size(whole.digest).await.expect("storage"), Some(whole.bytes));
        assert!(blobs.is_sound(whole.digest, u64::MAX).await.expect("storage"));
        if bytes.len() > 9 {
            assert_eq!(read(&blobs, whole.digest, 3, whole.bytes - 4).await, bytes[3..bytes.len() - 4]);
            blobs.fetch(whole.digest, &path).await.expect("fetched");
            assert_eq!(std::fs::read(&path).expect("a file"), bytes);
        }
        let name = storage.names().into_iter().find(|name| name.ends_with(&whole.digest.to_string()));
        let name = name.expect("it has the digest's name");
        assert!(name.starts_with("blobs/"), "{name}");
        if !bytes.is_empty() {
            storage.put(&name, &vec![7; bytes.len()]);
            assert!(!blobs.is_sound(whole.digest, u64::MAX).await.expect("storage"), "{}", bytes.len());
        }
        blobs.delete(whole.digest).await.expect("deleted");
        blobs.delete(whole.digest).await.expect("nothing is there to delete");
        assert!(matches!(blobs.body(whole.digest, 0, 1).await, Err(BlobError::Missing(_))));
    }
    // Without the operator's word nothing travels in the clear.
    let settings = storage.settings().into_iter().filter(|(name, _)| name != "AWS_ALLOW_HTTP");
    let place: BlobPlace = storage.place().parse().expect("a place");
    let refused = Blobs::open(&place.with_settings(settings)).expect("nothing is asked yet");
    let error = refused.size(Digest::of(b"x")).await.expect_err("plain HTTP");
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    assert!(words.contains("AWS_ALLOW_HTTP"), "{words}");
}
