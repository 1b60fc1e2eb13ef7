//! What all handlers share: the way to the writer, readers, blobs, waiters, guards and counters.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anneal_api::{ErrorBody, ErrorCode, transport::HttpClient};
use anneal_job::{Identity, Timestamp};
use tokio::sync::{Semaphore, watch};

use crate::{
    admit::Admissions,
    bans::Bans,
    blobs::{BlobError, Blobs, Uploads},
    config::Config,
    disk::Disk,
    fair::Prefix,
    http::guard::{Caller, Guard},
    metrics::Metrics,
    places::Places,
    profile::Profiles,
    replay::Orders,
    store::{Reader, StoreError},
    views::Ends,
    waiters::Waiters,
    writer::{Answer, CommandKey, Role, Turn, WriterHandle, clock},
};

/// What all handlers share.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) coordinator: Identity,
    pub(crate) role: Arc<RwLock<Role>>,
    pub(crate) reader: Reader,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Uploads,
    pub(crate) waiters: Waiters,
    pub(crate) replays: Orders,
    pub(crate) admissions: Admissions,
    pub(crate) bans: Bans,
    pub(crate) disk: Disk,
    /// Why this process can never lead.
    pub(crate) broken: watch::Sender<Option<String>>,
    pub(crate) guard: Guard,
    /// Connections to the leader, where that is another process.
    pub(crate) leader: Mutex<Option<(String, HttpClient)>>,
    /// Bodies of some MiB in memory.
    pub(crate) large_bodies: Places,
    pub(crate) ends: Ends,
    /// Jobs that are being read for who looks at them.
    pub(crate) reading: Places,
    /// Requests that are being answered.
    pub(crate) answering: Places,
    /// Looks at blobs that somebody could not use.
    pub(crate) doubts: Semaphore,
    pub(crate) metrics: Metrics,
    pub(crate) profiles: Profiles,
    pub(crate) seen: Mutex<HashMap<Identity, Timestamp>>,
    /// Where developers submitted from last.
    pub(crate) origins: Mutex<HashMap<Identity, Prefix>>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) started: Instant,
}

/// Providers whose last sign of life is remembered.
const SEEN_MAX: usize = 1 << 20;

impl App {
    /// The writer, where this process leads.
    pub(crate) fn writer(&self) -> Result<WriterHandle, ErrorBody> {
        match &*self.role.read().unwrap_or_else(PoisonError::into_inner) {
            Role::Leading(writer, _) => Ok(writer.clone()),
            Role::Following(_) | Role::Waiting => Err(ErrorCode::NotLeader.body()),
        }
    }

    /// Where the leader is, where that is another process.
    pub(crate) fn leader_elsewhere(&self) -> Option<String> {
        match &*self.role.read().unwrap_or_else(PoisonError::into_inner) {
            Role::Following(address) => Some(address.clone()),
            Role::Leading(..) | Role::Waiting => None,
        }
    }

    /// Carries out a turn on the writer's thread.
    pub(crate) async fn turn(
        &self,
        key: Option<CommandKey>,
        run: impl FnOnce(&mut Turn<'_>) -> Answer + Send + 'static,
    ) -> Answer {
        self.writer()?.turn(key, run).await
    }

    /// Carries out a turn for somebody who asked: what it writes to the log is counted, and nothing is done for who
    /// has caused too much of it.
    pub(crate) async fn turn_of(
        &self,
        caller: &Caller,
        key: Option<CommandKey>,
        run: impl FnOnce(&mut Turn<'_>) -> Answer + Send + 'static,
    ) -> Answer {
        self.guard.may_write(caller.party())?;
        self.counted(caller, key, run).await.0
    }

    /// The same for what no work stands for: that somebody is there, or pauses.
    pub(crate) async fn announcement_of(
        &self,
        caller: &Caller,
        key: Option<CommandKey>,
        run: impl FnOnce(&mut Turn<'_>) -> Answer + Send + 'static,
    ) -> Answer {
        let party = caller.party();
        self.guard.may_write(party)?;
        self.guard.may_announce(party)?;
        let (answer, events) = self.counted(caller, key, run).await;
        self.guard.announced(party, events);
        answer
    }

    async fn counted(
        &self,
        caller: &Caller,
        key: Option<CommandKey>,
        run: impl FnOnce(&mut Turn<'_>) -> Answer + Send + 'static,
    ) -> (Answer, u64) {
        let wrote = Arc::new(AtomicU64::new(0));
        let count = wrote.clone();
        let answer = self.turn(key, move |turn| {
            let before = turn.events();
            let answer = run(turn);
            count.store(turn.events() - before, Relaxed);
            answer
        });
        let answer = answer.await;
        let events = wrote.load(Relaxed);
        self.guard.wrote(caller.party(), events);
        (answer, events)
    }

    /// Runs something with a store for reading.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn crate::store::Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ErrorBody> {
        self.reader.read(read).await.map_err(|error| {
            tracing::error!(%error, "reading failed");
            ErrorCode::Unavailable.body()
        })
    }

    /// An identity has just been heard of.
    pub(crate) fn saw(&self, identity: Identity) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < SEEN_MAX || seen.contains_key(&identity) {
            seen.insert(identity, clock());
        }
    }

    /// A developer submits from a part of the network.
    pub(crate) fn submits(&self, developer: Identity, origin: Prefix) {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= SEEN_MAX {
            origins.clear();
        }
        origins.insert(developer, origin);
    }

    /// Where a developer submitted from; those that this process has not heard of share one place.
    pub(crate) fn origin_of(&self, developer: Identity) -> Prefix {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.get(&developer).copied().unwrap_or(Prefix::Local)
    }

    /// When an identity was last heard of by this process.
    pub(crate) fn last_seen(&self, identity: Identity) -> Option<Timestamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&identity).copied()
    }

    /// Identities heard of within a time.
    pub(crate) fn seen_within(&self, time: Duration) -> Vec<Identity> {
        let since = clock().0.saturating_sub(time.as_millis() as u64);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(_, at)| at.0 >= since).map(|(identity, _)| *identity).collect()
    }
}

/// What a client is told of a failure of the blobs' storage.
pub(crate) fn blob_refusal(error: BlobError) -> ErrorBody {
    match &error {
        BlobError::Missing(_) => ErrorCode::NotFound.body(),
        BlobError::Offset { at } => ErrorCode::UploadOffset.because(format!("byte {at}")),
        BlobError::OtherBytes { found } => ErrorCode::BlobDigest.because(format!("they have digest {found}")),
        BlobError::OtherSize { .. } => ErrorCode::Invalid.because(error.to_string()),
        BlobError::OverLimit { what: "the blob's size", limit } => {
            ErrorCode::BlobTooLarge.because(format!("at most {limit} bytes"))
        }
        BlobError::OverLimit { .. } => ErrorCode::QuotaBytes.because(error.to_string()),
        BlobError::Busy => ErrorCode::Overloaded.body(),
        BlobError::Io(_) | BlobError::Storage(_) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "a blob cannot be read or written");
            ErrorCode::Unavailable.body()
        }
    }
}
