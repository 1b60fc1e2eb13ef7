//! The agent for one coordinator: does what its [`Desk`] says. One task of tokio decides; transfers are tasks of
//! their own, attempts run on blocking threads, one at a time per device.

mod attempts;
mod limits;
mod reach;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anneal_api::{
    Client, ClientError, ErrorCode, SecretKey,
    wire::{Batch, BatchReply, DeviceOffer, Enrol, PollReply, TraceLevel},
};
use anneal_job::AttemptId;
use anneal_runner::{Compiler, work::Traced};
use anneal_sandbox::{Machine, StopFlag};
use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

pub use reach::reach;

use crate::{
    desk::{Action, Desk, Failure, digests_of},
    folder::{Folder, FolderError},
    record::{Finished, Record},
    status::{DeviceStatus, StatusBoard, Wish},
    warden::Warden,
};

/// How often the desk is looked at when nothing happens: heartbeats and retries are due by the clock.
const TICK: Duration = Duration::from_millis(500);
/// After a poll or batch that failed.
const BACKOFF: Duration = Duration::from_secs(2);
/// An agent that is to leave waits so long for the coordinator to hear it.
const LEAVE: Duration = Duration::from_secs(5);
/// Events that wait.
const EVENTS_MAX: usize = 256;

/// Makes a machine for one attempt, on the thread that will use it.
pub type MakeMachine = dyn Fn() -> Box<dyn Machine> + Send + Sync;

/// A device that is offered.
pub struct Device {
    /// What is said of it.
    pub offer: DeviceOffer,
    /// What computes on it.
    pub machine: Box<MakeMachine>,
    /// Held while it computes: agents that share a device share this.
    pub gate: Arc<Mutex<()>>,
}

/// An agent for one coordinator.
pub struct Agent {
    /// The coordinator.
    pub client: Client,
    /// The provider's key.
    pub key: Arc<SecretKey>,
    /// Its folder, for this coordinator alone.
    pub folder: Arc<Folder>,
    /// How components are compiled.
    pub compiler: Compiler,
    /// For people.
    pub name: String,
    /// Where earnings go, once there is money.
    pub payout: Option<String>,
    /// What is offered.
    pub devices: Vec<Device>,
    /// Bytes of blobs that are kept.
    pub blob_bytes_max: u64,
    /// What the owner sees.
    pub board: StatusBoard,
    /// Who holds the devices to the owner's policy, for all agents; `None` where nothing is held.
    pub warden: Option<Arc<Warden>>,
}

