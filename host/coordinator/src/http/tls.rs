//! TLS by rustls with ring: the coordinator's certificate and key.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Bytes of a PEM file: a chain of certificates.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is no PEM of what it should be.
    #[error("{path} cannot be used as {what}")]
    File {
        /// The file.
        path: String,
        /// A certificate or a key.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit.
    #[error("certificate and key cannot be used together")]
    Unfit(#[from] rustls::Error),
}

/// Takes TLS connections.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let wrong = |path: &std::path::Path, what| {
        let path = path.display().to_string();
        move |source| TlsError::File { path, what, source }
    };
    let read = |path: &std::path::Path, what| {
        anneal_files::read_bounded(path, PEM_BYTES_MAX)
            .map_err(|error| wrong(path, what)(pem::Error::Io(error.into())))
    };
    let chain = CertificateDer::pem_slice_iter(&read(&files.certificate, "a certificate")?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong(&files.certificate, "a certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key, "a private key")?)
        .map_err(wrong(&files.key, "a private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
