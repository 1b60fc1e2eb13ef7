//! Trusted replays: orders from the outbox, their blobs, the worker, the answer. The worker itself is given by
//! the command: it starts a process with limits.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use anneal_api::ErrorCode;
use anneal_job::{Digest, ReceiptOutcome, Task};
use anneal_market::{Command, ReplayOrder, ReplayOutcome, TraceLevel, TraceReport};
use tokio::sync::{Notify, watch};

use crate::{
    app::App,
    doubt, possession,
    store::KeptBlob,
    writer::{clock, replay_name},
};

/// A busy writer is given an answer again after this.
const ANSWER_AGAIN: Duration = Duration::from_millis(200);

/// Runs tasks for the coordinator, on the CPU, in a process of its own with limits. Called off the async
/// threads; may take minutes.
pub trait Replayer: Send + Sync + 'static {
    /// Runs a task and says what came out. An `Err` is this machine's failure, in a sentence; it is asked again.
    fn replay(&self, request: &ReplayRequest) -> Result<ReplayDone, String>;
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

/// Orders that wait for the worker.
#[derive(Default)]
pub(crate) struct Queue {
    orders: Mutex<Orders>,
    news: Notify,
}

#[derive(Default)]
struct Orders {
    urgent: VecDeque<ReplayOrder>,
    patient: VecDeque<ReplayOrder>,
    known: HashSet<String>,
}

impl Queue {
    /// Adds an order; one that is there already is not added again.
    pub(crate) fn add(&self, order: ReplayOrder) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.known.insert(replay_name(&order)) {
            let queue = if order.urgent { &mut orders.urgent } else { &mut orders.patient };
            queue.push_back(order);
            self.news.notify_one();
        }
    }

    /// Orders that are not answered.
    pub(crate) fn waiting(&self) -> u64 {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).known.len() as u64
    }

    /// Forgets everything: another process leads.
    pub(crate) fn clear(&self) {
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Orders::default();
    }

    fn next(&self) -> Option<ReplayOrder> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.urgent.pop_front().or_else(|| orders.patient.pop_front())
    }

    fn done(&self, order: &ReplayOrder) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).known.remove(&replay_name(order));
    }
}

/// Works off orders until told to stop. Several may run at once.
pub(crate) async fn work(
    app: Arc<App>,
    queue: Arc<Queue>,
    replayer: Arc<dyn Replayer>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let Some(order) = queue.next() else {
            tokio::select! {
                () = queue.news.notified() => continue,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        };
        // There may be more for another worker.
        queue.news.notify_one();
        let outcome = match replay(&app, &order, replayer.clone()).await {
            Ok(outcome) => outcome,
            Err(message) => {
                tracing::warn!(message, "a replay failed");
                ReplayOutcome::Failed { message }
            }
        };
        answer(&app, &order, outcome).await;
        queue.done(&order);
        app.metrics.replays.fetch_add(1, Relaxed);
        if *stopping.borrow() {
            return;
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
    replayer: Arc<dyn Replayer>,
) -> Result<ReplayOutcome, String> {
    let scratch = app.config.scratch.join(replay_name(order).replace('/', "-"));
    let result = replay_in(app, order, replayer, scratch.clone()).await;
    if result.is_err() {
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
    replayer: Arc<dyn Replayer>,
    folder: PathBuf,
) -> Result<ReplayOutcome, String> {
    let scratch = folder.join("work");
    tokio::fs::create_dir_all(&scratch).await.map_err(|error| format!("{}: {error}", scratch.display()))?;
    let job = order.replay.task.job;
    possession::check(app, job, doubt::blobs_of_replay(order)).await.map_err(|error| error.to_string())?;
    let fetch = async |digest: Digest| {
        let path = folder.join(digest.to_string());
        app.blobs.fetch(digest, &path).await.map_err(|error| error.to_string())?;
        Ok::<PathBuf, String>(path)
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
    let (task, level) = (order.task.clone(), order.level);
    let request = ReplayRequest { task, level, component, inputs, states, scratch };
    let running = tokio::task::spawn_blocking(move || replayer.replay(&request));
    let done = running.await.map_err(|error| format!("the worker broke: {error}"))??;
    keep_state(app, order, &done).await?;
    let ReplayDone { outcome, trace_root, trace, .. } = done;
    Ok(ReplayOutcome::Done { outcome, trace_root, trace })
}

/// The state must be kept before the answer: it may be all that is left of the task.
async fn keep_state(app: &Arc<App>, order: &ReplayOrder, done: &ReplayDone) -> Result<(), String> {
    let ReceiptOutcome::Completed { state_blob, .. } = &done.outcome else { return Ok(()) };
    let Some(path) = &done.state else { return Ok(()) };
    let digest = state_blob.digest;
    app.blobs.keep_file(digest, path).await.map_err(|error| error.to_string())?;
    let job = order.replay.task.job;
    let owner = app.writer().map_err(|error| error.to_string())?;
    let owner = owner.look(move |market| market.job(&job).map(|job| job.developer)).await;
    if let Ok(Some(keeper)) = owner {
        let kept = KeptBlob { blob: digest, keeper, bytes: state_blob.bytes, at: clock() };
        let noted = app.turn(None, move |turn| {
            turn.keep_blob(kept);
            Ok(Vec::new())
        });
        noted.await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
