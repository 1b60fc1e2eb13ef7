//! Strangers who want nothing but that others get nothing: unfinished uploads, bodies and headers that never end,
//! device classes nobody has, enrolments for the log's sake, blobs no job needs, and leases that are held and never
//! worked on. Each request is a new key's or a few keys', from a few network prefixes. Not the coalition that lies
//! (`attack`).

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anneal_api::{CommandId, Nonce, SecretKey, sign::RequestClaims};
use anneal_job::{Digest, Identity, Timestamp};
use http::HeaderMap;
use serde_json::{Value, json};

/// Between two requests of one kind: the machine is the network's, too, and what is measured is not its processor.
const PAUSE: Duration = Duration::from_millis(40);
/// Slow bodies, and slow headers, that are kept open at once.
const SLOW: usize = 150;
/// Unfinished uploads of one key.
const UPLOADS: usize = 16;
/// A blob that no job needs.
const BLOB_BYTES: usize = 1 << 20;
/// A coordinator that does not answer is being started again.
const REPLY_TIME: Duration = Duration::from_secs(10);

/// So many strangers, until this is dropped.
pub struct Flood {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    address: SocketAddr,
    prefixes: usize,
    stop: AtomicBool,
    keys: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
}

/// What they have done.
#[derive(Clone, Copy, Debug)]
pub struct Waste {
    /// New keys.
    pub keys: u64,
    /// Requests, and connections that never end.
    pub requests: u64,
    /// Of the requests: those that were refused, or not answered.
    pub refused: u64,
}

