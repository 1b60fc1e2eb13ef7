//! A running coordinator: its parts put together, started, and stopped in order.

use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock, Weak, atomic::Ordering::Relaxed, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::sync::{Semaphore, watch};

use crate::{
    admit::{self, Admissions},
    app::App,
    bans::Bans,
    blobs::{BlobError, BlobPlace, Blobs, UploadLimits, Uploads},
    config::Config,
    disk::Disk,
    http::{self, Server, TlsError, guard::Guard},
    metrics::Metrics,
    places,
    profile::Profiles,
    queue::Lane,
    replay::{self, Orders, Replayer},
    scrub,
    store::{Reader, StoreError, StoreUrl, Transaction},
    sweep,
    views::Ends,
    waiters::Waiters,
    writer::{Begun, LeadError, Listener, Notice, Role, Supervisor, clock},
};

/// Why a coordinator cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Plain HTTP would be reachable from other machines.
    #[error(
        "without a certificate it listens on loopback only, and {0} is not; give it a certificate and a key"
    )]
    PlainBeyondLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The blobs' places.
    #[error("the blobs' folder or storage cannot be used")]
    Blobs(#[from] BlobError),
    /// Another process works in the folder for unfinished work.
    #[error("another coordinator works in {0}; stop it, or give this one a folder of its own")]
    InUse(PathBuf),
    /// The folder for unfinished work.
    #[error("{folder} cannot be used; check its rights and its disk")]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread.
    #[error("the writer's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// How often a writer that has not ended is told to.
const STOP_EVERY: Duration = Duration::from_millis(100);

/// A running coordinator. Dropping it without [`Coordinator::stop`] cuts everything off, as a crash would.
pub struct Coordinator {
    address: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    stop_writer: mpsc::Sender<()>,
    server: tokio::task::JoinHandle<()>,
    writer: JoinHandle<()>,
    /// One process a folder, for as long as it lives.
    _lock: File,
}

impl Coordinator {
    /// Starts it on the current tokio runtime. Returns when it listens; it may still be loading, or waiting to
    /// lead: `/ready` says.
    ///
    /// # Errors
    /// When its address, certificate, store or folders cannot be used.
    pub async fn start(config: Config, replayer: Arc<dyn Replayer>) -> Result<Coordinator, StartError> {
        if config.tls.is_none() && !config.listen.ip().is_loopback() {
            return Err(StartError::PlainBeyondLoopback(config.listen));
        }
        let tls = config.tls.as_ref().map(http::acceptor).transpose()?;
        let lock = lock(&config.scratch)?;
        let listen = config.listen;
        let listening = http::bind(listen).await;
        let listener = listening.map_err(|source| StartError::Listen { address: listen, source })?;
        let bound = listener.local_addr().map_err(|source| StartError::Listen { address: listen, source })?;
        let (stop, stopping) = watch::channel(false);
        let store_url = Arc::new(config.store.clone());
        let app = app(config, store_url.clone(), stopping.clone())?;
        // A store that cannot be opened at all is the owner's to hear of at once.
        app.reader.read(|_| Ok(())).await?;
        let ear = Ear { app: Arc::downgrade(&app), runtime: tokio::runtime::Handle::current() };
        let supervisor = Supervisor {
            url: store_url,
            key: app.config.key.clone(),
            address: app.config.advertise.clone().unwrap_or_else(|| format!("http://{bound}")),
            parameters: app.config.parameters.clone(),
            vouched: app.config.vouched.clone(),
            listener: Arc::new(ear),
            role: app.role.clone(),
            check: app.config.check_at_start,
        };
        let (stop_writer, writer_stopping) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("anneal-writer".to_owned())
            .spawn(move || supervisor.run(&writer_stopping))
            .map_err(StartError::Thread)?;
        // One more, so that long replays never hold up the others.
        let lanes = (0..app.config.limits.replay_workers).map(|_| Lane::All).chain([Lane::Short]);
        for lane in lanes {
            tokio::spawn(replay::work(app.clone(), lane, replayer.clone(), stopping.clone()));
        }
        // Two, so that components which take long to compile never hold up the others.
        for lane in [Lane::All, Lane::Short] {
            tokio::spawn(admit::work(app.clone(), lane, replayer.clone(), stopping.clone()));
        }
        tokio::spawn(sweep::work(app.clone(), stopping.clone()));
        tokio::spawn(sweep::work_uploads(app.clone(), stopping.clone()));
        tokio::spawn(scrub::work(app.clone(), stopping.clone()));
        let router = http::router(app.clone());
        let server = Server { listener, tls, app: app.clone(), router };
        let server = tokio::spawn(server.run(stopping));
        Ok(Coordinator { address: bound, app, stop, stop_writer, server, writer, _lock: lock })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it is clear that this process can never lead, and says why: its data is damaged, another key's, or
    /// another process's. What it still answers then is nothing that anybody needs.
    pub async fn broken(&self) -> String {
        let mut broken = self.app.broken.subscribe();
        let reason = broken.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_default()
    }

    /// Removes blobs that nobody needs, now. It does so by itself every ten minutes, too.
    ///
    /// # Errors
    /// When it does not lead, or the storage fails.
    pub async fn sweep(&self) -> Result<u64, anneal_api::ErrorBody> {
        sweep::sweep(&self.app).await
    }

    /// Reads every blob again and removes those that are lost or have changed, now; says how many. It does so by
    /// itself once a day, slowly.
    ///
    /// # Errors
    /// When it does not lead, or the storage fails.
    pub async fn scrub(&self) -> Result<u64, anneal_api::ErrorBody> {
        scrub::scrub(&self.app, u64::MAX).await
    }

    /// Takes no new requests, answers those it has, writes what waits, and gives up the lead.
    pub async fn stop(self) {
        // Whoever listens hears it; nobody may.
        let _ = self.stop.send(true);
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the server broke");
        }
        let _ = self.stop_writer.send(());
        let mut joining = tokio::task::spawn_blocking(move || self.writer.join());
        let joined = loop {
            // One that begins to lead at this moment had nobody to tell before: it is told again.
            if let Ok(writer) = self.app.writer() {
                writer.stop();
            }
            if let Ok(joined) = tokio::time::timeout(STOP_EVERY, &mut joining).await {
                break joined;
            }
        };
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the writer broke");
        }
    }
}

