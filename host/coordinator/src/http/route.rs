//! From a request to its handler and back: access, path, query, body, errors in their one shape.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anneal_api::{Access, Endpoint, ErrorBody, ErrorCode, Media, Method};
use anneal_job::Digest;
use axum::{
    Extension, Router,
    body::Body,
    extract::{Query, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    response::Response,
    routing::{MethodFilter, on},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::{forward, guard::Caller};
use crate::{
    app::App,
    fair::{Full, Key, Party, Prefix},
    places::Place,
    writer::clock,
};

/// Bodies up to here are not counted.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// How long a larger one waits for its place.
const LARGE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A request, understood.
pub(super) struct Ask<E: Endpoint> {
    pub(super) caller: Caller,
    pub(super) path: E::Path,
    pub(super) query: E::Query,
    pub(super) body: E::Body,
    /// The body where it is bytes.
    pub(super) bytes: Bytes,
    pub(super) headers: HeaderMap,
    /// Large bodies take up memory together: so many at once.
    _large: Option<Place>,
}

/// The parts of a path; broken where they are no text.
type Params = Result<RawPathParams, RawPathParamsRejection>;

/// What a handler gives.
pub(super) type Outcome = Result<Response, ErrorBody>;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves an endpoint with a handler.
pub(super) fn route<E, F, R>(router: Router<Arc<App>>, handler: F) -> Router<Arc<App>>
where
    E: Endpoint,
    F: Fn(Arc<App>, Ask<E>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    let filter = match E::METHOD {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
    };
    let serve = move |State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, params, request| {
        let handler = handler.clone();
        async move {
            let begun = Instant::now();
            let outcome = serve_one::<E, R>(&app, peer, &params, request, handler).await;
            let response = outcome.unwrap_or_else(|error| refusal(&error));
            app.metrics.answered(E::NAME, response.status().as_u16(), begun.elapsed());
            response
        }
    };
    router.route(E::PATH, on(filter, serve))
}

/// Answers a request, or has the leader answer it.
async fn serve_one<E: Endpoint, R: Future<Output = Outcome>>(
    app: &Arc<App>,
    peer: Peer,
    params: &Params,
    request: Request,
    handler: impl Fn(Arc<App>, Ask<E>) -> R,
) -> Outcome {
    let (parts, body) = request.into_parts();
    let origin = forward::origin(app, &parts.headers, peer.0.ip())?;
    let caller = app.guard.admit(E::ACCESS, &parts, origin, clock())?;
    app.bans.check(caller.identity)?;
    let place = app.answering.enter(answering_party(&caller, peer)).map_err(busy)?;
    let answering = async {
        let ask = understand::<E>(app, caller, params, &parts, body).await?;
        let bytes = ask.bytes.clone();
        // Open requests are about this very process.
        let leader = if E::ACCESS == Access::Open { None } else { app.leader_elsewhere() };
        match leader {
            Some(leader) => forward::forward(app, &leader, &parts, bytes, origin).await,
            None => handler(app.clone(), ask).await,
        }
    };
    tokio::select! {
        outcome = answering => outcome,
        () = place.lost() => Err(busy(Full::Total)),
    }
}

/// Who is answered: on this machine, where many may come from one address, each connection by itself.
fn answering_party(caller: &Caller, peer: Peer) -> Party {
    match caller.party() {
        Party { prefix: Prefix::Local, key: Key::Address(_) } => {
            Party { prefix: Prefix::Local, key: Key::Connection(peer.0) }
        }
        party => party,
    }
}

/// What somebody is told for whom there is no place.
pub(super) fn busy(full: Full) -> ErrorBody {
    let whose = match full {
        Full::Key => "too much of yours is under way at once",
        Full::Prefix => "too much of your network's is under way at once",
        Full::Total => "too much is under way at once",
    };
    ErrorCode::Overloaded.because(whose)
}

async fn understand<E: Endpoint>(
    app: &App,
    caller: Caller,
    params: &Params,
    parts: &Parts,
    body: Body,
) -> Result<Ask<E>, ErrorBody> {
    let path = path::<E::Path>(params)?;
    let query = Query::<E::Query>::try_from_uri(&parts.uri)
        .map_err(|error| ErrorCode::MalformedQuery.because(error.to_string()))?;
    let limit = if E::BODY == Media::None { 0 } else { E::BODY_BYTES_MAX };
    let large = large_place(parts, limit, app, caller.party()).await?;
    let bytes = read_body(body, limit, app, large.as_ref()).await?;
    if caller.body.is_some_and(|digest| digest != Digest::of(&bytes)) {
        return Err(ErrorCode::BodyDigest.body());
    }
    let body = match E::BODY {
        Media::Json => json_body(&bytes)?,
        Media::None | Media::Bytes | Media::Text => {
            serde_json::from_str("{}").map_err(|_| ErrorCode::Internal.body())?
        }
    };
    Ok(Ask { caller, path, query: query.0, body, bytes, headers: parts.headers.clone(), _large: large })
}

fn path<T: DeserializeOwned>(params: &Params) -> Result<T, ErrorBody> {
    let params = params.as_ref().map_err(|error| ErrorCode::MalformedPath.because(error.to_string()))?;
    let fields = params.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    serde_json::from_value(serde_json::Value::Object(fields))
        .map_err(|error| ErrorCode::MalformedPath.because(error.to_string()))
}

/// A place for a body that may be large; who does not say how large it is takes one, too.
async fn large_place(
    parts: &Parts,
    limit: usize,
    app: &App,
    party: Party,
) -> Result<Option<Place>, ErrorBody> {
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if limit == 0 || length.is_some_and(|length: usize| length <= SMALL_BYTES_MAX) {
        return Ok(None);
    }
    if length.is_some_and(|length| length > limit) {
        return Err(ErrorCode::BodyTooLarge.because(format!("at most {limit} bytes")));
    }
    app.large_bodies.wait(party, LARGE_WAIT_MAX).await.map(Some).map_err(busy)
}

/// All of a body, unless it takes too long, or is slow while others wait for its place.
async fn read_body(body: Body, limit: usize, app: &App, place: Option<&Place>) -> Result<Bytes, ErrorBody> {
    let body = Limited::new(body, limit).map_frame(|frame| {
        if let (Some(place), Some(bytes)) = (place, frame.data_ref()) {
            place.add(bytes.len() as u64);
        }
        frame
    });
    let lost = async {
        match place {
            Some(place) => place.lost().await,
            None => std::future::pending().await,
        }
    };
    let reading = tokio::time::timeout(app.config.limits.body_time, body.collect());
    let read = tokio::select! {
        read = reading => read,
        () = lost => return Err(ErrorCode::RequestTimeout.because("others wait, and it comes slowly")),
    };
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ErrorCode::BodyTooLarge.because(format!("at most {limit} bytes")))
        }
        Ok(Err(error)) => Err(ErrorCode::MalformedBody.because(error.to_string())),
        Err(_) => Err(ErrorCode::RequestTimeout.body()),
    }
}

