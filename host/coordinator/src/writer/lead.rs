//! Leading: opening the store, taking the lead, loading what is live, working, and beginning again after a
//! failure. On PostgreSQL also waiting while another process leads.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, mpsc::Receiver},
    time::{Duration, Instant},
};

use anneal_api::{SecretKey, log::genesis};
use anneal_job::{Identity, Timestamp};
use anneal_market::{Key, Market, Parameters, ReplayOrder, Waiting};
use thiserror::Error;

use super::{Ended, Notice, WriterHandle, draft::Draft, group::cause};
use crate::{
    Vouched, bans,
    check::{self, IDENTITY_ROW},
    clock::{clock, not_before},
    store::{Epoch, LogEnd, Store, StoreError, StoreUrl, Transaction},
};

/// How long to wait before trying again to lead, or to reach the store.
const RETRY: Duration = Duration::from_millis(500);

/// Hears what was committed.
pub(crate) trait Listener: Send + Sync {
    /// A group was committed.
    fn committed(&self, transaction: &Transaction, notices: Vec<Notice>);
    /// This process leads from now on.
    fn leads(&self, begun: Begun);
    /// This process can never lead, for this reason.
    fn broken(&self, error: &LeadError);
}

/// What whoever begins to lead finds.
pub(crate) struct Begun {
    pub(crate) epoch: Epoch,
    /// Replays that are not done.
    pub(crate) replays: Vec<ReplayOrder>,
    /// Jobs that wait for their components.
    pub(crate) waiting: Vec<Waiting>,
    /// Who is not served, and why.
    pub(crate) banned: BTreeMap<Identity, String>,
}

/// A leader at work.
pub(crate) struct Leading {
    pub(super) market: Market,
    pub(super) store: Box<dyn Store>,
    pub(super) epoch: Epoch,
    pub(super) key: Arc<SecretKey>,
    pub(super) end: LogEnd,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) draw_epoch_at: Timestamp,
    pub(super) forgot_at: Timestamp,
    pub(super) turns: u64,
    renewal: Option<Renewal>,
    /// Whom the operator vouches for, until the market has been told.
    pub(super) vouched: Option<Vouched>,
}

/// When the lead is to be renewed.
#[derive(Clone, Copy)]
struct Renewal {
    every: Duration,
    next: Instant,
}

/// What this process is.
#[derive(Clone, Default)]
pub(crate) enum Role {
    /// It has not heard of a leader yet.
    #[default]
    Waiting,
    /// It leads.
    Leading(WriterHandle, Epoch),
    /// Another one leads, at this address.
    Following(String),
}

/// Why a process can never lead.
#[derive(Debug, Error)]
pub enum LeadError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data belongs to another key.
    #[error(
        "the data is that of coordinator {found}, but the key is {ours}'s; use the key that it was made with"
    )]
    OtherKey {
        /// Whose data it is.
        found: String,
        /// Whose key it is.
        ours: String,
    },
    /// The database is not what was written.
    #[error(
        "the database is damaged: {}; nothing was changed: look with `anneal coordinator check`, and restore the last \
         backup", .0.join("; ")
    )]
    Damaged(Vec<String>),
    /// A row is not the market's.
    #[error("the data cannot be loaded: {0}")]
    Load(String),
}

impl LeadError {
    /// Whether trying again gives nothing else.
    fn is_final(&self) -> bool {
        match self {
            LeadError::OtherKey { .. } | LeadError::Damaged(_) | LeadError::Load(_) => true,
            LeadError::Store(
                StoreError::Damaged { .. }
                | StoreError::Corrupt { .. }
                | StoreError::OtherVersion { .. }
                | StoreError::Foreign,
            ) => true,
            LeadError::Store(_) => false,
        }
    }
}

/// Leads whenever it can.
pub(crate) struct Supervisor {
    pub(crate) url: Arc<StoreUrl>,
    pub(crate) key: Arc<SecretKey>,
    pub(crate) address: String,
    pub(crate) parameters: Parameters,
    pub(crate) vouched: Vouched,
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) role: Arc<RwLock<Role>>,
    /// Whether a database of this machine is looked through before it is led on.
    pub(crate) check: bool,
}

/// Who ends and who begins on one folder may meet: so often another one is waited for.
const MEETINGS_MAX: u32 = 4;

impl Supervisor {
    /// Leads and follows until `stopping` says so. The first failure to open is the caller's to hear of. Where trying
    /// again gives nothing else, it ends, and says so.
    pub(crate) fn run(&self, stopping: &Receiver<()>) {
        let (mut epoch, mut meetings) = (None, 0);
        loop {
            match self.once(&mut epoch, stopping) {
                Ok(Ended::Stopped) => return,
                Ok(ended) => tracing::warn!(?ended, "no longer leading"),
                Err(error) => {
                    tracing::error!(%error, cause = %cause(&error), "cannot lead");
                    meetings += u32::from(matches!(error, LeadError::Store(StoreError::InUse(_))));
                    if error.is_final() || meetings > MEETINGS_MAX {
                        self.set_role(Role::Waiting);
                        return self.listener.broken(&error);
                    }
                }
            }
            self.set_role(Role::Waiting);
            if stopping.recv_timeout(RETRY).is_ok() {
                return;
            }
        }
    }

