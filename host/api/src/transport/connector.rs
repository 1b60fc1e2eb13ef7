//! What hyper's pool asks for a new connection.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Uri,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use super::socks;

/// How long a connection may take, TLS included.
const CONNECT_SECONDS_MAX: u64 = 15;

/// Makes connections.
#[derive(Clone)]
pub struct Connector {
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<String>,
}

/// A connection.
pub enum Stream {
    /// On loopback.
    Plain(TokioIo<TcpStream>),
    /// Everywhere else.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connector {
    pub(super) fn new(tls: Option<Arc<ClientConfig>>, proxy: Option<String>) -> Connector {
        Connector { tls, proxy }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Connector { tls, proxy } = self.clone();
        Box::pin(async move {
            let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
            let connecting = connect(uri, tls, proxy);
            tokio::time::timeout(limit, connecting)
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }
}

async fn connect(uri: Uri, tls: Option<Arc<ClientConfig>>, proxy: Option<String>) -> io::Result<Stream> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let stream = match proxy {
        Some(proxy) => socks::connect(&proxy, &host, port)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("through the proxy {proxy}: {error}")))?,
        None => TcpStream::connect((host.as_str(), port)).await?,
    };
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Stream::Plain(TokioIo::new(stream))) };
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
