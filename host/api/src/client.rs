//! The client of a coordinator: typed calls, retried over network losses, and blobs that are verified. Used by
//! the provider and the command; it keeps nothing on disk but what it is asked to download.
//!
//! Dropping a call's future closes its connection, which is how it is cancelled.

mod blobs;
mod calls;
mod options;
mod retry;
mod throttle;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_job::{Digest, Identity, JobId, Timestamp};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use thiserror::Error;

use crate::{
    Access, CommandId, CoordinatorUrl, Endpoint, ErrorBody, ErrorCode, KeyError, Media, Method, Nonce,
    Nothing, SecretKey, endpoint, endpoints,
    grant::{GRANT_HEADER, GrantError},
    sign,
    transport::{HttpClient, TransportError, http_client},
    wire::About,
};

pub use blobs::Progress;
pub use options::ClientOptions;
pub use retry::Retry;
pub use throttle::Throttle;

/// Bytes of a JSON reply.
const REPLY_BYTES_MAX: usize = 64 << 20;
/// How long a reply may take beyond what the request asks to wait.
const REPLY_SECONDS_MAX: u64 = 30;

/// A coordinator, and who talks to it. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    http: HttpClient,
    url: CoordinatorUrl,
    key: Arc<SecretKey>,
    coordinator: Identity,
    about: About,
    grant: Option<HeaderValue>,
    retry: Retry,
    throttle: Option<Arc<Throttle>>,
    /// Sent with every request.
    headers: HeaderMap,
    /// When this client began. Its clock counts from here: the system's may jump.
    began: Instant,
    /// The coordinator's clock less ours, in milliseconds.
    clock_offset_ms: AtomicI64,
}