fn json_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ErrorBody> {
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = error.to_string();
        let unknown = detail.starts_with("unknown field");
        let code = if unknown { ErrorCode::UnknownField } else { ErrorCode::MalformedBody };
        code.because(detail)
    })
}

/// A reply in JSON.
pub(super) fn json<T: serde::Serialize>(reply: &T) -> Outcome {
    serde_json::to_vec(reply).map(raw_json).map_err(|error| ErrorCode::Internal.because(error.to_string()))
}

/// A reply that is JSON already.
pub(super) fn raw_json(bytes: Vec<u8>) -> Response {
    with_type(StatusCode::OK, "application/json", bytes)
}

/// A reply of another kind.
pub(super) fn with_type(status: StatusCode, media: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An error in its one shape.
pub(super) fn refusal(error: &ErrorBody) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(error).unwrap_or_default();
    let mut response = with_type(status, "application/json", body);
    if let Some(hint) = error.hint_ms.filter(|_| status == StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(hint.div_ceil(1000)));
    }
    response
}

/// A path that nobody serves. Counted by address like every request that nobody signed.
pub(super) async fn not_found(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    unserved(&app, peer, &request, ErrorCode::NotFound)
}

/// A path that is served, but not so.
pub(super) async fn method_not_allowed(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    unserved(&app, peer, &request, ErrorCode::MethodNotAllowed)
}

fn unserved(app: &App, peer: Peer, request: &Request, code: ErrorCode) -> Response {
    let begun = Instant::now();
    let origin = forward::origin(app, request.headers(), peer.0.ip());
    let refused = origin.and_then(|origin| app.guard.count(origin));
    let response = refusal(&refused.err().unwrap_or_else(|| code.body()));
    app.metrics.answered("Unserved", response.status().as_u16(), begun.elapsed());
    response
}
