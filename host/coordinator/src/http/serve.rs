//! Connections: accepting, limits on how many and how slow, and stopping without cutting anybody off.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
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
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{route::Peer, stall::Stalling};
use crate::{
    app::App,
    fair::{Bounds, Key, Party, Prefix},
    places::{Place, Places, Worth},
    proxy::{self, Network},
};

/// Bytes of a request's line and headers together.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// A connection keeps its place so long before it has sent a request.
const CONNECTION_GRACE: Duration = Duration::from_secs(5);
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

impl Server {
    /// Serves until told to stop; then answers what was asked, for a while.
    pub(crate) async fn run(self, mut stopping: watch::Receiver<bool>) {
        let limits = self.app.config.limits;
        let bounds = Bounds {
            key: limits.address_connections_max,
            prefix: limits.prefix_connections_max,
            total: limits.connections_max,
            waiting: 0,
            waiting_key: 0,
        };
        // Who has sent nothing within the time of grace goes for who comes.
        let places = Places::new(bounds, Worth::Amount, 1, CONNECTION_GRACE);
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
            let Ok(place) = places.enter(party(&self.app.config.trusted_proxies, peer)) else {
                self.app.metrics.connections_refused.fetch_add(1, Relaxed);
                continue;
            };
            let place = Arc::new(place);
            let connection = self.connection(stream, peer, place.clone(), stopping.clone());
            let app = self.app.clone();
            connections.spawn(async move {
                app.metrics.connections.fetch_add(1, Relaxed);
                tokio::select! {
                    () = connection => {}
                    () = place.lost() => tracing::debug!(%peer, "a connection is cut: another needs its place"),
                }
                app.metrics.connections.fetch_sub(1, Relaxed);
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
        place: Arc<Place>,
        stopping: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        let (tls, router) = (self.tls.clone(), self.router.clone());
        let header_time = self.app.config.limits.header_time;
        async move {
            // Small replies must not wait for each other.
            let _ = stream.set_nodelay(true);
            match tls {
                None => {
                    let stream = TokioIo::new(Stalling::new(stream));
                    exchange(stream, router, (peer, place), header_time, stopping).await;
                }
                Some(tls) => match tokio::time::timeout(header_time, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let stream = TokioIo::new(Stalling::new(stream));
                        exchange(stream, router, (peer, place), header_time, stopping).await;
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
    (peer, place): (SocketAddr, Arc<Place>),
    header_time: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let from = Peer(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(header_time).max_headers(HEADERS_MAX);
    builder.max_buf_size(HEADER_BYTES_MAX);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        place.add(1);
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

/// Whose share a connection takes: an address's; on this machine and from a trusted proxy, where many come from one,
/// each connection by itself.
fn party(trusted: &[Network], peer: SocketAddr) -> Party {
    match Party::unsigned(peer.ip()) {
        party if party.prefix == Prefix::Local || proxy::is_trusted(trusted, peer.ip()) => {
            Party { prefix: Prefix::Local, key: Key::Connection(peer) }
        }
        party => party,
    }
}
