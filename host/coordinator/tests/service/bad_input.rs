//! What strangers may send, and the stable code that each gets. By hand over a socket, so nothing of the client
//! helps.

use std::sync::Arc;

use anneal_api::{ErrorBody, SecretKey, sign};
use anneal_coordinator::Limits;
use anneal_job::{Digest, Timestamp};
use http::HeaderMap;

use crate::{
    fixture::{Site, client, new_key},
    raw::{Raw, exchange, now},
};

fn check(what: &str, (status, body): &(u16, String), code: &str) {
    let error: ErrorBody =
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error}: {body}"));
    assert_eq!((error.code.as_str(), error.status), (code, *status), "{what}: {body}");
    assert!(!error.message.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_request_has_its_code() {
    let site = Site::new();
    let coordinator = site.start().await;
    let (here, key) = (site.key.identity(), new_key());
    let post = |target: &str, body: &str| Raw::signed(here, &key, "POST", target, body);
    let get = |target: &str| Raw::signed(here, &key, "GET", target, "");
    let poll = r#"{"idle":[],"seen":0,"wait_ms":0}"#;
    let send = async |raw: Raw| raw.send(&coordinator).await;

    check("no such path", &send(get("/v2/anything")).await, "not-found");
    check("another method", &send(post("/v1/about", "{}")).await, "method-not-allowed");
    let mut unsigned = post("/v1/provider/poll", poll);
    unsigned.headers.clear();
    check("no signature", &send(unsigned).await, "signature-missing");
    let elsewhere = Raw::signed(key.identity(), &key, "POST", "/v1/provider/poll", poll);
    check("for another coordinator", &send(elsewhere).await, "signature-wrong");
    let mut stolen = post("/v1/provider/poll", poll);
    let thief = new_key().identity().to_string();
    stolen.headers.insert(sign::IDENTITY_HEADER, thief.parse().expect("a header"));
    check("another's signature", &send(stolen).await, "signature-wrong");
    let mut moved = post("/v1/provider/poll", poll);
    moved.target = "/v1/provider/pause".to_owned();
    check("for another path", &send(moved).await, "signature-wrong");
    let mut changed = post("/v1/provider/poll", poll);
    changed.body = poll.replace('0', "1").into_bytes();
    check("another body", &send(changed).await, "body-digest");
    for at in [Timestamp(now().0 - 120_000), Timestamp(now().0 + 120_000)] {
        let stale = Raw::signed_at(here, &key, "POST", "/v1/provider/poll", poll, at);
        check("another time", &send(stale).await, "timestamp-stale");
    }
    let once = post("/v1/provider/poll", poll);
    check("the first time", &once.send(&coordinator).await, "unknown-provider");
    check("the same again", &once.send(&coordinator).await, "nonce-repeated");

    check("no JSON", &send(post("/v1/provider/poll", "{")).await, "malformed-body");
    check("another type", &send(post("/v1/provider/poll", r#"{"idle":1}"#)).await, "malformed-body");
    let unknown = r#"{"idle":[],"seen":0,"wait_ms":0,"hurry":true}"#;
    check("an unknown field", &send(post("/v1/provider/poll", unknown)).await, "unknown-field");
    check(
        "an unknown field of nothing",
        &send(post("/v1/blobs/missing", r#"{"blobs":[],"x":1}"#)).await,
        "unknown-field",
    );
    check("an unknown key", &send(get("/v1/jobs?limit=1&x=2")).await, "malformed-query");
    check("no number", &send(get("/v1/jobs?limit=many")).await, "malformed-query");
    for path in ["/v1/blobs/..%2f..%2fetc%2fpasswd", "/v1/blobs/x", "/v1/jobs/%00", "/v1/providers/%ff"] {
        let reply = send(get(path)).await;
        assert!([400, 404].contains(&reply.0), "{path}: {reply:?}");
        if reply.0 == 400 {
            check(path, &reply, "malformed-path");
        }
    }
    check("a path trick", &send(get("/v1/blobs/../../etc/passwd")).await, "not-found");
    let unknown_blob = format!("/v1/blobs/{}", Digest::of(b"nobody has it"));
    check("no such blob", &send(get(&unknown_blob)).await, "not-found");
    let large = format!("{{\"paused\":true,\"x\":\"{}\"}}", "x".repeat(2 << 20));
    check("too much", &send(post("/v1/provider/pause", &large)).await, "body-too-large");
    let long_name = r#"{"name":"","payout":null,"devices":[]}"#;
    check("no name", &send(post("/v1/provider", long_name)).await, "invalid");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rude_connection_ends_and_others_go_on() {
    let site = Site::new();
    let limits = Limits {
        header_time: std::time::Duration::from_millis(200),
        body_time: std::time::Duration::from_millis(200),
        ..site.config().limits
    };
    let coordinator = site.start_with(anneal_coordinator::Config { limits, ..site.config() }).await;
    // Slowly, and never done: the connection is closed, or the request refused.
    let (status, _) = exchange(&coordinator, b"GET /v1/about HTTP/1.1\r\nhost: x\r\n").await;
    assert!([0, 408].contains(&status), "{status}");
    let slow_body = b"POST /v1/provider/poll HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    let (status, _) = exchange(&coordinator, slow_body).await;
    assert_eq!(status, 401, "who is not signed is not waited for");
    let key = new_key();
    let mut half = Raw::signed(site.key.identity(), &key, "POST", "/v1/provider/pause", r#"{"paused":true}"#);
    let mut text =
        format!("POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 15\r\n", half.target);
    for (name, value) in &half.headers {
        text += &format!("{name}: {}\r\n", value.to_str().expect("plain"));
    }
    text += "\r\n{";
    check("half a body", &exchange(&coordinator, text.as_bytes()).await, "request-timeout");
    half.headers.clear();
    let many: String = (0..5_000).map(|number| format!("x-{number}: {number}\r\n")).collect();
    let (status, _) = exchange(&coordinator, format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert_eq!(status, 431);
    let (status, _) = exchange(&coordinator, b"\x16\x03\x01 no HTTP at all\r\n\r\n").await;
    assert!([0, 400].contains(&status), "{status}");
    let about = client(&coordinator, new_key()).await.about().await.expect("it still answers");
    assert_eq!(about.coordinator, site.key.identity());
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_much_waits_alone() {
    let site = Site::new();
    let limits = Limits { requests_per_minute: 60, requests_burst: 5, ..site.config().limits };
    let coordinator = site.start_with(anneal_coordinator::Config { limits, ..site.config() }).await;
    let (busy, calm) = (new_key(), new_key());
    let ask = async |key: &Arc<SecretKey>| {
        Raw::signed(site.key.identity(), key, "GET", "/v1/jobs", "").send(&coordinator).await
    };
    let mut refused = 0;
    for _ in 0..20 {
        let reply = ask(&busy).await;
        if reply.0 == 429 {
            check("too often", &reply, "rate-limited");
            refused += 1;
        }
    }
    assert!((10..=15).contains(&refused), "{refused}");
    assert_eq!(ask(&calm).await.0, 200);
    // Paths that nobody serves are counted, too, by address.
    let mut refused = 0;
    for path in ["/nothing", "/v1/about/more", "/v1/jobs/x/y/z"].iter().cycle().take(20) {
        let raw =
            Raw { method: "GET", target: (*path).to_owned(), body: Vec::new(), headers: HeaderMap::new() };
        let reply = raw.send(&coordinator).await;
        check(path, &reply, if reply.0 == 429 { "rate-limited" } else { "not-found" });
        refused += u32::from(reply.0 == 429);
    }
    assert!(refused >= 10, "{refused}");
    assert_eq!(ask(&calm).await.0, 200);
    coordinator.stop().await;
}