impl Flood {
    /// Floods a coordinator from so many network prefixes, as a trusted proxy would name them.
    pub fn start(address: SocketAddr, prefixes: usize) -> Flood {
        let shared = Arc::new(Shared {
            address,
            prefixes,
            stop: AtomicBool::new(false),
            keys: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let kinds: [fn(&Shared); 7] = [
            |shared| shared.each(unfinished_uploads),
            |shared| shared.each(strange_classes),
            |shared| shared.each(useless_blobs),
            |shared| shared.each(enrolments),
            |shared| shared.each(held_leases),
            |shared| shared.slow(slow_body),
            |shared| shared.slow(|_| Some(b"GET /v1/about HTTP/1.1\r\nhost: x\r\nx-".to_vec())),
        ];
        let begin = |kind: fn(&Shared)| {
            let shared = shared.clone();
            thread::spawn(move || kind(&shared))
        };
        let threads = kinds.into_iter().map(begin).collect();
        Flood { shared, threads }
    }

    /// What they have done so far.
    pub fn waste(&self) -> Waste {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { keys, requests, refused, .. } = &*self.shared;
        Waste { keys: read(keys), requests: read(requests), refused: read(refused) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic was told by itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// One stranger after the other.
    fn each(&self, waste: fn(&Stranger<'_>) -> Option<()>) {
        let mut audience = None;
        while !self.is_over() {
            // A coordinator keeps its key when it is started again.
            audience = audience.or_else(|| self.audience());
            let stranger = audience.map(|audience| Stranger::new(self, audience));
            if stranger.and_then(|stranger| waste(&stranger)).is_none() {
                thread::sleep(Duration::from_millis(200));
            }
        }
    }

    /// Connections that are kept open with a byte now and then.
    fn slow(&self, begin: fn(&Stranger<'_>) -> Option<Vec<u8>>) {
        let mut open: Vec<TcpStream> = Vec::new();
        let mut audience = None;
        while !self.is_over() {
            audience = audience.or_else(|| self.audience());
            let stranger = audience.map(|audience| Stranger::new(self, audience));
            if open.len() < SLOW
                && let Some(bytes) = stranger.and_then(|stranger| begin(&stranger))
                && let Ok(mut socket) = TcpStream::connect(self.address)
                && socket.write_all(&bytes).is_ok()
            {
                self.requests.fetch_add(1, Ordering::Relaxed);
                open.push(socket);
                thread::sleep(PAUSE);
            } else {
                open.retain_mut(|socket| socket.write_all(b"x").is_ok());
                thread::sleep(Duration::from_secs(1));
            }
        }
    }

    fn audience(&self) -> Option<Identity> {
        let reply = self.exchange(b"GET /v1/about HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        serde_json::from_slice::<Value>(&reply).ok()?["coordinator"].as_str()?.parse().ok()
    }

    /// Sends a request, and gives the body of a reply that is no refusal.
    fn exchange(&self, request: &[u8]) -> Option<Vec<u8>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let body = self.reply(request);
        self.refused.fetch_add(u64::from(body.is_none()), Ordering::Relaxed);
        body
    }

    fn reply(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut socket = TcpStream::connect_timeout(&self.address, REPLY_TIME).ok()?;
        socket.set_read_timeout(Some(REPLY_TIME)).ok()?;
        socket.write_all(request).ok()?;
        let mut reply = Vec::new();
        socket.read_to_end(&mut reply).ok()?;
        let end = reply.windows(4).position(|window| window == b"\r\n\r\n")?;
        reply.starts_with(b"HTTP/1.1 2").then(|| reply.split_off(end + 4))
    }
}

/// A new key at an address.
struct Stranger<'a> {
    shared: &'a Shared,
    audience: Identity,
    key: SecretKey,
    number: u64,
}

impl Stranger<'_> {
    fn new(shared: &Shared, audience: Identity) -> Stranger<'_> {
        let number = shared.keys.fetch_add(1, Ordering::Relaxed);
        Stranger { shared, audience, key: SecretKey::generate().expect("random bytes"), number }
    }

    /// A signed request as bytes; more body may be announced than is sent.
    fn request(&self, method: &str, target: &str, body: &[u8], announced: usize) -> Vec<u8> {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64;
        let claims = RequestClaims {
            audience: self.audience,
            method: method.to_owned(),
            target: target.to_owned(),
            body: Digest::of(body),
            at: Timestamp(now),
            nonce: Nonce::random().expect("random bytes"),
            command: Some(CommandId::random().expect("random bytes")),
        };
        let mut headers = HeaderMap::new();
        claims.sign_into(&self.key, &mut headers);
        let prefix = self.number as usize % self.shared.prefixes.max(1);
        let mut text = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 203.0.{prefix}.{}\r\n\
             content-length: {announced}\r\n",
            self.number % 250
        );
        for (name, value) in &headers {
            text += &format!("{name}: {}\r\n", value.to_str().expect("plain"));
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    fn send(&self, method: &str, target: &str, body: &[u8]) -> Option<Vec<u8>> {
        thread::sleep(PAUSE);
        self.shared.exchange(&self.request(method, target, body, body.len()))
    }

    fn enrol(&self, classes: &[String]) -> Option<Vec<u8>> {
        let about =
            self.shared.exchange(b"GET /v1/about HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let about: Value = serde_json::from_slice(&about).ok()?;
        let device = |(number, class): (usize, &String)| {
            json!({
                "device": number, "name": "a device", "class": class, "memory_bytes": 1u64 << 36,
                "features": ["cpu"], "software": false, "selftest": about["versions"]["task"],
                "speed_gas_per_second": 1, "price_floor": 0,
            })
        };
        let devices: Vec<Value> = classes.iter().enumerate().map(device).collect();
        let body = json!({ "name": "stranger", "payout": null, "devices": devices }).to_string();
        self.send("POST", "/v1/provider", body.as_bytes())
    }
}

fn random_digest() -> Digest {
    Digest::from_bytes(anneal_api::random_bytes::<32>().expect("random bytes"))
}

/// Uploads of which one byte of two is ever sent.
fn unfinished_uploads(stranger: &Stranger<'_>) -> Option<()> {
    (0..UPLOADS).try_for_each(|_| {
        let target = format!("/v1/blobs/{}?bytes=2&offset=0", random_digest());
        stranger.send("PUT", &target, b"x").map(drop)
    })
}

/// Devices of classes that nobody else has.
fn strange_classes(stranger: &Stranger<'_>) -> Option<()> {
    let classes: Vec<String> =
        (0..16).map(|device| format!("strange-{}-{device}", stranger.number)).collect();
    stranger.enrol(&classes).map(drop)
}

/// Blobs that are whole, and that no job needs.
fn useless_blobs(stranger: &Stranger<'_>) -> Option<()> {
    let mut blob = vec![0; BLOB_BYTES];
    blob[..32].copy_from_slice(random_digest().as_bytes());
    let target = format!("/v1/blobs/{}?bytes={BLOB_BYTES}&offset=0", Digest::of(&blob));
    stranger.send("PUT", &target, &blob)?;
    thread::sleep(10 * PAUSE);
    Some(())
}

/// One key that joins and leaves, for the log's sake.
fn enrolments(stranger: &Stranger<'_>) -> Option<()> {
    (0..8).try_for_each(|_| {
        stranger.enrol(&["cpu".to_owned()])?;
        stranger.enrol(&[]).map(drop)
    })
}

/// One key that takes every lease, says it is alive, and does nothing.
fn held_leases(stranger: &Stranger<'_>) -> Option<()> {
    stranger.enrol(&["cpu".to_owned()])?;
    let (mut holds, until) = (Vec::<Value>::new(), Instant::now() + Duration::from_secs(20));
    while Instant::now() < until && !stranger.shared.is_over() {
        let body = json!({ "idle": [0], "seen": 0, "wait_ms": 0, "holds": holds }).to_string();
        let reply = stranger.send("POST", "/v1/provider/poll", body.as_bytes())?;
        let reply: Value = serde_json::from_slice(&reply).ok()?;
        holds.extend(reply["leases"].as_array()?.iter().map(|lease| lease["attempt"].clone()));
        thread::sleep(5 * PAUSE);
    }
    Some(())
}

/// A large body of which a byte comes now and then.
fn slow_body(stranger: &Stranger<'_>) -> Option<Vec<u8>> {
    let target = format!("/v1/blobs/{}?bytes=8000000&offset=0", random_digest());
    Some(stranger.request("PUT", &target, b"x", 8_000_000))
}
