//! What the control socket and the page answer alike: how it goes, and what the owner wants. Who may ask is
//! checked before, by each of them.
//!
//! Whoever connects and asks nothing delays nobody: where all places are taken, the connection that has waited
//! longest without a request goes.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{AbortHandle, JoinSet},
};

use crate::{
    agent::chain,
    owner::{Owner, OwnerStatus},
    status::Wish,
};

/// Where the status is.
pub(crate) const STATUS: &str = "/v1/status";
/// Where a wish goes.
pub(crate) const WISH: &str = "/v1/wish";
/// Connections at a time.
pub(crate) const CONNECTIONS_MAX: usize = 64;
/// After an error of the listener.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a wish.
const BODY_BYTES_MAX: usize = 1024;
/// Until a request's headers are there, and its body. In tests nobody is helped by its end.
const REQUEST_TIME: Duration = Duration::from_secs(if cfg!(test) { 24 * 3600 } else { 10 });

/// The body of a wish.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WishRequest {
    pub(crate) wish: Wish,
}

/// The body of a refusal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// A reply with its whole body.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Where connections come from.
pub(crate) trait Listener {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for tokio::net::TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn next(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn next(&self) -> io::Result<Self::Stream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// A connection that is open.
struct Seat {
    /// Whether a request of it is being answered.
    is_busy: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Open connections by their number, the oldest first.
type Seats = Arc<Mutex<BTreeMap<u64, Seat>>>;

/// Answers whoever connects, for ever.
pub(crate) async fn serve<L, A, F>(listener: L, answer: A)
where
    L: Listener,
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let (seats, answer) = (Seats::default(), Arc::new(answer));
    // Connections end with whoever serves them.
    let mut open = JoinSet::new();
    for number in 0.. {
        let stream = loop {
            match listener.next().await {
                Ok(stream) => break stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        while open.try_join_next().is_some() {}
        make_room(&seats);
        let is_busy = Arc::new(AtomicBool::new(false));
        let (answer, busy, left) = (Arc::clone(&answer), Arc::clone(&is_busy), Arc::clone(&seats));
        let mut held = seats.lock().unwrap_or_else(PoisonError::into_inner);
        let task = open.spawn(async move {
            serve_one(TokioIo::new(stream), answer, busy).await;
            left.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        });
        held.insert(number, Seat { is_busy, task });
    }
}

/// Lets go of the connection that has asked nothing for longest, where there are too many; of the oldest where all
/// are being answered, which only the owner's are.
fn make_room(seats: &Seats) {
    let mut seats = seats.lock().unwrap_or_else(PoisonError::into_inner);
    if seats.len() < CONNECTIONS_MAX {
        return;
    }
    let idle = seats.iter().find(|(_, seat)| !seat.is_busy.load(Ordering::Relaxed));
    let goes = idle.or_else(|| seats.iter().next()).map(|(number, _)| *number);
    if let Some(seat) = goes.and_then(|number| seats.remove(&number)) {
        seat.task.abort();
    }
}

/// Answers the requests of one connection.
async fn serve_one<S, A, F>(stream: S, answer: Arc<A>, is_busy: Arc<AtomicBool>)
where
    S: Read + Write + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Reply>,
{
    let service = service_fn(move |request| {
        let (answering, is_busy) = (answer(request), Arc::clone(&is_busy));
        async move {
            is_busy.store(true, Ordering::Relaxed);
            let reply = answering.await;
            is_busy.store(false, Ordering::Relaxed);
            Ok::<_, Infallible>(reply)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME).max_headers(64);
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!(%error, "an owner's connection ended");
    }
}

/// The reply to a request that may be made.
pub(crate) async fn answer(owner: &Owner, request: Request<Incoming>) -> Reply {
    match (request.method(), request.uri().path()) {
        (&Method::GET, STATUS) => json(StatusCode::OK, &owner.status()),
        (&Method::POST, WISH) => match wish(owner, request.into_body()).await {
            Ok(status) => json(StatusCode::OK, &status),
            Err(refusal) => refusal,
        },
        (_, STATUS | WISH) => refuse(StatusCode::METHOD_NOT_ALLOWED, "method-wrong", "not with this method"),
        _ => refuse(StatusCode::NOT_FOUND, "not-found", "there is nothing here"),
    }
}

async fn wish(owner: &Owner, body: Incoming) -> Result<OwnerStatus, Reply> {
    let malformed = |words: &str| refuse(StatusCode::BAD_REQUEST, "malformed-body", words);
    let read = tokio::time::timeout(REQUEST_TIME, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let Ok(Ok(body)) = read else { return Err(malformed("the body is late, or longer than a wish")) };
    let read: Result<WishRequest, _> = serde_json::from_slice(&body.to_bytes());
    let WishRequest { wish } =
        read.map_err(|_| malformed("the body must be {\"wish\": \"run\"}, or pause, finish or leave"))?;
    let failed = |words: &str| refuse(StatusCode::INTERNAL_SERVER_ERROR, "folder-fails", words);
    owner.wish(wish).map_err(|error| failed(&chain(&error)))?;
    Ok(owner.status())
}

/// A refusal: a stable code, and words for people.
pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Reply {
    json(status, &Refusal { code: code.to_owned(), message: message.to_owned() })
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Reply {
    let body = serde_json::to_vec(body).expect("a status holds nothing that JSON cannot");
    with_type(status, "application/json", body)
}

/// A reply that nobody keeps.
pub(crate) fn with_type(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}
