//! Trusted replays: orders from the outbox, their blobs, the worker, the answer. Whose is next says [`queue`]. The
//! worker itself is given by the command: it starts a process with limits.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anneal_api::{ErrorBody, ErrorCode};
use anneal_job::{Digest, ReceiptOutcome, Task, Timestamp};
use anneal_market::{Command, ReplayOrder, ReplayOutcome, TraceLevel, TraceReport};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::{
    app::App,
    doubt,
    fair::Prefix,
    possession,
    queue::{Added, Entry, Lane, Queue},
    store::KeptBlob,
    writer::{cause, clock, replay_name},
};

/// A busy writer is given an answer again after this.
const ANSWER_AGAIN: Duration = Duration::from_millis(200);

/// Compiles components and runs tasks for the coordinator, on the CPU, in processes of their own with limits. Called
/// off the async threads; may take minutes.
pub trait Replayer: Send + Sync + 'static {
    /// Runs a task and says what came out.
    ///
    /// # Errors
    /// Where nothing did, and so nothing is said of the task.
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, ReplayError>;

    /// Looks at a component's file and compiles it.
    ///
    /// # Errors
    /// Where it is no component that a provider would run.
    fn admit(&self, component: &Path, time: Duration) -> Result<(), AdmitError>;
}

/// Why a component was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdmitError {
    /// It cannot be: it is refused, invalid, or over the limits.
    #[error("{0}")]
    Refused(String),
    /// It was not compiled within the time, or the memory, that it was given.
    #[error("{0}")]
    OutOfLimits(String),
    /// This machine failed; it is asked again.
    #[error("{0}")]
    Failed(String),
}

/// What is to be run. All files are local and verified.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// The task.
    pub task: Task,
    /// What is to be digested.
    pub level: TraceLevel,
    /// The component's file.
    pub component: PathBuf,
    /// The file with all inputs.
    pub inputs: Option<PathBuf>,
    /// The files of the states, in the task's order.
    pub states: Vec<PathBuf>,
    /// An empty folder to work in; gone afterwards.
    pub scratch: PathBuf,
    /// Wall-clock time.
    pub time: Duration,
    /// On another backend than the one that replays usually run on: an appeal.
    pub other_backend: bool,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct ReplayDone {
    /// The task's outcome.
    pub outcome: ReceiptOutcome,
    /// `anneal_job::trace_root` over all commits.
    pub trace_root: Digest,
    /// As the level says.
    pub trace: TraceReport,
    /// The state's file, where the task completed; taken away.
    pub state: Option<PathBuf>,
}

/// Why nothing came out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The worker does not run the task's versions.
    #[error("{0}")]
    Cannot(String),
    /// Its time was over.
    #[error("it did not end within its time")]
    OutOfTime,
    /// This machine failed; it is asked again.
    #[error("{0}")]
    Failed(String),
}

/// Orders that wait for a worker.
#[derive(Default)]
pub(crate) struct Orders {
    queue: Mutex<Queue>,
    news: Notify,
}

/// How the orders stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Not answered, running or not.
    pub(crate) open: u64,
    /// Of these, running.
    pub(crate) running: u64,
    /// When the oldest was ordered.
    pub(crate) oldest: Option<Timestamp>,
}

impl Orders {
    /// Adds an order, which lies in the outbox; one that is there already is not added again.
    pub(crate) fn add(&self, order: &ReplayOrder, origin: Prefix) {
        let entry = Entry {
            name: replay_name(order),
            developer: order.developer,
            origin,
            urgent: order.urgent,
            since: order.ordered_at,
            slices: 0,
            generation: 0,
        };
        let developer = order.developer;
        match self.queue().add(entry) {
            // Every worker may be free, and one of them takes no long ones.
            Added::Waits => self.news.notify_waiters(),
            Added::Known => {}
            Added::LeftOut => tracing::debug!(%developer, "a replay waits in the outbox: there are too many"),
        }
    }

    /// How the orders stand.
    pub(crate) fn standing(&self) -> Standing {
        let queue = self.queue();
        Standing { open: queue.len() as u64, running: queue.running() as u64, oldest: queue.oldest() }
    }

