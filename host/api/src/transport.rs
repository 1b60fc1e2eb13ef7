//! Connections to a coordinator: TCP, a SOCKS proxy where one is wished for, TLS but on loopback. Knows
//! nothing of requests.

mod connector;
mod socks;
mod url;

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper_util::{
    client::legacy::Client as HyperClient,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use thiserror::Error;

pub use connector::Connector;
pub use url::{CoordinatorUrl, UrlError, is_loopback};

/// Connections that wait for their next request, at most.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// How long they do: less than what a coordinator grants.
const IDLE_SECONDS: u64 = 10;
/// Bytes of a file of certificates.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// What sends requests.
pub type HttpClient = HyperClient<Connector, Full<Bytes>>;

/// Why no connection can be set up at all.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The system's certificates cannot be read.
    #[error("the system has no certificates to check a coordinator's with; install ca-certificates")]
    NoCertificates,
    /// A certificate file cannot be used.
    #[error("the certificate file {path} cannot be used")]
    Certificate {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cryptography refuses.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// A client for one coordinator.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_client(
    url: &CoordinatorUrl,
    proxy: Option<String>,
    certificates: &[&Path],
) -> Result<HttpClient, TransportError> {
    let tls = match url.is_tls() {
        true => Some(Arc::new(client_config(certificates)?)),
        false => None,
    };
    Ok(client(Connector::new(tls, proxy)))
}

/// A client with bodies of another kind, without TLS, or with the system's certificates.
///
/// # Errors
/// When TLS cannot be set up.
pub fn client_of<B>(is_tls: bool) -> Result<HyperClient<Connector, B>, TransportError>
where
    B: Body + Send,
    B::Data: Send,
{
    let tls = if is_tls { Some(Arc::new(client_config(&[])?)) } else { None };
    Ok(client(Connector::new(tls, None)))
}

fn client<B>(connector: Connector) -> HyperClient<Connector, B>
where
    B: Body + Send,
    B::Data: Send,
{
    HyperClient::builder(TokioExecutor::new())
        .pool_idle_timeout(std::time::Duration::from_secs(IDLE_SECONDS))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// TLS as a client that trusts the system's roots and those of the files.
///
/// # Errors
/// When there is no root at all, or a file holds none.
pub fn client_config(certificates: &[&Path]) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        // What the system has and rustls does not understand is no root.
        let _ = roots.add(certificate);
    }
    for path in certificates {
        let wrong = |source| TransportError::Certificate { path: path.display().to_string(), source };
        let pem = anneal_files::read_bounded(path, PEM_BYTES_MAX).map_err(|error| wrong(error.into()))?;
        let found = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(io::Error::other(error)))?;
        for certificate in found {
            roots.add(certificate).map_err(|error| wrong(io::Error::other(error)))?;
        }
    }
    if roots.is_empty() {
        return Err(TransportError::NoCertificates);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
