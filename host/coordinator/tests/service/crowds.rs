//! Keys cost nothing: a crowd of them takes uploads, bodies, connections, classes and the log, and an honest
//! stranger beside it is served all the same.

use std::{sync::Arc, time::Duration};

use anneal_api::{
    SecretKey,
    wire::{DeviceOffer, Enrol},
};
use anneal_coordinator::{Config, Coordinator, Limits};
use anneal_job::{Blob, Digest};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    fixture::{Site, client, new_key},
    provider::enrolment,
    raw::Raw,
};

const LIST: &str = "x-forwarded-for";

/// Piece by piece: the upload must have a place for as long as it takes.
async fn uploads_in_pieces(site: &Site, coordinator: &Coordinator, key: &SecretKey) {
    let content = format!("honest {}", key.identity());
    let (digest, bytes) = (Digest::of(content.as_bytes()), content.len() as u64);
    for (offset, piece) in [(0, &content[..10]), (10, &content[10..20]), (20, &content[20..])] {
        let raw = Raw::piece(site.key.identity(), key, digest, (offset, bytes), piece);
        let (status, text) = raw.send(coordinator).await;
        assert_eq!(status, 200, "at {offset}: {text}");
    }
    let honest = client(coordinator, Arc::new(SecretKey::parse(key.expose()).expect("its text"))).await;
    assert!(honest.missing(&[digest]).await.expect("an answer").is_empty());
}