    /// Forgets everything: another process leads.
    pub(crate) fn clear(&self) {
        self.queue().clear();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works off orders until told to stop. Several do at once.
pub(crate) async fn work(
    app: Arc<App>,
    lane: Lane,
    replayer: Arc<dyn Replayer>,
    mut stopping: watch::Receiver<bool>,
) {
    let orders = &app.replays;
    loop {
        // Asked for before the look, so that nothing is missed in between.
        let news = orders.news.notified();
        let next = orders.queue().next(lane);
        let Some(entry) = next else {
            tokio::select! {
                () = news => continue,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        };
        serve(&app, entry, &replayer).await;
        fetch_left(&app).await;
        if *stopping.borrow() {
            return;
        }
    }
}

/// One slice of a replay, and its answer where there is one.
async fn serve(app: &Arc<App>, entry: Entry, replayer: &Arc<dyn Replayer>) {
    let orders = &app.replays;
    let order = match order_of(app, &entry).await {
        Ok(Some(order)) => order,
        // It is answered.
        Ok(None) => return orders.queue().done(&entry),
        Err(error) => {
            tracing::error!(%error, "an order cannot be read; it is looked for again");
            tokio::time::sleep(ANSWER_AGAIN).await;
            let mut queue = orders.queue();
            queue.done(&entry);
            return queue.leave(vec![(entry.developer, entry.since)]);
        }
    };
    let limits = &app.config.limits;
    let (time, has_more) = entry.slice(limits.replay_slice, limits.replay_time_max);
    let scratch = format!("{}-{}", entry.name.replace('/', "-"), entry.generation);
    let outcome = match replay(app, &order, time, app.config.scratch.join(scratch), replayer.clone()).await {
        Ok(outcome) => outcome,
        Err(ReplayError::OutOfTime) if has_more => {
            tracing::info!(replay = entry.name, ?time, "a replay takes long: others pass it");
            orders.queue().again(entry);
            return orders.news.notify_waiters();
        }
        Err(ReplayError::Cannot(message)) => ReplayOutcome::Cannot { message },
        Err(error) => {
            let message = error.to_string();
            tracing::warn!(message, "a replay failed");
            ReplayOutcome::Failed { message }
        }
    };
    answer(app, &order, outcome).await;
    orders.queue().done(&entry);
    app.metrics.replays.fetch_add(1, Relaxed);
}

/// The order as it lies in the outbox; none where it is answered.
async fn order_of(app: &Arc<App>, entry: &Entry) -> Result<Option<ReplayOrder>, ErrorBody> {
    let name = entry.name.clone();
    let item = app.read(move |store| store.outbox_item(&name)).await?;
    let order = item.map(|item| serde_json::from_slice(&item.payload)).transpose();
    order
        .map_err(|error| ErrorCode::Internal.because(format!("the order {} is damaged: {error}", entry.name)))
}

/// Orders that found no room are looked for again when there is some.
async fn fetch_left(app: &Arc<App>) {
    let orders = &app.replays;
    let left = {
        let mut queue = orders.queue();
        if !queue.has_room_for_left() {
            return;
        }
        queue.take_left()
    };
    match app.read(|store| store.outbox()).await {
        Ok(items) => {
            let known = items.iter().filter_map(|item| serde_json::from_slice(&item.payload).ok());
            known.for_each(|order: ReplayOrder| orders.add(&order, app.origin_of(order.developer)));
        }
        Err(error) => {
            tracing::warn!(%error, "the outbox cannot be read; tried again after the next replay");
            orders.queue().leave(left);
        }
    }
}

/// The answer and the order's end are one transaction. Where it is refused, nobody needs it any more.
async fn answer(app: &App, order: &ReplayOrder, outcome: ReplayOutcome) {
    loop {
        let (replay, name, outcome) = (order.replay, replay_name(order), outcome.clone());
        let answered = app.turn(None, move |turn| {
            if let Err(refusal) = turn.apply(Command::ReplayAnswer { replay, outcome: Box::new(outcome) }) {
                tracing::debug!(%refusal, "a replay's answer was not needed");
            }
            turn.effect_done(name);
            Ok(Vec::new())
        });
        match answered.await {
            // Nobody leads anew after this one, so nobody would find the order in the outbox.
            Err(error) if error.is(ErrorCode::Overloaded) => tokio::time::sleep(ANSWER_AGAIN).await,
            Err(error) => {
                // The order is still in the outbox: who leads next does it again.
                tracing::warn!(%error, "a replay's answer could not be given");
                return;
            }
            Ok(_) => return,
        }
    }
}

async fn replay(
    app: &Arc<App>,
    order: &ReplayOrder,
    time: Duration,
    scratch: PathBuf,
    replayer: Arc<dyn Replayer>,
) -> Result<ReplayOutcome, ReplayError> {
    let (theirs, ours) = (order.task.versions, app.config.versions);
    if theirs != ours {
        return Err(ReplayError::Cannot(format!(
            "it is defined by {theirs}, and this coordinator runs {ours}"
        )));
    }
    let result = replay_in(app, order, time, replayer, scratch.clone()).await;
    if matches!(result, Err(ReplayError::Failed(_))) {
        doubt::look(app.clone(), doubt::blobs_of_replay(order)).await;
    }
    if let Err(error) = tokio::fs::remove_dir_all(&scratch).await {
        tracing::debug!(%error, "a replay's folder was not removed");
    }
    result
}

async fn replay_in(
    app: &Arc<App>,
    order: &ReplayOrder,
    time: Duration,
    replayer: Arc<dyn Replayer>,
    folder: PathBuf,
) -> Result<ReplayOutcome, ReplayError> {
    let scratch = folder.join("work");
    let made = tokio::fs::create_dir_all(&scratch).await;
    made.map_err(|error| ReplayError::Failed(format!("{}: {error}", scratch.display())))?;
    let job = order.replay.task.job;
    possession::check(app, job, doubt::blobs_of_replay(order)).await.map_err(failed)?;
    let fetch = async |digest: Digest| {
        let path = folder.join(digest.to_string());
        app.blobs.fetch(digest, &path).await.map_err(failed)?;
        Ok::<PathBuf, ReplayError>(path)
    };
    let component = fetch(order.component).await?;
    let inputs = match order.inputs_blob {
        Some(digest) => Some(fetch(digest).await?),
        None => None,
    };
    let mut states = Vec::new();
    for state in &order.states {
        states.push(fetch(state.blob.digest).await?);
    }
    let (task, level, other_backend) = (order.task.clone(), order.level, order.other_backend);
    let request = ReplayRequest { task, level, component, inputs, states, scratch, time, other_backend };
    let running = tokio::task::spawn_blocking(move || replayer.replay(&request));
    let done = running.await.map_err(|error| ReplayError::Failed(format!("the worker broke: {error}")))??;
    keep_state(app, order, &done).await?;
    let ReplayDone { outcome, trace_root, trace, .. } = done;
    Ok(ReplayOutcome::Done { outcome, trace_root, trace })
}

/// The state must be kept before the answer: it may be all that is left of the task.
async fn keep_state(app: &Arc<App>, order: &ReplayOrder, done: &ReplayDone) -> Result<(), ReplayError> {
    let ReceiptOutcome::Completed { state_blob, .. } = &done.outcome else { return Ok(()) };
    // An appeal asks who was right; its job may have ended, and needs no state of it.
    if order.replay.appeal.is_some() {
        return Ok(());
    }
    let Some(path) = &done.state else { return Ok(()) };
    let digest = state_blob.digest;
    app.blobs.keep_file(digest, path).await.map_err(failed)?;
    let job = order.replay.task.job;
    let owner = app.writer().map_err(failed)?;
    let owner = owner.look(move |market| market.job(&job).map(|job| job.developer)).await;
    if let Ok(Some(keeper)) = owner {
        let kept = KeptBlob { blob: digest, keeper, bytes: state_blob.bytes, at: clock() };
        let noted = app.turn(None, move |turn| {
            turn.keep_blob(kept);
            Ok(Vec::new())
        });
        noted.await.map_err(failed)?;
    }
    Ok(())
}

/// With its causes: a disk that is full is said to be.
fn failed(error: impl std::error::Error) -> ReplayError {
    let cause = cause(&error);
    let colon = if cause.is_empty() { "" } else { ": " };
    ReplayError::Failed(format!("{error}{colon}{cause}"))
}
