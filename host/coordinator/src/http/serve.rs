//! Connections: accepting, limits on how many and how slow, and stopping without cutting anybody off.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum::Router;
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::http1,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{route::Peer, stall::Stalling};
use crate::app::App;

/// Bytes of a request's line and headers together.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long after an error of the listener the next connection is taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What serves connections.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
}

/// Listens.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Connections by address.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place among those of its address.
struct AddressPlace(Addresses, IpAddr);

impl Server {
    /// Serves until told to stop; then answers what was asked, for a while.
    pub(crate) async fn run(self, mut stopping: watch::Receiver<bool>) {
        let limits = self.app.config.limits;
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let addresses = Addresses::default();
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Often there are no more files; one pause frees some.
                    tracing::warn!(%error, "no connection can be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = places.clone().try_acquire_owned();
            let address = addresses.enter(peer.ip(), limits.address_connections_max);
            let (Ok(place), Some(address)) = (place, address) else {
                self.app.metrics.connections_refused.fetch_add(1, Relaxed);
                continue;
            };
            let connection = self.connection(stream, peer, stopping.clone());
            let app = self.app.clone();
            connections.spawn(async move {
                app.metrics.connections.fetch_add(1, Relaxed);
                connection.await;
                app.metrics.connections.fetch_sub(1, Relaxed);
                drop((place, address));
            });
        }
        drop(self.listener);
        let finishing = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.shutdown_time, finishing).await.is_err() {
            tracing::warn!("some connections were still busy and are cut");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        stopping: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        let (tls, router) = (self.tls.clone(), self.router.clone());
        let header_time = self.app.config.limits.header_time;
        async move {
            // Small replies must not wait for each other.
            let _ = stream.set_nodelay(true);
            match tls {
                None => {
                    exchange(TokioIo::new(Stalling::new(stream)), router, peer, header_time, stopping).await
                }
                Some(tls) => match tokio::time::timeout(header_time, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        exchange(TokioIo::new(Stalling::new(stream)), router, peer, header_time, stopping)
                            .await;
                    }
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                    Err(_) => tracing::debug!(%peer, "TLS took too long"),
                },
            }
        }
    }
}

/// Requests and replies of one connection.
async fn exchange<S: Read + Write + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    peer: SocketAddr,
    header_time: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let from = Peer(peer.ip().to_canonical());
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_time).max_headers(HEADERS_MAX);
    builder.max_buf_size(HEADER_BYTES_MAX);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(from);
        hyper::service::Service::call(&service, request)
    });
    let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
    let stop = async { drop(stopping.wait_for(|stopping| *stopping).await) };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

impl Addresses {
    /// A place, where the address has one left. Everything on this machine may come from loopback.
    fn enter(&self, address: IpAddr, limit: usize) -> Option<AddressPlace> {
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= limit && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(AddressPlace(self.clone(), address))
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
