//! The one thread that owns the market. Handlers send it turns; all turns that wait are carried out and written
//! in one transaction, and their replies follow the commit. What was not committed never happened: on a failure
//! the market is loaded again from the store.

mod draft;
mod group;
mod lead;
mod turn;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError},
    time::{Duration, Instant},
};

use anneal_api::{ErrorBody, ErrorCode};
use anneal_job::Digest;
use anneal_market::Market;
use tokio::sync::oneshot;

pub(crate) use crate::clock::clock;
pub(crate) use draft::{Notice, replay_name};
pub(crate) use group::cause;
pub use lead::LeadError;
pub(crate) use lead::{Begun, Leading, Listener, Role, Supervisor};
pub(crate) use turn::Turn;

/// Turns that wait at most; more are told to come later.
const WAITING_MAX: usize = 4_096;
/// Turns of one transaction.
const GROUP_MAX: usize = 512;
/// How often time passes for the market.
const TICK: Duration = Duration::from_millis(250);

/// Names a command for all its retries: its sender and its own id, and what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandKey {
    /// Over the identity and the command's id.
    pub(crate) id: Digest,
    /// Over what is asked.
    pub(crate) content: Digest,
}

/// A reply's bytes, or a refusal.
pub(crate) type Answer = Result<Vec<u8>, ErrorBody>;

type Run = Box<dyn FnOnce(&mut Turn<'_>) -> Answer + Send>;
type Look = Box<dyn FnOnce(Option<&Market>) + Send>;

/// What the writer is asked.
pub(crate) enum Work {
    /// To change something.
    Turn {
        /// For commands that may come again.
        key: Option<CommandKey>,
        /// What to do.
        run: Run,
        /// Whom to answer.
        reply: oneshot::Sender<Answer>,
    },
    /// To look something up.
    Look(Look),
    /// To stop, and to lead no longer.
    Stop,
}

/// A way to the writer.
#[derive(Clone)]
pub(crate) struct WriterHandle {
    sender: SyncSender<Work>,
}

impl WriterHandle {
    /// A handle, and the writer's end of it.
    pub(crate) fn new() -> (WriterHandle, Receiver<Work>) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(WAITING_MAX);
        (WriterHandle { sender }, receiver)
    }

    /// Carries out a turn. When it returns `Ok`, everything that it changed is durable.
    pub(crate) async fn turn(
        &self,
        key: Option<CommandKey>,
        run: impl FnOnce(&mut Turn<'_>) -> Answer + Send + 'static,
    ) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.send(Work::Turn { key, run: Box::new(run), reply })?;
        answer.await.unwrap_or_else(|_| Err(ErrorCode::NotLeader.body()))
    }

    /// Looks something up in the market.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Market) -> T + Send + 'static,
    ) -> Result<T, ErrorBody> {
        let (reply, answer) = oneshot::channel();
        let look = move |market: Option<&Market>| {
            // Nobody waits for it any more where this fails.
            let _ = reply.send(market.map(look));
        };
        self.send(Work::Look(Box::new(look)))?;
        answer.await.ok().flatten().ok_or_else(|| ErrorCode::NotLeader.body())
    }

    /// Asks the writer to stop.
    pub(crate) fn stop(&self) {
        // Where it is gone already, there is nothing to stop.
        let _ = self.sender.send(Work::Stop);
    }

    fn send(&self, work: Work) -> Result<(), ErrorBody> {
        self.sender.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => ErrorCode::Overloaded.body(),
            TrySendError::Disconnected(_) => ErrorCode::NotLeader.body(),
        })
    }
}

/// Why the writer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped,
    /// Another process leads.
    Fenced,
    /// The store failed, and what is in memory may not be what is in it: to be loaded again.
    Failed,
}

impl Leading {
    /// Works until it ends.
    fn work(&mut self, receiver: &Receiver<Work>) -> Ended {
        let mut next_tick = Instant::now();
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            let mut group = match receiver.recv_timeout(wait) {
                Ok(work) => vec![work],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return Ended::Stopped,
            };
            while group.len() < GROUP_MAX {
                let Ok(work) = receiver.try_recv() else { break };
                group.push(work);
            }
            let tick = Instant::now() >= next_tick;
            if tick {
                next_tick = Instant::now() + TICK;
            }
            let stop = group.iter().any(|work| matches!(work, Work::Stop));
            match catch_unwind(AssertUnwindSafe(|| self.group(group, tick))) {
                Ok(Ok(())) if stop => return Ended::Stopped,
                Ok(Ok(())) => {}
                Ok(Err(ended)) => return ended,
                Err(_) => {
                    tracing::error!("a bug in a turn; loading again what was committed");
                    return Ended::Failed;
                }
            }
        }
    }
}
