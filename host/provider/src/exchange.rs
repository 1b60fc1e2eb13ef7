//! What the control socket and the page answer alike: how it goes, and what the owner wants. Who may ask is
//! checked before, by each of them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioTimer;
use serde::{Deserialize, Serialize};

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
pub(crate) const CONNECTIONS_MAX: usize = 32;
/// Bytes of a wish.
const BODY_BYTES_MAX: usize = 1024;
/// Until a request's headers are there, and its body.
const REQUEST_TIME: Duration = Duration::from_secs(10);

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

/// Answers the requests of one connection.
pub(crate) async fn serve<S, A, F>(stream: S, answer: Arc<A>)
where
    S: Read + Write + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Reply>,
{
    let service = service_fn(move |request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
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