/// Why an agent ended that should not have.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The coordinator does not want it.
    #[error("the coordinator does not take this provider")]
    Enrol(#[source] ClientError),
    /// Its folder.
    #[error("the provider's folder fails")]
    Folder(#[from] FolderError),
}

/// Something that happened.
enum Heard {
    Polled(Result<PollReply, ClientError>),
    Answered(Box<Batch>, Result<BatchReply, ClientError>),
    Ran(AttemptId, Box<Finished>),
    Fetched(AttemptId, Result<(), Failure>),
    Failed(AttemptId, Failure),
    Traced(AttemptId, TraceLevel, Traced),
    Uploaded(AttemptId, Result<(), ClientError>),
}

/// What tasks share.
struct Shared {
    client: Client,
    key: Arc<SecretKey>,
    folder: Arc<Folder>,
    compiler: Compiler,
    board: StatusBoard,
    devices: BTreeMap<u32, Device>,
    warden: Option<Arc<Warden>>,
}

/// A running agent.
struct Running {
    shared: Arc<Shared>,
    desk: Desk,
    tell: mpsc::Sender<Heard>,
    tasks: JoinSet<()>,
    stops: BTreeMap<AttemptId, StopFlag>,
    poll: Option<Poll>,
    sending: bool,
    unsaved: Vec<Record>,
    blob_bytes_max: u64,
}

/// A poll under way.
struct Poll {
    handle: AbortHandle,
    /// It asks for no leases, so it may be broken off.
    breakable: bool,
}

impl Agent {
    /// Works until the owner wants otherwise.
    ///
    /// # Errors
    /// Where the coordinator does not take this provider, or the folder cannot be used.
    pub async fn run(self, mut wish: watch::Receiver<Wish>) -> Result<(), AgentError> {
        let enrol = Enrol {
            name: self.name.clone(),
            payout: self.payout.clone(),
            devices: self.devices.iter().map(|device| device.offer.clone()).collect(),
        };
        let enrolled = reach::until_answered(&self.board, &mut wish, || self.client.enrol(&enrol)).await;
        if enrolled.map_err(AgentError::Enrol)?.is_none() {
            return Ok(());
        }
        let (tell, mut heard) = mpsc::channel(EVENTS_MAX);
        let mut running = self.start(tell)?;
        running.wish(*wish.borrow_and_update());
        loop {
            running.act();
            if running.desk.is_done() && !running.sending {
                return Ok(());
            }
            tokio::select! {
                Some(event) = heard.recv() => running.hear(event, &enrol).await,
                changed = wish.changed() => {
                    let wish = if changed.is_ok() { *wish.borrow_and_update() } else { Wish::Leave };
                    running.wish(wish);
                    running.resume_there(wish);
                    if wish == Wish::Leave {
                        return running.leave(&mut heard, &enrol).await;
                    }
                }
                () = sleep(TICK) => {}
            }
        }
    }

    fn start(self, tell: mpsc::Sender<Heard>) -> Result<Running, AgentError> {
        let records = self.folder.records()?;
        let numbers: Vec<u32> = self.devices.iter().map(|device| device.offer.device).collect();
        let desk = Desk::new(numbers, records, self.client.now());
        self.board.change(|status| {
            for device in &self.devices {
                let name = device.offer.name.clone();
                status.devices.insert(device.offer.device, DeviceStatus { name, ..DeviceStatus::default() });
            }
            status.identity = self.client.identity().to_string();
        });
        let devices = self.devices.into_iter().map(|device| (device.offer.device, device));
        let shared = Shared {
            client: self.client,
            key: self.key,
            folder: self.folder,
            compiler: self.compiler,
            board: self.board,
            devices: devices.collect(),
            warden: self.warden,
        };
        shared.remember(desk.records());
        Ok(Running {
            shared: Arc::new(shared),
            desk,
            tell,
            tasks: JoinSet::new(),
            stops: BTreeMap::new(),
            poll: None,
            sending: false,
            unsaved: Vec::new(),
            blob_bytes_max: self.blob_bytes_max,
        })
    }
}

impl Running {
    fn wish(&mut self, wish: Wish) {
        self.shared.board.change(|status| status.wish = wish);
        self.desk.wish(wish);
    }

    /// Where the coordinator has paused this provider, for its failures, an owner's wish to work ends that.
    fn resume_there(&mut self, wish: Wish) {
        if wish != Wish::Run {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            if let Err(error) = shared.client.pause(false).await {
                shared
                    .board
                    .line(format!("the coordinator does not resume this provider: {}", chain(&error)));
            }
        });
    }

    /// Everything that can be begun now is begun.
    fn act(&mut self) {
        let now = self.shared.client.now();
        self.save_again();
        self.obey();
        for action in self.desk.actions(now) {
            match action {
                Action::Save(record) => self.save(*record),
                Action::Run(lease) => self.begin_run(*lease),
                Action::Fetch(lease) => self.begin_fetch(*lease),
                Action::Trace(lease, level) => self.begin_trace(*lease, level),
                Action::Upload(attempt, blob) => self.begin_upload(attempt, blob),
                Action::Stop(attempt) => {
                    if let Some(stop) = self.stops.get(&attempt) {
                        stop.stop();
                    }
                }
                Action::Forget(attempt) => {
                    self.unsaved.retain(|record| record.lease.attempt != attempt);
                    self.shared.folder.forget(attempt);
                    self.shared.gave(attempt);
                }
            }
        }
        while self.tasks.try_join_next().is_some() {}
        self.send();
        self.poll();
        let waiting = self.desk.records().filter(|record| record.finished.is_some()).count() as u64;
        self.shared.board.change(|status| status.waiting = waiting);
    }

    /// A record that cannot be written is written later; until then nobody is told of what is in it.
    fn save(&mut self, record: Record) {
        self.unsaved.retain(|other| other.lease.attempt != record.lease.attempt);
        if let Err(error) = self.shared.folder.save(&record) {
            let trouble = chain(&error);
            if self.shared.board.read().trouble.as_deref() != Some(&*trouble) {
                tracing::warn!(
                    error = trouble,
                    "an attempt cannot be recorded; nobody is told of it until it is"
                );
            }
            self.shared.board.change(|status| status.trouble = Some(trouble));
            self.unsaved.push(record);
        }
    }

    fn save_again(&mut self) {
        for record in std::mem::take(&mut self.unsaved) {
            self.save(record);
        }
    }

    fn send(&mut self) {
        if self.sending || !self.unsaved.is_empty() {
            return;
        }
        let Some(batch) = self.desk.batch(self.shared.client.now()) else { return };
        self.sending = true;
        let (client, tell) = (self.shared.client.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            let reply = client.batch(&batch).await;
            let _the_agent_ended = tell.send(Heard::Answered(Box::new(batch), reply)).await;
        });
    }

    fn poll(&mut self) {
        let next = self.desk.poll(self.shared.client.now());
        if let Some(poll) = &self.poll {
            if !poll.breakable || next.idle.is_empty() {
                return;
            }
            poll.handle.abort();
        }
        let breakable = next.idle.is_empty();
        let (client, tell) = (self.shared.client.clone(), self.tell.clone());
        let handle = self.tasks.spawn(async move {
            let reply = client.poll(&next).await;
            let _the_agent_ended = tell.send(Heard::Polled(reply)).await;
        });
        self.poll = Some(Poll { handle, breakable });
    }

    async fn hear(&mut self, event: Heard, enrol: &Enrol) {
        let now = self.shared.client.now();
        match event {
            Heard::Polled(Ok(reply)) => {
                self.poll = None;
                self.told_poll(&reply);
                self.shared.would_earn(&reply);
                let leases = reply.leases.clone();
                self.desk.polled(reply, now);
                leases.iter().for_each(|lease| self.told_lease(lease));
                leases.iter().for_each(|lease| self.admit(lease));
                self.trim();
            }
            Heard::Polled(Err(error)) => {
                self.poll = None;
                self.trouble(&error, enrol).await;
            }
            Heard::Answered(batch, Ok(reply)) => {
                self.sending = false;
                self.desk.answered(&batch, &reply, now);
                let committed = reply.commits.iter().filter(|item| item.error.is_none()).count() as u64;
                self.shared.board.change(|status| status.finished += committed);
            }
            Heard::Answered(_, Err(error)) => {
                self.sending = false;
                self.trouble(&error, enrol).await;
            }
            Heard::Ran(attempt, finished) => {
                self.stops.remove(&attempt);
                self.shared.ran(attempt);
                self.desk.ran(attempt, *finished);
            }
            // A lease that never ran on this machine is no fault of its.
            Heard::Fetched(attempt, Err(failure)) => {
                self.desk.failed(attempt, failure, now);
            }
            Heard::Fetched(attempt, Ok(())) => self.desk.fetched(attempt),
            Heard::Failed(attempt, failure) => {
                self.ended(attempt);
                let is_fault = self.desk.failed(attempt, failure, now);
                self.shared.board.change(|status| status.faults += u64::from(is_fault));
            }
            Heard::Traced(attempt, level, traced) => {
                self.ended(attempt);
                self.desk.traced(attempt, level, traced);
            }
            Heard::Uploaded(attempt, result) => {
                // Refused is what nobody needs any more: a replay or another provider has given it meanwhile.
                if let Err(error) = result
                    && error.code() != Some(ErrorCode::Forbidden.name())
                {
                    self.shared.board.line(format!("an upload failed: {}", chain(&error)));
                }
                self.desk.uploaded(attempt, now);
            }
        }
    }

    fn ended(&mut self, attempt: AttemptId) {
        self.stops.remove(&attempt);
        self.shared.gave(attempt);
    }

    /// The coordinator could not be reached, or refused: says so, waits, and enrols again, for it may have
    /// forgotten us.
    async fn trouble(&self, error: &ClientError, enrol: &Enrol) {
        let words = chain(error);
        self.shared.board.change(|status| status.trouble = Some(words.clone()));
        tracing::warn!(error = words, "the coordinator cannot be reached");
        sleep(BACKOFF).await;
        if error.code().is_some()
            && let Err(error) = self.shared.client.enrol(enrol).await
        {
            tracing::warn!(error = chain(&error), "the coordinator does not take this provider");
        }
    }

    /// Blobs that no attempt needs go when there are too many, counted with the states that wait for a verdict.
    fn trim(&self) {
        let needed: BTreeSet<_> = self.desk.records().flat_map(|record| digests_of(&record.lease)).collect();
        let kept = self.blob_bytes_max.saturating_sub(self.shared.folder.state_bytes());
        if let Err(error) = self.shared.folder.trim(kept, &needed) {
            tracing::warn!(error = chain(&error), "old blobs stay");
        }
    }

    /// Gives back what is not finished, waiting for the coordinator to hear it, but not long.
    async fn leave(mut self, heard: &mut mpsc::Receiver<Heard>, enrol: &Enrol) -> Result<(), AgentError> {
        let give_back = async {
            while !self.desk.is_done() || self.sending {
                self.act();
                if let Some(event) = heard.recv().await {
                    self.hear(event, enrol).await;
                }
            }
        };
        if timeout(LEAVE, give_back).await.is_err() {
            tracing::warn!("the coordinator did not hear that leases are given back; they run out");
        }
        self.stops.values().for_each(StopFlag::stop);
        Ok(())
    }
}

/// An error with its causes, in a line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += ": ";
        words += &error.to_string();
        cause = error.source();
    }
    words
}

/// Where a folder of a provider keeps what belongs to one coordinator.
pub fn folder_of(base: &std::path::Path, coordinator: &anneal_job::Identity) -> PathBuf {
    base.join(format!("coordinator-{}", &coordinator.to_string()[..16]))
}
