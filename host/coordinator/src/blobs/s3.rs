//! Blobs in storage that speaks S3. Requests and their signatures are `object_store`'s; they travel over the
//! connections of `anneal-api`, because the library's own client would bring a second HTTP and TLS stack.

use std::{sync::Arc, time::Duration};

use anneal_api::transport::{Connector, TransportError, client_of};
use futures_core::future::BoxFuture;
use http::uri::Scheme;
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, Error as RequestError};
use object_store::{
    ObjectStore,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    client::{
        ClientConfigKey, ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
        HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
    },
    prefix::PrefixStore,
};
use thiserror::Error;

use super::BlobError;

/// How long the storage may take to begin an answer: a part of an upload has travelled then.
const ANSWER_SECONDS_MAX: u64 = 300;

/// Opens a bucket. Asks it nothing yet.
pub(super) fn open(
    bucket: &str,
    prefix: &str,
    settings: &[(String, String)],
) -> Result<Arc<dyn ObjectStore>, BlobError> {
    let mut builder = AmazonS3Builder::new().with_http_connector(Connections).with_bucket_name(bucket);
    for (name, value) in settings {
        builder = builder.with_config(name.to_lowercase().parse()?, value);
    }
    Ok(Arc::new(PrefixStore::new(builder.build()?, prefix)))
}

/// Whether a setting of this name means something to S3.
pub(super) fn is_setting(name: &str) -> bool {
    name.starts_with("AWS_") && name.to_lowercase().parse::<AmazonS3ConfigKey>().is_ok()
}

/// Makes a client from settings.
#[derive(Debug)]
struct Connections;

impl HttpConnector for Connections {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed =
            |source: TransportError| object_store::Error::Generic { store: "S3", source: source.into() };
        let is_plain_allowed =
            options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
        let plain = if is_plain_allowed { Some(client_of(false).map_err(failed)?) } else { None };
        Ok(HttpClient::new(Service { tls: client_of(true).map_err(failed)?, plain }))
    }
}

type Requests = Client<Connector, HttpRequestBody>;

#[derive(Debug)]
struct Service {
    tls: Requests,
    /// Where the operator allows it.
    plain: Option<Requests>,
}

#[derive(Debug, Error)]
enum Refusal {
    #[error("{0} is no https:// address; set AWS_ALLOW_HTTP=true where the line to the storage is your own")]
    Plain(http::Uri),
    #[error("the storage did not begin an answer within {ANSWER_SECONDS_MAX} s")]
    Silent,
}

impl Service {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        let client = if uri.scheme() == Some(&Scheme::HTTPS) { Some(&self.tls) } else { self.plain.as_ref() };
        let client = client.ok_or_else(|| HttpError::new(HttpErrorKind::Unknown, Refusal::Plain(uri)))?;
        let limit = Duration::from_secs(ANSWER_SECONDS_MAX);
        let answer = tokio::time::timeout(limit, client.request(request)).await;
        let answer = answer.map_err(|_| HttpError::new(HttpErrorKind::Timeout, Refusal::Silent))?;
        let (parts, body) = answer.map_err(failed)?.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// The trait is one of `async_trait`'s: this is what its attribute would make.
impl HttpService for Service {
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> BoxFuture<'async_trait, Result<HttpResponse, HttpError>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.answer(request))
    }
}

/// What is sent again is for `object_store` to decide, by the kind.
fn failed(error: RequestError) -> HttpError {
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, error)
}