/// The folders whose disks fill up.
fn disks(config: &Config) -> Vec<PathBuf> {
    let state = match &config.store {
        StoreUrl::Sqlite(path) => path.parent().map(Path::to_owned),
        StoreUrl::Postgres(_) => None,
    };
    let blobs = match &config.blobs {
        BlobPlace::Folder(folder) => Some(folder.clone()),
        BlobPlace::S3 { .. } => None,
    };
    [Some(config.scratch.clone()), state, blobs].into_iter().flatten().collect()
}

/// Makes sure that no other process works in the folder.
fn lock(scratch: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Scratch { folder: scratch.to_owned(), source };
    std::fs::create_dir_all(scratch).map_err(failed)?;
    let lock = File::create(scratch.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(scratch.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn app(
    config: Config,
    store: Arc<crate::store::StoreUrl>,
    stopping: watch::Receiver<bool>,
) -> Result<Arc<App>, StartError> {
    let blobs = Blobs::open(&config.blobs)?;
    let limits = &config.limits;
    let upload_limits = UploadLimits {
        blob_bytes_max: limits.blob_bytes_max,
        identity_bytes_max: limits.identity_bytes_max,
        identity_uploads_max: limits.identity_uploads_max,
        prefix_uploads_max: limits.prefix_uploads_max,
        uploads_max: limits.uploads_max,
        idle: limits.upload_idle,
    };
    let uploads = Uploads::open(&config.scratch.join("uploads"), blobs.clone(), upload_limits)?;
    let (coordinator, started_at) = (config.key.identity(), clock());
    let guard = Guard::new(coordinator, limits, started_at);
    let (large_bodies, answering) = places::of_requests(limits);
    Ok(Arc::new(App {
        coordinator,
        role: Arc::new(RwLock::new(Role::Waiting)),
        reader: Reader::new(store),
        blobs,
        uploads,
        waiters: Waiters::default(),
        replays: Orders::default(),
        admissions: Admissions::default(),
        bans: Bans::default(),
        disk: Disk::new(disks(&config), config.limits.disk_reserve_bytes),
        broken: watch::Sender::new(None),
        guard,
        leader: Mutex::new(None),
        large_bodies,
        answering,
        reading: places::of_readers(),
        ends: Ends::default(),
        doubts: Semaphore::new(1),
        metrics: Metrics::default(),
        profiles: Profiles::default(),
        seen: Mutex::new(HashMap::new()),
        origins: Mutex::new(HashMap::new()),
        stopping,
        started: Instant::now(),
        config,
    }))
}

/// Hears what was committed, and tells those who wait.
struct Ear {
    app: Weak<App>,
    runtime: tokio::runtime::Handle,
}

impl Listener for Ear {
    fn committed(&self, transaction: &Transaction, notices: Vec<Notice>) {
        let Some(app) = self.app.upgrade() else { return };
        app.metrics.commits.fetch_add(1, Relaxed);
        app.metrics.events.fetch_add(transaction.entries.len() as u64, Relaxed);
        app.metrics.rows.fetch_add(transaction.rows.len() as u64, Relaxed);
        for notice in notices {
            match notice {
                Notice::Wake { class, slots } => app.waiters.wake(class.as_ref(), slots),
                Notice::Call(provider) => app.waiters.call(provider),
                Notice::Job(job) => app.waiters.changed(job),
                Notice::JobEnded(job) => app.waiters.forget(job),
                Notice::Admit(waiting) => app.admissions.add(&waiting, app.origin_of(waiting.developer)),
                Notice::Replay(order) => app.replays.add(&order, app.origin_of(order.developer)),
                Notice::TellProvider(provider, message) => {
                    tracing::info!(%provider, message, "a provider must be told");
                }
                Notice::Drop { job, blob } => {
                    let app = app.clone();
                    self.runtime.spawn(async move {
                        if let Err(error) = sweep::dropped(&app, job, blob).await {
                            tracing::debug!(%error, "a state was not dropped; the sweep will");
                        }
                    });
                }
            }
        }
    }

    fn leads(&self, begun: Begun) {
        let Some(app) = self.app.upgrade() else { return };
        let Begun { epoch, replays, waiting, banned } = begun;
        app.bans.replace(banned);
        app.waiters.begin(epoch.0);
        app.replays.clear();
        replays.iter().for_each(|order| app.replays.add(order, app.origin_of(order.developer)));
        app.admissions.clear();
        waiting.iter().for_each(|job| app.admissions.add(job, app.origin_of(job.developer)));
    }

    fn broken(&self, error: &LeadError) {
        if let Some(app) = self.app.upgrade() {
            app.broken.send_replace(Some(error.to_string()));
        }
    }
}