/// As many keys, each with as many unfinished uploads as it may have.
async fn unfinished(site: &Site, coordinator: &Coordinator, keys: usize, from: impl Fn(usize) -> String) {
    for number in 0..keys {
        let key = new_key();
        for upload in 0..4 {
            let digest = Digest::of(format!("{} {upload}", key.identity()).as_bytes());
            let raw = Raw::piece(site.key.identity(), &key, digest, (0, 2), "x");
            let (status, text) = raw.with(LIST, &from(number)).send(coordinator).await;
            assert!([200, 503].contains(&status), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_uploads_of_a_crowd_keep_nobody_from_uploading() {
    let site = Site::new();
    let limits = Limits {
        identity_uploads_max: 4,
        prefix_uploads_max: 24,
        uploads_max: 32,
        upload_idle: Duration::from_secs(3600),
        ..site.config().limits
    };
    let config = Config { limits, trusted_proxies: vec!["127.0.0.2".parse().expect("one")], ..site.config() };
    let coordinator = site.start_with(config).await;
    unfinished(&site, &coordinator, 20, |_| String::new()).await;
    let entries = || std::fs::read_dir(site.folder.path().join("scratch/uploads")).expect("a folder").count();
    assert!(entries() <= 32, "{}", entries());
    for _ in 0..3 {
        uploads_in_pieces(&site, &coordinator, &new_key()).await;
    }
    // All at once it takes no place at all.
    let honest = client(&coordinator, new_key()).await;
    let path = site.folder.path().join("whole");
    std::fs::write(&path, b"an honest component").expect("a file");
    let blob = Blob { digest: Digest::of(b"an honest component"), bytes: 19 };
    honest.upload(blob, &path, None, &mut |_, _| {}).await.expect("uploaded");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_uploads_of_a_few_prefixes_leave_room_for_others() {
    let site = Site::new();
    let limits =
        Limits { identity_uploads_max: 4, prefix_uploads_max: 24, uploads_max: 32, ..site.config().limits };
    let trusted_proxies = vec!["127.0.0.1".parse().expect("a network")];
    let coordinator = site.start_with(Config { limits, trusted_proxies, ..site.config() }).await;
    unfinished(&site, &coordinator, 40, |number| format!("192.0.{}.{number}", number % 5)).await;
    // From this machine, and from a network of its own.
    uploads_in_pieces(&site, &coordinator, &new_key()).await;
    let key = new_key();
    for piece in 0..4 {
        let digest = Digest::of(&[piece]);
        let raw = Raw::piece(site.key.identity(), &key, digest, (0, 2), "x").with(LIST, "198.51.100.1");
        assert_eq!(raw.send(&coordinator).await.0, 200, "upload {piece}");
    }
    coordinator.stop().await;
}

/// Bodies that are announced and never come.
async fn slow_bodies(
    site: &Site,
    coordinator: &Coordinator,
    count: usize,
    from: Option<&str>,
) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::piece(site.key.identity(), &new_key(), Digest::of(b""), (0, 8_000_000), "x");
        if let Some(from) = from {
            raw = raw.with(LIST, from);
        }
        let mut stream = TcpStream::connect(coordinator.address()).await.expect("a connection");
        stream.write_all(&raw.bytes(8_000_000)).await.expect("sent");
        streams.push(stream);
    }
    streams
}

async fn large_upload(site: &Site, coordinator: &Coordinator, from: Option<&str>) -> (u16, String) {
    let key = new_key();
    let content = key.identity().to_string().repeat(2_000);
    let digest = Digest::of(content.as_bytes());
    let mut raw = Raw::piece(site.key.identity(), &key, digest, (0, content.len() as u64), &content);
    if let Some(from) = from {
        raw = raw.with(LIST, from);
    }
    raw.send(coordinator).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_of_a_crowd_go_when_others_come() {
    let site = Site::new();
    let limits = Limits { large_bodies_max: 6, prefix_large_bodies_max: 4, ..site.config().limits };
    let trusted_proxies = vec!["127.0.0.1".parse().expect("a network")];
    let coordinator = site.start_with(Config { limits, trusted_proxies, ..site.config() }).await;
    // One network has no more than its share: others need not even wait.
    let elsewhere = slow_bodies(&site, &coordinator, 12, Some("192.0.2.1")).await;
    for from in [Some("198.51.100.1"), None] {
        let (status, text) = large_upload(&site, &coordinator, from).await;
        assert_eq!(status, 200, "{text}");
    }
    // Keys without number of the same network as an honest one: slow ones go.
    let beside = slow_bodies(&site, &coordinator, 12, None).await;
    for _ in 0..3 {
        let (status, text) = large_upload(&site, &coordinator, None).await;
        assert_eq!(status, 200, "{text}");
    }
    drop((elsewhere, beside));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_go_when_others_come() {
    let site = Site::new();
    let limits =
        Limits { connections_max: 8, header_time: Duration::from_secs(3600), ..site.config().limits };
    let coordinator = site.start_with(Config { limits, ..site.config() }).await;
    let mut slow = Vec::new();
    for _ in 0..24 {
        let mut stream = TcpStream::connect(coordinator.address()).await.expect("a connection");
        // Where it was closed already, it is slow no more.
        let _ = stream.write_all(b"GET /v1/about HTTP/1.1\r\nhost: x\r\nx-").await;
        slow.push(stream);
    }
    // It tries again, as a client does; within its patience there is room.
    for _ in 0..3 {
        client(&coordinator, new_key()).await.about().await.expect("it answers");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invented_device_classes_keep_nobody_from_enrolling() {
    let site = Site::new();
    let coordinator = site.start().await;
    let of_class =
        |device: u32, class: String| DeviceOffer { device, class, ..enrolment().devices.remove(0) };
    for number in 0..140_u32 {
        let devices = (0..8).map(|device| of_class(device, format!("x{}", number * 8 + device))).collect();
        let liar = client(&coordinator, new_key()).await;
        liar.enrol(&Enrol { devices, ..enrolment() }).await.expect("a name costs nothing");
    }
    for class in ["cpu", "nvidia-new", "amd-new"] {
        let honest = client(&coordinator, new_key()).await;
        let devices = vec![of_class(0, class.to_owned())];
        honest.enrol(&Enrol { devices, ..enrolment() }).await.expect(class);
        let view = honest.provider(honest.identity()).await.expect("the provider");
        assert_eq!(view.devices[0].class, class);
    }
    // The log with all that was forgotten holds.
    let reader = client(&coordinator, new_key()).await;
    let mut text = String::new();
    let summary = reader.audit(|page| text += &serde_json::to_string(page).expect("JSON")).await;
    summary.expect("the log").expect("it holds");
    assert!(text.contains("class-forgotten"));
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_identity_writes_no_more_to_the_log_than_it_may() {
    // What the events' own limit says, and what the defaults say of devices that come and go.
    let few = |limits: Limits| Limits { events_per_minute: 1, events_burst: 100, ..limits };
    writes_at_most(few, 100).await;
    writes_at_most(|limits| limits, 200).await;
}

async fn writes_at_most(limits: impl Fn(Limits) -> Limits, entries: u64) {
    let site = Site::new();
    let limits = limits(site.config().limits);
    let coordinator = site.start_with(Config { limits, ..site.config() }).await;
    let (flooder, calm) = (new_key(), client(&coordinator, new_key()).await);
    let one = enrolment().devices.remove(0);
    let many = (0..16).map(|device| DeviceOffer { device, ..one.clone() }).collect();
    let all = serde_json::to_string(&Enrol { devices: many, ..enrolment() }).expect("JSON");
    let none = serde_json::to_string(&Enrol { devices: Vec::new(), ..enrolment() }).expect("JSON");
    let before = calm.health().await.expect("health").log_entries;
    let mut refused = 0;
    for body in [&all, &none].into_iter().cycle().take(40) {
        let raw = Raw::signed(site.key.identity(), &flooder, "POST", "/v1/provider", body);
        let (status, text) = raw.send(&coordinator).await;
        assert!(status == 200 || (status == 429 && text.contains("rate-limited")), "{text}");
        refused += u32::from(status == 429);
    }
    assert!(refused >= 20, "{refused}");
    let after = calm.health().await.expect("health").log_entries;
    // The last command that was taken may have begun with one entry left, and a few more are allowed meanwhile.
    assert!(after - before <= entries + 18 + 20, "{}", after - before);
    calm.enrol(&enrolment()).await.expect("nobody else waits");
    coordinator.stop().await;
}
