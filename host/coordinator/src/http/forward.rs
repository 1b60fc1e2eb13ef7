//! Requests that only the leader can answer, passed on to it by a process that follows. The signature travels
//! with the request, so the leader checks it itself; who passes on signs where it came from.

use std::{net::IpAddr, sync::PoisonError, time::Duration};

use anneal_api::{
    CoordinatorUrl, ErrorBody, ErrorCode, SecretKey, Signature,
    sign::{COMMAND_HEADER, SIGNATURE_HEADER},
    transport::{HttpClient, TransportError, http_client},
};
use anneal_job::{Digest, Identity, RecordHasher};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header, request::Parts};
use http_body_util::Full;

use crate::{app::App, proxy};

/// Where a request came from, and the coordinator's signature over that and the request's own.
const ORIGIN_HEADER: &str = "anneal-origin";
/// How long the leader may take: a long poll and a little more.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Sends a request to the leader and gives its reply.
pub(super) async fn forward(
    app: &App,
    leader: &str,
    parts: &Parts,
    body: Bytes,
    origin: IpAddr,
) -> Result<Response, ErrorBody> {
    let unreachable = |detail: String| ErrorCode::NotLeader.because(detail);
    // A request that was passed on already goes no further: the two would play ball with it.
    if parts.headers.contains_key(ORIGIN_HEADER) {
        return Err(ErrorCode::NotLeader.body());
    }
    let url: CoordinatorUrl = leader.parse().map_err(|error| unreachable(format!("{error}")))?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::builder().method(parts.method.clone()).uri(format!("{url}{target}"));
    let mut request = request.body(Full::new(body)).map_err(|error| unreachable(error.to_string()))?;
    let passed = |name: &&http::HeaderName| {
        name.as_str().starts_with("anneal-")
            || [header::AUTHORIZATION, header::RANGE, header::CONTENT_TYPE].contains(name)
    };
    for name in parts.headers.keys().filter(passed) {
        for value in parts.headers.get_all(name) {
            request.headers_mut().append(name.clone(), value.clone());
        }
    }
    let mark = mark(&app.config.key, &parts.headers, origin);
    request.headers_mut().insert(ORIGIN_HEADER, mark.ok_or_else(|| ErrorCode::Internal.body())?);
    let client = client(app, leader, &url).map_err(|error| unreachable(error.to_string()))?;
    match tokio::time::timeout(TIME_MAX, client.request(request)).await {
        Ok(Ok(reply)) => Ok(reply.map(Body::new)),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable("the leader took too long".to_owned())),
    }
}

/// The connections to this leader; new ones where another one leads.
fn client(app: &App, leader: &str, url: &CoordinatorUrl) -> Result<HttpClient, TransportError> {
    let mut known = app.leader.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = known.as_ref().filter(|(address, _)| address == leader) {
        return Ok(client.clone());
    }
    let client = http_client(url, None, &app.config.leader_certificates())?;
    *known = Some((leader.to_owned(), client.clone()));
    Ok(client)
}

fn mark(key: &SecretKey, headers: &HeaderMap, origin: IpAddr) -> Option<HeaderValue> {
    let signature = key.sign(&signed(headers, origin));
    HeaderValue::from_str(&format!("{origin} {signature}")).ok()
}

/// The address that a request came from: what another process of this coordinator says, or a trusted proxy, or the
/// connection's own.
pub(super) fn origin(app: &App, headers: &HeaderMap, connection: IpAddr) -> Result<IpAddr, ErrorBody> {
    if let Some(origin) = marked(app.coordinator, headers) {
        return Ok(origin);
    }
    let client = proxy::client_address(&app.config.trusted_proxies, connection, headers);
    client.map_err(|error| ErrorCode::Invalid.because(error.to_string()))
}

/// What another process of this coordinator says.
fn marked(coordinator: Identity, headers: &HeaderMap) -> Option<IpAddr> {
    let (origin, signature) = headers.get(ORIGIN_HEADER)?.to_str().ok()?.split_once(' ')?;
    let (origin, signature) = (origin.parse().ok()?, Signature::parse(signature)?);
    signature.is_by(&coordinator, &signed(headers, origin)).then_some(origin)
}

/// Over this very request, so nobody can take the mark to another.
fn signed(headers: &HeaderMap, origin: IpAddr) -> Digest {
    let mut hasher = RecordHasher::new("anneal origin 1");
    hasher.bytes(origin.to_string().as_bytes());
    for name in [SIGNATURE_HEADER, COMMAND_HEADER, header::AUTHORIZATION.as_str()] {
        hasher.bytes(headers.get(name).map_or(&[], |value| value.as_bytes()));
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_believed_from_the_coordinator_only_and_for_one_request() {
        let key = SecretKey::generate().expect("random");
        let origin: IpAddr = [192, 0, 2, 1].into();
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_static("one"));
        let mark = mark(&key, &headers, origin).expect("a mark");
        headers.insert(ORIGIN_HEADER, mark);
        assert_eq!(marked(key.identity(), &headers), Some(origin));
        let other = SecretKey::generate().expect("random").identity();
        assert_eq!(marked(other, &headers), None);
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_static("two"));
        assert_eq!(marked(key.identity(), &headers), None);
    }
}