/// Why a call did not succeed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The coordinator refused; its words.
    #[error("the coordinator refused: {0}")]
    Refused(ErrorBody),
    /// No connection, or it broke, until the retries' time was over.
    #[error("{url} cannot be reached; check the address and the network, then try again")]
    Network {
        /// Where.
        url: String,
        /// The last cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It does not speak our language.
    #[error("{url} is no coordinator of this version: {detail}")]
    Protocol {
        /// Where.
        url: String,
        /// What was wrong.
        detail: String,
    },
    /// Another key than the one expected.
    #[error("{url} is {found}, but was expected to be {expected}; do not go on unless you know why")]
    OtherCoordinator {
        /// Where.
        url: String,
        /// Whom it should be.
        expected: Identity,
        /// Who it is.
        found: Identity,
    },
    /// Bytes that are not those that were asked for.
    #[error("the coordinator sent other bytes than {expected}: they have digest {found}")]
    BlobDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A local file.
    #[error("{path} cannot be {action}")]
    File {
        /// The file.
        path: String,
        /// `read` or `written`.
        action: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What was given as a grant is none.
    #[error("the grant cannot be used: {0}")]
    Grant(GrantError),
    /// Nothing can be sent at all.
    #[error("connections cannot be set up")]
    Transport(#[from] TransportError),
    /// No random bytes.
    #[error("requests cannot be signed")]
    Key(#[from] KeyError),
}

impl ClientError {
    /// The code, where the coordinator refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            ClientError::Refused(body) => Some(&body.code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later, without anybody changing anything here.
    pub fn may_pass(&self) -> bool {
        retry::again(self).is_some()
    }
}

impl Client {
    /// Asks who is there. Fails where nobody answers within the retries' time, or another coordinator than the
    /// options name.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn connect(options: ClientOptions) -> Result<Client, ClientError> {
        let patience = options.retry;
        Client::connect_within(options, patience).await
    }

    /// The same, asking once: for who tries again by itself. Later calls are as patient as the options say.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn connect_once(options: ClientOptions) -> Result<Client, ClientError> {
        Client::connect_within(options, Retry::ONCE).await
    }

    async fn connect_within(options: ClientOptions, patience: Retry) -> Result<Client, ClientError> {
        let certificates: Vec<&std::path::Path> = options.certificates.iter().map(AsRef::as_ref).collect();
        let http = http_client(&options.url, options.proxy.clone(), &certificates)?;
        let about = patience.run(|| ask_about(&http, &options.url)).await?;
        if let Some(expected) = options.coordinator.filter(|expected| *expected != about.coordinator) {
            let (url, found) = (options.url.to_string(), about.coordinator);
            return Err(ClientError::OtherCoordinator { url, expected, found });
        }
        let grant = options.grant.as_ref().map(|grant| HeaderValue::from_str(grant.expose().trim()));
        let grant = grant.transpose().map_err(|_| ClientError::Grant(GrantError::Malformed))?;
        let offset = about.now.0.cast_signed();
        Ok(Client {
            inner: Arc::new(Inner {
                http,
                url: options.url,
                key: options.key,
                coordinator: about.coordinator,
                about,
                grant,
                retry: options.retry,
                throttle: options.throttle,
                headers: options.headers,
                began: Instant::now(),
                clock_offset_ms: AtomicI64::new(offset),
            }),
        })
    }

    /// The coordinator's key: whom requests are signed for, and who signs the log.
    pub fn coordinator(&self) -> Identity {
        self.inner.coordinator
    }

    /// What it said about itself when the client connected.
    pub fn about_cached(&self) -> &About {
        &self.inner.about
    }

    /// Who this client is.
    pub fn identity(&self) -> Identity {
        self.inner.key.identity()
    }

    /// What this client signs with.
    pub fn key(&self) -> Arc<SecretKey> {
        self.inner.key.clone()
    }

    /// Where the coordinator is.
    pub fn url(&self) -> &CoordinatorUrl {
        &self.inner.url
    }

    /// The coordinator's clock, as far as is known.
    pub fn now(&self) -> Timestamp {
        let offset = self.inner.clock_offset_ms.load(Ordering::Relaxed);
        Timestamp(self.clock_ms().saturating_add_signed(offset))
    }

    /// A link to the coordinator's page that shows one's own private jobs for `valid`.
    pub fn page_link(&self, valid: Duration) -> crate::Secret {
        let until = Timestamp(self.now().0.saturating_add(valid.as_millis() as u64));
        let token = crate::PageToken::make(&self.inner.key, self.inner.coordinator, until);
        crate::Secret::new(format!("{}/#token={}", self.inner.url, token.expose()))
    }

    /// A command without path or query, under an id of the caller's: sent again, even after a restart of either
    /// side, it is carried out once.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn call_as<E: Endpoint<Path = Nothing, Query = Nothing>>(
        &self,
        command: CommandId,
        body: &E::Body,
    ) -> Result<E::Reply, ClientError> {
        self.exchange::<E>(&Nothing {}, &Nothing {}, body, Some(command)).await
    }

    /// Lets whoever holds it read a job of one's own, and its blobs, for `valid`.
    pub fn grant(&self, job: JobId, valid: Duration) -> crate::Secret {
        let until = Timestamp(self.now().0.saturating_add(valid.as_millis() as u64));
        crate::Grant::make(&self.inner.key, self.inner.coordinator, job, until)
    }

    /// Any request of the table. A command gets one id for all its retries.
    ///
    /// # Errors
    /// As [`ClientError`] lists.
    pub async fn call<E: Endpoint>(
        &self,
        path: &E::Path,
        query: &E::Query,
        body: &E::Body,
    ) -> Result<E::Reply, ClientError> {
        let command = match E::METHOD {
            Method::Post => Some(CommandId::random()?),
            Method::Get | Method::Put => None,
        };
        self.exchange::<E>(path, query, body, command).await
    }

    async fn exchange<E: Endpoint>(
        &self,
        path: &E::Path,
        query: &E::Query,
        body: &E::Body,
        command: Option<CommandId>,
    ) -> Result<E::Reply, ClientError> {
        let body = match E::BODY {
            Media::Json => serde_json::to_vec(body).expect("a request's type holds nothing that JSON cannot"),
            Media::None | Media::Bytes | Media::Text => Vec::new(),
        };
        let wait_ms = wait_ms(query).max(wait_ms(&serde_json::from_slice::<serde_json::Value>(&body).ok()));
        let limit = Duration::from_secs(REPLY_SECONDS_MAX) + Duration::from_millis(wait_ms);
        let call = Call {
            method: E::METHOD,
            target: endpoint::target::<E>(path, query),
            signed: E::ACCESS != Access::Open,
            media: E::BODY,
            body: body.into(),
            command,
            range: None,
            limit,
        };
        let reply = self.inner.retry.run(|| self.json(&call)).await?;
        serde_json::from_slice(&reply).map_err(|error| self.protocol(error.to_string()))
    }

    async fn json(&self, call: &Call) -> Result<Bytes, ClientError> {
        let reading = async {
            let reply = self.send(call).await?;
            read_all(&self.inner.url, reply, REPLY_BYTES_MAX).await
        };
        match tokio::time::timeout(call.limit, reading).await {
            Ok(reply) => reply,
            Err(elapsed) => Err(network(&self.inner.url, elapsed)),
        }
    }

    /// Sends once; a stale time is corrected and sent again.
    async fn send(&self, call: &Call) -> Result<Response<Incoming>, ClientError> {
        match self.send_once(call).await {
            Err(ClientError::Refused(ErrorBody { code, hint_ms: Some(now), .. }))
                if code == ErrorCode::TimestampStale.name() =>
            {
                let offset = now.cast_signed().wrapping_sub(self.clock_ms().cast_signed());
                self.inner.clock_offset_ms.store(offset, Ordering::Relaxed);
                self.send_once(call).await
            }
            other => other,
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Response<Incoming>, ClientError> {
        let mut request = request(&self.inner.url, call)?;
        request.headers_mut().extend(self.inner.headers.clone());
        if call.signed {
            let claims = sign::RequestClaims {
                audience: self.inner.coordinator,
                method: call.method.name().to_owned(),
                target: call.target.clone(),
                body: Digest::of(&call.body),
                at: self.now(),
                nonce: Nonce::random()?,
                command: call.command,
            };
            claims.sign_into(&self.inner.key, request.headers_mut());
            if let Some(grant) = &self.inner.grant {
                request.headers_mut().insert(GRANT_HEADER, grant.clone());
            }
        }
        answered(&self.inner.http, &self.inner.url, request).await
    }

    /// Waits until bytes of a blob may travel.
    async fn pass(&self, bytes: u64) {
        if let Some(throttle) = &self.inner.throttle {
            throttle.take(bytes).await;
        }
    }

    /// Our clock: it neither jumps nor stands still while this machine is awake.
    fn clock_ms(&self) -> u64 {
        self.inner.began.elapsed().as_millis() as u64
    }

    fn protocol(&self, detail: impl Into<String>) -> ClientError {
        ClientError::Protocol { url: self.inner.url.to_string(), detail: detail.into() }
    }
}

/// A request before it is signed.
struct Call {
    method: Method,
    target: String,
    signed: bool,
    media: Media,
    body: Bytes,
    command: Option<CommandId>,
    range: Option<String>,
    limit: Duration,
}

async fn ask_about(http: &HttpClient, url: &CoordinatorUrl) -> Result<About, ClientError> {
    let call = Call {
        method: Method::Get,
        target: <endpoints::GetAbout as Endpoint>::PATH.to_owned(),
        signed: false,
        media: Media::None,
        body: Bytes::new(),
        command: None,
        range: None,
        limit: Duration::from_secs(REPLY_SECONDS_MAX),
    };
    let reading = async {
        let reply = answered(http, url, request(url, &call)?).await?;
        read_all(url, reply, REPLY_BYTES_MAX).await
    };
    let reply =
        tokio::time::timeout(call.limit, reading).await.map_err(|elapsed| network(url, elapsed))??;
    let protocol = |detail: String| ClientError::Protocol { url: url.to_string(), detail };
    let about: About = serde_json::from_slice(&reply).map_err(|error| protocol(error.to_string()))?;
    if about.service != "anneal" || about.api != crate::API_VERSION {
        let detail =
            format!("it is {} with API {}, we speak {}", about.service, about.api, crate::API_VERSION);
        return Err(protocol(detail));
    }
    Ok(about)
}

fn request(url: &CoordinatorUrl, call: &Call) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut request = Request::builder().method(call.method.name()).uri(format!("{url}{}", call.target));
    let media = match call.media {
        Media::None => None,
        Media::Json => Some("application/json"),
        Media::Bytes => Some("application/octet-stream"),
        Media::Text => Some("text/plain"),
    };
    if let Some(media) = media {
        request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    if let Some(range) = &call.range {
        request = request.header(header::RANGE, range);
    }
    request
        .body(Full::new(call.body.clone()))
        .map_err(|error| ClientError::Protocol { url: url.to_string(), detail: error.to_string() })
}

/// Sends a request and turns a refusal into an error.
async fn answered(
    http: &HttpClient,
    url: &CoordinatorUrl,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ClientError> {
    let reply = http.request(request).await.map_err(|error| network(url, error))?;
    if reply.status().is_success() {
        return Ok(reply);
    }
    let status = reply.status();
    let body = read_all(url, reply, REPLY_BYTES_MAX).await?;
    match serde_json::from_slice(&body) {
        Ok(refusal) => Err(ClientError::Refused(refusal)),
        Err(_) => {
            Err(ClientError::Protocol { url: url.to_string(), detail: format!("it answered {status}") })
        }
    }
}

async fn read_all(
    url: &CoordinatorUrl,
    reply: Response<Incoming>,
    limit: usize,
) -> Result<Bytes, ClientError> {
    match Limited::new(reply.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(source) => Err(ClientError::Network { url: url.to_string(), source }),
    }
}

fn network(url: &CoordinatorUrl, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Network { url: url.to_string(), source: source.into() }
}

/// How long the request asks to wait.
fn wait_ms(fields: &impl serde::Serialize) -> u64 {
    let value = serde_json::to_value(fields).unwrap_or_default();
    value.get("wait_ms").and_then(serde_json::Value::as_u64).unwrap_or(0).min(endpoints::WAIT_MS_MAX)
}
