//! From receipts to verdicts. A task goes through its phases here; whatever happens to one of its attempts
//! puts it on the agenda, and [`Market::advance`] does what follows.
//!
//! - `judge`: agreement, disagreement, verdicts.
//! - `replay`: what trusted workers are asked, and what their answers mean.
//! - `overturn`: an audit contradicts a verdict.
//! - `dispute`: a faulty attempt is traced down to one operation.
//! - `settle`: states are stored, late attempts judged, earnings released.

mod dispute;
mod judge;
mod overturn;
mod replay;
mod settle;

use anneal_job::AttemptId;

use crate::{
    Effect, Key, Market, TaskKey,
    attempt::{Attempt, AttemptState},
    task::Phase,
};

impl Market {
    /// Does what follows from what has happened to a task.
    pub(crate) fn advance(&mut self, key: TaskKey) {
        if self.is_ending(&Key::Task(key)) {
            return;
        }
        let Some(task) = self.tasks.get(&key) else { return };
        match task.phase {
            Phase::Open => self.advance_open(key),
            Phase::Revealing => self.advance_revealing(key),
            Phase::Replaying => self.weigh(key),
            Phase::Storing => self.advance_storing(key),
            Phase::Done => self.advance_done(key),
        }
        let Some(task) = self.tasks.get(&key) else { return };
        let wake_at = task.next_deadline();
        if wake_at != task.wake_at
            && let Some(task) = self.task_mut(key)
        {
            task.wake_at = wake_at;
        }
    }

    /// The attempts on a task for which something holds.
    fn attempts_where(&self, key: TaskKey, holds: impl Fn(&Attempt) -> bool) -> Vec<AttemptId> {
        self.attempts_on(key).filter(|attempt| holds(attempt)).map(|attempt| attempt.id).collect()
    }

    fn set_phase(&mut self, key: TaskKey, phase: Phase) {
        if let Some(task) = self.task_mut(key) {
            task.phase = phase;
        }
        self.look_at(Key::Task(key));
    }

    /// Receipts are asked for as soon as enough have committed and nobody else may still commit in good time:
    /// until then, nothing of a result can be known to anybody.
    fn advance_open(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else { return };
        let committed = |attempt: &Attempt| {
            matches!(attempt.state, AttemptState::Committed { .. } | AttemptState::Revealed { .. })
        };
        let closing = task.closing;
        let count = self.attempts_on(key).filter(|attempt| committed(attempt)).count();
        let waiting = self.attempts_on(key).any(|attempt| !attempt.is_over() && !committed(attempt));
        if closing && count == 0 && !waiting {
            return self.drop_task(key);
        }
        if count < usize::from(task.needed) && !(closing && count > 0) {
            return;
        }
        if self.attempts_on(key).any(|attempt| attempt.is_running() && !self.is_silent(attempt)) {
            return;
        }
        for id in self.attempts_where(key, Attempt::is_running) {
            self.supersede(id);
        }
        let by = self.now() + self.parameters.reveal;
        for id in self.attempts_where(key, |attempt| matches!(attempt.state, AttemptState::Committed { .. }))
        {
            let Some(attempt) = self.attempt_mut(id) else { continue };
            let provider = attempt.provider;
            attempt.wake_at = Some(by);
            if let AttemptState::Committed { reveal_by, .. } = &mut attempt.state {
                *reveal_by = Some(by);
            }
            self.effect(Effect::Call { provider });
        }
        self.set_phase(key, Phase::Revealing);
    }

    fn advance_revealing(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else { return };
        let (needed, closing) = (usize::from(task.needed), task.closing);
        if self.attempts_on(key).any(|attempt| matches!(attempt.state, AttemptState::Committed { .. })) {
            return;
        }
        let revealed = self.attempts_on(key).filter(|attempt| attempt.receipt().is_some()).count();
        if revealed < needed && !(closing && revealed > 0) {
            // Somebody did not reveal: another attempt is needed, and nobody has seen what the others gave.
            self.set_phase(key, Phase::Open);
        } else {
            self.judge(key);
        }
    }

    /// Nobody works on a task that nobody wants.
    fn drop_task(&mut self, key: TaskKey) {
        for epoch in
            self.tasks.get(&key).map(|task| task.draw_epochs().collect::<Vec<_>>()).unwrap_or_default()
        {
            self.forget_draw(epoch);
        }
        for id in self.attempts_where(key, |_| true) {
            self.end(Key::Attempt(key, id));
        }
        self.end(Key::Task(key));
        self.look_at(Key::Job(key.job));
    }

    /// A deadline of a task has passed.
    pub(crate) fn task_due(&mut self, key: TaskKey) {
        let now = self.now();
        self.end_silent_disputes(key);
        let Some(task) = self.task_mut(key) else { return };
        if task.upload.is_some_and(|upload| upload.deadline <= now) {
            task.upload = None;
        }
        if task.replay_retry_at.is_some_and(|at| at <= now) {
            task.replay_retry_at = None;
            task.replay_failures = 0;
        }
        self.look_at(Key::Task(key));
    }
}