    /// Opens the store and leads once, as long as it goes. Who led before a failure need not wait for its own
    /// time to be over.
    fn once(&self, epoch: &mut Option<Epoch>, stopping: &Receiver<()>) -> Result<Ended, LeadError> {
        let mut store = self.url.open()?;
        let leadership = loop {
            if let Some(leadership) = store.lead(&self.address, *epoch)? {
                break leadership;
            }
            let role = store.leader()?.map_or(Role::Waiting, |leader| Role::Following(leader.address));
            self.set_role(role);
            if stopping.recv_timeout(RETRY).is_ok() {
                return Ok(Ended::Stopped);
            }
        };
        self.look_through(store.as_mut(), epoch.is_none())?;
        *epoch = Some(leadership.epoch);
        let renewal = leadership.renew_every.map(|every| Renewal { every, next: Instant::now() + every });
        let mut leading = self.load(store, leadership.epoch, renewal)?;
        let replays = leading.replays()?;
        tracing::info!(epoch = leadership.epoch.0, log_entries = leading.end.sequence, "leading");
        let (handle, receiver) = WriterHandle::new();
        self.set_role(Role::Leading(handle.clone(), leadership.epoch));
        // Who stopped it before it led has not found its writer.
        if stopping.try_recv().is_ok() {
            handle.stop();
        }
        let waiting = leading.market.waiting().collect();
        let banned = bans::read(leading.store.as_mut())?;
        self.listener.leads(Begun { epoch: leadership.epoch, replays, waiting, banned });
        let ended = leading.work(&receiver);
        if ended == Ended::Stopped {
            self.set_role(Role::Waiting);
            leading.store.resign(leading.epoch)?;
        }
        Ok(ended)
    }

    /// Before this process leads for the first time: what a disk has damaged is found now, and not by a reader.
    fn look_through(&self, store: &mut dyn Store, is_first: bool) -> Result<(), LeadError> {
        if !self.check || !is_first || !matches!(*self.url, StoreUrl::Sqlite(_)) {
            return Ok(());
        }
        let begun = Instant::now();
        let found = check::state(store, self.key.identity());
        tracing::info!(
            rows = found.rows,
            entries = found.entries,
            seconds = begun.elapsed().as_secs_f64(),
            "looked through"
        );
        if found.problems.is_empty() { Ok(()) } else { Err(LeadError::Damaged(found.problems)) }
    }

    /// Loads what is live; an empty store gets its first rows and events.
    fn load(
        &self,
        mut store: Box<dyn Store>,
        epoch: Epoch,
        renewal: Option<Renewal>,
    ) -> Result<Leading, LeadError> {
        let ours = self.key.identity().to_string();
        let found = store.row(IDENTITY_ROW)?.map(|row| String::from_utf8_lossy(&row).into_owned());
        if let Some(found) = found.filter(|found| *found != ours) {
            return Err(LeadError::OtherKey { found, ours });
        }
        let rows = store.live_rows()?;
        let end = store.log_end()?;
        let start = LogEnd { sequence: 0, at: Timestamp(0), hash: genesis(&self.key.identity()) };
        let fresh = rows.is_empty();
        let market = if fresh { Market::new(self.parameters.clone()) } else { load_market(rows)? };
        // A clock that was ahead when this was written is caught up with, and not waited for.
        not_before(market.latest().max(end.map_or(Timestamp(0), |end| end.at)));
        let mut leading = Leading {
            market,
            store,
            epoch,
            key: self.key.clone(),
            end: end.unwrap_or(start),
            listener: self.listener.clone(),
            draw_epoch_at: Timestamp(0),
            forgot_at: Timestamp(0),
            turns: 0,
            renewal,
            vouched: Some(self.vouched.clone()),
        };
        if fresh {
            leading.begin(&ours)?;
        }
        Ok(leading)
    }

    fn set_role(&self, role: Role) {
        *self.role.write().unwrap_or_else(PoisonError::into_inner) = role;
    }
}

fn load_market(rows: Vec<(String, Vec<u8>)>) -> Result<Market, LeadError> {
    let mut keyed = Vec::with_capacity(rows.len());
    for (key, row) in rows {
        let key: Key = key.parse().map_err(|error| LeadError::Load(format!("{error}")))?;
        keyed.push((key, row));
    }
    Market::load(keyed).map_err(|error| LeadError::Load(error.to_string()))
}

impl Leading {
    /// The first transaction of an empty store.
    fn begin(&mut self, identity: &str) -> Result<(), LeadError> {
        let now = clock();
        let mut draft = Draft::default();
        draft.take(self.market.genesis(now), now);
        draft.put(IDENTITY_ROW.to_owned(), identity.as_bytes().to_vec());
        let (transaction, end, _) = draft.finish(&self.market, &self.key, self.end, now);
        self.store.commit(self.epoch, &transaction)?;
        self.end = end;
        Ok(())
    }

    fn replays(&mut self) -> Result<Vec<ReplayOrder>, LeadError> {
        let items = self.store.outbox()?;
        let order = |payload: &[u8]| {
            serde_json::from_slice(payload).map_err(|error| LeadError::Load(error.to_string()))
        };
        items.iter().map(|item| order(&item.payload)).collect()
    }

    /// Renews the lead where it is time.
    pub(super) fn renew(&mut self) -> Result<(), StoreError> {
        let Some(renewal) = &mut self.renewal else { return Ok(()) };
        if Instant::now() < renewal.next {
            return Ok(());
        }
        renewal.next = Instant::now() + renewal.every;
        self.store.renew(self.epoch)
    }
}
