//! Trusted workers: what they are asked, and what their answers mean. One answer that some attempt shares is
//! believed; one that contradicts every attempt is asked for a second time first, since machines of ours may
//! fail like any other.

use anneal_job::{Digest, ReceiptOutcome};

use crate::{
    Effect, EventKind, Evidence, Key, Market, Rejection, ReplayId, ReplayOrder, ReplayOutcome, Reply,
    TaskKey, TraceLevel, TraceReport,
    attempt::{Attempt, AttemptState},
    task::{PendingReplay, Phase, Task, Truth},
};

impl Market {
    /// Orders a replay of a task.
    pub(super) fn order_replay(&mut self, key: TaskKey, purpose: PendingReplay) {
        let Some(runnable) = self.runnable(key) else { return };
        let attempts = self.attempts_where(key, |attempt| attempt.receipt().is_some());
        let ordered_at = self.now();
        let Some(task) = self.task_mut(key) else { return };
        let number = task.replay_next;
        task.replay_next += 1;
        task.replays.insert(number, purpose);
        let (states, phase) = (task.states.clone(), task.phase);
        let Some((spec, job)) = self.specs.get(&key.job).zip(self.jobs.get(&key.job)) else { return };
        let order = ReplayOrder {
            replay: ReplayId { task: key, number, appeal: None },
            other_backend: false,
            task: runnable,
            component: spec.component.digest,
            inputs_blob: spec.inputs_blob.map(|blob| blob.digest),
            states,
            level: match purpose {
                PendingReplay::Outcome => TraceLevel::Commits,
                PendingReplay::Operations { step, .. } => TraceLevel::Operations { step },
            },
            urgent: phase == Phase::Replaying,
            developer: job.developer,
            ordered_at,
            attempts,
        };
        self.effect(Effect::Replay(Box::new(order)));
    }

    pub(crate) fn replay_answer(&mut self, id: ReplayId, outcome: ReplayOutcome) -> Result<Reply, Rejection> {
        if let Some(attempt) = id.appeal {
            return self.appeal_answer(attempt, id.number, outcome);
        }
        let task = self.tasks.get(&id.task).ok_or(Rejection::UnknownReplay)?;
        let pending = *task.replays.get(&id.number).ok_or(Rejection::UnknownReplay)?;
        let salt = self.salt(id.task).ok_or(Rejection::UnknownReplay)?;
        if let Some(task) = self.task_mut(id.task) {
            task.replays.remove(&id.number);
        }
        match (pending, outcome) {
            (PendingReplay::Outcome, ReplayOutcome::Done { outcome, .. }) if !outcome.is_consistent() => {
                self.replay_failed(id.task, "its answer contradicts itself");
            }
            (PendingReplay::Outcome, ReplayOutcome::Done { outcome, trace_root, trace }) => {
                self.add_truth(id.task, outcome, trace_root, trace.digests, salt);
            }
            (PendingReplay::Outcome, ReplayOutcome::Cannot { message }) => {
                self.replay_impossible(id.task, &message);
            }
            (PendingReplay::Outcome, ReplayOutcome::Failed { message }) => {
                self.replay_failed(id.task, &message);
            }
            (PendingReplay::Operations { attempt, .. }, ReplayOutcome::Done { trace, .. }) => {
                self.operations_replayed(id.task, attempt, trace);
            }
            (
                PendingReplay::Operations { attempt, .. },
                ReplayOutcome::Cannot { .. } | ReplayOutcome::Failed { .. },
            ) => {
                self.operations_replayed(id.task, attempt, TraceReport::default());
            }
        }
        self.look_at(Key::Task(id.task));
        Ok(Reply::Done)
    }

    fn add_truth(
        &mut self,
        key: TaskKey,
        outcome: ReceiptOutcome,
        trace_root: Digest,
        commits: Vec<Digest>,
        salt: Digest,
    ) {
        let (found, gas) = (outcome.key(salt), outcome.gas());
        // More of them than may be compared are of no use to a dispute, and a row holds them.
        let comparable = commits.len() as u64 <= self.parameters.trace_commits_max;
        let commits = if comparable { commits } else { Vec::new() };
        let Some(task) = self.task_mut(key) else { return };
        let tag = task.tag;
        task.truths.push(Truth { outcome, key: found, trace_root, commits });
        self.emit(EventKind::Replayed { task: tag, key: found, gas });
        let Some(task) = self.tasks.get(&key) else { return };
        if let [.., before, last] = &task.truths[..]
            && before.key != last.key
        {
            // Our own machines contradict each other: neither is believed.
            if let Some(task) = self.task_mut(key) {
                task.truths.clear();
            }
            self.replay_failed(key, "two replays on trusted workers gave two results");
        }
    }

    fn replay_failed(&mut self, key: TaskKey, message: &str) {
        let limit = self.parameters.replay_failures_max;
        let retry_at = self.now() + self.parameters.replay_retry;
        let Some(task) = self.task_mut(key) else { return };
        task.replay_failures += 1;
        if task.replay_failures >= limit {
            task.replay_retry_at = Some(retry_at);
            let message: String = message.chars().take(400).collect();
            let message = message.escape_debug();
            self.forgive(key);
            self.pause_job(
                key.job,
                format!(
                    "task {} cannot be replayed on a trusted worker ({message}): `anneal retry` the job \
                     when its operator has mended that, or cancel it",
                    key.index
                ),
            );
        }
    }

    /// AuditDraw conclusions from what trusted workers have said, and asks them where that is not enough.
    pub(super) fn weigh(&mut self, key: TaskKey) {
        let Some((task, salt)) = self.tasks.get(&key).zip(self.salt(key)) else { return };
        let Some(truth) = task.truths.last().cloned() else {
            return if self.wants_truth(task) { self.ask_truth(key) } else { Default::default() };
        };
        let confirmed = task.truths.len() >= 2;
        if task.phase == Phase::Replaying {
            let receipts = self.attempts_on(key).filter_map(Attempt::receipt);
            let shared = receipts.into_iter().any(|receipt| receipt.outcome.key(salt) == truth.key);
            if shared || confirmed {
                self.find_verdict(key, truth.outcome, truth.trace_root, Evidence::Replay);
            } else {
                self.ask_truth(key);
            }
        } else if task.verdict.as_ref().is_some_and(|verdict| verdict.key != truth.key) {
            if confirmed { self.overturn(key, truth) } else { self.ask_truth(key) }
        }
    }

    /// Whether a trusted worker must be asked before the task can be final.
    fn wants_truth(&self, task: &Task) -> bool {
        let audited = task.audit.is_some_and(|draws| draws.audited);
        let doubted = |attempt: &Attempt| {
            !attempt.shadow && matches!(attempt.state, AttemptState::Revealed { valid: None, .. })
        };
        task.phase == Phase::Replaying || audited || self.attempts_on(task.key).any(doubted)
    }

    /// Asks for the task's true outcome, unless that has been asked or has failed too often.
    pub(super) fn ask_truth(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else { return };
        let asked = task.replays.values().any(|pending| *pending == PendingReplay::Outcome);
        if !asked && task.replay_failures < self.parameters.replay_failures_max {
            self.order_replay(key, PendingReplay::Outcome);
        }
    }
}
